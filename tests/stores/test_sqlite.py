"""The embedded store: the contract, and what a file on a disk adds to it."""

import asyncio
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path
from shutil import copy

import pytest
from msgspec.structs import replace

from netra_backend.core.ids import RunKey, ThreadKey
from netra_backend.core.ports import Answer, End, Store
from netra_backend.core.run import RunStatus
from netra_backend.errors import LeaseLost, StoreFailed
from netra_backend.stores import sqlite_writer
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.log_contract import LogContract
from netra_backend.testing.scenario import (
    FAR,
    a_thread,
    decide,
    dense,
    entries,
    event,
    new_run,
    question,
    start,
)
from tests.eventually import until
from tests.stores.appending_process import THREADS, text
from tests.stores.full_disk import survive

HISTORY = 1
"""The seed of a history that leaves copies behind unless neighbours are written again."""

ROOT = Path(__file__).parents[2]


class TestSqliteStore(LogContract):
    """The contract, on a disk."""

    def make_store(self, directory: Path) -> Store:
        """Return a store in `directory`."""
        return SqliteStore(directory)


@pytest.mark.anyio
async def test_everything_is_there_after_closing_and_opening(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.open()
    thread = a_thread()
    lease = await start(store, thread, "r")
    end = End(RunStatus.AWAITING, [question(lease, "q")])
    await store.append([event("a"), event("end")], writer=lease, at=2, end=end)
    await decide(store, thread, Answer("q", "resolved", b"1"), "u")

    async def everything() -> list[object]:
        return [
            await entries(store, thread),
            await store.thread(thread),
            await store.run(lease.run),
            await store.interrupts(thread, lease.run.id),
            await store.undelivered(),
        ]

    before = await everything()
    await store.close()
    await store.open()
    assert await everything() == before
    await store.close()


@pytest.mark.anyio
async def test_a_store_that_could_not_be_opened_is_closed(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    store = SqliteStore(tmp_path / "file")
    with pytest.raises(StoreFailed, match="cannot be used"):
        await store.open()
    await store.close()


@pytest.mark.anyio
async def test_leases_of_an_earlier_opening_are_orphans(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.open()
    old = await start(store, a_thread(), "r")
    assert list(await store.orphans(0)) == []
    assert await store.adopt(old.run, "node-2", FAR, 0) is None
    await store.close()
    await store.open()
    young = await start(store, a_thread(), "r")
    assert [run.key for run in await store.orphans(0)] == [old.run]
    adopted = await store.adopt(old.run, "node-2", FAR, 0)
    assert adopted is not None
    assert adopted.fence > old.fence
    with pytest.raises(LeaseLost):
        await store.append([event("x")], writer=old, at=2)
    assert list(await store.orphans(0)) == []
    assert await store.adopt(young.run, "node-2", FAR, 0) is None
    await store.close()


@pytest.mark.anyio
async def test_the_file_is_asked_for_before_each_commit_beside_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    askers: list[str] = []
    monkeypatch.setattr(
        sqlite_writer, "check_there", lambda *_: askers.append(threading.current_thread().name)
    )
    store = SqliteStore(tmp_path)
    await store.open()
    await store.probe()
    await start(store, a_thread(), "r")
    await store.close()
    assert askers == ["netra-sqlite-writer"] * store.counts.commits


@pytest.mark.anyio
async def test_nothing_is_acknowledged_that_goes_to_a_deleted_file(tmp_path: Path) -> None:
    """The system writes on, to a file that nobody will find again."""
    store = SqliteStore(tmp_path / "data")
    await store.open()
    lease = await start(store, a_thread(), "r")
    (tmp_path / "data").rename(tmp_path / "moved")
    with pytest.raises(StoreFailed, match=r"netra\.db is written, and gone"):
        await store.append([event("x")], writer=lease, at=2)
    (tmp_path / "moved").rename(tmp_path / "data")
    assert (await store.append([event("x")], writer=lease, at=2)).offset == 2
    await store.close()


@pytest.mark.anyio
async def test_nothing_is_acknowledged_that_goes_to_a_deleted_write_ahead_log(
    tmp_path: Path,
) -> None:
    """What had gone to it before is copied into the database, and survives a `kill -9`."""
    disk = tmp_path / "disk"
    disk.mkdir()
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "netra.db").symlink_to(disk / "netra.db")
    store = SqliteStore(tmp_path / "data")
    await store.open()
    lease = await start(store, THREADS[0], "r")
    await store.append([event("x")], writer=lease, at=2)
    (disk / "netra.db-wal").unlink()
    with pytest.raises(StoreFailed, match=r"netra\.db-wal is written, and gone"):
        await store.append([event("lost")], writer=lease, at=2)
    with pytest.raises(StoreFailed):
        await store.probe()
    (tmp_path / "killed").mkdir()
    copy(disk / "netra.db", tmp_path / "killed")
    await store.close()
    found = SqliteStore(tmp_path / "killed")
    await found.open()
    assert [entry.event for entry in await entries(found, THREADS[0])] == [
        event("started"),
        event("x"),
    ]
    await found.close()


@pytest.mark.anyio
async def test_a_closed_store_says_so(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    thread = a_thread()
    for _ in range(2):
        with pytest.raises(StoreFailed, match=r"netra\.db: the store is (not open|closed)"):
            await store.probe()
        with pytest.raises(StoreFailed, match=r"netra\.db: the store is (not open|closed)"):
            await store.thread(thread)
        await store.open()
        lease = await start(store, a_thread(), "r")
        await store.close()
        with pytest.raises(StoreFailed):
            await store.append([event("x")], writer=lease, at=2)


@pytest.mark.anyio
async def test_close_finishes_what_was_accepted(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.open()
    thread = a_thread()
    lease = await start(store, thread, "r")
    appends = [store.append([event(str(n))], writer=lease, at=2) for n in range(500)]
    await store.close()
    assert [position.offset for position in await asyncio.gather(*appends)] == [*range(2, 502)]
    await store.open()
    assert len(await entries(store, thread)) == 501
    await store.close()


@pytest.mark.anyio
async def test_a_text_that_utf8_cannot_spell_fails_alone(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.open()
    thread, other = a_thread(), a_thread()
    lease = await start(store, thread, "r")
    await store.open_thread(other, "", 1)
    bad = "\ud800"
    broken = End(
        RunStatus.AWAITING, [question(lease, "fine"), replace(question(lease, "q"), id=bad)]
    )
    outcomes = await asyncio.gather(
        store.append([event("a")], writer=lease, at=2),
        store.rename_thread(thread, bad),
        store.open_thread(ThreadKey(thread.owner, bad), "", 1),  # type: ignore[arg-type]
        store.create_run(new_run(other, "r2", holder=bad), [event("no")]),
        store.append([event("no")], writer=lease, at=3, end=broken),
        store.append([event("b")], writer=lease, at=4),
        return_exceptions=True,
    )
    kinds = [type(outcome).__name__ for outcome in outcomes]
    assert kinds == ["Position"] + ["UnicodeEncodeError"] * 4 + ["Position"]
    log = await entries(store, thread)
    dense(log)
    assert [entry.event for entry in log] == [event("started"), event("a"), event("b")]
    assert await entries(store, other) == []
    assert await store.run(RunKey(other.owner, "r2")) is None  # type: ignore[arg-type]
    assert await store.interrupt(thread, "fine") is None
    assert store.counts.failed_commits == 0
    await store.close()


@pytest.mark.anyio
async def test_new_epochs_tell_positions_from_before_a_restored_backup(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.open()
    threads = [a_thread(), a_thread()]
    leases = [await start(store, thread, "r") for thread in threads]
    before = [await store.thread(thread) for thread in threads]
    await store.new_epochs()
    position = await store.append([event("x")], writer=leases[0], at=2)
    after = [await store.thread(thread) for thread in threads]
    assert [thread.head.offset for thread in after if thread] == [2, 1]
    assert after[0] is not None
    assert position == after[0].head
    log = await entries(store, threads[0])
    assert {entry.position.epoch for entry in log} == {position.epoch}
    old = {thread.head.epoch for thread in before if thread}
    new = {thread.head.epoch for thread in after if thread}
    created = await store.open_thread(a_thread(), "", 3)
    assert not old & new
    assert created.head.epoch not in old | new
    await store.close()


@pytest.mark.anyio
async def test_a_database_made_anew_has_other_epochs(tmp_path: Path) -> None:
    epochs = set()
    thread = a_thread()
    for directory in (tmp_path / "one", tmp_path / "two", tmp_path / "three"):
        store = SqliteStore(directory)
        await store.open()
        epochs.add((await store.open_thread(thread, "", 1)).head.epoch)
        await store.close()
    assert len(epochs) == 3


@pytest.mark.anyio
async def test_a_deleted_thread_cannot_be_found_in_the_files(tmp_path: Path) -> None:
    """Twenty threads grow side by side, so that their entries share pages; every third goes."""
    store = SqliteStore(tmp_path)
    await store.open()
    threads = [a_thread() for _ in range(21)]
    secrets = [f"secret-{number}-" for number in range(21)]
    leases = []
    for thread, secret in zip(threads, secrets, strict=True):
        leases.append(await start(store, thread, "r"))
        await store.rename_thread(thread, secret * 3)
    for size in (1, 2, 40, 3, 700, 1, 5, 20) * 4:
        await asyncio.gather(
            *(
                store.append([event(secret * size)], writer=lease, at=2)
                for lease, secret in zip(leases, secrets, strict=True)
            )
        )
    for lease, secret in zip(leases, secrets, strict=True):
        asked = [replace(question(lease, "q"), id=f"q-{secret}")]
        await store.append([event(secret)], writer=lease, at=3, end=End(RunStatus.AWAITING, asked))
        await decide(store, lease.thread, Answer(f"q-{secret}", "resolved", secret.encode()), "u")
    for thread in threads[::3]:
        assert await store.delete_thread(thread)
    await store.probe()  # after a deletion the writer empties the log before it does anything else
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    found = [number for number, secret in enumerate(secrets) if secret.encode() in files]
    assert found == [number for number in range(21) if number % 3]
    for number in found:
        dense(await entries(store, threads[number]))
    await store.close()


@pytest.mark.anyio
async def test_what_was_deleted_just_before_a_kill_is_gone_once_the_store_is_open(
    tmp_path: Path,
) -> None:
    """Somebody reads, so the log cannot be emptied; what is there then is what a kill leaves."""
    store = SqliteStore(tmp_path / "killed")
    await store.open()
    thread = a_thread()
    lease = await start(store, thread, "r")
    await store.append([event("the secret")], writer=lease, at=2)
    with closing(sqlite3.connect(tmp_path / "killed" / "netra.db")) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM threads").fetchall()
        assert await store.delete_thread(thread)
        (tmp_path / "left").mkdir()
        for name in ("netra.db", "netra.db-wal"):
            copy(tmp_path / "killed" / name, tmp_path / "left")
    await store.close()

    def is_left() -> bool:
        return any(b"the secret" in file.read_bytes() for file in (tmp_path / "left").iterdir())

    assert is_left()
    again = SqliteStore(tmp_path / "left")
    await again.open()
    await until(lambda: not is_left())
    await again.close()


@pytest.mark.anyio
async def test_no_copies_stay_behind_in_half_empty_pages(tmp_path: Path) -> None:
    """A history in which SQLite leaves copies of deleted entries beside their neighbours'."""
    history = random.Random(HISTORY)
    store = SqliteStore(tmp_path)
    await store.open()
    threads = [a_thread() for _ in range(100)]
    secrets = [f"secret-{number:02}-" for number in range(100)]
    leases = [await start(store, thread, "r") for thread in threads]
    for _ in range(40):
        appends = []
        for lease, secret in zip(leases, secrets, strict=True):
            if history.random() < 0.7:
                size = history.choice([1, 3, 20, 60])
                appends.append(store.append([event(secret * size)], writer=lease, at=2))
        await asyncio.gather(*appends)
    deleted = history.sample(range(100), 40)
    for number in deleted:
        await store.delete_thread(threads[number])
    await store.probe()
    files = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert [number for number in deleted if secrets[number].encode() in files] == []
    await store.close()


@pytest.mark.slow
@pytest.mark.anyio
async def test_what_was_acknowledged_survives_kill_9(tmp_path: Path) -> None:
    """Three processes append one after the other and are killed; each goes on where it ended."""
    acknowledged: dict[str, int] = {}
    command = [sys.executable, "-m", "tests.stores.appending_process", str(tmp_path)]
    for _ in range(3):
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for count, line in enumerate(process.stdout):
                _acknowledge(acknowledged, line)
                if count == 600:
                    process.send_signal(signal.SIGKILL)
            # what is left in the pipe was acknowledged too, up to a line that was cut
        assert process.returncode == -signal.SIGKILL
        store = SqliteStore(tmp_path)
        await store.open()
        for thread in THREADS:
            log = await entries(store, thread)
            dense(log)
            assert [entry.event for entry in log] == [
                event(text(thread, offset)) for offset in range(1, len(log) + 1)
            ]
            assert len(log) >= acknowledged.get(thread.id, 0)
        await store.close()
    assert len(acknowledged) == len(THREADS)


def _acknowledge(acknowledged: dict[str, int], line: str) -> None:
    if line.endswith("\n"):
        thread, offset = line.split()
        acknowledged[thread] = int(offset)


def test_a_full_disk_fails_the_writer_and_nothing_else(tmp_path: Path) -> None:
    """Files that may not grow, for which no special right is needed."""
    command = [sys.executable, "-m", "tests.stores.full_disk_process", str(tmp_path / "store")]
    subprocess.run(command, cwd=ROOT, check=True, timeout=60)


def test_a_full_file_system_fails_the_writer_and_nothing_else(tmp_path: Path) -> None:
    """A file system of 8 MB, with a file on it that is in the way."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "netra-test", str(disk)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("needs the right to mount a tmpfs; the test with RLIMIT_FSIZE did run")
    try:
        obstacle = disk / "obstacle"

        def fill() -> None:
            obstacle.write_bytes(bytes(7_000_000))

        asyncio.run(survive(SqliteStore(disk / "store"), fill=fill, drain=obstacle.unlink))
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.anyio
@pytest.mark.parametrize("damage", [b"", b"SQLite format 3\0" + b"\xff" * 200])
async def test_a_damaged_file_is_named(tmp_path: Path, damage: bytes) -> None:
    database = tmp_path / "netra.db"
    database.write_bytes(damage or os.urandom(8192))
    store = SqliteStore(tmp_path)
    for _ in range(2):  # a failed opening leaves the directory free
        with pytest.raises(StoreFailed, match=str(database)):
            await store.open()


@pytest.mark.anyio
async def test_damage_found_later_fails_what_meets_it(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    await store.open()
    thread, well = a_thread(), a_thread()
    lease = await start(store, thread, "r")
    await store.append([event("x" * 500)] * 2000, writer=lease, at=2)
    await start(store, well, "r")
    await store.close()
    database = tmp_path / "netra.db"
    size = database.stat().st_size
    with database.open("r+b") as file:
        file.seek(size // 2 // 8192 * 8192)
        file.write(os.urandom(8192))
    await store.open()
    with pytest.raises(StoreFailed, match=str(database)):
        await store.read(thread, 0, 10_000)
    assert len(await entries(store, well)) == 1
    await store.close()


@pytest.mark.anyio
async def test_reading_and_writing_go_on_beside_a_busy_interpreter(tmp_path: Path) -> None:
    """A step of SQLite per entry would wait for the interpreter's lock for a minute in all."""
    store = SqliteStore(tmp_path)
    await store.open()
    threads = [a_thread() for _ in range(300)]
    leases = [await start(store, thread, "r") for thread in threads]
    long = [event("x")] * 20_000
    await store.append(long, writer=leases[0], at=2)
    idle = threading.Event()

    def burn() -> None:
        while not idle.is_set():
            pass

    busy = threading.Thread(target=burn)
    busy.start()
    try:
        async with asyncio.timeout(30):
            await asyncio.gather(
                *(
                    store.append([event("y" * 300)], writer=lease, at=2)
                    for _ in range(40)
                    for lease in leases
                )
            )
        async with asyncio.timeout(30):
            assert len(await entries(store, threads[0])) == 20_041
    finally:
        idle.set()
        busy.join()
    await store.close()
