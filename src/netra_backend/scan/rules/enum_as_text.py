"""JS202: ``str(member)`` is ``"Color.RED"``, not the name and not the value."""

from netra_backend.scan.finding import Severity
from netra_backend.scan.rule import Rule

RULE = Rule(
    code="JS202",
    name="enum-as-text",
    summary="str() of an enum is stored in a dict that reaches JSON",
    noun="str() of plain enum",
    severities=(Severity.NOTE,),
)
