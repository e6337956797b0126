"""JS101: a log formatter that writes JSON meets a value in ``extra=``, and the line is lost."""

from netra_backend.scan.finding import Severity
from netra_backend.scan.rule import Rule

RULE = Rule(
    code="JS101",
    name="log-extra",
    summary="a value in extra= of a log call is refused by the project's JSON formatter",
    noun="{kind}",
    severities=(Severity.WARNING,),
)
