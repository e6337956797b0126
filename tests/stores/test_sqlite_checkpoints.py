"""The write-ahead log is copied beside the writer, and nothing depends on it."""

from pathlib import Path

import pytest

from netra_backend.core.ports import Store
from netra_backend.stores import sqlite_checkpoints
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.stores.sqlite_checkpoints import SqliteCheckpoints
from netra_backend.stores.sqlite_files import open_copier, open_writer
from netra_backend.testing.log_contract import LogContract
from tests.eventually import until

MARK = b"what is copied"


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
        assert MARK not in file.read_bytes()
        checkpoints.note(3 * sqlite_checkpoints.PAGES)
        await until(lambda: MARK in file.read_bytes())
        writer.execute("INSERT INTO t VALUES (?)", (MARK,))  # the writer is in nobody's way
    finally:
        checkpoints.stop()
        writer.close()


def test_a_log_that_cannot_be_copied_stops_nothing(tmp_path: Path) -> None:
    file = tmp_path / "netra.db"
    writer = open_writer(file)
    checkpoints = SqliteCheckpoints(file)
    checkpoints.start()
    writer.execute("CREATE TABLE t (x)")
    file.with_name("netra.db-wal").write_bytes(b"")
    checkpoints.note(3 * sqlite_checkpoints.PAGES)
    checkpoints.stop()
    writer.close()


def test_a_copy_is_synced_before_the_log_is_overwritten(tmp_path: Path) -> None:
    open_writer(tmp_path / "netra.db").close()
    connection = open_copier(tmp_path / "netra.db")
    (synchronous,) = connection.execute("PRAGMA synchronous").fetchone()
    connection.close()
    assert synchronous == 2, "FULL"
