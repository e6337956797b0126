"""The inspection finds every fault that is put into a real file, and changes nothing."""

# ruff: noqa: S608 - only constants are put into SQL.

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random

import msgspec
import pytest
from ag_ui.core import EventType

from netra_backend.core.audit import Finding
from netra_backend.core.events import Event
from netra_backend.core.ports import End
from netra_backend.core.run import RunStatus
from netra_backend.errors import StoreFailed
from netra_backend.stores import sqlite_tail
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.stores.sqlite_inspection import inspection
from netra_backend.stores.sqlite_schema import MIGRATIONS
from netra_backend.testing.scenario import a_thread, new_run
from tests.client import client
from tests.http import http
from tests.live import live
from tests.server.agents import asks, echo

T = "(SELECT id FROM threads WHERE name = 't')"
AT = f"({T} << 32) +"
R1 = "(SELECT id FROM runs WHERE name = 'r1')"


@pytest.fixture(scope="module")
def healthy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of a server that was used: old entries in their place, new in the tail."""
    directory = tmp_path_factory.mktemp("healthy")
    asyncio.run(use(directory))
    return directory


async def use(directory: Path) -> None:
    store = SqliteStore(directory)
    async with (
        live({"echo": echo, "asks": asks}, directory, store=store) as server,
        client(server.socket_url, server.token()) as alice,
        http(server.url, server.token()) as browser,
    ):
        for thread, run, text, agent in (
            ("t", "r1", "one two", "echo"),
            ("t", "r2", "three", "echo"),
            ("q", "r3", "ask q1", "asks"),
            ("gone", "r4", "four", "echo"),
        ):
            await alice.run(thread, run, text, agent=agent)
            await alice.follow(thread)
            await alice.until_frame(
                lambda f, run=run: (
                    f["chunk"]["type"] == "RUN_FINISHED" and f["chunk"]["runId"] == run
                )
            )
        await browser.delete("/threads/gone")  # which puts all entries into their place
        await alice.command("decide", thread="q", interrupt="q1", payload=True)
        await alice.until("TEXT_MESSAGE_END", thread="q")
        await alice.until_frame(
            lambda f: (
                f["chunk"].get("runId", "").startswith("resume_")
                and f["chunk"]["type"] == "RUN_FINISHED"
            )
        )


@pytest.fixture
def copy(healthy: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(healthy, tmp_path / "copy"))


def change(directory: Path, *statements: str) -> None:
    with closing(sqlite3.connect(directory / "netra.db")) as connection, connection:
        for statement in statements:
            connection.execute(statement)


def found(directory: Path) -> list[Finding]:
    with inspection(directory) as opened:
        findings = list(opened.file_findings())
        for seen in opened.threads():
            findings += [seen] if isinstance(seen, Finding) else seen.findings
    return findings


def contents(directory: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in directory.iterdir()}


def test_a_healthy_directory_is_whole_and_stays_as_it_is(copy: Path) -> None:
    before = contents(copy)
    with inspection(copy) as opened:
        assert opened.version == len(MIGRATIONS)
        assert list(opened.file_findings()) == []
        threads = {seen.thread: seen for seen in opened.threads() if not isinstance(seen, Finding)}
        assert opened.thread_count() == 2

    assert contents(copy) == before
    assert set(threads) == {"alice,t", "alice,q"}
    for seen in threads.values():
        assert (seen.findings, seen.open_runs, seen.runs) == ([], [], 2)
        assert seen.entries > 4
    with closing(sqlite3.connect(copy / "netra.db")) as connection:
        for table in ("entries", "tail"):  # both are looked at
            assert connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] > 3


def to_tail(offset: int) -> tuple[str, ...]:
    """Return what puts a copy of the entry into the tail and its index."""
    return (
        (
            "INSERT INTO tail SELECT -1, id, run, at, type, data FROM entries"
            f" WHERE id = {AT} {offset}"
        ),
        f"INSERT INTO tail_index VALUES ({AT} {offset}, -1)",
    )


# Of thread t: 1 RUN_STARTED, 2 TEXT_MESSAGE_START, 3 and 4 CONTENT, 5 END, 6 RUN_FINISHED; 7 to 11
# are r2, which has one CONTENT less.
FAULTS: dict[str, tuple[tuple[str, ...], tuple[tuple[str | None, int | None, str], ...]]] = {
    "gap": (
        (f"DELETE FROM entries WHERE id = {AT} 3",),
        (("alice,t", 4, "the entry before it, {2}3, is missing"),),
    ),
    "long gap": (
        (f"DELETE FROM entries WHERE id IN ({AT} 3, {AT} 4)",),
        (("alice,t", 5, "the 2 entries before it, {2}3 to 4, are missing"),),
    ),
    "twice": (
        to_tail(3),
        (
            ("alice,t", 3, "the entry is there twice"),
            ("alice,t", None, "the head is {2}3, and the last entry is {2}11"),
        ),
    ),
    "wrong head": (
        (*to_tail(3), f"DELETE FROM entries WHERE id = {AT} 3"),
        (("alice,t", None, "the head is {2}3, and the last entry is {2}11"),),
    ),
    "two terminals": (
        (
            (
                "UPDATE entries SET (type, data) ="
                f" (SELECT type, data FROM entries WHERE id = {AT} 6) WHERE id = {AT} 5"
            ),
        ),
        (
            ("alice,t", 5, "RUN_FINISHED while text message"),
            ("alice,t", 6, "RUN_FINISHED after the terminal event of run r1"),
            ("alice,t", 5, "run r1 is recorded to end at {2}6, and its terminal event is at {2}5"),
        ),
    ),
    "two terminals at the end": (
        (
            (
                f"INSERT INTO entries SELECT id + 1, run, at, type, data FROM entries"
                f" WHERE id = {AT} 11"
            ),
        ),
        (("alice,t", 12, "RUN_FINISHED after the terminal event of run r2"),),
    ),
    "no terminal": (
        (f"DELETE FROM entries WHERE id = {AT} 11",),
        (("alice,t", 11, "run r2 is recorded as finished, and has no terminal event"),),
    ),
    "illegal order": (
        (
            f"UPDATE entries SET id = -1 WHERE id = {AT} 2",
            f"UPDATE entries SET id = {AT} 2 WHERE id = {AT} 3",
            f"UPDATE entries SET id = {AT} 3 WHERE id = -1",
        ),
        (("alice,t", 2, "TEXT_MESSAGE_CONTENT"),),
    ),
    "wrong type": (
        (f"UPDATE entries SET type = 'CUSTOM' WHERE id = {AT} 2",),
        (("alice,t", 2, "the entry is stored as CUSTOM, and its event is TEXT_MESSAGE_START"),),
    ),
    "no event": (
        (f"UPDATE entries SET data = x'7b' WHERE id = {AT} 2",),
        (("alice,t", 2, "not an AG-UI event"),),
    ),
    "text for bytes, of no known type": (
        (f"""UPDATE entries SET data = '{{"type":"NOPE"}}' WHERE id = {AT} 2""",),
        (("alice,t", 2, "not an AG-UI event: Invalid enum value 'NOPE'"),),
    ),
    "wrong shape": (
        (
            (
                "UPDATE entries SET data ="
                """ '{"type":"RUN_STARTED","input":{"messages":[1]}}'"""
                f" WHERE id = {AT} 1"
            ),
        ),
        (("alice,t", 1, "RUN_STARTED has a field of a wrong shape"),),
    ),
    "no run": (
        (f"UPDATE entries SET run = 999 WHERE id = {AT} 2",),
        (("alice,t", 2, "the entry belongs to no run of this thread"),),
    ),
    "wrong start": (
        ("UPDATE runs SET started = 2 WHERE name = 'r1'",),
        (
            (
                "alice,t",
                1,
                "run r1 is recorded to begin at {2}2, and its first entry is RUN_STARTED",
            ),
        ),
    ),
    "wrong end": (
        ("UPDATE runs SET ended = 4 WHERE name = 'r1'",),
        (("alice,t", 6, "run r1 is recorded to end at {2}4, and its terminal event is at {2}6"),),
    ),
    "no end": (
        ("UPDATE runs SET ended = NULL WHERE name = 'r1'",),
        (("alice,t", 6, "run r1 is recorded to end nowhere"),),
    ),
    "wrong status": (
        ("UPDATE runs SET status = 'failed' WHERE name = 'r1'",),
        (("alice,t", 6, "run r1 is recorded as failed, and its terminal event is RUN_FINISHED"),),
    ),
    "unknown status": (
        ("UPDATE runs SET status = 'lost' WHERE name = 'r1'",),
        (("alice,t", None, "run r1 has the unknown status 'lost'"),),
    ),
    "ended and open": (
        ("UPDATE runs SET status = 'running', ended = NULL, holder = 'n' WHERE name = 'r2'",),
        (("alice,t", 11, "run r2 has ended in the log, and is recorded as running"),),
    ),
    "open and nobody's": (
        (
            f"DELETE FROM entries WHERE id = {AT} 11",
            "UPDATE runs SET status = 'running', ended = NULL WHERE name = 'r2'",
        ),
        (("alice,t", None, "run r2 has not ended, and nobody would end it"),),
    ),
    "ended and held": (
        ("UPDATE runs SET holder = 'n' WHERE name = 'r2'",),
        (("alice,t", None, "run r2 has ended, and still has a lease"),),
    ),
    "a run without entries": (
        (
            (
                "INSERT INTO runs SELECT 99, owner, 'r9', thread, agent, status, correlation, 12,"
                " 13, NULL, fence, NULL FROM runs WHERE name = 'r1'"
            ),
        ),
        (("alice,t", 12, "run r9 has no entry"),),
    ),
    "an interrupt of another thread": (
        (f"UPDATE interrupts SET run = {R1}",),
        (("alice,q", None, "interrupt 'q1' was left by no run of this thread"),),
    ),
    "an interrupt of no run": (
        ("UPDATE interrupts SET run = 999",),
        (
            (None, None, "row 1 of interrupts refers to one of runs that there is not"),
            ("alice,q", None, "interrupt 'q1' was left by no run of this thread"),
        ),
    ),
    "a thread that is gone": (
        ("DELETE FROM threads WHERE name = 't'",),
        (
            (None, None, "row 1 of runs refers to one of threads that there is not"),
            (None, None, "row 2 of runs refers to one of threads that there is not"),
            (None, None, "there are entries of thread number 1, which there is not"),
        ),
    ),
    "an index that is gone": (
        ("DROP INDEX newest_threads",),
        ((None, None, "the index newest_threads is missing"),),
    ),
    "a table that is gone": (
        ("DROP TABLE members",),
        (
            (None, None, "the table members is missing"),
            (None, None, "the index threads_of_member is missing"),
        ),
    ),
    "a counter that is gone": (
        ("DELETE FROM counters WHERE name = 'withdrawal'",),
        ((None, None, "the counter 'withdrawal' is missing"),),
    ),
    "a counter that fell behind": (
        ("UPDATE counters SET value = 7 WHERE name = 'epoch'",),
        ((None, None, "the counter of epochs is 7, and a thread has a later one"),),
    ),
    "an index of the tail that leads nowhere": (
        (f"INSERT INTO tail_index VALUES ({AT} 12, 5000)",),
        (
            (None, None, "the index of the tail has an entry in a wrong place: number 12 of"),
            (None, None, "the index of the tail has an entry too early: number 12 of"),
            ("alice,t", None, "the head is {2}12, and the last entry is {2}11"),
        ),
    ),
    "an index of the tail that lacks one": (
        (*to_tail(11), "DELETE FROM tail_index", f"DELETE FROM entries WHERE id = {AT} 11"),
        (
            (None, None, "the index of the tail lacks an entry: number 11 of thread number 1"),
            ("alice,t", 11, "run r2 is recorded as finished, and has no terminal event"),
        ),
    ),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_each_fault_is_found(copy: Path, fault: str) -> None:
    statements, expected = FAULTS[fault]
    change(copy, *statements)
    with closing(sqlite3.connect(copy / "netra.db")) as connection:
        epochs = dict(connection.execute("SELECT 'alice,' || name, epoch FROM threads"))
    epoch = f"{epochs.get('alice,t')}-"

    findings = found(copy)

    told = [(f.thread, f.position, f.what) for f in findings]
    assert len(told) == len(expected), told
    for (thread, offset, what), finding in zip(expected, told, strict=True):
        position = None if offset is None else f"{epochs[str(thread)]}-{offset}"
        assert finding[:2] == (thread, position), told
        assert what.format(None, None, epoch) in finding[2], told


def test_many_faults_of_a_thread_are_counted(copy: Path) -> None:
    change(
        copy,
        "WITH RECURSIVE n(x) AS (VALUES (12) UNION ALL SELECT x + 1 FROM n WHERE x < 61)"
        f" INSERT INTO entries SELECT {AT} x, 999, 1, 'CUSTOM', x'7b7d' FROM n",
    )
    findings = found(copy)
    assert len(findings) == 21
    assert findings[-1].what == "and 30 more findings"


def corrupted(directory: Path, table: str) -> None:
    """Overwrite the middle of the pages of a table, as a bad sector does."""
    file = directory / "netra.db"
    with closing(sqlite3.connect(file)) as connection:
        (root,) = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)
        ).fetchone()
        (size,) = connection.execute("PRAGMA page_size").fetchone()
    with file.open("r+b") as opened:
        opened.seek((root - 1) * size)
        opened.write(b"\xff" * size)


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("entries", "the rest cannot be read: database disk image is malformed"),
        ("threads", "the threads after number -1 cannot be read"),
        ("runs", "the rest cannot be read: database disk image is malformed"),
    ],
)
def test_a_corrupt_page_is_found_and_the_rest_is_read(copy: Path, table: str, told: str) -> None:
    corrupted(copy, table)
    findings = found(copy)
    assert any(finding.what.startswith("SQLite: ") for finding in findings), findings
    assert any(told in finding.what for finding in findings), findings


def test_whatever_bytes_are_wrong_it_says_so_in_its_own_words(copy: Path) -> None:
    """Or does not see it: a letter of a text that became another is as legal as before."""
    file = copy / "netra.db"
    whole = file.read_bytes()
    verdicts: list[str] = []
    for seed in range(150):
        random = Random(seed)
        spoilt = bytearray(whole)
        for _ in range(random.choice([2, 6, 40])):
            at, length = random.randrange(len(spoilt)), random.choice([1, 4, 64])
            spoilt[at : at + length] = random.randbytes(length)
        file.write_bytes(spoilt[: random.choice([len(spoilt), len(spoilt), at])])
        try:
            verdicts.append("found" if found(copy) else "unseen")
        except StoreFailed:
            verdicts.append("refused")
    assert verdicts.count("found") > 10
    assert verdicts.count("refused") > 10


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda d: change(d, "PRAGMA user_version = 99"), "written by a newer release of Netra"),
        (lambda d: change(d, "PRAGMA user_version = 3"), "has version 3, and this release checks"),
        (lambda d: change(d, "PRAGMA user_version = 0"), "is no database of Netra"),
        (lambda d: (d / "netra.db").write_bytes(b""), "is no database of Netra"),
        (lambda d: (d / "netra.db").write_bytes(b"x" * 9_999), "file is not a database"),
        (lambda d: (d / "netra.db").unlink(), "No such file or directory"),
        (shutil.rmtree, "No such file or directory"),
    ],
    ids=["newer", "older", "foreign", "empty", "no database", "no file", "no directory"],
)
def test_what_cannot_be_read_is_refused(
    copy: Path, spoil: Callable[[Path], object], told: str
) -> None:
    spoil(copy)
    with pytest.raises(StoreFailed, match=told) as refused:
        found(copy)
    assert str(copy / "netra.db") in str(refused.value)


def test_what_is_written_meanwhile_is_said_to_be(copy: Path) -> None:
    with pytest.raises(StoreFailed, match="was written while it was checked"), inspection(copy):
        change(copy, "UPDATE threads SET title = 'x'")


async def _append_beside(directory: Path) -> None:
    store = SqliteStore(directory)
    await store.open()
    try:
        before = contents(directory)
        assert found(directory) == []
        after = contents(directory)
        assert after["netra.db"] == before["netra.db"]
        assert after["netra.db-wal"] == before["netra.db-wal"]
        await store.probe()  # nobody is in its way
    finally:
        await store.close()


def test_it_reads_beside_a_writer(copy: Path) -> None:
    asyncio.run(_append_beside(copy))
    assert found(copy) == []


def legal(type: EventType, run: str, **fields: object) -> Event:
    body = {"type": type.value, "threadId": "t", "runId": run, **fields}
    return Event(type, msgspec.json.encode(body))


async def live_through_runs(store: SqliteStore, goes_on: Callable[[int], bool]) -> None:
    """Write whole runs into threads of which some are deleted, as long as so many shall be more."""
    count = 0
    while goes_on(count):
        thread = a_thread()
        for run in ("r1", "r2"):
            await store.open_thread(thread, "title", 1)
            created = await store.create_run(
                new_run(thread, run), [legal(EventType.RUN_STARTED, run)]
            )
            assert created.lease is not None
            for number in range(10):
                said = legal(EventType.CUSTOM, run, name="n", value=number)
                await store.append([said, said], writer=created.lease, at=2)
            end = legal(EventType.RUN_FINISHED, run)
            finished = End(RunStatus.FINISHED)
            await store.append([end], writer=created.lease, at=3, end=finished)
            count += 1
        if count % 3 == 0:
            await store.delete_thread(thread)


def test_what_is_under_way_is_no_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Entries move to their place, runs are open and threads are deleted while it looks."""
    for name, value in (("LENGTH", 20), ("LOOSE", 7), ("_SLICE", 3), ("_REST", 1)):
        monkeypatch.setattr(sqlite_tail, name, value)

    async def look_on() -> None:
        store = SqliteStore(tmp_path)
        await store.open()
        looking = True
        runs = dict.fromkeys("abc", 0)

        def goes_on(name: str, count: int) -> bool:
            runs[name] = count
            return looking

        writers = [
            asyncio.create_task(live_through_runs(store, partial(goes_on, name))) for name in runs
        ]
        try:
            looks = 0
            while looks < 25 or min(runs.values()) < 6:  # each has deleted a thread by then
                assert await asyncio.to_thread(found, tmp_path) == []
                looks += 1
        finally:
            looking = False
            await asyncio.gather(*writers)
            await store.close()
        assert found(tmp_path) == []

    asyncio.run(look_on())
