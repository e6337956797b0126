"""The direct lane: one WebSocket served by callbacks, without task, queue or timer of its own.

It takes a socket over from `Protocol` with the answer to the handshake. Frames leave prepared; what
comes in is parsed by websockets' sans-IO protocol, kept only while something is half read.
"""

import asyncio
import os
from asyncio import Transport
from random import getrandbits

from uvicorn.server import ServerState
from websockets.extensions import Extension
from websockets.frames import CloseCode as FrameCode
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from netra_backend.errors import CLOSES, CloseCode
from netra_backend.server import parsing
from netra_backend.server.batch import Batch, websocket_frame
from netra_backend.server.clockwork import Pings, Turns, shared
from netra_backend.server.descriptor import descriptor_of
from netra_backend.server.listener import LaneClosed, Listener
from netra_backend.server.room import Room

LINGER = 3.0
"""Seconds a closed peer has to take what is still unsent, before it is cut off."""

JOIN_BYTES = 4_096
"""Bytes of the largest frame that waits for others of its turn."""

JOIN_FRAMES = 64
"""Frames that leave together at most. Of those that wait the water mark knows nothing."""


class DirectLane(asyncio.Protocol):
    """The lane to a socket that it has to itself, and the protocol of its transport.

    It never writes after a close frame, and prepared frames only where none of the `extensions`
    transforms them. While the peer does not take what we write, nothing of it is read. `max_size`
    is that of a message, in bytes; `ping` the seconds between pings, and those to answer one.
    `greeting` leaves together with what is written first, `early` is what came before.
    """

    __slots__ = (
        "_conn", "_descriptor", "_fragments", "_held", "_joined", "_late_pong", "_listener",
        "_loop", "_lost", "_max_size", "_open", "_pinged", "_pings", "_reading", "_room",
        "_server", "_transport", "_turn", "_turns", "_unread", "full",
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
        ping: tuple[float | None, float | None],
        greeting: bytes,
        early: bytes,
    ) -> None:
        self.full = False
        """Whether more than the high-water mark is unsent."""
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._conn: ServerProtocol | None = None
        self._max_size = max_size
        self._server = server
        self._listener = listener
        self._pings = shared(server, Pings, lambda: Pings(self._loop, *ping))
        self._open = not transport.is_closing()
        self._descriptor = -1 if extensions else descriptor_of(transport)
        self._turns = shared(server, Turns, lambda: Turns(self._loop))
        self._turn = -1
        self._joined: list[bytes] | None = None
        self._room: Room | None = None
        self._fragments: parsing.Fragments | None = None
        self._held = False
        self._lost = False
        self._unread = early
        self._reading = not early
        self._late_pong = b""
        self._pinged: bytes | None = None
        server.connections.add(self)  # type: ignore[arg-type]
        transport.set_protocol(self)
        if extensions:
            self._parser().extensions = extensions
        if self._open:
            self._pings.keep(self)
            self._turn = self._turns.mark()
            self._write(greeting)
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
        """Send the batch's event frames; nothing happens on a closed lane. The hot path."""
        frames = batch.prepared
        transport = self._transport
        turns = self._turns
        if (
            self._descriptor >= 0
            and self._turn != turns.number
            and not transport.get_write_buffer_size()
            and not transport.is_closing()
        ):
            # Nothing is unsent and this is the first write of the turn: straight to the system.
            self._turn = turns.mark()
            try:
                sent = os.write(self._descriptor, frames)
            except OSError:
                sent = 0  # the system's buffer is full, or the peer gone: see the transport
            if sent != len(frames):
                transport.write(frames[sent:])
        elif self._descriptor >= 0:
            # Something is unsent, or there is more for this socket in the same turn.
            self._write(frames)
        elif self._open:
            # TLS, or an extension transforms frames, or this is no stream with a descriptor.
            self._write_transformed(batch)

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

    def _waiting(self) -> Room:
        if self._room is None:
            self._room = Room()
        return self._room

    def _write_transformed(self, batch: Batch) -> None:
        if self._conn is None or not self._conn.extensions:
            self._write(batch.prepared)
            return
        for frame in batch.frames:
            self.send(frame)

    def _write(self, data: bytes) -> None:
        """Write through the transport; joined with what else there is in this turn of the loop."""
        if not self._open or self._transport.is_closing():
            return
        if self._turn != self._turns.number or len(data) > JOIN_BYTES:
            self._turn = self._turns.mark()
            self._flush()
            self._transport.write(data)
        elif self._joined is None:
            self._joined = [data]
            self._turns.at_end(self._flush)
        else:
            self._joined.append(data)
            if len(self._joined) == JOIN_FRAMES:
                self._flush()

    def _flush(self) -> None:
        joined, self._joined = self._joined, None
        if joined is not None and self._open and not self._transport.is_closing():
            self._transport.write(b"".join(joined))

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
        self._flush()
        self._open = False
        self._descriptor = -1
        self.full = False
        self._late_pong = b""
        self._pings.forget(self)
        self._wake()

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
        self._unread = b""
        if self._conn is not None:
            self._conn.parser.close()  # a cycle that the collector would have to find
        self._tell_lost(FrameCode.ABNORMAL_CLOSURE, "")

    def eof_received(self) -> None:
        """Let the transport close."""

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

    def data_received(self, data: bytes) -> None:
        """Parse a slice; the rest in turns to come, so that many small frames delay nobody."""
        conn = self._parser()
        data = self._unread + data
        self._unread = data[parsing.READ_SLICE :]
        conn.receive_data(data[: parsing.READ_SLICE])
        self._take(conn)
        self._put_away(conn)
        if self._unread:
            self._regulate()

    # --- in -----------------------------------------------------------------------------------

    def listen(self, listener: Listener) -> None:
        """Tell `listener` from now on, and first what its predecessor still has."""
        before, self._listener = self._listener, listener
        self.hold(False)
        before.hand_over(listener)

    def hold(self, held: bool) -> None:
        """Receive no further messages, or do again."""
        self._held = held
        self._regulate()

    def _regulate(self) -> None:
        """Read while our own writes are taken and the listener is ready, else do not."""
        if self._transport.is_closing():
            return
        ready = not (self._open and (self._held or self.full))
        if ready and self._unread:
            self._loop.call_soon(self._read_on)
        reading = ready and not self._unread
        if reading != self._reading:
            self._reading = reading
            self._transport.resume_reading() if reading else self._transport.pause_reading()

    def _read_on(self) -> None:
        """Go on with what was received in earlier turns."""
        if self._unread and not (self._open and (self._held or self.full)):
            data, self._unread = self._unread, b""
            self.data_received(data)
            self._regulate()

    def _parser(self) -> ServerProtocol:
        if self._conn is None:
            self._conn = parsing.parser_of(self._max_size)
        return self._conn

    def _put_away(self, conn: ServerProtocol) -> None:
        """Drop the parser if it stands before the first byte of a message and so knows nothing."""
        is_between = self._fragments is None and parsing.is_idle(conn)
        if conn.state is OPEN and not conn.extensions and is_between:
            conn.parser.close()  # a cycle that the collector would have to find
            self._conn = None

    def _take(self, conn: ServerProtocol) -> None:
        for frame in conn.events_received():
            match frame:
                case Frame(opcode=Opcode.PONG):
                    if frame.data == self._pinged:
                        self._pinged = None
                        self._pings.keep(self)
                case Frame(opcode=Opcode.TEXT | Opcode.BINARY | Opcode.CONT) if self._open:
                    self._add(conn, frame)
        answers = conn.data_to_send()
        if conn.eof_sent:
            self._farewell(conn, answers)
        elif answers and self.full:
            # RFC 6455 section 5.5.3 allows to answer only the newest ping. A peer that pings and
            # does not read must not fill our memory with pongs.
            self._late_pong = answers[-1]
        elif answers:
            self._write(b"".join(answers))

    def _add(self, conn: ServerProtocol, frame: Frame) -> None:
        """Take a frame, and tell of its message when that is whole."""
        fragments, data = self._fragments, bytes(frame.data)
        if fragments is None and frame.fin:
            self._tell(conn, data, is_text=frame.opcode is Opcode.TEXT)
            return
        if fragments is None:
            fragments = self._fragments = parsing.Fragments(is_text=frame.opcode is Opcode.TEXT)
        fragments.append(data)
        if frame.fin:
            self._fragments = None
            self._tell(conn, b"".join(fragments), is_text=fragments.is_text)
        elif len(fragments) > parsing.FRAGMENTS:
            self._fragments = None
            conn.fail(CloseCode.TOO_BIG, "too many fragments")

    def _tell(self, conn: ServerProtocol, payload: bytes, *, is_text: bool) -> None:
        if is_text and not parsing.is_utf8(payload):
            conn.fail(FrameCode.INVALID_DATA, "not UTF-8")
        elif not conn.eof_sent:
            self._listener.received(payload, is_text=is_text)

    def _farewell(self, conn: ServerProtocol, answers: list[bytes]) -> None:
        """End: the peer has closed, or broken the protocol, or answered our close frame."""
        close = conn.close_rcvd or conn.close_sent
        self._write(b"".join(answers))
        self._shut()
        self._leave()
        self._tell_lost(
            close.code if close else FrameCode.ABNORMAL_CLOSURE, close.reason if close else ""
        )

    # --- pings --------------------------------------------------------------------------------

    def ping(self) -> None:
        """Ask the peer whether it reads; the payload tells its answer from any other pong."""
        self._pinged = getrandbits(32).to_bytes(4, "big")
        self._write(websocket_frame(self._pinged, Opcode.PING))

    def unanswered(self) -> None:
        """Close with 4408: a peer that does not answer a ping does not read."""
        self.close_with(CloseCode.TOO_SLOW, CLOSES[CloseCode.TOO_SLOW].reason)
