"""JS016: an object, class, function or module that is no data at all."""

from netra_backend.scan.kinds import Kind
from netra_backend.scan.rule import Rule

RULE = Rule(
    code="JS016",
    name="plain-object",
    summary="an object, class, function or module reaches JSON",
    noun="{kind}",
    kinds=frozenset({Kind.OBJECT, Kind.OPAQUE, Kind.CLASS, Kind.CALLABLE, Kind.MODULE}),
)
