"""The direct lane: one WebSocket served by callbacks, without task, queue or timer of its own.

It takes a socket over from `Protocol` with the answer to the handshake. Frames leave prepared; what
comes in is parsed by websockets' sans-IO protocol, kept only while something is half read.
"""

import asyncio
import os
from asyncio import Transport
from collections.abc import Callable
from functools import partial

from uvicorn.server import ServerState
from websockets.extensions import Extension
from websockets.frames import CloseCode as FrameCode
from websockets.frames import Opcode
from websockets.server import ServerProtocol

from netra_backend.errors import CLOSES, CloseCode
from netra_backend.server.batch import Batch, websocket_frame
from netra_backend.server.clockwork import Clockwork, shared
from netra_backend.server.descriptor import descriptor_of
from netra_backend.server.intake import Intake
from netra_backend.server.lane_port import LINGER, LaneClosed
from netra_backend.server.lane_room import LaneRoom
from netra_backend.server.listener import Listener
from netra_backend.server.metrics import CLOSED

GONE = int(FrameCode.ABNORMAL_CLOSURE)
"""The code of a socket that ended without a close frame: a plain number, as log lines have it."""

JOIN_BYTES = 4_096
"""Bytes of the largest frame that waits for others of its turn."""

JOIN_FRAMES = 64
"""Frames that leave together at most. Of those that wait the water mark knows nothing."""


Ping = tuple[float | None, float | None]
"""The seconds between pings, and those to answer one."""


class DirectLane(Intake):
    """The lane to a socket that it has to itself, and the protocol of its transport.

    It never writes after a close frame, and prepared frames only where none of the `extensions`
    transforms them. `greeting` leaves together with what is written first.
    """

    __slots__ = (
        "_borrower", "_descriptor", "_joined", "_lost", "_room", "_server", "_turns",
    )  # fmt: skip

    joins = True

    def __init__(
        self,
        transport: Transport,
        server: ServerState,
        listener: Listener,
        *,
        extensions: list[Extension],
        max_size: int | None,
        ping: Ping,
        greeting: bytes,
        early: bytes,
    ) -> None:
        clockwork = shared(server, Clockwork, *ping)
        super().__init__(
            transport, clockwork, listener, extensions=extensions, max_size=max_size, early=early
        )
        self._server = server
        self._descriptor = -1 if extensions else descriptor_of(transport)
        self._borrower: Callable[[], None] | None = None
        self._turns = clockwork.writes
        self._joined: list[bytes] | None = None
        self._room: LaneRoom | None = None
        self._lost = False
        server.connections.add(self)  # type: ignore[arg-type]
        transport.set_protocol(self)
        if self._open:
            self._pings.keep(self)
            self._write(greeting)
        if early:
            self._regulate()

    # --- out ----------------------------------------------------------------------------------

    @property
    def queue(self) -> asyncio.Lock:
        """Held by the one who waits for room or makes use of it."""
        return self._waiting().queue

    @property
    def buffered(self) -> int:
        """Bytes that are unsent."""
        if not self._open:
            return 0
        return self._transport.get_write_buffer_size() + sum(map(len, self._joined or ()))

    def write(self, batch: Batch) -> None:
        """Send the batch's event frames; nothing happens on a closed lane."""
        if self._descriptor >= 0 or self._conn is None or not self._conn.extensions:
            self._write(batch.prepared)
        else:
            for frame in batch.frames:
                self.send(frame)

    def send(self, payload: bytes, opcode: Opcode = Opcode.TEXT) -> None:
        """Send one frame; nothing happens on a closed lane."""
        if self._conn is not None and self._conn.extensions:
            if self._open:
                is_text = opcode is Opcode.TEXT
                (self._conn.send_text if is_text else self._conn.send_binary)(payload)
                self._write(b"".join(self._conn.data_to_send()))
        else:
            self._write(websocket_frame(payload, opcode))

    async def room(self) -> None:
        """Return when the lane is not full. Raises LaneClosed."""
        while self.full:
            await self._waiting().wait()
        if not self._open:
            raise LaneClosed

    def _waiting(self) -> LaneRoom:
        if self._room is None:
            self._room = LaneRoom()
        return self._room

    def begin(self, act: Callable[[], None]) -> None:
        """Call `act` soon, with those of other sockets who want to begin something."""
        self._turns.begin(act)

    def lend(self, wanted: Callable[[], None]) -> int:
        """Return the descriptor, to write whole frames on until `wanted` is called; -1 if not now.

        It is lent to one at a time, and while nothing is unsent. What the system does not take of
        a write is for `owe`.
        """
        self._flush()
        if (
            self._descriptor < 0
            or self._borrower is not None
            or self._transport.get_write_buffer_size()
            or self._transport.is_closing()
        ):
            return -1
        self._borrower = wanted
        return self._descriptor

    def take_back(self) -> None:
        """Let nobody else write on the descriptor. Idempotent."""
        borrower, self._borrower = self._borrower, None
        if borrower is not None:
            borrower()

    def owe(self, rest: bytes) -> None:
        """Send what the system did not take of a write on the lent descriptor."""
        self.take_back()
        self._transport.write(rest)

    def _write(self, data: bytes) -> None:
        """Write at the end of the turn, joined, what one turn has for this socket; a lot at once.

        So the writes of all sockets follow each other. Between two of them, else, both Python
        and the system find that the other has taken the processor's caches.
        """
        if not self._open:
            return
        if self._joined is not None:
            self._joined.append(data)
            if len(data) > JOIN_BYTES or len(self._joined) == JOIN_FRAMES:
                self._flush()
        elif len(data) > JOIN_BYTES or self._borrower is not None:
            self._put(data)
        else:
            self._joined = [data]
            self._turns.at_end(self._flush)

    def _flush(self) -> None:
        joined, self._joined = self._joined, None
        if joined is not None and self._open:
            self._put(b"".join(joined))

    def _put(self, data: bytes) -> None:
        """Give data to the system where nothing is unsent, and what it does not take to uvloop.

        With TLS, or where an extension transforms frames, there is no descriptor.
        """
        if self._transport.is_closing():
            return
        if self._descriptor >= 0 and not self._transport.get_write_buffer_size():
            try:
                sent = os.write(self._descriptor, data)
            except OSError:
                sent = 0  # the system's buffer is full, or the peer gone: see the transport
            if sent == len(data):
                return
            data = data[sent:]
        self.take_back()
        self._transport.write(data)

    def limit(self, high_water: int) -> None:
        """Be full from `high_water` unsent bytes on, until there are a quarter of it."""
        if not self._transport.is_closing():
            self._transport.set_write_buffer_limits(high=high_water, low=high_water // 4)

    # --- the end ------------------------------------------------------------------------------

    async def close(self, code: CloseCode) -> None:
        """Send what is unsent and then the close frame; do not wait for it."""
        self.close_with(code, CLOSES[code].reason)

    def close_with(self, code: int, reason: str) -> None:
        """Queue the close frame behind what is unsent, without waiting for room.

        The socket is closed when the peer has answered, and cut off after `LINGER` seconds.
        """
        if not self._open:
            return
        CLOSED.labels(str(int(code))).inc()
        conn = self._parser()
        conn.send_close(code, reason)
        self._write(b"".join(conn.data_to_send()))
        self._shut()
        self._loop.call_later(LINGER, self._transport.abort)
        self._tell_lost(code, reason)
        self._regulate()  # the peer's close frame has to be read

    def shutdown(self) -> None:
        """End because the server stops: uvicorn's word for it."""
        self.close_with(CloseCode.RESTARTING, "")
        self._leave()

    def unanswered(self) -> None:
        """Close with 4408: a peer that does not answer a ping does not read.

        Not while it is us who do not read: its answer may lie in the system. It is asked again.
        """
        if (self._held or self._unread) and not self.full:
            self._pings.keep(self)
            return
        self.close_with(CloseCode.TOO_SLOW, CLOSES[CloseCode.TOO_SLOW].reason)

    def abandon(self) -> None:
        """Release everything: the socket is gone."""
        self._wake()
        if self._open:
            self._shut()
            self._leave()

    def abort(self) -> None:
        """Cut the peer off."""
        self._shut()
        self._transport.abort()

    def _shut(self) -> None:
        """Write nothing more after what was written."""
        self.take_back()
        self._flush()
        self._open = False
        self._descriptor = -1
        self.full = False
        self._late_pong = b""
        self._fragments = None  # nobody is told of a message that was half received
        self._pings.forget(self)
        self._wake()

    def _farewell(self, conn: ServerProtocol, answers: list[bytes]) -> None:
        """End: the peer has closed, or broken the protocol, or answered our close frame."""
        close = conn.close_rcvd or conn.close_sent
        if self._open and close is not None and conn.close_rcvd is None:
            CLOSED.labels(str(close.code)).inc()  # what the peer sent broke the protocol
        self._shut()
        self._turns.begin(partial(self._part, b"".join(answers)))
        self._tell_lost(close.code if close else GONE, close.reason if close else "")

    def _part(self, answer: bytes) -> None:
        """Send the last word, in one's turn: very many peers may go at the same moment."""
        if not self._transport.is_closing():
            self._transport.write(answer)
            self._leave()

    def _leave(self) -> None:
        """Close the transport; who does not take what is unsent is cut off."""
        self._transport.close()
        if self._transport.get_write_buffer_size():
            self._loop.call_later(LINGER, self._transport.abort)

    def _tell_lost(self, code: int, reason: str) -> None:
        if not self._lost:
            self._lost = True
            self._listener.lost(code, reason)

    def _wake(self) -> None:
        if self._room is not None:
            self._room.tell()

    # --- what the transport says --------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        """The socket is gone."""
        self._server.connections.discard(self)
        self._shut()
        self._forget()
        self._tell_lost(GONE, "")

    def eof_received(self) -> bool:
        """Close in one's turn what the transport would close at once: very many may go together.

        One with TLS does not wait for it.
        """
        if self._descriptor < 0:
            return False
        self._turns.begin(self._transport.close)
        return True

    def pause_writing(self) -> None:
        """The write buffer is over the high-water mark."""
        self.full = self._open
        self._regulate()

    def resume_writing(self) -> None:
        """The write buffer is below the low-water mark."""
        self.full = False
        pong, self._late_pong = self._late_pong, b""
        if pong:
            self._write(pong)
        self._wake()
        self._regulate()
