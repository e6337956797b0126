"""JS011: instances of dataclasses, attrs classes and msgspec Structs are objects like any other."""

from netra_backend.scan.kinds import Kind
from netra_backend.scan.rule import Rule

RULE = Rule(
    code="JS011",
    name="record",
    summary="an instance of a dataclass, attrs class or msgspec Struct reaches JSON",
    noun="{kind}",
    kinds=frozenset({Kind.DATACLASS, Kind.ATTRS, Kind.STRUCT}),
)
