"""A follower: one connection's interest in one thread, and how far it has got.

The life of a follower is one enum and one assigner. It begins JOINING: it keeps what is published
while the store is asked, once, whether its user may see the thread and what of it they miss. While
it is LIVE it takes batches as they are published. When its lane is full, or it missed something, it
is BEHIND and takes nothing: a task reads the log after its last position, deltas merged, until
nothing is missing. So it gets every entry exactly once, in order, and a slow socket costs its
lane's water mark and no more.
"""

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Sequence
from enum import Enum
from functools import partial
from typing import Any

from netra_backend import jsonlog
from netra_backend.core.events import Entry
from netra_backend.core.ids import ThreadKey
from netra_backend.core.ports import Store
from netra_backend.core.positions import Position
from netra_backend.core.resume import Backlog, Piece, merge, reaches_end
from netra_backend.errors import NetraError
from netra_backend.server.access import Sight
from netra_backend.server.batch import Batch
from netra_backend.server.direct_lane import DirectLane
from netra_backend.server.lane_port import Lane, LaneClosed, turn
from netra_backend.server.metrics import BEHIND, LEAKS
from netra_backend.server.topic import Topic

log = jsonlog.get_logger(__name__)

READ_LIMIT = 500
"""Entries read from the log at once for a follower that is behind."""

HELD = 32
"""Batches that are published during one read and kept, so that a busy thread is caught up with."""

PORTION = 65_536
"""Bytes of events handed to a lane that is not full before it is looked at again."""


class FollowerState(Enum):
    """What a follower does with a batch that is published."""

    JOINING = "joining"
    BEHIND = "behind"
    LIVE = "live"
    ENDED = "ended"


class Gone(Enum):
    """Why there is nothing to follow any more."""

    DELETED = "deleted"
    """The thread was deleted, also if another one has its name by now."""
    DENIED = "denied"
    """The thread is shared with the user no more."""


NOWHERE = Position(0, 0)
"""Where a follower is that has not begun."""

_LIVE = FollowerState.LIVE
"""A global, because looking a member up costs a tenth of a delivery."""

_WATCHING = frozenset({FollowerState.BEHIND, FollowerState.LIVE})

_MOVES = {
    FollowerState.JOINING: frozenset({FollowerState.BEHIND, FollowerState.ENDED}),
    FollowerState.BEHIND: frozenset({FollowerState.LIVE, FollowerState.ENDED}),
    FollowerState.LIVE: frozenset({FollowerState.BEHIND, FollowerState.ENDED}),
    FollowerState.ENDED: frozenset[FollowerState](),
}


class ThreadFollower:
    """Serves `lane` with the entries of `thread`, from a position on, to the user of `sight`.

    Add it to the hub, and then either `start` it, or `ask` and `begin`: so nothing between the log
    and what is published is lost or doubled. `failed` is called once when it cannot go on: with
    TimeoutError when the lane stayed full for `patience` seconds of its turn, otherwise with what
    was raised when the log was read. `gone` is called when the thread cannot be followed any more.
    """

    __slots__ = (
        "_addressed", "_failed", "_gone", "_held", "_lane", "_patience", "_position", "_sight",
        "_state", "_store", "_task", "_topic", "thread",
    )  # fmt: skip

    def __init__(
        self,
        store: Store,
        lane: Lane,
        thread: ThreadKey,
        *,
        sight: Sight,
        patience: float,
        failed: Callable[[Exception], None],
        gone: Callable[[Gone], None],
    ) -> None:
        self.thread = thread
        self._position = NOWHERE
        self._topic: Topic | None = None
        self._store = store
        self._lane = lane
        self._sight = sight
        self._addressed = sight.full
        self._patience = patience
        self._failed = failed
        self._gone = gone
        if sight.shared:
            sight.withdrawn = partial(self._give_up, Gone.DENIED)
        self._held: list[Batch] | None = None
        self._state = FollowerState.JOINING
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<ThreadFollower {self.thread.id} at {self.position}, {self._state.name}>"

    @property
    def position(self) -> Position:
        """The position of the last entry that was handed to the lane, or after which it began."""
        return self._position if self._topic is None else self._topic.position(self)

    @property
    def state(self) -> FollowerState:
        """What it does with a batch now."""
        return self._state

    @property
    def watches(self) -> bool:
        """Whether its user may see the thread, as the store has said, and it has not ended."""
        return self._state in _WATCHING

    async def ask(self, after: Position | None) -> Backlog | None:
        """Return what its user misses after the position; None if they may not see the thread.

        It may be asked again before it begins. What is published from now on is kept.
        """
        self._held = []
        backlog = await self._store.backlog(self.thread, self._sight.user, after, READ_LIMIT)
        # The hub and the access tell of what has changed since: then this has ended.
        return backlog if self._state is FollowerState.JOINING else None

    def begin(self, after: Position, entries: Sequence[Entry]) -> None:
        """Serve the entries, which come next after the position, and then what follows them.

        They are those of the last `ask`. What the lane has no room for is read again later: a
        client that does not read costs no more for it.
        """
        held, self._held = self._held or [], None
        self._position = after
        self._assign(FollowerState.BEHIND)
        try:
            self._take(entries, held)
        except NetraError as error:
            self._fail(error)
        if self._state is FollowerState.BEHIND:
            self._task = self._catch_up()

    def start(self, after: Position, first: Callable[[], object] | None = None) -> None:
        """Ask and begin after the position; `first` is called before the first entry is served."""
        self._task = self._work(self._join(after, first), "join")

    async def _join(self, after: Position, first: Callable[[], object] | None) -> None:
        backlog = await self.ask(after)
        if backlog is None:
            self._give_up(Gone.DENIED if self._sight.shared else Gone.DELETED)
        elif backlog.head.epoch != after.epoch:
            self._give_up(Gone.DELETED)
        else:
            if first is not None:
                first()
            self.begin(after, backlog.entries)

    def deliver(self, batch: Batch) -> None:
        """Take the batch if it is the next; otherwise serve from the log. Never waits."""
        position = self._position
        if (
            self._state is _LIVE
            and batch.first == position.offset + 1
            and batch.last.epoch == position.epoch
            and batch.thread == self._sight.thread
            and not self._lane.full
        ):
            # The hot path: nearly every delivery of a busy thread goes this way.
            self._lane.write(batch.addressed if self._addressed else batch)
            self._position = batch.last
        else:
            self._deliver_late(batch)

    def _deliver_late(self, batch: Batch) -> None:
        """Take a batch that is not simply the next one of a follower that keeps up."""
        if self._state is FollowerState.JOINING:
            self._hold(batch)
        elif batch.last.epoch != self._position.epoch:
            self._other_history(batch)
        elif self._state is not FollowerState.LIVE:
            self._hold(batch)
        elif batch.last <= self._position:
            return
        elif batch.first != self._position.offset + 1 or self._lane.full:
            self._fall_behind()
        else:
            self._hand_over(batch)

    def _hold(self, batch: Batch) -> None:
        """Keep the batch for when the store has answered; too many are read from the log then."""
        if self._held is not None and len(self._held) <= HELD:
            self._held.append(batch)

    def enlist(self, topic: Topic) -> None:
        """Step into the ranks of the topic, after a last look at whose thread it is.

        Only with an own thread: others are named differently in the frames, and can be denied.
        """
        if (
            self._state is _LIVE
            and self._position == topic.last
            and topic.thread == self._sight.thread
            and not self._addressed
            and isinstance(self._lane, DirectLane)
        ):
            descriptor = self._lane.lend(self.fall_out)
            if descriptor >= 0:
                self._topic = topic
                topic.enlist(self, descriptor)

    def fall_out(self) -> None:
        """Leave the ranks, if it stands there: the lane needs its descriptor, or this ends."""
        topic, self._topic = self._topic, None
        if topic is not None and isinstance(self._lane, DirectLane):
            self._position = topic.dismiss(self)
            self._lane.take_back()

    def owe(self, rest: bytes) -> None:
        """Send the rest of what was written in the ranks."""
        if isinstance(self._lane, DirectLane):
            self._lane.owe(rest)

    def cut_off(self) -> None:
        """End the connection: what its socket took of a write in the ranks is not known."""
        if isinstance(self._lane, DirectLane):
            self._lane.abort()

    def thread_deleted(self) -> None:
        """Say that the thread is gone."""
        asyncio.get_running_loop().call_soon(self._give_up, Gone.DELETED)

    def end(self) -> None:
        """Take nothing more. Idempotent."""
        if self._state is not FollowerState.ENDED:
            self._assign(FollowerState.ENDED)
            if self._task is not None:
                self._task.cancel()
        self._sight.close()

    def _other_history(self, batch: Batch) -> None:
        """A newer thread has the name: the bus has lost that ours was deleted. Or a late echo."""
        if batch.last.epoch > self._position.epoch:
            self.thread_deleted()

    def _hand_over(self, batch: Batch) -> None:
        """Give the batch to the lane, after a last look at whose thread it is."""
        if batch.thread != self._sight.thread:
            LEAKS.inc()
            log.critical("a frame was stopped that its user may not see")
            if self._state is FollowerState.BEHIND:  # it reads what its user may not see
                self._fail(NetraError("the user may not see the thread"))
            return
        self._lane.write(batch.addressed if self._addressed else batch)
        self._position = batch.last

    def _fall_behind(self) -> None:
        BEHIND.inc()
        self._assign(FollowerState.BEHIND)
        self._task = self._catch_up()

    def _catch_up(self) -> "asyncio.Task[None]":
        return self._work(self._read_until_live(), "catch up")

    def _work(self, work: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        """Do the work in a task, and pass on whatever it raises to whose connection this is."""
        task = asyncio.create_task(work, name=f"{name} {self.thread.id}")
        task.add_done_callback(self._worked)
        return task

    def _worked(self, task: "asyncio.Task[None]") -> None:
        error = None if task.cancelled() else task.exception()
        if error is None or self._state is FollowerState.ENDED:
            return
        if isinstance(error, LaneClosed):
            self._assign(FollowerState.ENDED)
        elif isinstance(error, Exception):
            self._fail(error)

    async def _read_until_live(self) -> None:
        while self._state is FollowerState.BEHIND:
            await self._read_once()

    async def _read_once(self) -> None:
        """Read and serve one stretch of the log, and what was published meanwhile."""
        async with turn(self._lane, self._patience):
            self._held = []
            try:
                entries = await self._store.read(self.thread, self._position.offset, READ_LIMIT)
            finally:
                held, self._held = self._held, None
            self._take(entries, held)

    def _take(self, entries: Sequence[Entry], held: Sequence[Batch]) -> None:
        """Serve what was read, and what was published since that was asked for; LIVE if it is all.

        An entry is in the log before it is published. So with a read that reached the log's end,
        what it had not is among what was published since it began, or will be published.
        """
        if entries:
            self._serve(entries)
        if reaches_end(entries, READ_LIMIT) and len(held) <= HELD and self._hands_over_all(held):
            # No await since the read: what is published from here on is delivered.
            self._assign(FollowerState.LIVE)

    def _hands_over_all(self, held: Sequence[Batch]) -> bool:
        """Hand over what follows; return whether nothing is missing after it."""
        for batch in held:
            if self._state is not FollowerState.BEHIND or self._lane.full:
                return False
            if batch.last <= self._position:
                continue
            if batch.first != self._position.offset + 1 or batch.last.epoch != self._position.epoch:
                return False
            self._hand_over(batch)
        return self._state is FollowerState.BEHIND and not self._lane.full

    def _serve(self, entries: Sequence[Entry]) -> None:
        """Hand over as many of the entries, merged, as the lane has room for."""
        if entries[0].position.epoch != self._position.epoch:
            self._give_up(Gone.DELETED)
            return
        merged = merge(entries, after=self._position.offset, join=self._lane.joins)
        for portion in _portions(merged):
            if self._lane.full or self._state is FollowerState.ENDED:
                return
            self._hand_over(Batch(self.thread, portion))

    def _give_up(self, why: Gone) -> None:
        """End because there is nothing to follow."""
        if self._state is not FollowerState.ENDED:
            self.end()
            self._gone(why)

    def _fail(self, error: Exception) -> None:
        """End because of an error."""
        self._assign(FollowerState.ENDED)
        self._failed(error)

    def _assign(self, to: FollowerState) -> None:
        """Assign the state: the only place that does."""
        if to not in _MOVES[self._state]:
            raise AssertionError(f"a follower cannot go from {self._state.name} to {to.name}")
        self.fall_out()
        self._state = to


def _portions(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Return the pieces in portions of some `PORTION` bytes."""
    portion: list[Piece] = []
    size = 0
    for piece in pieces:
        portion.append(piece)
        size += len(piece.event.data)
        if size >= PORTION:
            yield portion
            portion, size = [], 0
    if portion:
        yield portion
