"""What was learnt of files before, kept on disk by the hash of all that it depends on.

An entry is a file of its own, written beside and renamed into place: scans at the same time
never see a half-written one. One that is damaged is as good as none, because each begins with
its checksum. Nothing in an entry is ever executed. A cache that cannot be written is not used.
"""

import contextlib
import os
import sys
import time
from hashlib import blake2b
from pathlib import Path

from netra_backend.scan import engine

KEPT_DAYS = 14
"""An entry that was not used for so long is removed."""

_DAY = 86_400
_CHECKSUM = 16
_TAG = "Signature: 8a477f597d28d172789f06886806bc55\n# https://bford.info/cachedir/\n"


class Cache:
    """A folder of entries for one version of the scanner."""

    def __init__(self, folder: Path) -> None:
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
                if time.time() - os.fstat(opened.fileno()).st_mtime > _DAY:
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
        mark = self._folder / "pruned"
        with contextlib.suppress(OSError):
            if mark.exists() and time.time() - mark.stat().st_mtime < _DAY:
                return
            mark.touch()
            for file in self._folder.glob("??/*"):
                if time.time() - file.stat().st_mtime > KEPT_DAYS * _DAY:
                    file.unlink(missing_ok=True)

    def _file(self, key: str) -> str:
        return f"{self._folder}/{key[:2]}/{key[2:]}"

    def _make_folder(self, folder: str) -> None:
        if os.path.isdir(folder):
            return
        os.makedirs(folder, exist_ok=True)
        tag = self._folder / "CACHEDIR.TAG"
        if not tag.exists():
            tag.write_text(_TAG, encoding="ascii")
            (self._folder / ".gitignore").write_text("*\n", encoding="ascii")


def scanner_version() -> bytes:
    """Return what changes with the scanner's own code and with the Python whose parser it uses."""
    digest = blake2b(f"{engine.VERSION} {sys.version}".encode(), digest_size=20)
    for file in sorted(Path(engine.__file__).parent.rglob("*.py")):
        digest.update(file.read_bytes())
    return digest.digest()


def _checksum(body: bytes) -> bytes:
    return blake2b(body, digest_size=_CHECKSUM).digest()
