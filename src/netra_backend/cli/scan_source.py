"""Python sources as files: read in the encoding they name, written back in the same."""

import contextlib
import os
import re
import stat

from msgspec import Struct

from netra_backend.errors import NetraError

MOST_BYTES = 2_000_000
"""Larger files hold generated tables; the parser would need 100 times as much memory."""

_COOKIE = rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)"
_BLANK = rb"^[ \t\f]*(?:#.*)?$"
_SURROGATE = "[\ud800-\udfff]"
"""Few files need these patterns: `re` compiles and keeps them for those that do."""

_UTF8 = b"\xef\xbb\xbf"


class Unreadable(NetraError):
    """A file holds no Python source that can be read; the text says why."""


class Source(Struct, frozen=True):
    """A decoded source, and how to encode it again; `text` has no byte order mark."""

    text: str
    encoding: str = "utf-8"
    marked: bool = False

    def encode(self, text: str) -> bytes:
        """Return another text as this source's file would hold it. Raises Unreadable."""
        try:
            data = text.encode(self.encoding)
        except UnicodeEncodeError as error:
            raise Unreadable(f"{self.encoding} has no {error.object[error.start]!r}") from error
        return _UTF8 + data if self.marked else data


def read_bytes(file: bytes) -> bytes:
    """Return what is in a regular file. Raises Unreadable for another kind, or a huge one."""
    try:
        with open(os.open(file, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb") as opened:
            kind = os.fstat(opened.fileno())
            if not stat.S_ISREG(kind.st_mode):
                raise Unreadable("no regular file")
            if kind.st_size > MOST_BYTES:
                size = f"{kind.st_size / 1e6:.1f} MB"
                raise Unreadable(f"{size} is too large; the limit is {MOST_BYTES / 1e6:.0f} MB")
            return opened.read(MOST_BYTES + 1)
    except FileNotFoundError as error:
        gone = "a link to a file that is not there" if os.path.islink(file) else "it is not there"
        raise Unreadable(gone) from error
    except OSError as error:
        raise Unreadable(error.strerror or str(error)) from error


def decode(data: bytes) -> Source:
    """Return the source in the encoding that it names (PEP 263), UTF-8 where it names none.

    Raises Unreadable for binary data, an unknown encoding, or bytes that the encoding refuses.
    """
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise Unreadable("UTF-16, which is no encoding of Python sources")
    marked = data.startswith(_UTF8)
    body = data[len(_UTF8) :] if marked else data
    encoding = _named(body) or "utf-8"
    if marked and encoding.lower().replace("_", "-") not in ("utf-8", "utf8"):
        raise Unreadable(f"names the encoding {encoding} after a UTF-8 byte order mark")
    if b"\0" in body:
        raise Unreadable("binary: it holds a NUL byte")
    try:
        text = body.decode(encoding)
    except UnicodeDecodeError as error:
        line = body.count(b"\n", 0, error.start) + 1
        raise Unreadable(f"line {line} is not {encoding}: {error.reason}") from error
    except (LookupError, ValueError) as error:
        raise Unreadable(f"names the encoding {encoding!r}, which there is not") from error
    if not text.isascii() and re.search(_SURROGATE, text):
        raise Unreadable(f"{encoding} yields halves of characters")
    return Source(text, encoding, marked)


def write_source(file: bytes, data: bytes) -> None:
    """Replace the file at once by one with this content and the same mode. Raises Unreadable."""
    import tempfile  # noqa: PLC0415 - start time

    target = os.path.realpath(file)
    folder = os.path.dirname(target)
    try:
        descriptor, temporary = tempfile.mkstemp(prefix=b".netra.", dir=folder)
        try:
            with open(descriptor, "wb") as opened:
                opened.write(data)
            os.chmod(temporary, stat.S_IMODE(os.stat(target).st_mode))
            os.replace(temporary, target)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError as error:
        raise Unreadable(f"cannot be written: {error.strerror}") from error


def _named(body: bytes) -> str | None:
    """Return the encoding in a comment on the first line, or on the second after a comment."""
    head = body.split(b"\n", 2)[:2]
    if not any(b"coding" in line for line in head):
        return None
    for line in head:
        match = re.match(_COOKIE, line)
        if match:
            return match[1].decode("ascii", "replace")
        if not re.match(_BLANK, line.rstrip(b"\r")):
            return None
    return None
