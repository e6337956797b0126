"""The transaction: what is committed is synced, what nobody waits for is not, and all is undone."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, nullcontext, suppress
from pathlib import Path

import pytest

from netra_backend.stores import sqlite_tail
from netra_backend.stores.sqlite_files import open_writer
from netra_backend.stores.sqlite_schema import migrate
from netra_backend.stores.sqlite_transaction import Transaction


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(open_writer(tmp_path / "netra.db")) as connection:
        migrate(connection, tmp_path / "netra.db")
        yield connection


def count_probe(connection: sqlite3.Connection) -> None:
    connection.execute("UPDATE counters SET value = value + 1 WHERE name = 'probe'")


def probes(connection: sqlite3.Connection) -> int:
    query = "SELECT value FROM counters WHERE name = 'probe'"
    return int(connection.execute(query).fetchone()[0])


@pytest.mark.parametrize("fails", [False, True], ids=["works", "fails"])
def test_a_move_is_not_synced_and_every_commit_is(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    def synchronous() -> int:
        return int(connection.execute("PRAGMA synchronous").fetchone()[0])

    def tidy(_: sqlite_tail.Tail) -> None:
        moved.append(synchronous())
        if fails:
            raise sqlite3.OperationalError("as if the disk was full")

    moved: list[int] = []
    monkeypatch.setattr(sqlite_tail, "_REST", 1)  # there is something to tidy after each commit
    monkeypatch.setattr(sqlite_tail.Tail, "tidy", tidy)
    transaction = Transaction(connection, undone=lambda: None)
    with transaction.operation():
        count_probe(connection)
    transaction.commit()
    with pytest.raises(sqlite3.OperationalError) if fails else nullcontext():
        transaction.tidy()
    assert moved == [1], "NORMAL"
    assert (synchronous(), connection.in_transaction) == (2, False), "FULL"
    connection.execute("PRAGMA synchronous = NORMAL")
    transaction._syncs = False  # as if it could not be set
    with transaction.operation():
        count_probe(connection)
    with pytest.raises(sqlite3.OperationalError, match="inside a transaction"):
        transaction.commit()
    transaction.abandon()
    transaction.commit()
    assert synchronous() == 2
    assert probes(connection) == 1


def test_who_reads_for_long_does_not_hold_up_each_commit_after_a_deletion(
    connection: sqlite3.Connection, tmp_path: Path
) -> None:
    transaction = Transaction(connection, undone=lambda: None)
    transaction.scrub_due = True
    with closing(sqlite3.connect(tmp_path / "netra.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM threads").fetchall()
        assert transaction.is_overdue
        transaction.scrub()
        assert (transaction.scrub_due, transaction.is_overdue) == (True, False)
    usual = connection.execute("PRAGMA busy_timeout").fetchone()
    transaction._scrub_at = 0.0  # some time later
    transaction.scrub()
    assert not transaction.scrub_due
    assert (tmp_path / "netra.db-wal").stat().st_size == 0
    assert connection.execute("PRAGMA busy_timeout").fetchone() == usual == (250,)


def test_what_sqlite_cannot_keep_undoes_its_operation_alone(connection: sqlite3.Connection) -> None:
    undone: list[bool] = []
    transaction = Transaction(connection, undone=lambda: undone.append(True))
    with transaction.operation():
        count_probe(connection)
    with suppress(OverflowError), transaction.operation():
        count_probe(connection)
        connection.execute("UPDATE counters SET value = ? WHERE name = 'probe'", (2**70,))
    assert undone == [True]
    transaction.commit()
    assert probes(connection) == 1
