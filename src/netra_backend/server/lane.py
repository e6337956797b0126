"""The lane: how frames leave for one socket, without a task or a wait per delivery.

A lane never waits when it is written to. Whoever writes looks at `full` first and leaves a full
lane alone until `room` returns: so the memory of a connection is bounded by the water mark and
one batch. Those who wait for room wait in a queue (`turn`), so that none can keep the others from
it. There are two lanes: `DirectLane` writes prepared frames straight to the transport, where
the server is uvicorn with `Protocol` (``uvicorn --ws netra_backend.server.lane:Protocol``, as
``netra serve`` does); `SendLane` uses ASGI's ``send`` on every other server.
"""

import asyncio
from asyncio import BaseTransport
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any
from typing import Protocol as TypingProtocol

from starlette.websockets import WebSocketDisconnect
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from netra_backend.errors import CLOSES, CloseCode
from netra_backend.server.batch import Batch, websocket_frame

EXTENSION = "netra.lane"
"""The key in ``scope["extensions"]`` under which `Protocol` offers itself."""

LINGER = 3.0
"""Seconds a closed peer has to take what is still unsent, before it is cut off."""

Send = Callable[[dict[str, Any]], Awaitable[None]]

_GONE = (OSError, RuntimeError, WebSocketDisconnect)
"""How ``send`` says that the peer is gone: as the ASGI server puts it, or as Starlette does."""


class LaneClosed(Exception):
    """The socket is gone: nothing more can be sent."""


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


class Protocol(WebSocketsSansIOProtocol):
    """uvicorn's sans-IO WebSocket protocol, which also lets the application write frames itself.

    It never writes a prepared frame before the handshake is complete, after a close frame, or
    uncompressed where compression was negotiated.
    """

    drained: Callable[[], None] | None = None
    """Called when the write buffer has fallen below the low-water mark, or the peer is gone."""

    _late_pong = b""
    """The answer to the newest ping that came while the write buffer was full."""

    def connection_made(self, transport: BaseTransport) -> None:
        """Keep the frames out of the log, at any level: they carry tokens, and what people say."""
        super().connection_made(transport)
        self.conn.debug = False

    def handle_connect(self, event: Request) -> None:
        """Offer the lane to the application, whose task has not begun to run yet."""
        super().handle_connect(event)
        scope = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][EXTENSION] = {"protocol": self}

    async def send(self, message: Any) -> None:
        """Take a refusal of the handshake as its end; uvicorn would report it as a fault."""
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            self.handshake_complete = True

    def resume_writing(self) -> None:
        """Tell the lane too."""
        super().resume_writing()
        pong, self._late_pong = self._late_pong, b""
        if pong:
            self.write_prepared(pong)
        if self.drained is not None:
            self.drained()

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the lane too."""
        super().connection_lost(exc)
        if self.drained is not None:
            self.drained()

    def send_receive_event_to_app(self) -> None:
        """Close with 1007 for a text that is none: a client's fault is no traceback in the log."""
        if self.curr_msg_data_type == "text" and not self.close_sent:
            self.frames = [b"".join(self.frames)]
            try:
                self.frames[0].decode()
            except UnicodeDecodeError:
                self.conn.send_close(1007, "not UTF-8")
                self.handle_parser_exception()
                return
        super().send_receive_event_to_app()

    def handle_ping(self) -> None:
        """Answer, or later if the peer does not read: then only the newest ping is answered.

        RFC 6455 section 5.5.3 allows it. Otherwise a peer that pings and does not read would fill
        our memory with pongs.
        """
        pong = b"".join(self.conn.data_to_send())
        if self.writable.is_set() or self.conn.close_sent is not None:
            self.transport.write(pong)
        else:
            self._late_pong = pong

    def keepalive_timeout(self) -> None:
        """Close with 4408: a peer that does not answer a ping does not read."""
        self.pong_timer = None
        self.pending_ping_payload = None
        self.close_now(CloseCode.TOO_SLOW, CLOSES[CloseCode.TOO_SLOW].reason)

    @property
    def writing(self) -> bool:
        """Whether frames can be written now."""
        return self.handshake_complete and not (
            self.close_sent or self.disconnected or self.transport.is_closing()
        )

    @property
    def compresses(self) -> bool:
        """Whether an extension was negotiated that transforms frames."""
        return bool(self.conn.extensions)

    def write_prepared(self, frames: bytes) -> None:
        """Write whole WebSocket frames; nothing happens when `writing` is False."""
        if self.writing:
            self.transport.write(frames)

    def write_text(self, payload: bytes) -> None:
        """Write one text frame through the protocol, which compresses it if that was agreed."""
        if self.writing:
            self.conn.send_text(payload)
            self.transport.write(b"".join(self.conn.data_to_send()))

    def close_now(self, code: int, reason: str) -> None:
        """Queue the close frame behind what is unsent, without waiting for room.

        The socket is closed when the peer has answered, and cut off after `LINGER` seconds.
        """
        if self.writing:
            self.conn.send_close(code, reason)
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.close_sent = True
            self.close_timer = self.loop.call_later(LINGER, self.transport.abort)
            if self.read_paused:
                # The peer's close frame has to be read.
                self.read_paused = False
                self.transport.resume_reading()


class DirectLane:
    """The lane to a socket of `Protocol`."""

    joins = True

    def __init__(self, protocol: Protocol, *, high_water: int) -> None:
        self.queue = asyncio.Lock()
        self._protocol = protocol
        self._waiters: list[asyncio.Future[None]] = []
        protocol.drained = self._drained
        protocol.transport.set_write_buffer_limits(high=high_water, low=high_water // 4)

    @property
    def full(self) -> bool:
        return not self._protocol.writable.is_set()

    @property
    def buffered(self) -> int:
        return int(self._protocol.transport.get_write_buffer_size())

    def write(self, batch: Batch) -> None:
        if not self._protocol.compresses:
            self._protocol.write_prepared(batch.prepared)
            return
        for frame in batch.frames:
            self._protocol.write_text(frame)

    def send(self, payload: bytes) -> None:
        if self._protocol.compresses:
            self._protocol.write_text(payload)
        else:
            self._protocol.write_prepared(websocket_frame(payload))

    async def room(self) -> None:
        while self.full:
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            await waiter
        if not self._protocol.writing:
            raise LaneClosed

    async def close(self, code: CloseCode) -> None:
        self._protocol.close_now(code, CLOSES[code].reason)

    def abandon(self) -> None:
        self._protocol.drained = None
        self._drained()
        if self.buffered:
            # A transport that is closed waits for a peer that does not read, for ever.
            asyncio.get_running_loop().call_later(LINGER, self._protocol.transport.abort)

    def _drained(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class SendLane:
    """The lane to a socket of any ASGI server: one task that sends what is pending."""

    joins = True

    def __init__(self, send: Send, *, high_water: int) -> None:
        self.queue = asyncio.Lock()
        self._send = send
        self._high_water = high_water
        self._pending: deque[str] = deque()
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
        for text in batch.texts:
            self._put(text)

    def send(self, payload: bytes) -> None:
        self._put(payload.decode())

    async def room(self) -> None:
        while self.full:
            self._sent.clear()
            await self._sent.wait()
        if self._closed:
            raise LaneClosed

    async def close(self, code: CloseCode) -> None:
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

    def _put(self, text: str) -> None:
        if not self._closed:
            self._pending.append(text)
            self._unsent += len(text)
            self._wake.set()

    async def _write_pending(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._pending:
                    text = self._pending[0]
                    await self._send({"type": "websocket.send", "text": text})
                    self._pending.popleft()
                    self._unsent -= len(text)
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
        return DirectLane(extension["protocol"], high_water=high_water)
    return SendLane(send, high_water=high_water)
