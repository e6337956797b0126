"""What is learnt of one file: its summary and its comments, or why it is not part of the scan."""

import contextlib
import signal
import threading
from collections.abc import Iterator

import msgspec
from msgspec import Struct

from netra_backend.cli.scan_cache import Cache
from netra_backend.cli.scan_source import Unreadable, decode, read_bytes
from netra_backend.scan.engine import Summary, summarise
from netra_backend.scan.suppress import Ignore, find_ignores

MOST_SECONDS = 10.0
"""How much CPU time one file may take; the slowest of CPython's own takes a second."""


class File(Struct, frozen=True):
    """A file to look at: `path` as reports call it, `name` as the system does."""

    path: str
    module: str
    name: bytes


class Record(Struct, frozen=True):
    """What was learnt of a file. `failed` is whether it was the scanner's fault to skip it."""

    summary: Summary
    ignores: tuple[Ignore, ...] = ()
    failed: bool = False


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
    with contextlib.suppress(msgspec.DecodeError):
        return decode_record(_encoded(file, data, cache))
    return _learn(file, data)


def encoded_record(file: File, cache: Cache | None) -> bytes:
    """Return the record of the file, encoded; what the cache has is passed on as it is.

    Who decodes it has to expect msgspec.DecodeError.
    """
    try:
        data = read_bytes(file.name)
    except Unreadable as error:
        return encode_record(skipped(file, str(error)))
    return _encoded(file, data, cache)


def skipped(file: File, reason: str, *, failed: bool = False) -> Record:
    """Return the record of a file that cannot be scanned."""
    return Record(Summary(file.path, file.module, skipped=reason), failed=failed)


def _encoded(file: File, data: bytes, cache: Cache | None) -> bytes:
    key = "" if cache is None else cache.key(file.path.encode(), file.module.encode(), data)
    kept = None if cache is None else cache.get(key)
    if kept is not None:
        return kept
    record = _learn(file, data)
    body = encode_record(record)
    # A file that took too long may be quicker on another day.
    if cache is not None and record.summary.skipped is None:
        cache.put(key, body)
    return body


def _learn(file: File, data: bytes) -> Record:
    try:
        with time_limit(MOST_SECONDS):
            text = decode(data).text
            return Record(summarise(file.path, file.module, text), find_ignores(text))
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
    if (
        not hasattr(signal, "setitimer")
        or threading.current_thread() is not threading.main_thread()
    ):
        yield
        return
    before = signal.signal(signal.SIGPROF, _raise)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def _raise(*_: object) -> None:
    raise TookTooLong
