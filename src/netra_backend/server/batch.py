"""A batch: consecutive events of one thread on their way to followers, encoded once for all."""

from collections.abc import Sequence
from struct import pack

from netra_backend.core.codec import event_frame
from netra_backend.core.ids import ThreadKey
from netra_backend.core.resume import Piece


class Batch:
    """Dense pieces of one thread, at least one. Each form is made when it is first asked for."""

    __slots__ = ("_frames", "_prepared", "_texts", "first", "last", "pieces", "thread")

    def __init__(self, thread: ThreadKey, pieces: Sequence[Piece]) -> None:
        self.thread = thread
        self.pieces = pieces
        self.first = pieces[0].first
        """The offset of the first entry."""
        self.last = pieces[-1].last
        """The position of the last entry."""
        self._frames: list[bytes] | None = None
        self._texts: list[str] | None = None
        self._prepared: bytes | None = None

    @property
    def frames(self) -> list[bytes]:
        """The event frames as JSON, one a piece."""
        if self._frames is None:
            self._frames = [event_frame(self.thread.id, piece) for piece in self.pieces]
        return self._frames

    @property
    def texts(self) -> list[str]:
        """The event frames as text, for servers that take only that."""
        if self._texts is None:
            self._texts = [frame.decode() for frame in self.frames]
        return self._texts

    @property
    def prepared(self) -> bytes:
        """All event frames as WebSocket frames, joined: one write for a socket."""
        if self._prepared is None:
            self._prepared = b"".join([websocket_frame(frame) for frame in self.frames])
        return self._prepared


def websocket_frame(payload: bytes) -> bytes:
    """Return `payload` as one unmasked text frame (RFC 6455 section 5.2)."""
    size = len(payload)
    if size < 126:
        return b"\x81%c%b" % (size, payload)
    if size < 65_536:
        return b"\x81\x7e%b%b" % (pack("!H", size), payload)
    return b"\x81\x7f%b%b" % (pack("!Q", size), payload)
