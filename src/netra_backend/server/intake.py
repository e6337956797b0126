"""The intake: the reading half of a direct lane, from bytes to messages.

What comes in is parsed by websockets' sans-IO protocol, which is kept only while something is half
read. While the peer does not take what we write, or the listener is busy, nothing is read.
"""

import asyncio
from abc import ABC, abstractmethod
from random import getrandbits
from time import perf_counter

from websockets.extensions import Extension
from websockets.frames import CloseCode as FrameCode
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from netra_backend.errors import CloseCode
from netra_backend.server import parsing
from netra_backend.server.batch import websocket_frame
from netra_backend.server.clockwork import SLICE, Clockwork
from netra_backend.server.listener import Listener


class Intake(asyncio.Protocol, ABC):
    """Reads one socket whose handshake is done, and tells `listener` of each message.

    `max_size` is that of a message, in bytes; `early` is what came before.
    """

    __slots__ = (
        "_conn", "_fragments", "_held", "_late_pong", "_listener", "_loop", "_max_size", "_open",
        "_pinged", "_pings", "_reads", "_transport", "_unread",
        "full",
    )  # fmt: skip

    def __init__(
        self,
        transport: asyncio.Transport,
        clockwork: Clockwork,
        listener: Listener,
        *,
        extensions: list[Extension],
        max_size: int | None,
        early: bytes,
    ) -> None:
        self.full = False
        """Whether more than the high-water mark is unsent."""
        self._loop = asyncio.get_running_loop()
        self._transport = transport
        self._listener = listener
        self._max_size = max_size
        self._open = not transport.is_closing()
        self._pings = clockwork.pings
        self._reads = clockwork.reads
        self._pinged: bytes | None = None
        self._conn: ServerProtocol | None = None
        self._fragments: parsing.Fragments | None = None
        self._held = False
        self._unread = early
        self._late_pong = b""
        if extensions:
            self._parser().extensions = extensions

    @abstractmethod
    def _write(self, data: bytes) -> None:
        """Write frames of ours."""

    @abstractmethod
    def unanswered(self) -> None:
        """End: the peer has not answered a ping."""

    @abstractmethod
    def _farewell(self, conn: ServerProtocol, answers: list[bytes]) -> None:
        """End: the peer has closed, or broken the protocol, or answered our close frame."""

    def listen(self, listener: Listener) -> None:
        """Tell `listener` from now on, and first what its predecessor still has."""
        before, self._listener = self._listener, listener
        self.hold(False)
        before.hand_over(listener)

    def hold(self, held: bool) -> None:
        """Receive no further messages, or do again."""
        if held is not self._held:
            self._held = held
            self._regulate()

    def data_received(self, data: bytes) -> None:
        """Read what came, in one's turn: very many peers may say something at the same moment.

        Most of what comes from most peers are pongs, which need no parser.
        """
        if self._unread:
            self._unread += data
            return
        pinged = self._pinged if self._conn is None and self._open else None
        if pinged is not None and parsing.is_pong(data, pinged):
            self._answered()
            return
        self._unread = data
        self._reads.begin(self._read_on)
        self._match()

    def _read(self, data: bytes) -> None:
        """Parse for a slice of time; the rest in turns to come, so that many frames delay nobody.

        After pongs, commands are what most peers say; they need no parser either.
        """
        if self._conn is None and self._open:
            text = parsing.whole_text(data, self._max_size)
            if text is not None:
                self._listener.received(text, is_text=True)
                return
        conn, at = self._parser(), 0
        until = perf_counter() + SLICE
        while at < len(data) and not conn.eof_sent:
            conn.receive_data(data[at : at + parsing.READ_SLICE])
            at += parsing.READ_SLICE
            self._take(conn)
            if not self._is_ready() or perf_counter() >= until:
                break
        self._unread = b"" if conn.eof_sent else data[at:]  # nobody's, behind the end
        self._put_away(conn)
        if self._unread and self._is_ready():  # else `_regulate` does it when it is
            self._reads.later(self._read_on)

    def _regulate(self) -> None:
        """Go on if what decides whether anything is read has changed, and lets it be read."""
        if self._unread and self._is_ready() and not self._transport.is_closing():
            self._reads.later(self._read_on)
        self._match()

    def _is_ready(self) -> bool:
        """Return whether what comes next can be taken; of a closed lane it always is."""
        return not (self._open and (self._held or self.full))

    def _match(self) -> None:
        """Have the transport read while our own writes are taken, and nothing that came waits.

        What waits in the system costs us no memory. Nobody else pauses or resumes the transport,
        and it alone knows which of the two was done last: so nothing can be at odds with it.
        """
        if self._transport.is_closing():
            return
        reads = self._is_ready() and not self._unread
        if reads != self._transport.is_reading():
            self._transport.resume_reading() if reads else self._transport.pause_reading()

    def _read_on(self) -> None:
        """Go on with what has been received."""
        if self._unread and self._is_ready():
            data, self._unread = self._unread, b""
            self._read(data)  # which goes on with the rest itself
            self._match()

    def _parser(self) -> ServerProtocol:
        if self._conn is None:
            self._conn = parsing.parser_of(self._max_size)
        return self._conn

    def _put_away(self, conn: ServerProtocol) -> None:
        """Drop the parser if it stands before the first byte of a message and so knows nothing."""
        is_between = self._fragments is None and parsing.is_idle(conn)
        if conn.state is OPEN and not conn.extensions and is_between:
            parsing.let_go(conn)
            self._conn = None

    def _take(self, conn: ServerProtocol) -> None:
        for frame in conn.events_received():
            match frame:
                case Frame(opcode=Opcode.PONG):
                    if frame.data == self._pinged:
                        self._answered()
                case Frame(opcode=Opcode.TEXT | Opcode.BINARY | Opcode.CONT) if self._open:
                    if not self._add(conn, frame):
                        break
        answers = conn.data_to_send()
        if conn.eof_sent:
            self._farewell(conn, answers)
        elif answers and self.full:
            # RFC 6455 section 5.5.3 allows to answer only the newest ping. A peer that pings and
            # does not read must not fill our memory with pongs.
            self._late_pong = answers[-1]
        elif answers:
            self._write(b"".join(answers))

    def _add(self, conn: ServerProtocol, frame: Frame) -> bool:
        """Take a frame, and tell of its message when that is whole; return whether all is well.

        What came before a close frame, or before what the library refused, is told as well.
        """
        fragments, data = self._fragments, bytes(frame.data)
        if fragments is None and frame.fin:
            return self._tell(conn, data, is_text=frame.opcode is Opcode.TEXT)
        if fragments is None:
            fragments = self._fragments = parsing.Fragments(is_text=frame.opcode is Opcode.TEXT)
        fragments.append(data)
        if frame.fin:
            self._fragments = None
            return self._tell(conn, b"".join(fragments), is_text=fragments.is_text)
        if len(fragments) > parsing.FRAGMENTS:
            self._fragments = None
            conn.fail(CloseCode.TOO_BIG, "too many fragments")
            return False
        return True

    def _tell(self, conn: ServerProtocol, payload: bytes, *, is_text: bool) -> bool:
        if is_text and not parsing.is_utf8(payload):
            conn.fail(FrameCode.INVALID_DATA, "not UTF-8")
            return False
        self._listener.received(payload, is_text=is_text)
        return True

    def _forget(self) -> None:
        """Read nothing more: the socket is gone."""
        self._unread = b""
        if self._conn is not None:
            parsing.let_go(self._conn)

    def _answered(self) -> None:
        self._pinged = None
        self._pings.keep(self)

    def ping(self) -> None:
        """Ask the peer whether it reads; the payload tells its answer from any other pong."""
        self._pinged = getrandbits(32).to_bytes(4, "big")
        self._write(websocket_frame(self._pinged, Opcode.PING))
