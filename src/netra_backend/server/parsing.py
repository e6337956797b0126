"""Parsing: what is asked of what a client sent, and of the library's parser that reads it."""

from typing import Any

from websockets.server import ServerProtocol
from websockets.streams import StreamReader


def is_idle(conn: ServerProtocol) -> bool:
    """Return whether the parser waits for the first byte of a frame, and of a message.

    It is a generator; there it waits in `StreamReader.at_eof`, nowhere else.
    """
    waits: Any = conn.parser
    while (inner := getattr(waits, "gi_yieldfrom", None)) is not None:
        waits = inner
    return waits.gi_code is StreamReader.at_eof.__code__ and conn.current_size is None


def is_utf8(payload: bytes) -> bool:
    """Return whether `payload` is a text (RFC 6455 section 8.1)."""
    if payload.isascii():
        return True
    try:
        payload.decode()
    except UnicodeDecodeError:
        return False
    return True
