"""JS008: of all collections, JSON knows lists, tuples and dicts."""

from netra_backend.scan.kinds import Kind
from netra_backend.scan.rule import Repair, Rule

_COLLECTIONS = frozenset({Kind.SET, Kind.DEQUE, Kind.VIEW, Kind.ITERATOR})

RULE = Rule(
    code="JS008",
    name="collection",
    summary="a set, deque, dict view, generator or iterator reaches JSON",
    noun="{kind}",
    kinds=_COLLECTIONS,
    repairs=(Repair("Write it as a list", "list(", ")", _COLLECTIONS, keys=False),),
)
