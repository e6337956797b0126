"""A stream as lines are written to it: whole lines, counted, and past its buffer."""

import contextlib
import enum
import io
import os
import re
import stat
import sys
import weakref
from collections.abc import Callable, Iterator
from types import BuiltinMethodType
from typing import Any

ATOMIC_BYTES = 4_096
"""What a writable pipe takes without waiting: PIPE_BUF on Linux."""
POLL_MS = 1_000
LEAST_NUMBER = 512
"""Of a descriptor of ours, where the limit of open files allows it."""

_NONE = -1
"""In place of the descriptor of a stream that has none."""
_NON_ASCII = re.compile(r"[^\x00-\x7f]")


class Outlet:
    """A stream, written past its buffer where it has a descriptor.

    A thread that waits in a buffered write holds the buffer's lock, and the interpreter aborts
    when it cannot take that lock at exit. The descriptor is our own: the number of one that
    somebody else closes may come to belong to a client's socket. A daemon may close ours, too:
    therefore it has a high number, which the next file that is opened does not get.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._rest = b""
        """What is still to be written of a line that was only taken in part: `write` does it."""
        self.at_once: int | None = None
        """The descriptor, while a line may be written to it with nothing asked before."""
        self._descriptor = _NONE
        self._kind = _Kind.WAITING
        self._is_pipe = False
        """Or a terminal: `poll` tells whether there is still somebody at its other end."""
        self._in_memory = type(stream) is io.StringIO or type(stream) is io.BytesIO
        self._binary = isinstance(stream, io.RawIOBase | io.BufferedIOBase)
        try:
            stream.flush()
            if not _is_plain(stream):
                return
            self._descriptor, self._kind = _own(stream.fileno())
        except (AttributeError, OSError, TypeError, ValueError):
            return
        self._leave(b"")
        is_fifo = stat.S_ISFIFO(os.fstat(self._descriptor).st_mode)
        self._is_pipe = is_fifo or os.isatty(self._descriptor)
        weakref.finalize(self, _close, self._descriptor).atexit = False

    def begin(self) -> None:
        """Begin in a forked child: what was taken in part of a line, its parent writes on."""
        self._leave(b"")

    def memory(self) -> Callable[[bytes], object] | None:
        """Return what writes a line if the stream is in memory, where nothing ever waits."""
        if not self._in_memory:
            return None
        write: Callable[[Any], object] = self._stream.write
        return write if self._binary else lambda line: write(line.decode())

    def write(self, lines: list[bytes]) -> int:
        """Write the lines, waiting as long as it takes; return how many got through.

        A stream without a descriptor may raise anything.
        """
        if self._descriptor == _NONE:
            return self._write_stream(lines) if lines else 0
        if self._kind is _Kind.FILE or len(lines) < 2:
            return self._write_together(self._descriptor, lines)
        done = 0
        for group in _groups(lines):  # other workers may write to the pipe too
            taken = self._write_together(self._descriptor, group)
            done += taken
            if taken < len(group):
                break
        return done

    def _write_together(self, descriptor: int, lines: list[bytes]) -> int:
        rest = len(self._rest)
        written = _write_bytes(descriptor, b"".join((self._rest, *lines))) - rest
        if written < 0:
            self._tear()
            return 0
        self._leave(b"")
        for count, line in enumerate(lines):
            if written < len(line):
                if written > 0:
                    self._tear()
                return count
            written -= len(line)
        return len(lines)

    def asked(self, size: int) -> int:
        """Return the descriptor if a line of that size can be written without waiting.

        To be asked where no descriptor takes it `at_once`; raises BlockingIOError if not.
        """
        if self._rest or self._descriptor == _NONE or size > ATOMIC_BYTES:
            raise BlockingIOError
        if not _is_writable(self._descriptor, 0):
            raise BlockingIOError
        return self._descriptor

    def go_on_after(self, rest: bytes) -> None:
        """Keep what was not taken of a line, for `write`; raises OSError where nothing more is."""
        if self._kind is not _Kind.READY:  # a full disk, and not a full pipe
            self._tear()
            raise OSError("there was no room for the line")
        self._leave(rest)

    def has_no_reader(self) -> bool:
        """Return whether it is a pipe or terminal that nobody reads any more: a write would fail.

        What `poll` tells of others is no reason to write nothing: of a socket it may be an error
        that the next write takes away.
        """
        return self._is_pipe and _polled(self._descriptor, 0, "POLLERR")

    def _tear(self) -> None:
        """Have the next write end the line that will never be whole."""
        self._leave(b"\n")

    def _leave(self, rest: bytes) -> None:
        """Have the next write begin with the rest of a line, if there is any, and none pass it."""
        self.at_once = None  # first: a signal may tear us out of here before there is the rest
        self._rest = rest
        if not rest and self._kind is not _Kind.WAITING:
            self.at_once = self._descriptor

    def _write_stream(self, lines: list[bytes]) -> int:
        data = b"".join(lines)
        if self._binary:
            self._stream.write(data)
        else:
            text = data.decode()
            try:
                self._stream.write(text)
            except UnicodeEncodeError:  # the stream's encoding has not all characters
                self._stream.write(_NON_ASCII.sub(_escape, text))
        self._stream.flush()
        return len(lines)


def _is_plain(stream: Any) -> bool:
    """Return whether all that is written to a stream goes to its descriptor as it is.

    Others have a descriptor, too: that of the file in which they compress, of the connection on
    which they encrypt, of the terminal that they copy to. A `write` of their own is what they do.
    """
    while isinstance(stream, io.TextIOWrapper | io.BufferedWriter | io.BufferedRandom):
        if not isinstance(stream.write, BuiltinMethodType):
            return False
        stream = stream.buffer if isinstance(stream, io.TextIOWrapper) else stream.raw
    if isinstance(stream, io.FileIO):
        return isinstance(stream.write, BuiltinMethodType)
    home = sys.modules.get("socket")
    return (
        home is not None
        and type(stream) is home.SocketIO
        and type(stream._sock) is home.socket  # and not one with TLS
    )


class _Kind(enum.Enum):
    """What a write to a descriptor does when there is no room."""

    FILE = 1
    """There is always room, or an error."""
    READY = 2
    """It says so: `BlockingIOError`, or fewer bytes are taken."""
    WAITING = 3
    """It waits, so that one has to ask before."""


def _own(descriptor: int) -> tuple[int, _Kind]:
    """Return a descriptor of our own for the same file, and how it writes.

    A pipe or terminal is opened anew, where the system has a name for it, because a flag like
    O_NONBLOCK belongs to all who share an opened file: the shell would get it too.
    """
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return _aloft(os.dup(descriptor)), _Kind.FILE
    import select  # noqa: F401, PLC0415 - while it can be: not at the end of the interpreter

    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        with contextlib.suppress(OSError):
            return _aloft(os.open(f"/proc/self/fd/{descriptor}", flags)), _Kind.READY
    return _aloft(os.dup(descriptor)), _Kind.WAITING


def _aloft(descriptor: int) -> int:
    """Return a copy of a descriptor under a high number, and close it; itself if there is none."""
    try:
        import fcntl  # noqa: PLC0415 - not every system has it

        copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, LEAST_NUMBER)
    except (ImportError, OSError):
        return descriptor
    os.close(descriptor)
    return copy


def _close(descriptor: int) -> None:
    with contextlib.suppress(OSError):  # a daemon has closed it
        os.close(descriptor)


def _escape(found: re.Match[str]) -> str:
    """Return a character as JSON escapes it: one or two units of UTF-16."""
    units = found[0].encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _groups(lines: list[bytes]) -> Iterator[list[bytes]]:
    """Return the lines in groups that a pipe takes whole or not at all; alone, what is longer."""
    group: list[bytes] = []
    size = 0
    for line in lines:
        length = len(line)
        if group and size + length > ATOMIC_BYTES:
            yield group
            group, size = [], 0
        group.append(line)
        size += length
    yield group


def _write_bytes(descriptor: int, data: bytes) -> int:
    """Return how many bytes got through before the descriptor failed."""
    written = 0
    while written < len(data):
        try:
            written += os.write(descriptor, data[written:])
        except BlockingIOError:
            _is_writable(descriptor, POLL_MS)
        except OSError:
            break
    return written


def _is_writable(descriptor: int, timeout_ms: int) -> bool:
    """Return whether a write would not wait, after at most `timeout_ms`."""
    return _polled(descriptor, timeout_ms, "POLLOUT")


def _polled(descriptor: int, timeout_ms: int, name: str) -> bool:
    """Return whether `poll` tells what `name` stands for, after at most `timeout_ms`."""
    import select  # noqa: PLC0415 - `_own` has loaded it, if it is ever needed

    poll = select.poll()  # unlike select, it takes descriptors over 1023
    poll.register(descriptor, select.POLLOUT)
    event: int = getattr(select, name)
    return any(events & event for _, events in poll.poll(timeout_ms))
