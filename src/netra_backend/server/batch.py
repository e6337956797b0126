"""A batch: consecutive events of one thread on their way to followers, encoded once for all."""

from collections.abc import Sequence
from functools import cached_property

from websockets.frames import Frame, Opcode

from netra_backend.core.codec import event_frame
from netra_backend.core.ids import ThreadKey
from netra_backend.core.resume import Piece


class Batch:
    """Dense pieces of one thread, at least one. Each form is made when it is first asked for."""

    def __init__(self, thread: ThreadKey, pieces: Sequence[Piece]) -> None:
        self.thread = thread
        self.pieces = pieces
        self.first = pieces[0].first
        """The offset of the first entry."""
        self.last = pieces[-1].last
        """The position of the last entry."""

    @cached_property
    def frames(self) -> list[bytes]:
        """The event frames as JSON, one a piece."""
        return [event_frame(self.thread.id, piece) for piece in self.pieces]

    @cached_property
    def texts(self) -> list[str]:
        """The event frames as text, for servers that take only that."""
        return [frame.decode() for frame in self.frames]

    @cached_property
    def prepared(self) -> bytes:
        """All event frames as WebSocket frames, joined: one write for a socket."""
        return b"".join(websocket_frame(frame) for frame in self.frames)


def websocket_frame(payload: bytes) -> bytes:
    """Return `payload` as one unmasked text frame (RFC 6455 section 5.2)."""
    return Frame(Opcode.TEXT, payload).serialize(mask=False)
