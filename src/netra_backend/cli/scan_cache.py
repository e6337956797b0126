"""What was learnt of files before, kept on disk by the hash of all that it depends on.

An entry is a file of its own, written beside and renamed into place: scans at the same time
never see a half-written one. One that is damaged is as good as none, because each begins with
its checksum. Nothing in an entry is ever executed. A cache that cannot be written is not used.
"""

import contextlib
import os
import sys
import time
from binascii import crc32
from glob import escape, glob

from netra_backend.scan import engine
from netra_backend.scan.digest import blake2b

KEPT_DAYS = 14
"""An entry that was not used for so long is removed."""

_DAY = 86_400
_CHECKSUM = 4
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# https://bford.info/cachedir/\n"


class Cache:
    """A folder of entries for one version of the scanner."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._version = scanner_version()

    def key(self, *parts: bytes) -> str:
        """Return the key of what follows from these parts, by this scanner on this Python."""
        digest = blake2b(self._version, digest_size=20)
        for part in parts:
            digest.update(len(part).to_bytes(8, "big"))
            digest.update(part)
        return digest.hexdigest()

    def get(self, key: str) -> bytes | None:
        """Return what was kept, or None if there is nothing or it is damaged."""
        file = self._file(key)
        try:
            with open(file, "rb") as opened:
                data = opened.read()
                if _age(opened.fileno()) > 1:
                    os.utime(file)
        except OSError:
            return None
        checksum, body = data[:_CHECKSUM], data[_CHECKSUM:]
        return body if checksum == _checksum(body) else None

    def put(self, key: str, body: bytes) -> None:
        """Keep `body`; where the folder cannot be written, do nothing."""
        file = self._file(key)
        temporary = f"{file}.{os.getpid()}"
        with contextlib.suppress(OSError):
            self._make_folder(os.path.dirname(file))
            try:
                with open(temporary, "wb") as opened:
                    opened.write(_checksum(body) + body)
                os.replace(temporary, file)
            except OSError:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)

    def prune(self) -> None:
        """Remove what was not used for long; it looks at most once a day."""
        mark = f"{self._folder}/pruned"
        with contextlib.suppress(OSError):
            if os.path.exists(mark) and _age(mark) < 1:
                return
            with open(mark, "wb"):
                os.utime(mark)
            for file in glob(f"{escape(self._folder)}/??/*"):
                if _age(file) > KEPT_DAYS:
                    os.unlink(file)

    def _file(self, key: str) -> str:
        return f"{self._folder}/{key[:2]}/{key[2:]}"

    def _make_folder(self, folder: str) -> None:
        if os.path.isdir(folder):
            return
        os.makedirs(folder, exist_ok=True)
        for name, text in (("CACHEDIR.TAG", _TAG), (".gitignore", "*\n")):
            with open(f"{self._folder}/{name}", "w", encoding="ascii") as opened:
                opened.write(text)


def scanner_version() -> bytes:
    """Return what changes with the scanner's own code and with the Python whose parser it uses."""
    digest = blake2b(f"{engine.VERSION} {sys.version}".encode(), digest_size=20)
    folder = os.path.dirname(engine.__file__)
    for file in sorted(glob(f"{escape(folder)}/**/*.py", recursive=True)):
        with open(file, "rb") as opened:
            digest.update(opened.read())
    return digest.digest()


def _age(file: str | int) -> float:
    """Return the days since the file was written or used."""
    return (time.time() - os.stat(file).st_mtime) / _DAY


def _checksum(body: bytes) -> bytes:
    return crc32(body).to_bytes(_CHECKSUM, "big")
