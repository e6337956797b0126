"""The hub: who follows which thread on this node, and handing them what is published.

Nothing here waits, and nothing is queued per follower: one that cannot take a batch now is
served from the log later (``server/follower``).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Protocol

from netra_backend.core.events import Entry
from netra_backend.core.ids import ThreadKey
from netra_backend.core.ports import Bus
from netra_backend.core.resume import pieces
from netra_backend.server.batch import Batch

SLICE = 500
"""Followers of all threads that are served in one turn of the event loop, before it breathes."""


class Follower(Protocol):
    """What the hub asks of a follower. Neither call may wait, raise, or add or remove followers."""

    def deliver(self, batch: Batch) -> None:
        """Take the batch, or note that it was missed."""
        ...

    def thread_deleted(self) -> None:
        """The thread is gone."""
        ...


class Hub:
    """The followers of this node, by thread."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._topics: dict[ThreadKey, _Topic] = {}
        self._waiting: deque[_Topic] = deque()
        self._allowed = SLICE
        self._turning = False
        self._unsubscribe: Callable[[], None] = lambda: None

    def __repr__(self) -> str:
        return f"<Hub {len(self._topics)} threads, {self.followers} followers>"

    @property
    def followers(self) -> int:
        """How many followers there are."""
        return sum(len(topic.followers) for topic in self._topics.values())

    def watchers(self, thread: ThreadKey) -> int:
        """Return how many followers the thread has."""
        topic = self._topics.get(thread)
        return 0 if topic is None else len(topic.followers)

    def add(self, thread: ThreadKey, follower: Follower) -> None:
        """Deliver to `follower` everything that is published from now on."""
        self._topics.setdefault(thread, _Topic()).followers[follower] = None

    def remove(self, thread: ThreadKey, follower: Follower) -> None:
        """Deliver nothing more to `follower`. Idempotent."""
        topic = self._topics.get(thread)
        if topic is None:
            return
        topic.followers.pop(follower, None)
        if not topic.followers:
            del self._topics[thread]

    def open(self) -> None:
        """Listen to the bus, until `close`."""
        self._unsubscribe = self._bus.subscribe(self._published)

    def close(self) -> None:
        """Stop listening to the bus. Idempotent."""
        self._unsubscribe()

    def _published(self, thread: ThreadKey, entries: Sequence[Entry]) -> None:
        topic = self._topics.get(thread)
        if topic is None:
            return
        if not entries:
            for follower in list(topic.followers):
                follower.thread_deleted()
            return
        topic.batches.append(Batch(thread, pieces(entries)))
        if len(topic.batches) == 1:
            topic.left = list(topic.followers)
            self._waiting.append(topic)
            if len(self._waiting) == 1:
                self._deliver()

    def _deliver(self) -> None:
        """Serve as many followers as this turn allows; come back in the next while some are left.

        A follower that joins meanwhile finds the batch in the log: it was appended before.
        """
        while self._waiting and self._allowed > 0:
            topic = self._waiting.popleft()
            left, batch = topic.left, topic.batches[0]
            now, topic.left = left[: self._allowed], left[self._allowed :]
            for follower in now:
                follower.deliver(batch)
            self._allowed -= len(now)
            if not topic.left:
                topic.batches.popleft()
                topic.left = list(topic.followers) if topic.batches else []
            if topic.batches:
                self._waiting.append(topic)
        if self._allowed < SLICE and not self._turning:
            self._turning = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Go on in a new turn of the event loop."""
        self._turning = False
        self._allowed = SLICE
        self._deliver()


class _Topic:
    """The followers of one thread, and the batches that have not reached all of them yet."""

    __slots__ = ("batches", "followers", "left")

    def __init__(self) -> None:
        self.followers: dict[Follower, None] = {}
        self.batches: deque[Batch] = deque()
        self.left: list[Follower] = []
        """Those whom the first batch has not reached yet."""
