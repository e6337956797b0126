"""Older databases become newer ones, newer ones are left alone."""

import resource
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from netra_backend.errors import StoreFailed
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.stores.sqlite_files import open_writer
from netra_backend.stores.sqlite_schema import MIGRATIONS, migrate
from netra_backend.testing.scenario import a_thread, entries, event, start

WITHOUT_TAIL_INDEX = 5
"""The version before the tail got an index that is a table of its own."""

NEXT = "ALTER TABLE threads ADD COLUMN pinned INTEGER NOT NULL DEFAULT 0;"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "netra.db"


@pytest.fixture
def connection(file: Path) -> Iterator[sqlite3.Connection]:
    opened = open_writer(file)
    yield opened
    opened.close()


def version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])


def test_an_empty_file_gets_every_migration(connection: sqlite3.Connection, file: Path) -> None:
    migrate(connection, file)
    assert version(connection) == len(MIGRATIONS)
    migrate(connection, file)
    assert version(connection) == len(MIGRATIONS)


@pytest.mark.anyio
async def test_an_older_file_keeps_what_is_in_it(
    tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = SqliteStore(tmp_path)
    await store.open()
    thread = a_thread()
    lease = await start(store, thread, "r")
    await store.append([event("x")], writer=lease, at=2)
    before = await entries(store, thread)
    await store.close()

    newer = (*MIGRATIONS, NEXT, "UPDATE threads SET pinned = 7;")
    monkeypatch.setattr(migrate, "__defaults__", (newer,))
    await store.open()
    assert await entries(store, thread) == before
    await store.close()
    connection = open_writer(file)
    assert version(connection) == len(newer)
    assert connection.execute("SELECT pinned FROM threads").fetchall() == [(7,)]
    connection.close()


def test_a_step_that_fails_is_undone_and_named(connection: sqlite3.Connection, file: Path) -> None:
    broken = NEXT + "DROP TABLE nowhere;"
    first = len(MIGRATIONS)
    with pytest.raises(StoreFailed, match=rf"netra\.db: .*nowhere.* at version {first + 2}$"):
        migrate(connection, file, (*MIGRATIONS, "CREATE TABLE kept (x);", broken))
    assert version(connection) == first + 1
    assert connection.execute("SELECT * FROM kept").fetchall() == []
    columns = [row[1] for row in connection.execute("PRAGMA table_info(threads)")]
    assert "pinned" not in columns
    migrate(connection, file, (*MIGRATIONS, "CREATE TABLE kept (x);", NEXT))
    assert version(connection) == first + 2


@pytest.mark.anyio
async def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """On a disk that is nearly full there is no room for what its readers share."""
    store = SqliteStore(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        with pytest.raises(StoreFailed, match=r"netra\.db: .* \(SQLITE_"):
            await store.open()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    await store.open()
    await store.close()


@pytest.mark.anyio
async def test_entries_that_were_on_the_move_are_read_once(
    tmp_path: Path, connection: sqlite3.Connection, file: Path
) -> None:
    """Before the tail's index was a table of its own, a move left copies in the tail."""
    migrate(connection, file, MIGRATIONS[:WITHOUT_TAIL_INDEX])
    thread, data = a_thread(), event("x").data
    connection.execute(
        "INSERT INTO threads VALUES (1, ?, ?, '', 0, 0, 7)", (thread.owner, thread.id)
    )
    connection.execute(
        "INSERT INTO runs VALUES (1, ?, 'r', 1, 'a', 'finished', 'c', 1, 4, NULL, 0, NULL)",
        (thread.owner,),
    )
    for table, offsets in (("entries (id", (1, 2)), ("tail (seq, id", (2, 3, 4))):
        for offset in offsets:
            seq = () if table.startswith("entries") else (offset + 100,)
            connection.execute(
                f"INSERT INTO {table}, run, at, type, data)"  # noqa: S608
                f" VALUES ({'?, ' * len(seq)}?, 1, 0, 'CUSTOM', ?)",
                (*seq, 1 << 32 | offset, data),
            )
    connection.close()
    store = SqliteStore(tmp_path)
    await store.open()
    found = await store.thread(thread)
    assert found is not None
    assert found.head.offset == 4
    assert [entry.position.offset for entry in await entries(store, thread)] == [1, 2, 3, 4]
    await store.close()


@pytest.mark.anyio
async def test_a_newer_file_is_refused_and_left_alone(tmp_path: Path, file: Path) -> None:
    connection = open_writer(file)
    migrate(connection, file, (*MIGRATIONS, NEXT))
    connection.close()
    before = file.read_bytes()
    newer = len(MIGRATIONS) + 1
    with pytest.raises(
        StoreFailed, match=rf"netra\.db has version {newer}, .* up to {len(MIGRATIONS)}$"
    ):
        await SqliteStore(tmp_path).open()
    assert file.read_bytes() == before


def test_epochs_start_at_the_time_of_creation(tmp_path: Path) -> None:
    seeds = []
    for name in ("one.db", "two.db"):
        connection = open_writer(tmp_path / name)
        (before,) = connection.execute("SELECT strftime('%s', 'now') * 1000").fetchone()
        migrate(connection, tmp_path / name)
        query = "SELECT value FROM counters WHERE name = 'epoch'"
        (seed,) = connection.execute(query).fetchone()
        connection.close()
        assert before <= seed < before + 60_000
        seeds.append(seed)
    assert seeds[0] < seeds[1]
