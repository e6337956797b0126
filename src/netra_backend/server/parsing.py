"""Parsing: what is asked of what a client sent, and of the library's parser that reads it."""

from typing import Any

from websockets.protocol import OPEN
from websockets.server import ServerProtocol
from websockets.streams import StreamReader
from websockets.utils import apply_mask

from netra_backend.errors import CLOSES, CloseCode

FRAGMENTS = 4_096
"""Fragments that one message may have."""

READ_SLICE = 1_024
"""Bytes that are parsed between two looks at the clock: up to 170 frames, some milliseconds."""

_SIZE_SO_FAR = "current_size" if hasattr(ServerProtocol(), "current_size") else "cur_size"
"""What the library calls the bytes of a half-read message: the second, before version 16."""


class Fragments(list[bytes]):
    """The parts of a message that have come so far."""

    __slots__ = ("is_text",)

    def __init__(self, *, is_text: bool) -> None:
        super().__init__()
        self.is_text = is_text


def parser_of(max_size: int | None) -> ServerProtocol:
    """Return a parser of messages of at most `max_size` bytes, for after the handshake."""
    conn = _Parser(state=OPEN, max_size=max_size)
    conn.debug = False  # it would log frames, and with them tokens
    return conn


class _Parser(ServerProtocol):
    """The library's parser, which closes with our reason where a message is too big."""

    def fail(self, code: int, reason: str = "") -> None:
        too_big = code == CloseCode.TOO_BIG
        super().fail(code, CLOSES[CloseCode.TOO_BIG].reason if too_big else reason)


def let_go(conn: ServerProtocol) -> None:
    """Leave nothing of a parser to the collector: it knows itself, and so does its last error."""
    conn.parser.close()
    conn.parser_exc = None


def is_idle(conn: ServerProtocol) -> bool:
    """Return whether the parser waits for the first byte of a frame, and of a message.

    It is a generator; there it waits in `StreamReader.at_eof`, nowhere else.
    """
    waits: Any = conn.parser
    while (inner := getattr(waits, "gi_yieldfrom", None)) is not None:
        waits = inner
    half_read = getattr(conn, _SIZE_SO_FAR) is not None
    return waits.gi_code is StreamReader.at_eof.__code__ and not half_read


def is_pong(data: bytes, payload: bytes) -> bool:
    """Return whether `data` is the pong to a ping of these 4 bytes, and nothing else."""
    return (
        len(data) == 10
        and data[:2] == b"\x8a\x84"  # final, opcode 10; masked, of 4 bytes
        and int.from_bytes(data[2:6]) ^ int.from_bytes(data[6:]) == int.from_bytes(payload)
    )


def whole_text(data: bytes, max_size: int | None) -> bytes | None:
    """Return the payload if `data` is one small text message and nothing else, as commands are.

    None for all that takes more than a look, faults among it: the parser knows what to say then.
    """
    if len(data) < 6 or data[0] != 0x81:  # final, text, nothing transformed
        return None
    size, begin = data[1] - 0x80, 6  # masked
    if size == 126:
        size, begin = int.from_bytes(data[2:4]), 8
        if size < 126:
            return None
    elif not 0 <= size < 126:
        return None
    if len(data) != begin + size or (max_size is not None and size > max_size):
        return None
    payload = apply_mask(data[begin:], data[begin - 4 : begin])
    return payload if is_utf8(payload) else None


def is_utf8(payload: bytes) -> bool:
    """Return whether `payload` is a text (RFC 6455 section 8.1)."""
    if payload.isascii():
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
