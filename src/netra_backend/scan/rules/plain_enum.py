"""JS001: a plain enum member is no JSON value; only those that are also a str or an int are."""

from netra_backend.scan.kinds import Kind
from netra_backend.scan.rule import Repair, Rule

RULE = Rule(
    code="JS001",
    name="plain-enum",
    summary="a member of a plain enum reaches JSON",
    noun="plain enum",
    kinds=frozenset({Kind.ENUM}),
    repairs=(Repair("Write the member's name", "", ".name", frozenset({Kind.ENUM})),),
)
