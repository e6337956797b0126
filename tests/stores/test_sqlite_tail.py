"""Entries on their way to their place are read as if they were there."""

import asyncio
import random
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

from netra_backend.core.events import Event
from netra_backend.core.ids import ThreadId, ThreadKey, UserId
from netra_backend.core.ports import Store
from netra_backend.core.run import Lease
from netra_backend.errors import StoreFailed
from netra_backend.stores import sqlite_tail
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.stores.sqlite_files import open_reader, open_writer
from netra_backend.stores.sqlite_ledger import Ledger
from netra_backend.stores.sqlite_schema import migrate
from netra_backend.testing.log_contract import LogContract
from netra_backend.testing.scenario import a_thread, dense, entries, event, new_run, start
from tests.eventually import until

OWNER = UserId("u")

LATE = 2**70
"""A time that SQLite cannot keep: an append at it makes the commit fail."""


@pytest.fixture(autouse=True)
def moves_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a move begin with every twentieth entry and take several commits."""
    monkeypatch.setattr(sqlite_tail, "LENGTH", 20)
    monkeypatch.setattr(sqlite_tail, "LOOSE", 7)
    monkeypatch.setattr(sqlite_tail, "STEP", 8)
    monkeypatch.setattr(sqlite_tail, "LATE", 1)
    monkeypatch.setattr(sqlite_tail, "_SLICE", 3)
    monkeypatch.setattr(sqlite_tail, "_REST", 1)


@pytest.fixture
def counted(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    (tmp_path / "netra.db").touch()
    connection = open_reader(tmp_path / "netra.db")
    yield connection
    connection.close()


def count(connection: sqlite3.Connection, table: str) -> int:
    return int(connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0])  # noqa: S608


async def until_counts(connection: sqlite3.Connection, **rows: int) -> None:
    """Wait until each table has so many rows: they are moved once an append has its answer."""
    await until(lambda: {table: count(connection, table) for table in rows} == rows)


class TestSqliteStoreThatMovesOften(LogContract):
    """The contract, with entries that move all the time."""

    def make_store(self, directory: Path) -> Store:
        """Return a store in `directory`."""
        return SqliteStore(directory)


@pytest.mark.anyio
async def test_entries_get_to_their_place_and_the_tail_stays_short(
    tmp_path: Path, counted: sqlite3.Connection
) -> None:
    store = SqliteStore(tmp_path)
    await store.open()
    leases = [await start(store, a_thread(), "r") for _ in range(10)]
    for _ in range(100):
        await asyncio.gather(*(store.append([event("x")], writer=lease, at=2) for lease in leases))
    # A move copies what was there when it began, at two entries for one that arrives.
    assert count(counted, "tail") < 4 * (20 + 10)
    for _ in range(100):
        await store.probe()
    assert count(counted, "tail") < 20
    for lease in leases:
        assert len(await entries(store, lease.thread)) == 101
    await store.close()


@pytest.mark.anyio
@pytest.mark.parametrize("rest", [5, 100])
async def test_a_move_waits_for_a_slice_or_some_writes(
    tmp_path: Path, counted: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch, rest: int
) -> None:
    """With a hundred writes to wait for, ten entries at two copies each make a slice of 20."""
    for name, value in (("_SLICE", 20), ("_REST", rest), ("LOOSE", 1000), ("STEP", 1000)):
        monkeypatch.setattr(sqlite_tail, name, value)
    store = SqliteStore(tmp_path)
    await store.open()
    lease = await start(store, a_thread(), "r")
    await store.append([event("x")] * 39, writer=lease, at=2)  # a slice at once
    await until_counts(counted, entries=20, tail=40)
    writes = min(rest, 10)
    for number in range(1, writes):
        await store.append([event("x")], writer=lease, at=2)
        await until_counts(counted, entries=20, tail=40 + number)
    await store.append([event("x")], writer=lease, at=2)
    await until_counts(counted, entries=40, tail=40 + writes)
    dense(await entries(store, lease.thread))
    await store.close()


@pytest.mark.anyio
async def test_a_commit_moves_a_slice_and_no_more(
    tmp_path: Path, counted: sqlite3.Connection
) -> None:
    store = SqliteStore(tmp_path)
    await store.open()
    lease = await start(store, a_thread(), "r")
    for _ in range(19):
        await store.append([event("x")], writer=lease, at=2)
    copied = [(n, 20) for n in (3, 6, 9, 12, 15, 18, 20)]
    deleted = [(20, n) for n in (17, 14, 11, 8, 5, 2, 0)]
    for placed, waiting in (*copied, *deleted, (20, 0)):
        await until_counts(counted, entries=placed, tail=waiting)
        await store.probe()
    await store.close()


@pytest.mark.anyio
async def test_of_much_that_arrives_at_once_a_commit_copies_twice_as_much_and_no_more(
    tmp_path: Path, counted: sqlite3.Connection
) -> None:
    """Who appends waits for it; and what comes meanwhile is the next commit's."""
    store = SqliteStore(tmp_path)
    await store.open()
    lease = await start(store, a_thread(), "r")
    await store.append([event("x")] * 199, writer=lease, at=2)
    copied = [(3 + 30 * n, 200 + 15 * n) for n in range(7)]
    for placed, waiting in (*copied, (200, 305), (200, 200)):
        await until_counts(counted, entries=placed, tail=waiting)
        await store.append([event("x")] * 15, writer=lease, at=2)
    await store.close()


@pytest.mark.anyio
async def test_a_move_that_fails_fails_no_append(
    tmp_path: Path, counted: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was acknowledged is there, and the move is done again."""
    store = SqliteStore(tmp_path)
    await store.open()
    lease = await start(store, a_thread(), "r")
    with monkeypatch.context() as patch:
        patch.setattr(sqlite_tail, "_COPY", "SELECT 1 FROM nowhere WHERE ? <> ? + ?")
        for _ in range(30):
            await store.append([event("x")], writer=lease, at=2)
        assert (count(counted, "entries"), count(counted, "tail")) == (0, 31)
        dense(await entries(store, lease.thread))
    for _ in range(30):
        await store.probe()
    await until_counts(counted, entries=31, tail=0)
    dense(await entries(store, lease.thread))
    await store.close()


@pytest.mark.anyio
async def test_the_index_follows_in_steps_and_ends_with_the_tail(
    tmp_path: Path, counted: sqlite3.Connection
) -> None:
    def indexed() -> int:
        query = "SELECT value FROM counters WHERE name = 'indexed'"
        return int(counted.execute(query).fetchone()[0])

    store = SqliteStore(tmp_path)
    await store.open()
    lease = await start(store, a_thread(), "r")
    for n in range(2, 18):
        await store.append([event("x")], writer=lease, at=2)
        step = (n, n // 7 * 7, n // 7 * 7)
        await until(
            lambda step=step: (
                (count(counted, "tail"), count(counted, "tail_index"), indexed()) == step
            )
        )
    for _ in range(3):
        await store.append([event("x")], writer=lease, at=2)
    while count(counted, "tail"):
        await store.probe()
    assert (count(counted, "tail_index"), indexed()) == (0, 0), "the next entry is number 1"
    await store.append([event("x")], writer=lease, at=2)
    dense(await entries(store, lease.thread))
    await store.close()


@pytest.mark.anyio
async def test_the_index_follows_a_few_writes_that_are_small(
    tmp_path: Path, counted: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is not in it is looked through by each reader: it must not be much for long."""
    monkeypatch.setattr(sqlite_tail, "LOOSE", 1000)
    monkeypatch.setattr(sqlite_tail, "STEP", 3)
    store = SqliteStore(tmp_path)
    await store.open()
    lease = await start(store, a_thread(), "r")
    for waiting, indexed in ((2, 0), (3, 3), (4, 3), (5, 3), (6, 6), (7, 6), (8, 6), (9, 9)):
        await store.append([event("x")], writer=lease, at=2)
        await until_counts(counted, tail=waiting, tail_index=indexed)
    dense(await entries(store, lease.thread))
    await store.close()


def test_the_index_follows_within_a_large_group(tmp_path: Path) -> None:
    """Each operation looks through what is not in it: thousands that begin runs, say, at once."""
    connection = open_writer(tmp_path / "netra.db")
    migrate(connection, tmp_path / "netra.db")
    ledger = Ledger(connection)
    loose = f"SELECT count(*) FROM tail WHERE seq > {sqlite_tail.INDEXED}"  # noqa: S608
    most = 0
    for _ in range(3 * sqlite_tail.LOOSE):
        thread = a_thread()
        ledger.open_thread(thread, "", 1)
        ledger.create_run(new_run(thread, "r"), [event("x")])
        most = max(most, *connection.execute(loose).fetchone())
    ledger.transaction.commit()
    assert most == sqlite_tail.LOOSE - 1
    assert count(connection, "tail") == 3 * sqlite_tail.LOOSE
    connection.close()


@pytest.mark.anyio
async def test_deleting_empties_the_tail(tmp_path: Path, counted: sqlite3.Connection) -> None:
    store = SqliteStore(tmp_path)
    await store.open()
    gone, stays = [await start(store, a_thread(), "r") for _ in range(2)]
    for lease in (gone, stays):
        await store.append([event("x")] * 5, writer=lease, at=2)
    assert count(counted, "tail") == 12
    await store.delete_thread(gone.thread)
    assert (count(counted, "tail"), count(counted, "entries")) == (0, 6)
    dense(await entries(store, stays.thread))
    await store.close()


class History:
    """A random history of a store, and what every thread has to be after it."""

    def __init__(self, store: SqliteStore, seed: int) -> None:
        self._store = store
        self._random = random.Random(seed)
        self._leases: list[Lease] = []
        self._logs: defaultdict[ThreadKey, list[Event]] = defaultdict(list)
        self._number = 0

    async def go_on(self, steps: int) -> None:
        actions = [self._append] * 12 + [self._read] * 6 + [self._create] * 2
        actions += [self._delete, self._fail, self._reopen]
        for _ in range(3):
            await self._create()
        for _ in range(steps):
            await self._random.choice(actions)()
        for lease in self._leases:
            await self._check(lease.thread, 0, 10_000)
        page = await self._store.threads(OWNER, limit=1000)
        heads = {thread.key: thread.head.offset for thread in page}
        assert heads == {lease.thread: len(self._logs[lease.thread]) for lease in self._leases}

    def _events(self) -> list[Event]:
        self._number += 1
        return [event(f"{self._number} {n}") for n in range(self._random.randint(1, 9))]

    async def _create(self) -> None:
        self._number += 1
        thread = ThreadKey(OWNER, ThreadId(f"t{self._number}"))
        lease = await start(self._store, thread, f"r{self._number}")
        self._leases.append(lease)
        self._logs[lease.thread].append(event("started"))

    async def _append(self) -> None:
        chosen = self._random.choices(self._leases, k=self._random.randint(1, 9))
        calls = []
        for lease in chosen:
            batch = self._events()
            calls.append(self._store.append(batch, writer=lease, at=2))
            self._logs[lease.thread] += batch
        await asyncio.gather(*calls)

    async def _fail(self) -> None:
        lease = self._random.choice(self._leases)
        with pytest.raises(StoreFailed):
            await self._store.append(self._events(), writer=lease, at=LATE)

    async def _delete(self) -> None:
        if len(self._leases) > 3:
            lease = self._leases.pop(self._random.randrange(len(self._leases)))
            await self._store.delete_thread(lease.thread)
            assert await entries(self._store, lease.thread) == []

    async def _reopen(self) -> None:
        await self._store.close()
        await self._store.open()

    async def _read(self) -> None:
        thread = self._random.choice(self._leases).thread
        after = self._random.randint(0, len(self._logs[thread]) + 2)
        await self._check(thread, after, self._random.choice([0, 1, 5, 1000]))

    async def _check(self, thread: ThreadKey, after: int, limit: int) -> None:
        log = self._logs[thread]
        page = await self._store.read(thread, after, limit)
        assert [entry.event for entry in page] == log[after : after + limit]
        last = min(len(log), after + limit)
        assert [entry.position.offset for entry in page] == [*range(after + 1, last + 1)]
        found = await self._store.thread(thread)
        assert found is not None
        assert found.head.offset == len(log)


@pytest.mark.anyio
@pytest.mark.parametrize("seed", range(5))
async def test_a_random_history_is_read_as_it_was_written(tmp_path: Path, seed: int) -> None:
    store = SqliteStore(tmp_path)
    await store.open()
    await History(store, seed).go_on(steps=250)
    await store.close()
