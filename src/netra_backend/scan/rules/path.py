"""JS007: JSON has no form for paths."""

from netra_backend.scan.kinds import Kind
from netra_backend.scan.rule import Repair, Rule

RULE = Rule(
    code="JS007",
    name="path",
    summary="a path reaches JSON",
    noun="path",
    kinds=frozenset({Kind.PATH}),
    repairs=(Repair("Write it as a string", "str(", ")", frozenset({Kind.PATH})),),
)
