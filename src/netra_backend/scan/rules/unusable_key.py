"""JS002: JSON keys are strings; ``json.dumps`` converts numbers and None, and refuses the rest.

A ``default=`` function is not asked about keys.
"""

from netra_backend.scan.kinds import Kind
from netra_backend.scan.rule import Repair, Rule

RULE = Rule(
    code="JS002",
    name="unusable-key",
    summary="a dict whose key is no string reaches JSON",
    noun="{kind}",
    key_kinds=frozenset(Kind) - {Kind.UNKNOWN},
    repairs=(
        Repair("Write the member's name", "", ".name", frozenset({Kind.ENUM})),
        Repair(
            "Write the key as ISO 8601",
            "",
            ".isoformat()",
            frozenset({Kind.DATETIME, Kind.DATE, Kind.TIME}),
        ),
        Repair(
            "Write the key as a string",
            "str(",
            ")",
            frozenset({Kind.UUID, Kind.PATH, Kind.DECIMAL, Kind.NUMBER}),
        ),
    ),
)
