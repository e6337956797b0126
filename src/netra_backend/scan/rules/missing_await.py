"""JS009: a coroutine, task or future is not its result: ``await`` is missing."""

from netra_backend.scan.kinds import Kind
from netra_backend.scan.rule import Rule

RULE = Rule(
    code="JS009",
    name="missing-await",
    summary="a coroutine, task or future reaches JSON instead of its result",
    noun="{kind}",
    kinds=frozenset({Kind.COROUTINE, Kind.FUTURE}),
)
