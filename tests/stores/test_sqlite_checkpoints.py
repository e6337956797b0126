"""The write-ahead log is copied beside the writer, and nothing depends on it."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from netra_backend.core.events import Event
from netra_backend.core.ports import Store
from netra_backend.core.run import Lease
from netra_backend.stores import sqlite_checkpoints, sqlite_tail
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.stores.sqlite_checkpoints import SqliteCheckpoints
from netra_backend.stores.sqlite_files import open_copier, open_writer
from netra_backend.stores.sqlite_ledger import Ledger
from netra_backend.stores.sqlite_schema import migrate
from netra_backend.testing.log_contract import LogContract
from netra_backend.testing.scenario import a_thread, event, new_run, start
from tests.eventually import until

MARK = b"what is copied"

FRAME = 8192 + 24
"""Bytes of a page in the write-ahead log, with what SQLite puts before it."""


class Shape(NamedTuple):
    """What is appended again and again: by so many runs, each time with these events."""

    runs: int
    events: Sequence[Event]
    pages: int
    """Of the log that it takes each time, at least."""


SHAPES = pytest.mark.parametrize(
    "shape",
    [
        Shape(100, [event(MARK.decode() + "x" * 200)], 10),
        Shape(1, [event(MARK.decode() + "x" * 200)] * 100, 10),
        Shape(1, [event(MARK.decode() + "x" * 200_000)], 25),
    ],
    ids=["many runs", "batches", "large events"],
)


@pytest.fixture
def few_pages(monkeypatch: pytest.MonkeyPatch) -> int:
    """Return the pages that are enough here: a tenth of what the writer itself waits for."""
    monkeypatch.setattr(sqlite_checkpoints, "PAGES", 100)
    monkeypatch.setattr(sqlite_tail, "LENGTH", 500)  # entries are moved, too
    return 100


class TestSqliteStoreThatCopiesAlways(LogContract):
    """The contract, with a copy after each commit."""

    @pytest.fixture(autouse=True)
    def copies_always(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let each commit be enough."""
        monkeypatch.setattr(sqlite_checkpoints, "PAGES", 1)

    def make_store(self, directory: Path) -> Store:
        """Return a store in `directory`."""
        return SqliteStore(directory)


@pytest.mark.anyio
async def test_what_was_written_is_copied_once_it_is_much(tmp_path: Path) -> None:
    file = tmp_path / "netra.db"
    writer = open_writer(file)
    checkpoints = SqliteCheckpoints(file)
    checkpoints.start()
    try:
        writer.execute("CREATE TABLE t (x)")
        writer.execute("INSERT INTO t VALUES (?)", (MARK,))
        checkpoints.note(1)
        assert checkpoints.is_idle
        assert MARK not in file.read_bytes()
        checkpoints.note(sqlite_checkpoints.PAGES)
        await until(lambda: MARK in file.read_bytes())
        writer.execute("INSERT INTO t VALUES (?)", (MARK,))  # the writer is in nobody's way
    finally:
        checkpoints.stop()
        writer.close()


@pytest.mark.anyio
@SHAPES
async def test_it_is_copied_whatever_makes_it_much(
    shape: Shape, tmp_path: Path, few_pages: int
) -> None:
    """The writer would copy it itself only at 1,024 pages."""
    store = SqliteStore(tmp_path)
    await store.open()
    try:
        leases = [await start(store, a_thread(), f"r{run}") for run in range(shape.runs)]
        written = 0
        while written < 6 * few_pages:
            written += shape.pages
            await asyncio.gather(
                *(store.append(shape.events, writer=lease, at=2) for lease in leases)
            )
        await until(lambda: MARK in (tmp_path / "netra.db").read_bytes())
    finally:
        await store.close()


@pytest.mark.anyio
@SHAPES
async def test_what_is_told_of_is_copied_in_time(
    shape: Shape, tmp_path: Path, few_pages: int
) -> None:
    """The log begins anew before it is three times as long as it should be."""
    file = tmp_path / "netra.db"
    writer = open_writer(file)
    migrate(writer, file)
    ledger = Ledger(writer)
    checkpoints = SqliteCheckpoints(file)
    checkpoints.start()
    log = file.with_name("netra.db-wal")
    leases = [_lease(ledger, f"r{run}") for run in range(shape.runs)]
    longest = begun_anew = 0
    before = b""
    try:
        while begun_anew < 3:
            for lease in leases:
                ledger.append(shape.events, lease, 2)
            ledger.transaction.commit()
            ledger.transaction.tidy()
            checkpoints.note(ledger.transaction.take_pages())
            await until(lambda: checkpoints.is_idle)
            longest = max(longest, log.stat().st_size // FRAME)
            assert longest < 3 * few_pages
            salt = log.read_bytes()[16:24]
            begun_anew += salt != before
            before = salt
    finally:
        checkpoints.stop()
        writer.close()


def _lease(ledger: Ledger, run: str) -> Lease:
    thread = a_thread()
    ledger.open_thread(thread, "", 1)
    lease = ledger.create_run(new_run(thread, run), (event("started"),)).lease
    assert lease is not None
    return lease


def test_a_log_that_cannot_be_copied_stops_nothing(tmp_path: Path) -> None:
    file = tmp_path / "netra.db"
    writer = open_writer(file)
    checkpoints = SqliteCheckpoints(file)
    checkpoints.start()
    writer.execute("CREATE TABLE t (x)")
    file.with_name("netra.db-wal").write_bytes(b"")
    checkpoints.note(sqlite_checkpoints.PAGES)
    checkpoints.stop()
    writer.close()


def test_a_copy_is_synced_before_the_log_is_overwritten(tmp_path: Path) -> None:
    open_writer(tmp_path / "netra.db").close()
    connection = open_copier(tmp_path / "netra.db")
    (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
    connection.close()
    assert synchronous == 2, "FULL"
