"""What arrives together is committed together, and who fails fails alone."""

import asyncio
import sqlite3
import threading
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from netra_backend.errors import LeaseLost, StoreFailed
from netra_backend.stores import sqlite_writer
from netra_backend.stores.sqlite_files import open_writer
from netra_backend.stores.sqlite_ledger import Ledger
from netra_backend.stores.sqlite_schema import migrate
from netra_backend.stores.sqlite_transaction import Transaction
from netra_backend.stores.sqlite_writer import Receipt, SqliteWriter
from netra_backend.testing.scenario import a_thread, event, new_run
from tests.eventually import until

pytestmark = pytest.mark.anyio

BOUND = 10
"""Seconds that a test waits at most for a thread."""


@pytest.fixture
async def writer(tmp_path: Path) -> AsyncIterator[SqliteWriter]:
    """Return a writer at work, on a database that has the schema."""
    file = tmp_path / "netra.db"
    connection = open_writer(file)
    migrate(connection, file)
    writer = SqliteWriter(file, lambda _: None)
    writer.start(Ledger(connection), asyncio.get_running_loop())
    yield writer
    await asyncio.to_thread(writer.stop)
    connection.close()


class Gate:
    """An operation that holds the writer until it is opened."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._open = threading.Event()

    def __call__(self, _: Ledger) -> None:
        self._reached.set()
        assert self._open.wait(BOUND)

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, BOUND)

    def open(self) -> None:
        self._open.set()


async def test_what_waits_shares_one_commit(writer: SqliteWriter) -> None:
    threads = [a_thread() for _ in range(200)]
    leases = []
    for thread in threads:
        await writer.submit(lambda ledger, key=thread: ledger.open_thread(key, "", 1))
        created = await writer.submit(
            lambda ledger, key=thread: ledger.create_run(new_run(key, "r"), (event("started"),))
        )
        assert created.lease is not None
        leases.append(created.lease)
    gate = Gate()
    held = writer.submit(gate)
    await gate.reached()
    before = writer.counts
    appends = [
        writer.submit(lambda ledger, lease=lease: ledger.append((event("x"),), lease, 2))
        for _ in range(5)
        for lease in leases
    ]
    assert writer.counts.waiting == 1000
    gate.open()
    await held
    positions = await asyncio.gather(*appends)
    assert [position.offset for position in positions] == [
        offset for offset in range(2, 7) for _ in leases
    ]
    after = writer.counts
    assert after.commits - before.commits == 2  # the gate's, and one for all appends
    assert after.operations - before.operations == 1001
    assert after.waiting == 0


async def test_a_failed_commit_fails_its_group_and_no_other(writer: SqliteWriter) -> None:
    thread = a_thread()
    await writer.submit(lambda ledger: ledger.open_thread(thread, "", 1))
    created = await writer.submit(
        lambda ledger: ledger.create_run(new_run(thread, "r"), (event("started"),))
    )
    lease = created.lease
    assert lease is not None

    def fail(_: Ledger) -> None:
        raise sqlite3.OperationalError("the disk is on fire")

    gate = Gate()
    held = writer.submit(gate)
    await gate.reached()
    group = [
        writer.submit(lambda ledger: ledger.append((event("lost"),), lease, 2)),
        writer.submit(lambda ledger: ledger.rename_thread(thread, "lost")),
        writer.submit(fail),
        writer.submit(lambda ledger: ledger.append((event("lost"),), lease, 2)),
    ]
    gate.open()
    await held
    outcomes = await asyncio.gather(*group, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreFailed}
    assert len({id(outcome) for outcome in outcomes}) == len(group)
    assert "netra.db: the disk is on fire" in str(outcomes[0])
    assert writer.counts.failed_commits == 1
    position = await writer.submit(lambda ledger: ledger.append((event("x"),), lease, 3))
    assert position.offset == 2
    found = await writer.submit(lambda ledger: ledger.open_thread(thread, "", 1))
    assert (found.title, found.head) == ("", position)


async def test_who_goes_on_at_once_does_not_wait_for_a_turn_of_the_loop(
    writer: SqliteWriter,
) -> None:
    seen: list[str] = []
    receipts = [writer.submit(lambda _, name=name: name) for name in ("a", "b")]
    for receipt in receipts:
        receipt.at_once(lambda done: seen.append(f"at once {done.result()}"))
        receipt.add_done_callback(lambda done: seen.append(f"a turn later {done.result()}"))
    await receipts[-1]
    assert seen == ["at once a", "at once b", "a turn later a", "a turn later b"]
    receipts[0].at_once(lambda done: seen.append(f"soon {done.result()}"))
    assert len(seen) == 4
    await asyncio.sleep(0)
    assert seen[4:] == ["soon a"]


async def test_who_fails_at_once_keeps_nobody_from_their_outcome(writer: SqliteWriter) -> None:
    told: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, about: told.append(about))
    receipts = [writer.submit(lambda _, number=number: number) for number in range(3)]
    receipts[0].at_once(lambda _: 1 / 0)
    receipts[1].at_once(lambda done: told.append(done.result()))
    async with asyncio.timeout(BOUND):
        assert await asyncio.gather(*receipts) == [0, 1, 2]
    first, second = told
    assert isinstance(first, dict)
    assert isinstance(first["exception"], ZeroDivisionError)
    assert second == 1


async def test_who_fails_at_once_lets_no_later_commit_pass_the_others(writer: SqliteWriter) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    seen: list[int] = []
    gate = Gate()
    early = [writer.submit(lambda _, number=number: number) for number in range(3)]
    early[0].at_once(lambda _: 1 / 0)
    writer.hand_over()
    shut = writer.submit(gate)
    late = writer.submit(lambda _: 3)
    for receipt in (*early[1:], late):
        receipt.at_once(lambda done: seen.append(done.result()))
    writer.hand_over()
    gate.open()
    writer.stop()  # it holds the loop until all are committed
    async with asyncio.timeout(BOUND):
        assert await asyncio.gather(*early, shut, late) == [0, 1, 2, None, 3]
    assert seen == [1, 2, 3]


async def test_an_exception_of_a_signal_between_an_outcome_and_who_goes_on_loses_neither(
    writer: SqliteWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    given = Receipt.set_result

    def interrupted(self: Receipt[object], result: object) -> None:
        given(self, result)
        monkeypatch.undo()
        raise InterruptedError

    monkeypatch.setattr(Receipt, "set_result", interrupted, raising=False)
    seen: list[int] = []
    receipts = [writer.submit(lambda _, number=number: number) for number in range(2)]
    for receipt in receipts:
        receipt.at_once(lambda done: seen.append(done.result()))
    async with asyncio.timeout(BOUND):
        await asyncio.gather(*receipts)
    assert seen == [0, 1]


async def test_an_exception_of_a_signal_as_the_lock_is_taken_does_not_leave_it_locked(
    writer: SqliteWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    enter = threading.Condition.__enter__

    def interrupted(self: threading.Condition) -> bool:
        enter(self)
        if threading.current_thread() is threading.main_thread():
            raise InterruptedError
        return True

    monkeypatch.setattr(threading.Condition, "__enter__", interrupted)
    receipt = writer.submit(Ledger.probe)
    with suppress(InterruptedError):
        writer.hand_over()
    monkeypatch.undo()
    is_free = writer._turn.acquire(timeout=0.1)
    writer._turn.release()  # in any case, or the thread could not stop
    assert is_free
    await receipt


async def test_a_group_of_several_statements_is_all_or_nothing(writer: SqliteWriter) -> None:
    thread = a_thread()
    await writer.submit(lambda ledger: ledger.open_thread(thread, "", 1))
    created = await writer.submit(
        lambda ledger: ledger.create_run(new_run(thread, "r"), (event("started"),))
    )
    lease = created.lease
    assert lease is not None
    gate = Gate()
    held = writer.submit(gate)
    await gate.reached()
    long = (event("lost"),) * 5000
    too_late = 2**70  # the last statement of the group cannot be carried out
    group = [
        writer.submit(lambda ledger: ledger.append(long, lease, 2)),
        writer.submit(lambda ledger: ledger.append((event("lost"),), lease, too_late)),
    ]
    gate.open()
    await held
    outcomes = await asyncio.gather(*group, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [StoreFailed, StoreFailed]
    position = await writer.submit(lambda ledger: ledger.append((event("x"),), lease, 3))
    assert position.offset == 2


async def test_a_cancelled_operation_is_carried_out_all_the_same(writer: SqliteWriter) -> None:
    gate, thread = Gate(), a_thread()
    held = writer.submit(gate)
    await gate.reached()
    cancelled = writer.submit(lambda ledger: ledger.open_thread(thread, "first", 1))
    cancelled.cancel()
    second = writer.submit(lambda ledger: ledger.open_thread(thread, "second", 1))
    gate.open()
    await held
    assert (await second).title == "first"


async def test_more_than_the_bound_is_refused(
    writer: SqliteWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_writer, "MAX_WAITING", 3)
    gate = Gate()
    held = writer.submit(gate)
    await gate.reached()
    accepted = [writer.submit(lambda ledger: ledger.probe()) for _ in range(3)]
    with pytest.raises(StoreFailed, match=r"netra\.db: 3 operations wait already"):
        await writer.submit(lambda ledger: ledger.probe())
    gate.open()
    await asyncio.gather(held, *accepted)
    await writer.submit(lambda ledger: ledger.probe())


async def test_a_refusal_is_the_caller_s_alone(writer: SqliteWriter) -> None:
    def refuse(_: Ledger) -> None:
        raise LeaseLost("gone")

    outcomes = await asyncio.gather(
        writer.submit(lambda ledger: ledger.probe()),
        writer.submit(refuse),
        writer.submit(lambda ledger: ledger.probe()),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [type(None), LeaseLost, type(None)]
    assert writer.counts.failed_commits == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
async def test_an_error_of_ours_leaves_nobody_waiting(writer: SqliteWriter) -> None:
    def err(_: Ledger) -> None:
        raise TypeError("ours")

    gate = Gate()
    held = writer.submit(gate)
    await gate.reached()
    group = [writer.submit(err), writer.submit(lambda ledger: ledger.probe())]
    gate.open()
    await held
    outcomes = await asyncio.wait_for(asyncio.gather(*group, return_exceptions=True), BOUND)
    assert {type(outcome) for outcome in outcomes} == {StoreFailed}
    with pytest.raises(StoreFailed, match="the writer has stopped"):
        await writer.submit(lambda ledger: ledger.probe())


@pytest.fixture
def happened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What has happened; there is always something to put in order, and it is never urgent."""
    happened: list[str] = []
    monkeypatch.setattr(Transaction, "is_due", True)
    monkeypatch.setattr(Transaction, "tidy", lambda _: happened.append("tidied"))
    return happened


async def test_the_log_is_put_in_order_when_all_have_been_told(
    writer: SqliteWriter, happened: list[str]
) -> None:
    loop = asyncio.get_running_loop()

    def tell(_: object) -> None:
        happened.append("told")
        loop.call_soon(happened.append, "sent on")
        time.sleep(0.05)  # as long as a busy loop takes, in which the thread could begin

    for _ in range(3):
        writer.submit(Ledger.probe).at_once(tell)
    await until(lambda: "tidied" in happened)
    assert happened == [*["told"] * 3, *["sent on"] * 3, "tidied"]


async def test_the_log_is_not_put_in_order_while_more_comes(
    writer: SqliteWriter, happened: list[str]
) -> None:
    def tell(_: object) -> None:
        happened.append("told")
        if len(happened) < 10:
            writer.submit(Ledger.probe).at_once(tell)

    writer.submit(Ledger.probe).at_once(tell)  # far fewer than make it urgent
    await until(lambda: "tidied" in happened)
    assert happened == [*["told"] * 10, "tidied"]


async def test_the_log_is_not_put_in_order_while_one_waits_for_each_of_its_writes(
    writer: SqliteWriter, happened: list[str]
) -> None:
    for _ in range(10):
        await writer.submit(Ledger.probe)
        happened.append("told")
    await until(lambda: "tidied" in happened)
    assert happened == [*["told"] * 10, "tidied"]


async def test_the_log_is_put_in_order_while_more_comes_if_it_is_urgent(
    writer: SqliteWriter, happened: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Transaction, "is_overdue", True)
    for _ in range(3):
        await writer.submit(Ledger.probe)
    await until(lambda: happened.count("tidied") >= 3)


@pytest.mark.parametrize("error", [MemoryError(), sqlite3.OperationalError("disk I/O error")])
async def test_what_nobody_waits_for_fails_nobody_and_is_told_once(
    writer: SqliteWriter,
    error: Exception,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def fail(_: Ledger) -> None:
        raise error

    monkeypatch.setattr(Transaction, "is_overdue", True)
    for failing, told in ((True, 1), (False, 1), (True, 2)):
        with monkeypatch.context() as patch:
            if failing:
                patch.setattr(Transaction, "tidy", fail)
            for _ in range(4):  # each begins when what followed the one before is done
                await writer.submit(Ledger.probe)
        said = [line for line in caplog.records if "put in order" in line.message]
        assert len(said) == told
    assert writer.counts.failed_commits == 0


async def test_what_was_deleted_goes_also_where_nothing_can_be_moved(
    writer: SqliteWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Transaction) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    monkeypatch.setattr(Transaction, "tidy", fail)
    writer._transaction.scrub_due = True
    await writer.submit(Ledger.probe)
    await until(lambda: not writer._transaction.scrub_due)


async def test_a_scrub_that_fails_each_time_is_told_once(
    writer: SqliteWriter, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def scrub(_: Transaction) -> None:
        tries.append(len(tries))
        if tries[-1] % 2:  # between two tries there are turns in which none is due
            raise sqlite3.OperationalError("database or disk is full")

    tries: list[int] = []
    monkeypatch.setattr(Transaction, "scrub", scrub)
    monkeypatch.setattr(Transaction, "is_overdue", True)
    writer._transaction.scrub_due = True
    for _ in range(6):
        await writer.submit(Ledger.probe)
    await until(lambda: len(tries) >= 6)
    assert len([line for line in caplog.records if "put in order" in line.message]) == 1
