"""JS005: JSON numbers are those of int and float; other numbers raise."""

from netra_backend.scan.kinds import Kind
from netra_backend.scan.rule import Repair, Rule

_NUMBERS = frozenset({Kind.DECIMAL, Kind.FRACTION, Kind.COMPLEX})

RULE = Rule(
    code="JS005",
    name="number",
    summary="a Decimal, Fraction or complex number reaches JSON",
    noun="{kind}",
    kinds=_NUMBERS,
    repairs=(Repair("Write it as a string, which keeps its digits", "str(", ")", _NUMBERS),),
)
