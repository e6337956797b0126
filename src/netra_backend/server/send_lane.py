"""The lane of a socket on any ASGI server: a task of its own hands its frames to ``send``."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.websockets import WebSocketDisconnect

from netra_backend.errors import CLOSES, CloseCode
from netra_backend.server.batch import Batch
from netra_backend.server.lane_port import LINGER, LaneClosed
from netra_backend.server.metrics import CLOSED

Send = Callable[[dict[str, Any]], Awaitable[None]]

_GONE = (OSError, RuntimeError, WebSocketDisconnect)
"""How ``send`` says that the peer is gone: as the ASGI server puts it, or as Starlette does."""


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
