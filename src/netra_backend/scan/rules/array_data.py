"""JS015: numbers and arrays of numpy, pandas and torch are not Python's."""

from netra_backend.scan.kinds import Kind
from netra_backend.scan.rule import Rule

RULE = Rule(
    code="JS015",
    name="array-data",
    summary="a numpy, pandas or torch value reaches JSON",
    noun="{kind}:",
    kinds=frozenset({Kind.ARRAY_DATA}),
)
