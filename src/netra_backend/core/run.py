"""The life of a run: one enum, one table of moves, one assigner.

A run is created RUNNING, together with its RUN_STARTED event, and reaches exactly one of the
terminal states, together with its one terminal event. Nothing leaves a terminal state. There is
no state "cancelling": what a cancel closes and the terminal event are appended as one.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from msgspec import Struct

from netra_backend.core.ids import RunKey, ThreadKey
from netra_backend.core.positions import Position
from netra_backend.errors import RunError


class RunStatus(StrEnum):
    """What a run is doing, or how it ended. The values are stored and sent to clients."""

    RUNNING = "running"
    FINISHED = "finished"
    AWAITING = "awaiting"
    """Ended with the AG-UI outcome ``interrupt``: a person has to decide something."""
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    """The server stopped or died while the run was in progress."""


MOVES: dict[RunStatus, frozenset[RunStatus]] = {
    RunStatus.RUNNING: frozenset(
        {
            RunStatus.CANCELLED,
            RunStatus.FINISHED,
            RunStatus.AWAITING,
            RunStatus.FAILED,
            RunStatus.TIMED_OUT,
            RunStatus.INTERRUPTED,
        }
    ),
    RunStatus.FINISHED: frozenset(),
    RunStatus.AWAITING: frozenset(),
    RunStatus.FAILED: frozenset(),
    RunStatus.TIMED_OUT: frozenset(),
    RunStatus.CANCELLED: frozenset(),
    RunStatus.INTERRUPTED: frozenset(),
}
"""From each status, where a run may go next."""

ENDED = frozenset(status for status, moves in MOVES.items() if not moves)
"""The terminal states."""


OUTCOMES: Mapping[str, RunStatus] = MappingProxyType(
    {"interrupt": RunStatus.AWAITING, "cancelled": RunStatus.CANCELLED}
)
"""How a run has ended, by AG-UI's outcome of its RUN_FINISHED; with any other it has finished."""

STOPPED: Mapping[RunStatus, RunError] = MappingProxyType(
    {RunStatus.TIMED_OUT: RunError.TIMEOUT, RunStatus.INTERRUPTED: RunError.INTERRUPTED}
)
"""With which code a run ends that Netra has stopped. An agent may fail with the same."""


class IllegalMove(Exception):
    """A run was asked to go where the table has no move: a fault of ours, never a client's."""


def move(now: RunStatus, to: RunStatus) -> RunStatus:
    """Return `to` if a run may go there from `now`; raise IllegalMove otherwise."""
    if to not in MOVES[now]:
        raise IllegalMove(f"a run cannot go from {now.name} to {to.name}")
    return to


class Run(Struct, frozen=True):
    """One execution of an agent in a thread, as the store keeps it.

    `started` is the position of its RUN_STARTED event, `ended` that of its terminal event once
    there is one. `correlation` is the id under which the server's log tells what happened.
    """

    key: RunKey
    thread: ThreadKey
    agent: str
    status: RunStatus
    correlation: str
    started: Position
    ended: Position | None = None


class Lease(Struct, frozen=True):
    """A holder's time-limited right to execute a run and to append to its thread.

    `fence` grows each time the lease changes hands; an append with an older fence is refused, so
    a holder that was asleep cannot write over its successor. `expires_at` is in milliseconds
    since 1970.
    """

    run: RunKey
    thread: ThreadKey
    holder: str
    fence: int
    expires_at: int
