"""Output: what becomes of what a command prints and nobody takes, the same for all commands.

An ``OSError`` of standard output could be taken for one of a file or a server, so there it is an
error of ours.
"""

import io
import os
import sys
from typing import TextIO, cast

from netra_backend.errors import NetraError


class Unwritable(NetraError):
    """Standard output takes no more; the text says why. What is printed later goes nowhere."""


class ReaderGone(Unwritable):
    """Whoever read standard output has closed it, as ``head`` does: no fault, and the end."""


def guard() -> None:
    """Have standard output raise `Unwritable`, and standard error lose what it cannot take.

    A remark that cannot be made is no reason to stop, and there is nowhere else to make it. What
    was closed before Python began is /dev/null from here on.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = _stand_in(mode)
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)  # as Python keeps those that it finds
    sys.stdout = _guarded(sys.stdout, tells=True)
    sys.stderr = _guarded(sys.stderr, tells=False)


def wants_colour(stream: TextIO | None) -> bool:
    """Return whether what is written there may have colours: on a terminal that has them."""
    if stream is None or os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def _stand_in(mode: str) -> TextIO:
    """Return a stream that takes the lowest number, which is that of the one that was closed.

    Else a socket would have it: libuv aborts when it closes one, and what is printed past Python,
    as by a library in C, would go to a client.
    """
    descriptor = os.open(os.devnull, os.O_RDWR)
    os.set_inheritable(descriptor, True)
    return cast(TextIO, os.fdopen(descriptor, mode, encoding="utf-8", errors="backslashreplace"))


def _guarded(stream: TextIO, *, tells: bool) -> TextIO:
    """Return a stream that writes where `stream` does; itself if it is none of the system's."""
    buffer = getattr(stream, "buffer", None)
    raw = getattr(buffer, "raw", buffer)  # of a stream that Python does not buffer
    if not isinstance(stream, io.TextIOWrapper) or not isinstance(raw, io.RawIOBase):
        return stream
    guarded = _Guarded(raw, tells=tells)
    # Without a buffer in between where there is none: python -u.
    binary = io.BufferedWriter(guarded) if raw is not buffer else cast(io.BufferedWriter, guarded)
    return io.TextIOWrapper(
        binary,
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


class _Guarded(io.RawIOBase):
    """Writes to `raw`. What is left in the buffers above it after an error goes nowhere."""

    def __init__(self, raw: io.RawIOBase, *, tells: bool) -> None:
        self._raw = raw
        self._tells = tells
        self._ended = False

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._raw.fileno()

    def isatty(self) -> bool:
        return self._raw.isatty()

    def write(self, data: object) -> int | None:
        """Write as `raw` does. Raises Unwritable, once, if it `tells`."""
        size = memoryview(data).nbytes  # type: ignore[arg-type]  # bytes, or a view of a buffer
        if self._ended or not size:  # typer tries a stream out by writing nothing
            return size
        try:
            return self._raw.write(data)  # type: ignore[arg-type]
        except OSError as error:
            if not self._tells:
                return size
            self._ended = True
            if isinstance(error, BrokenPipeError):
                raise ReaderGone("nobody reads standard output any more") from error
            why = os.strerror(error.errno) if error.errno else str(error)
            raise Unwritable(f"standard output cannot be written: {why}") from error
