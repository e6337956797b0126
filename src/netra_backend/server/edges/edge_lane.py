"""The lane of an edge: what a thread's follower writes to, when a client asked for a run."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable

from netra_backend.errors import CloseCode
from netra_backend.server.agui_versions import Speak, as_is
from netra_backend.server.batch import Batch
from netra_backend.server.lane_port import Lane


class EdgeLane(ABC):
    """A lane that leads into a socket's lane, until all was passed on; then it calls `ended`.

    `speak` is how events are said to a client that does not know all of AG-UI 1.0.

    Deltas are not joined: the clients of the edges know entries by their ids or by their number,
    not by positions that they can compare.
    """

    joins = False

    def __init__(self, lane: Lane, ended: Callable[[], object], *, speak: Speak = as_is) -> None:
        self._lane = lane
        self._speak = speak
        self._ended = ended
        self._complete = False

    @property
    def queue(self) -> asyncio.Lock:
        return self._lane.queue

    @property
    def full(self) -> bool:
        return self._lane.full

    @property
    def buffered(self) -> int:
        return self._lane.buffered

    def write(self, batch: Batch) -> None:
        if not self._complete:
            self._complete = self._pass_on(batch)
            if self._complete:
                self._ended()

    def send(self, payload: bytes) -> None:
        self._lane.send(payload)

    async def room(self) -> None:
        await self._lane.room()

    async def close(self, code: CloseCode) -> None:
        await self._lane.close(code)

    def abandon(self) -> None:
        self._complete = True

    @abstractmethod
    def _pass_on(self, batch: Batch) -> bool:
        """Send what the client is told of the batch; return whether that was all it asked for."""
