"""JS004: JSON has no form for UUIDs."""

from netra_backend.scan.kinds import Kind
from netra_backend.scan.rule import Repair, Rule

RULE = Rule(
    code="JS004",
    name="uuid",
    summary="a UUID reaches JSON",
    noun="UUID",
    kinds=frozenset({Kind.UUID}),
    repairs=(Repair("Write it as a string", "str(", ")", frozenset({Kind.UUID})),),
)
