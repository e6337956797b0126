"""JS010: an exception is no JSON value; its text is."""

from netra_backend.scan.kinds import Kind
from netra_backend.scan.rule import Repair, Rule

RULE = Rule(
    code="JS010",
    name="exception",
    summary="an exception reaches JSON",
    noun="exception",
    kinds=frozenset({Kind.EXCEPTION}),
    repairs=(Repair("Write its text", "str(", ")", frozenset({Kind.EXCEPTION})),),
)
