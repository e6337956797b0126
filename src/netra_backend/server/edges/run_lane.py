"""The lane of one run: what a thread's follower writes to, when a client asked for a run."""

import asyncio
from collections.abc import Callable

from netra_backend.core.events import TERMINAL
from netra_backend.errors import CloseCode
from netra_backend.server.batch import Batch
from netra_backend.server.lane import Lane


class RunLane:
    """Passes on what is written up to a run's terminal event, then calls `ended`; nothing after it.

    It is fed from a position within the run on. Deltas are not joined: the clients of the edges
    know entries by their ids or by their number, not by positions that they can compare.
    """

    joins = False

    def __init__(self, lane: Lane, ended: Callable[[], object]) -> None:
        self._lane = lane
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
        if self._complete:
            return
        for count, piece in enumerate(batch.pieces, start=1):
            if piece.event.type in TERMINAL:
                self._complete = True
                whole = count == len(batch.pieces)
                self._pass_on(batch if whole else Batch(batch.thread, batch.pieces[:count]))
                self._ended()
                return
        self._pass_on(batch)

    def send(self, payload: bytes) -> None:
        self._lane.send(payload)

    async def room(self) -> None:
        await self._lane.room()

    async def close(self, code: CloseCode) -> None:
        await self._lane.close(code)

    def abandon(self) -> None:
        self._complete = True

    def _pass_on(self, batch: Batch) -> None:
        self._lane.write(batch)
