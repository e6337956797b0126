"""The hub: who follows which thread on this node, and handing them what is published.

Nothing here waits, and nothing is queued per follower: one that cannot take a batch now is
served from the log later (``server/follower``).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter

from netra_backend.core.events import Entry
from netra_backend.core.ids import ThreadKey
from netra_backend.core.ports import Bus
from netra_backend.core.resume import pieces
from netra_backend.server.batch import Batch
from netra_backend.server.clockwork import SLICE, STEP
from netra_backend.server.topic import Follower, Topic
from netra_backend.server.volley import Volley

MOST = 0.010
"""Seconds that followers are served for in one turn at most.

A loop that is busy with other things for long comes by seldom. It gives them half of what those
took, else a thousand threads that stream side by side would wait a second for their slices.
"""


class Hub:
    """The followers of this node, by thread."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._topics: dict[ThreadKey, Topic] = {}
        self._waiting: deque[Topic] = deque()
        self._volley = Volley()
        self._number = 0
        self._left = SLICE
        """Seconds that followers may be served for in this turn of the event loop."""
        self._turning = False
        self._deleted: deque[Follower] = deque()
        """Those whose thread was deleted, and who have not been told."""
        self._came = 0.0
        """When this turn of the event loop was here."""
        self._unsubscribe: Callable[[], None] = lambda: None

    def __repr__(self) -> str:
        return f"<Hub {len(self._topics)} threads, {self.followers} followers>"

    @property
    def followers(self) -> int:
        """How many followers there are."""
        return sum(map(len, self._topics.values()))

    def watchers(self, thread: ThreadKey) -> int:
        """Return how many followers watch the thread: who only asks to be let in does not."""
        topic = self._topics.get(thread)
        return 0 if topic is None else topic.watchers

    def add(self, thread: ThreadKey, follower: Follower) -> None:
        """Deliver to `follower` everything that is published from now on."""
        topic = self._topics.get(thread)
        if topic is None:
            topic = self._topics[thread] = Topic(thread, self._volley)
        topic.add(follower)

    def remove(self, thread: ThreadKey, follower: Follower) -> None:
        """Deliver nothing more to `follower`. Idempotent."""
        topic = self._topics.get(thread)
        if topic is None:
            return
        topic.remove(follower)
        if not topic:
            del self._topics[thread]

    def open(self) -> None:
        """Listen to the bus, until `close`."""
        self._unsubscribe = self._bus.subscribe(self._published)

    def close(self) -> None:
        """Stop listening to the bus. Idempotent."""
        self._unsubscribe()
        self._volley.close()

    def _published(self, thread: ThreadKey, entries: Sequence[Entry]) -> None:
        topic = self._topics.get(thread)
        if topic is None:
            return
        if not entries:
            was_telling = bool(self._deleted)
            self._deleted.extend(topic)
            if not was_telling:
                self._tell_deleted()
            return
        batch = Batch(thread, pieces(entries))
        if self._left > 0:
            began = perf_counter()
            if topic.hand(batch):
                # The hot path: nearly every thread has one follower or two, who have all so far.
                self._left -= perf_counter() - began
                if not self._turning:
                    self._come_back()
                return
        was_waiting = topic.is_waiting
        topic.publish(batch)
        if not was_waiting:
            self._waiting.append(topic)
            # What ranks get in one turn leaves as one write; a lane alone sees to that itself.
            if len(self._waiting) == 1 and not (topic.ranked and topic.turn == self._number):
                self._deliver()

    def _tell_deleted(self) -> None:
        """Tell some that their thread was deleted, and the others in turns to come."""
        for _ in range(min(STEP, len(self._deleted))):
            self._deleted.popleft().thread_deleted()
        if self._deleted:
            asyncio.get_running_loop().call_soon(self._tell_deleted)

    def _deliver(self) -> None:
        """Serve followers as long as this turn allows; come back in the next while some are left.

        A follower that joins meanwhile finds the batch in the log: it was appended before. What a
        signal's exception breaks off goes on in the next turn.
        """
        now = perf_counter()
        until = now + self._left
        try:
            while self._waiting and now < until:
                topic = self._waiting.popleft()
                topic.turn = self._number
                try:
                    topic.serve(STEP)
                finally:
                    if topic.is_waiting:
                        self._waiting.append(topic)
                now = perf_counter()
        finally:
            self._left = until - now
            self._come_back()

    def _come_back(self) -> None:
        """Allow more time in the next turn, since some of this turn's was used."""
        if not self._turning:
            self._turning = True
            self._came = perf_counter()
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        """Go on in a new turn of the event loop."""
        self._turning = False
        self._number += 1
        self._left = max(SLICE, min((perf_counter() - self._came) / 2, MOST))
        if self._waiting:
            self._deliver()
