"""The lane: how frames leave for one socket, without a task or a wait per delivery.

A lane never waits when it is written to. Whoever writes looks at `full` first and leaves a full
lane alone until `room` returns: so the memory of a connection is bounded by the water mark and
one batch. Those who wait for room wait in a queue (`turn`), so that none can keep the others from
it. There are two lanes: `DirectLane` takes the socket over, where the server is uvicorn with
`Protocol` (``uvicorn --ws netra_backend.server.lane:Protocol``, as ``netra serve`` does);
`SendLane` uses ASGI's ``send`` on every other server.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from typing import Protocol as TypingProtocol

from starlette.websockets import WebSocketDisconnect

from netra_backend.errors import CLOSES, CloseCode
from netra_backend.server.batch import Batch
from netra_backend.server.direct_lane import LINGER, DirectLane
from netra_backend.server.listener import LaneClosed
from netra_backend.server.metrics import CLOSES as CLOSED
from netra_backend.server.protocol import EXTENSION, Protocol

__all__ = ["DirectLane", "Lane", "LaneClosed", "Protocol", "SendLane", "lane_for", "turn"]

Send = Callable[[dict[str, Any]], Awaitable[None]]

_GONE = (OSError, RuntimeError, WebSocketDisconnect)
"""How ``send`` says that the peer is gone: as the ASGI server puts it, or as Starlette does."""


class Lane(TypingProtocol):
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


class SendLane:
    """The lane to a socket of any ASGI server: one task that sends what is pending."""

    joins = True

    def __init__(self, send: Send, *, high_water: int) -> None:
        self.queue = asyncio.Lock()
        self._send = send
        self._high_water = high_water
        self._pending: deque[tuple[str, int]] = deque()
        self._unsent = 0
        self._closed = False
        self._wake = asyncio.Event()
        self._sent = asyncio.Event()
        self._task = asyncio.create_task(self._write_pending(), name="lane")

    @property
    def full(self) -> bool:
        return self._unsent > self._high_water and not self._closed

    @property
    def buffered(self) -> int:
        return self._unsent

    def write(self, batch: Batch) -> None:
        for text, frame in zip(batch.texts, batch.frames, strict=True):
            self._put(text, len(frame))

    def send(self, payload: bytes) -> None:
        self._put(payload.decode(), len(payload))

    async def room(self) -> None:
        while self.full:
            self._sent.clear()
            await self._sent.wait()
        if self._closed:
            raise LaneClosed

    async def close(self, code: CloseCode) -> None:
        CLOSED.labels(str(int(code))).inc()
        try:
            async with asyncio.timeout(LINGER):
                while self._pending and not self._closed:
                    self._sent.clear()
                    await self._sent.wait()
                if not self._closed:
                    reason = CLOSES[code].reason
                    await self._send(
                        {"type": "websocket.close", "code": int(code), "reason": reason}
                    )
        except (TimeoutError, *_GONE):
            pass  # the peer is gone or does not read: the end of its connection cuts it off
        self.abandon()

    def abandon(self) -> None:
        self._closed = True
        self._pending.clear()
        self._unsent = 0
        self._sent.set()
        self._task.cancel()

    def _put(self, text: str, size: int) -> None:
        if not self._closed:
            self._pending.append((text, size))
            self._unsent += size
            self._wake.set()

    async def _write_pending(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._pending:
                    text, size = self._pending[0]
                    await self._send({"type": "websocket.send", "text": text})
                    self._pending.popleft()
                    self._unsent -= size
                    self._sent.set()
        except _GONE:
            pass
        finally:
            self._closed = True
            self._sent.set()


def lane_for(scope: Any, send: Send, *, high_water: int) -> Lane:
    """Return the best lane that the server of this connection allows."""
    extension = scope.get("extensions", {}).get(EXTENSION)
    if extension is not None:
        lane: DirectLane = extension["lane"]()
        lane.limit(high_water)
        return lane
    return SendLane(send, high_water=high_water)
