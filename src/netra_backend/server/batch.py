"""A batch: consecutive events of one thread on their way to followers, encoded once for all."""

from collections.abc import Sequence
from struct import Struct

from netra_backend.core.codec import event_frame
from netra_backend.core.ids import ThreadId, ThreadKey, ThreadName, full_name
from netra_backend.core.resume import Piece

TEXT = 1
"""The opcode of a text frame."""

_medium = Struct("!BBH").pack
_large = Struct("!BBQ").pack


class Batch:
    """Dense pieces of one thread, at least one, with their frames."""

    __slots__ = (
        "_addressed", "_texts", "first", "frames", "last", "name", "pieces", "prepared", "thread",
    )  # fmt: skip

    def __init__(
        self,
        thread: ThreadKey,
        pieces: Sequence[Piece],
        name: ThreadName | ThreadId | None = None,
    ) -> None:
        self.thread = thread
        self.name: ThreadName | ThreadId = name or thread.id
        """What the frames call the thread."""
        self.pieces = pieces
        self.first = pieces[0].first
        """The offset of the first entry."""
        self.last = pieces[-1].last
        """The position of the last entry."""
        self.frames: list[bytes]
        """The event frames as JSON, one a piece."""
        self.prepared: bytes
        """All event frames as WebSocket frames, joined: one write for a socket."""
        if len(pieces) == 1:  # as in nearly every batch
            frame = event_frame(self.name, pieces[0])
            self.frames, self.prepared = [frame], websocket_frame(frame)
        else:
            self.frames = [event_frame(self.name, piece) for piece in pieces]
            self.prepared = b"".join(map(websocket_frame, self.frames))
        self._texts: list[str] | None = None
        self._addressed: Batch | None = None

    @property
    def addressed(self) -> "Batch":
        """The same for those who name the thread with its owner. Made when first asked for."""
        if self._addressed is None:
            self._addressed = Batch(self.thread, self.pieces, full_name(self.thread))
        return self._addressed

    @property
    def texts(self) -> list[str]:
        """The event frames as text, for servers that take only that. Made when first asked for."""
        if self._texts is None:
            self._texts = [frame.decode() for frame in self.frames]
        return self._texts


def websocket_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """Return `payload` as one unmasked frame (RFC 6455 section 5.2)."""
    head, size = 0x80 | opcode, len(payload)
    if size < 126:
        return b"%c%c%b" % (head, size, payload)
    if size < 65_536:
        return _medium(head, 126, size) + payload
    return _large(head, 127, size) + payload
