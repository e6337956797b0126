"""A stream as lines are written to it: whole lines, counted, and past its buffer."""

import json
import os
import re
import select
import weakref
from typing import TextIO

ATOMIC_BYTES = 4_096
"""What a writable pipe takes without waiting: PIPE_BUF on Linux."""
POLL_MS = 1_000

_NON_ASCII = re.compile(r"[^\x00-\x7f]")


class Outlet:
    """A stream, written past its buffer where it has a descriptor.

    A thread that waits in a buffered write holds the buffer's lock, and the interpreter aborts
    when it cannot take that lock at exit. The descriptor is a duplicate: the number of one that
    somebody else closes may come to belong to a client's socket.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._torn = False
        self._descriptor: int | None = None
        try:
            stream.flush()
            self._descriptor = os.dup(stream.fileno())
        except (AttributeError, OSError, ValueError):
            return
        weakref.finalize(self, os.close, self._descriptor).atexit = False

    def write(self, lines: list[str]) -> int:
        """Write the lines, waiting as long as it takes; return how many got through.

        A stream without a descriptor may raise anything.
        """
        if not lines:
            return 0
        if self._descriptor is None:
            return self._write_text(lines)
        pieces = [_encoded(line) for line in lines]
        if self._torn:  # end the line that a failure left unfinished
            pieces[0] = b"\n" + pieces[0]
        written = _write_bytes(self._descriptor, b"".join(pieces))
        for count, piece in enumerate(pieces):
            if written < len(piece):
                self._torn = written > 0 or (self._torn and count == 0)
                return count
            written -= len(piece)
        self._torn = False
        return len(lines)

    def write_at_once(self, text: str) -> bool:
        """Write one line if that needs no waiting; return whether it got through."""
        if self._descriptor is None:
            return self._write_text([text]) == 1
        data = _encoded(text)
        if len(data) > ATOMIC_BYTES or not _is_writable(self._descriptor, 0):
            return False
        return _write_bytes(self._descriptor, data) == len(data)

    def _write_text(self, lines: list[str]) -> int:
        text = "".join(lines)
        try:
            self._stream.write(text)
        except UnicodeEncodeError:  # the stream's encoding has not all characters
            self._stream.write(_NON_ASCII.sub(_escape, text))
        self._stream.flush()
        return len(lines)


def _encoded(line: str) -> bytes:
    """Return the line in UTF-8, whatever the stream's encoding is: RFC 8259 section 8.1."""
    return line.encode("utf-8", "backslashreplace")


def _escape(found: re.Match[str]) -> str:
    return json.dumps(found[0])[1:-1]


def _write_bytes(descriptor: int, data: bytes) -> int:
    """Return how many bytes got through before the descriptor failed."""
    written = 0
    while written < len(data):
        try:
            written += os.write(descriptor, data[written:])
        except BlockingIOError:  # somebody made it non-blocking
            _is_writable(descriptor, POLL_MS)
        except OSError:
            break
    return written


def _is_writable(descriptor: int, timeout_ms: int) -> bool:
    """Return whether a write would not wait, after at most `timeout_ms`."""
    poll = select.poll()  # unlike select, it takes descriptors over 1023
    poll.register(descriptor, select.POLLOUT)
    return any(events & select.POLLOUT for _, events in poll.poll(timeout_ms))
