"""Worker processes that look at files; one that dies or hangs costs its file, not the scan."""

import contextlib
import gc
import multiprocessing
import os
import signal
import time
from collections import deque
from collections.abc import Iterator, Sequence
from multiprocessing.connection import Connection, wait

import msgspec

from netra_backend.cli.scan_cache import Cache
from netra_backend.cli.scan_record import (
    File,
    Record,
    decode_record,
    encode_record,
    record_file,
    skipped,
)

LONGEST_WAIT = 120.0
"""Seconds after which a worker is taken for hanging; `time_limit` is meant to come first."""

AHEAD = 4
"""Files given to a worker at once, so that it need not wait for the next."""

_FORKS = hasattr(os, "fork")
_start = multiprocessing.get_context("fork") if _FORKS else multiprocessing.get_context("spawn")


def record_files(files: Sequence[File], jobs: int, cache: Cache | None) -> Iterator[Record]:
    """Yield the records in the order in which they are ready.

    The workers are gone when the iterator is exhausted or closed.
    """
    pool = _Pool(files, cache)
    try:
        pool.grow(min(jobs, len(files)))
        while pool.busy:
            yield from pool.collect()
    finally:
        pool.close()


class _Worker:
    """One process, and the files it has been given, the oldest of which it is looking at."""

    def __init__(self, cache: Cache | None, others: Sequence["_Worker"]) -> None:
        self.connection, theirs = _start.Pipe()
        inherited = [it.connection for it in others] + [self.connection]
        self.process = _start.Process(
            target=_work, args=(theirs, cache, inherited if _FORKS else []), daemon=True
        )
        self.process.start()
        theirs.close()
        self.given: deque[File] = deque()
        self.since = time.monotonic()

    def give(self, file: File) -> None:
        """Let it look at the file after those it has."""
        if not self.given:
            self.since = time.monotonic()
        self.given.append(file)
        # A worker that has just died is noticed where its answer is read.
        with contextlib.suppress(BrokenPipeError):
            self.connection.send_bytes(msgspec.msgpack.encode(file))

    def take(self) -> Record:
        """Return its next answer. Raises EOFError if it has died."""
        try:
            answer = self.connection.recv_bytes()
        except ConnectionError as error:
            raise EOFError from error
        file = self.given.popleft()
        self.since = time.monotonic()
        try:
            return decode_record(answer)
        except msgspec.DecodeError:
            return record_file(file, None)

    def end(self) -> None:
        """Kill the process."""
        self.connection.close()
        self.process.kill()
        self.process.join()


class _Pool:
    """The workers and the files that nobody has been given yet."""

    def __init__(self, files: Sequence[File], cache: Cache | None) -> None:
        self._waiting = deque(files)
        self._cache = cache
        self._workers: list[_Worker] = []

    @property
    def busy(self) -> bool:
        """Whether an answer is due."""
        return any(worker.given for worker in self._workers)

    def grow(self, number: int) -> None:
        """Start so many workers, and give them files."""
        for _ in range(number):
            worker = _Worker(self._cache, self._workers)
            self._workers.append(worker)
            self._feed(worker)

    def collect(self) -> Iterator[Record]:
        """Yield the answers that are there, waiting up to a second for the first."""
        due = [worker for worker in self._workers if worker.given]
        ready = wait([worker.connection for worker in due], timeout=1.0)
        for worker in due:
            if worker.connection in ready:
                yield self._answer(worker)
        for worker in [it for it in self._workers if it.given]:
            if time.monotonic() - worker.since > LONGEST_WAIT:
                yield self._lose(worker, f"takes longer than {LONGEST_WAIT:.0f} s")

    def close(self) -> None:
        """End all workers."""
        for worker in self._workers:
            worker.end()

    def _feed(self, worker: _Worker) -> None:
        while self._waiting and len(worker.given) < AHEAD:
            worker.give(self._waiting.popleft())

    def _answer(self, worker: _Worker) -> Record:
        try:
            record = worker.take()
        except EOFError:
            worker.process.join(1.0)
            return self._lose(worker, f"the scanner died of it ({_cause(worker)})")
        self._feed(worker)
        return record

    def _lose(self, worker: _Worker, reason: str) -> Record:
        """Replace the worker; its current file is skipped, the others are given again."""
        culprit = worker.given.popleft()
        self._waiting.extendleft(reversed(worker.given))
        worker.end()
        self._workers.remove(worker)
        self.grow(1)
        return skipped(culprit, reason, failed=True)


def _cause(worker: _Worker) -> str:
    code = worker.process.exitcode
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"


def _work(connection: Connection, cache: Cache | None, inherited: Sequence[Connection]) -> None:
    """Answer files with records until the other end closes.

    The ends of the parent that a fork has copied are closed, or no worker would notice that the
    parent is gone.
    """
    for copied in inherited:
        copied.close()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Syntax trees have no cycles worth looking for.
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    files = msgspec.msgpack.Decoder(File)
    with contextlib.suppress(EOFError, ConnectionError):
        while True:
            file = files.decode(connection.recv_bytes())
            connection.send_bytes(encode_record(record_file(file, cache)))
