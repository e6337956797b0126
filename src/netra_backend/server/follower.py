"""A follower: one connection's interest in one thread, and how far it has got.

The life of a follower is one enum and one assigner. While it is LIVE it takes batches as they
are published. When its lane is full, or it missed something, it is BEHIND and takes nothing: a
task reads the log after its last position, deltas merged, until nothing is missing. So it gets
every entry exactly once, in order, and a slow socket costs its lane's water mark and no more.
"""

import asyncio
import logging
from collections.abc import Callable
from enum import Enum

from netra_backend.core.ids import ThreadKey, UserId
from netra_backend.core.ports import Log
from netra_backend.core.resume import merge
from netra_backend.errors import NetraError
from netra_backend.server.batch import Batch
from netra_backend.server.lane import Lane, LaneClosed
from netra_backend.server.metrics import BEHIND, LEAKS

log = logging.getLogger(__name__)

READ_LIMIT = 500
"""Entries read from the log at once for a follower that is behind."""


class FollowerState(Enum):
    """What a follower does with a batch that is published."""

    BEHIND = "behind"
    LIVE = "live"
    ENDED = "ended"


_MOVES = {
    FollowerState.BEHIND: frozenset({FollowerState.LIVE, FollowerState.ENDED}),
    FollowerState.LIVE: frozenset({FollowerState.BEHIND, FollowerState.ENDED}),
    FollowerState.ENDED: frozenset[FollowerState](),
}


class ThreadFollower:
    """Serves `lane` with the entries of `thread` after `offset`. It begins BEHIND.

    `failed` is called once when it cannot go on: with TimeoutError when the lane stayed full for
    `patience` seconds, with NetraError when the log cannot be read. `deleted` is called when the
    thread is deleted.
    """

    def __init__(
        self,
        log: Log,
        lane: Lane,
        thread: ThreadKey,
        offset: int,
        *,
        user: UserId,
        patience: float,
        failed: Callable[[Exception], None],
        deleted: Callable[[], None],
    ) -> None:
        self.thread = thread
        self.offset = offset
        """The offset of the last entry that was handed to the lane."""
        self._log = log
        self._lane = lane
        self._user = user
        self._patience = patience
        self._failed = failed
        self._deleted = deleted
        self._missed = False
        self._state = FollowerState.BEHIND
        self._task = self._catch_up()

    def __repr__(self) -> str:
        return f"<ThreadFollower {self.thread.id} at {self.offset}, {self._state.name}>"

    @property
    def state(self) -> FollowerState:
        """What it does with a batch now."""
        return self._state

    def deliver(self, batch: Batch) -> None:
        """Take the batch if it is the next; otherwise serve from the log. Never waits."""
        if self._state is not FollowerState.LIVE:
            self._missed = True
            return
        if batch.last.offset <= self.offset:
            return
        if batch.first != self.offset + 1 or self._lane.full:
            self._fall_behind()
            return
        self._hand_over(batch)

    def thread_deleted(self) -> None:
        """Say that the thread is gone."""
        asyncio.get_running_loop().call_soon(self._deleted)

    def end(self) -> None:
        """Take nothing more. Idempotent."""
        if self._state is not FollowerState.ENDED:
            self._assign(FollowerState.ENDED)
            self._task.cancel()

    def _hand_over(self, batch: Batch) -> None:
        """Give the batch to the lane, after a last look at whose thread it is."""
        if batch.thread.owner != self._user:
            LEAKS.inc()
            log.critical("a frame for a foreign user was stopped")
            return
        self._lane.write(batch)
        self.offset = batch.last.offset

    def _fall_behind(self) -> None:
        BEHIND.inc()
        self._assign(FollowerState.BEHIND)
        self._task = self._catch_up()

    def _catch_up(self) -> "asyncio.Task[None]":
        return asyncio.create_task(self._read_until_live(), name=f"catch up {self.thread.id}")

    async def _read_until_live(self) -> None:
        try:
            while self._state is FollowerState.BEHIND:
                await self._read_once()
        except LaneClosed:
            self._assign(FollowerState.ENDED)
        except (TimeoutError, NetraError) as error:
            self._assign(FollowerState.ENDED)
            self._failed(error)

    async def _read_once(self) -> None:
        """Serve one stretch of the log; LIVE when nothing was there and nothing was missed."""
        async with asyncio.timeout(self._patience):
            await self._lane.room()
        self._missed = False
        entries = await self._log.read(self.thread, self.offset, READ_LIMIT)
        if entries:
            self._hand_over(Batch(self.thread, merge(entries, after=self.offset)))
        elif not self._missed:
            # No await since the flag was read: what is published from here on is delivered.
            self._assign(FollowerState.LIVE)

    def _assign(self, to: FollowerState) -> None:
        """Assign the state: the only place that does."""
        if to not in _MOVES[self._state]:
            raise AssertionError(f"a follower cannot go from {self._state.name} to {to.name}")
        self._state = to
