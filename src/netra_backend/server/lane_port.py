"""The lane: how frames leave for one socket, without a task or a wait per delivery.

A lane never waits when it is written to. Whoever writes looks at `full` first and leaves a full
lane alone until `room` returns: so the memory of a connection is bounded by the water mark and
one batch. Those who wait for room wait in a queue (`turn`), so that none can keep the others from
it. `DirectLane` takes the socket over, where the server is uvicorn with `server.lane`;
`SendLane` uses ASGI's ``send`` on every other server. `SseLane` is that of an HTTP answer, and an
`EdgeLane` leads into one of these.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from netra_backend.errors import CloseCode
from netra_backend.server.batch import Batch

LINGER = 3.0
"""Seconds a closed peer has to take what is still unsent, before it is cut off."""


class LaneClosed(Exception):
    """The socket is gone: nothing more can be sent."""


class Lane(Protocol):
    """The way out to one socket. Frames leave in the order in which they were written."""

    @property
    def queue(self) -> asyncio.Lock:
        """Held by the one who waits for room or makes use of it; see `turn`."""
        ...

    @property
    def joins(self) -> bool:
        """Whether its client takes one event for several entries, as in `core.resume.merge`."""
        ...

    @property
    def full(self) -> bool:
        """Whether more than the high-water mark is unsent."""
        ...

    @property
    def buffered(self) -> int:
        """Bytes that are unsent."""
        ...

    def write(self, batch: Batch) -> None:
        """Send the batch's event frames; nothing happens on a closed lane."""
        ...

    def send(self, payload: bytes) -> None:
        """Send one frame; nothing happens on a closed lane."""
        ...

    async def room(self) -> None:
        """Return when the lane is not full. Raises LaneClosed."""
        ...

    async def close(self, code: CloseCode) -> None:
        """Send what is unsent and then the close frame, waiting at most `LINGER` seconds."""
        ...

    def abandon(self) -> None:
        """Release everything: the socket is gone."""
        ...


@asynccontextmanager
async def turn(lane: Lane, patience: float) -> AsyncIterator[None]:
    """Enter with room in the lane, after all who have asked before; keep the others out meanwhile.

    Raises LaneClosed, and TimeoutError when the socket has made no room for `patience` seconds of
    one's own turn: what others take before costs no patience.
    """
    async with lane.queue:
        async with asyncio.timeout(patience):
            await lane.room()
        yield
