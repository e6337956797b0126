"""What is learnt of one file: its summary and its comments, or why it is not part of the scan."""

import contextlib
import signal
from collections.abc import Callable, Iterator

import msgspec
from msgspec import Struct

from netra_backend.cli.scan_cache import Cache
from netra_backend.cli.scan_source import Unreadable, decode, read_bytes
from netra_backend.scan.engine import Summary, summarise
from netra_backend.scan.suppress import Ignore, find_ignores

MOST_SECONDS = 10.0
"""How much CPU time one file may take; the slowest of CPython's own takes a second."""


class File(Struct, frozen=True):
    """A file to look at: `path` as reports call it, `name` as the system does.

    `module` is the name by which it is imported, `also` are others that it may have.
    """

    path: str
    module: str
    name: bytes
    also: tuple[str, ...] = ()


class Record(Struct, frozen=True):
    """What was learnt of a file. `failed` is whether it was the scanner's fault to skip it.

    `key` is that of the cache, the same as long as the file is; empty where nothing is kept.
    """

    summary: Summary
    ignores: tuple[Ignore, ...] = ()
    failed: bool = False
    key: str = ""


class TookTooLong(BaseException):
    """The time for one file is over; no Exception, so that nothing on the way swallows it."""


_decoder = msgspec.msgpack.Decoder(Record)
encode_record = msgspec.msgpack.Encoder().encode


def decode_record(data: bytes) -> Record:
    """Return the record. Raises msgspec.DecodeError for what is none."""
    return _decoder.decode(data)


def record_file(file: File, cache: Cache | None) -> Record:
    """Return what the file contributes; from the cache if it was seen before."""
    try:
        data = read_bytes(file.name)
    except Unreadable as error:
        return skipped(file, str(error))
    return record_data(file, data, cache)


def record_data(file: File, data: bytes, cache: Cache | None) -> Record:
    """Return what a file with this content contributes."""
    if file.path.endswith(".ipynb"):  # it would pass for an expression of Python
        return skipped(file, "a notebook; scan what `jupyter nbconvert --to script` makes of it")
    if cache is None:
        return _learn(file, data, "")
    key = _key(file, data, cache)
    kept = _kept(key, cache)
    if kept is not None:
        return kept
    record = _learn(file, data, key)
    # A file that took too long may be quicker on another day.
    if record.summary.skipped is None:
        cache.put(key, encode_record(record))
    return record


def kept_record(file: File, cache: Cache) -> Record | None:
    """Return what the cache has of the file as it is now, or None."""
    try:
        return _kept(_key(file, read_bytes(file.name), cache), cache)
    except Unreadable:
        return None


def skipped(file: File, reason: str, *, failed: bool = False) -> Record:
    """Return the record of a file that cannot be scanned."""
    return Record(Summary(file.path, file.module, skipped=reason), failed=failed)


def _key(file: File, data: bytes, cache: Cache) -> str:
    return cache.key(file.path.encode(), file.module.encode(), data)


def _kept(key: str, cache: Cache) -> Record | None:
    body = cache.get(key)
    if body is None:
        return None
    try:
        return decode_record(body)
    except msgspec.DecodeError:
        return None


def _learn(file: File, data: bytes, key: str) -> Record:
    try:
        with time_limit(MOST_SECONDS):
            text = decode(data).text
            summary = summarise(file.path, file.module, text)
            return Record(summary, find_ignores(text), key=key)
    except Unreadable as error:
        return skipped(file, str(error))
    except TookTooLong:
        return skipped(file, f"takes longer than {MOST_SECONDS:.0f} s")


@contextlib.contextmanager
def time_limit(seconds: float) -> Iterator[None]:
    """Raise TookTooLong inside after so many seconds of CPU time: a busy machine costs no file.

    It works in a main thread, and not on Windows. It cannot interrupt the parser, which is in C:
    `scan_pool` ends a process that hangs there.
    """
    before = _on_profile_signal()
    if before is None:
        yield
        return
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _on_profile_signal() -> "signal.Handlers | Callable[..., object] | int | None":
    """Let the signal of the timer raise; return what it did before, None if it cannot be set."""
    if not hasattr(signal, "setitimer"):
        return None
    try:
        return signal.signal(signal.SIGPROF, _raise)
    except ValueError:  # in another thread
        return None


def _raise(*_: object) -> None:
    raise TookTooLong
