"""JS201: an enum in the text of a log call is written as ``Color.RED``, or as its value."""

from netra_backend.scan.finding import Severity
from netra_backend.scan.kinds import Kind
from netra_backend.scan.rule import Repair, Rule

RULE = Rule(
    code="JS201",
    name="enum-in-log-text",
    summary="an enum in an f-string or %s of a log call renders ambiguously",
    noun="plain enum",
    severities=(Severity.NOTE,),
    repairs=(Repair("Write the member's name", "", ".name", frozenset({Kind.ENUM})),),
)
