"""Nodes: what processes that share a store do for each other."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Protocol

from msgspec import Struct

from netra_backend.core.ids import RunKey
from netra_backend.core.positions import Position
from netra_backend.core.samples import Family

Cancel = Callable[[RunKey], Awaitable[Position | None]]
"""Cancels a run that is executed here, and returns where it ended; None if it is not."""


class Seat(Struct, frozen=True, array_like=True):
    """One of `limit` places of a `kind`, for `of`: a user, say, of whom there may be so much."""

    kind: str
    of: str
    limit: int


MakeRoom = Callable[[Seat], bool]
"""Gives such a seat that is taken here, and returns whether there was one to give."""

Freed = Callable[[], None]
"""Hears that another node has given a seat back of which there was none left, or is gone."""


Reply = Callable[[bytes], Awaitable[bytes]]
"""Answers what is asked of every node, for this one."""

METRICS = "metrics"
"""What every node is asked for what it has measured: `Family` by `Family`, as msgpack."""


class Gathered(Struct, frozen=True, array_like=True):
    """What nodes have answered, by the process ids of their workers.

    `missing` are those of workers that did not: they are frozen, busy or just gone.
    """

    answers: Sequence[tuple[int, bytes]]
    missing: Sequence[int]


class Nodes(Protocol):
    """The other nodes that share the store, each of which executes runs of its own."""

    def join(self, cancel: Cancel) -> None:
        """Let the others ask for runs that are executed here."""
        ...

    def cancel(self, run: RunKey) -> Awaitable[Position | None]:
        """Cancel the run where it is executed; return where it ended, None if nobody executes it.

        It is not found on a node that dies meanwhile: then its lease is over. One that stands still
        does not cancel it later, when it has been told here that nobody did.
        """
        ...

    def take(self, seats: Sequence[Seat]) -> Awaitable[Sequence[Seat]]:
        """Take all of the seats, or none; return those of which all nodes have none left.

        What was taken is given back by `give`, by the end of this node, and when nobody waits for
        the answer any more. Raises StoreFailed where nobody can tell.
        """
        ...

    def give(self, seats: Sequence[Seat], *, used: bool = False) -> None:
        """Give seats back that were taken here; of those that were `used` the others hear.

        They do not hear of seats that were only tried: nodes that try in vain would make each other
        try again, for ever.
        """
        ...

    def tell_freed(self, freed: Freed) -> None:
        """Have `freed` told when there may be a seat that was refused here."""
        ...

    def let_make_room(self, make_room: MakeRoom) -> None:
        """Let the others ask for a seat that is taken here."""
        ...

    def make_room(self, seat: Seat) -> Awaitable[bool]:
        """Ask the node that has most of such seats to give one; return whether it did.

        One that does not answer in time gives none later.
        """
        ...

    def let_answer(self, subject: str, answer: Reply) -> None:
        """Let all ask for what is here."""
        ...

    def ask(self, subject: str, question: bytes) -> Awaitable[Gathered]:
        """Ask all nodes, this one too; return in a bounded time what they answered.

        Raises StoreFailed where nobody can tell.
        """
        ...

    def measured(self) -> Awaitable[Sequence[Family]]:
        """Return in a bounded time what all nodes have measured, and those that were before them.

        Of a node that does not answer its last figures count. Raises StoreFailed where nobody can
        tell.
        """
        ...
