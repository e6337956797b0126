"""A problem: a part of a value that raises, where it stands, and how sure that is."""

from msgspec import Struct, structs

from netra_backend.scan.finding import Severity
from netra_backend.scan.heads import Scope
from netra_backend.scan.kinds import Kind
from netra_backend.scan.values import Const, Present, Value


class Problem(Struct, frozen=True):
    """A part that raises. `path` leads to it; `at` is its expression, in the file `at_source`.

    `at_function` is where the function begins in which it stands, 0 if it stands in none.
    `name` is the class of the value, without its module. `is_key` is whether it is a dict's key.
    `origins` are the files and lines that it came from, the nearest first. `dump_at` is the call
    of ``model_dump()`` that left the value as it is, `dump_text` the argument that it lacks.
    """

    kind: Kind
    name: str
    severity: Severity
    path: str
    is_key: bool
    origins: tuple[tuple[str, int], ...]
    at: int
    at_source: str
    at_function: int = 0
    dump_at: int = 0
    dump_source: str = ""
    dump_text: str = ""


class Leaf(Struct, frozen=True):
    """Where we are in a value: the way to it, and the expression that put it there."""

    path: str
    at: int
    scope: Scope
    severity: Severity = Severity.ERROR
    line: int = 0

    def maybe(self) -> "Leaf":
        """Return the place as one that not every execution reaches."""
        return structs.replace(self, severity=Severity.WARNING)


def weakened(problem: Problem) -> Problem:
    """Return the problem as one of some values only."""
    if problem.severity is not Severity.ERROR:
        return problem
    return structs.replace(problem, severity=Severity.WARNING)


def repairable_alike(results: list[list[Problem]]) -> list[list[Problem]]:
    """Return the problems of alternatives; of several kinds, what repairs one breaks the other."""
    if len({problem.kind for result in results for problem in result}) < 2:
        return results
    return [[structs.replace(problem, at=0) for problem in result] for result in results]


def function_line(scope: Scope) -> int:
    """Return where the function of the scope begins, 0 if it is a module's own."""
    return 0 if scope.function is None else scope.function.line


def line_of(value: Value) -> int:
    """Return the line on which the value was made, 0 if that says nothing."""
    if isinstance(value, Present):
        return line_of(value.base)
    return int(getattr(value, "line", 0))


def step(key: object) -> str:
    """Return the step of a path that a key makes."""
    if isinstance(key, Const) and isinstance(key.value, str):
        return f".{key.value}" if key.value.isidentifier() else f"[{key.value!r}]"
    return f"[{key.value!r}]" if isinstance(key, Const) else "[]"
