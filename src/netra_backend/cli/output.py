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

    A remark that cannot be made is no reason to stop, and there is nowhere else to make it.
    """
    if sys.stdout is not None:  # closed before Python began
        sys.stdout = _guarded(sys.stdout, tells=True)
    if sys.stderr is not None:
        sys.stderr = _guarded(sys.stderr, tells=False)


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
