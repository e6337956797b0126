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
"""Followers served in one turn of the event loop, before it breathes."""


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
        if entries:
            topic.publish(Batch(thread, pieces(entries)))
            return
        for follower in list(topic.followers):
            follower.thread_deleted()


class _Topic:
    """The followers of one thread, and the batches that have not reached all of them yet."""

    __slots__ = ("_batches", "_left", "followers")

    def __init__(self) -> None:
        self.followers: dict[Follower, None] = {}
        self._batches: deque[Batch] = deque()
        self._left: list[Follower] = []

    def publish(self, batch: Batch) -> None:
        self._batches.append(batch)
        if len(self._batches) == 1:
            self._left = list(self.followers)
            self._pump()

    def _pump(self) -> None:
        """Serve one slice of followers; come back in the next turn while some are left.

        A follower that joins meanwhile finds the batch in the log: it was appended before.
        """
        while self._batches:
            batch = self._batches[0]
            now, self._left = self._left[:SLICE], self._left[SLICE:]
            for follower in now:
                follower.deliver(batch)
            if self._left:
                asyncio.get_running_loop().call_soon(self._pump)
                return
            self._batches.popleft()
            self._left = list(self.followers)
