"""What comes of one call that is judged, and what of it is told for certain."""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct, structs

from netra_backend.scan.finding import Severity
from netra_backend.scan.heads import Scope
from netra_backend.scan.problem import Problem, function_line
from netra_backend.scan.sinks import Sink
from netra_backend.scan.values import Argument
from netra_backend.scan.wrappers import Told, Wrapper


class Verdict(Struct, frozen=True):
    """What a call is judged: its problems, and whether callers have a say in it."""

    problems: tuple[Problem, ...] = ()
    open: bool = False


class Judged(Struct, frozen=True):
    """A call that hands `args` to `target`; `sole` is whether it can be nothing else."""

    target: Wrapper | Sink
    args: Sequence[Argument]
    problems: tuple[Problem, ...]
    open: bool
    sole: bool

    @property
    def known(self) -> frozenset[Told]:
        """What is said of the target already, whoever calls it."""
        return self.target.known if isinstance(self.target, Wrapper) else frozenset()


def repairable(problem: Problem, scope: Scope) -> Problem:
    """Return the problem, without a place to repair in a function that makes it for others too."""
    same = problem.at_function == function_line(scope)
    return problem if same else structs.replace(problem, at=0)


def certain(judged: Iterable[Judged]) -> set[tuple[str, bool]]:
    """Return where the call raises for certain, at a key or a value."""
    return {
        (problem.path, problem.is_key)
        for it in judged
        for problem in it.problems
        if problem.severity is Severity.ERROR
    }


def told_of(problem: Problem) -> Told:
    return problem.path, problem.kind.name, problem.name, problem.severity.rank


def covered(problem: Problem) -> Iterator[Told]:
    """Yield what need not be told beside the problem: itself, and as what is less sure."""
    path, kind, name, most = told_of(problem)
    return ((path, kind, name, rank) for rank in range(most + 1))
