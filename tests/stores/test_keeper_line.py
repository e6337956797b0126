"""A keeper, or a worker, that is frozen: who asks is told so in time, and nothing is done later.

Here it is one end of the line that stands still; ``tests/faults/test_frozen_keeper.py`` and
``test_frozen_processes.py`` stop processes.
"""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from netra_backend.core.ids import RunKey
from netra_backend.core.nodes import Seat
from netra_backend.core.ports import End
from netra_backend.core.positions import Position
from netra_backend.core.run import RunStatus
from netra_backend.errors import LeaseLost, StoreFailed
from netra_backend.stores import gatherings, keeper, keeper_line
from netra_backend.stores.worker_line import WorkerLine
from netra_backend.testing.scenario import FAR, a_thread, entries, event, start
from tests.eventually import until
from tests.stores.workers import Workers, as_store, settled

pytestmark = pytest.mark.anyio


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper_line, "LOOK", 0.01)
    monkeypatch.setattr(keeper_line, "SILENT", 5)
    monkeypatch.setattr(keeper_line, "ANSWERS", 0.05)


class Frozen:
    """A keeper whose line to the last worker can stand still: nothing is read, nothing is said."""

    def __init__(self, workers: Workers) -> None:
        *_, self.line = workers.keeper._lines
        self._unsaid: list[Any] = []

    def freeze(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
        """Stand still until what is returned is called."""
        self.transport.pause_reading()
        monkeypatch.setattr(self.line, "say", self._unsaid.append)

        def thaw() -> None:
            monkeypatch.setattr(self.line, "say", WorkerLine.say.__get__(self.line))
            for message in self._unsaid:
                self.line.say(message)
            self.transport.resume_reading()

        return thaw

    @property
    def transport(self) -> asyncio.Transport:
        assert self.line._transport is not None
        return self.line._transport


class Doing:
    """What a worker does for others, and has done."""

    def __init__(self, worker: Any) -> None:
        self.done: list[object] = []
        worker.join(self._cancel)
        worker.let_make_room(self._make_room)
        worker.let_answer("subject", self._answer)

    async def _cancel(self, run: RunKey) -> Position:
        self.done.append(run)
        return Position(1, 9)

    async def _answer(self, question: bytes) -> bytes:
        self.done.append(question)
        return b"done"

    def _make_room(self, seat: Seat) -> bool:
        self.done.append(seat)
        return True


async def test_calls_end_in_time_and_are_not_made_when_it_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    workers = Workers()
    one = await workers.worker()
    thread = a_thread()
    lease = await start(as_store(one), thread, "r", expires_at=FAR)
    before = await entries(as_store(one), thread)
    thaw = Frozen(workers).freeze(monkeypatch)
    asked = [
        one.append([event("late")], writer=lease, at=2),
        one.open_thread(a_thread(), "late", 2),
        asyncio.ensure_future(one.take([Seat("user", "alice", 1)])),
        asyncio.ensure_future(one.cancel(lease.run)),
        asyncio.ensure_future(one.make_room(Seat("user", "alice", 1))),
        asyncio.ensure_future(one.ask("subject", b"")),
        asyncio.ensure_future(one.measured()),
    ]
    failed = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 5)
    assert {str(error) for error in failed} == {keeper_line.UNANSWERED}
    assert {type(error) for error in failed} == {StoreFailed}
    with pytest.raises(StoreFailed, match="does not answer"):  # at once from now on
        one.probe().result()
    with pytest.raises(StoreFailed, match="does not answer"):
        await one.take([Seat("user", "alice", 1)])
    thaw()
    await until(lambda: not one._line._awaited)
    await one.probe()
    assert await entries(as_store(one), thread) == before
    assert workers.kept._threads.keys() == {thread}
    assert await one.take([Seat("user", "alice", 1)]) == [], "the seat was given back"
    told = [record.getMessage() for record in caplog.records]
    assert told == [keeper_line.UNANSWERED, "the process that keeps the store answers again"]
    await one.close()


async def test_what_only_others_can_do_is_not_done_late_either(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A run that another worker executes is not cancelled, and it gives no seat."""
    workers = Workers()
    one, two = await workers.worker(), await workers.worker()
    lease = await start(as_store(one), a_thread(), "r", expires_at=FAR)
    seat = Seat("user", "alice", 1)
    doing = Doing(one)
    assert await one.take([seat]) == []
    thaw = Frozen(workers).freeze(monkeypatch)
    asked = [two.cancel(lease.run), two.make_room(seat), two.ask("subject", b"")]
    failed = await asyncio.wait_for(asyncio.gather(*asked, return_exceptions=True), 5)
    assert {str(error) for error in failed} == {keeper_line.UNANSWERED}
    thaw()
    await until(lambda: not two._line._awaited)
    await one.probe()  # what was sent to it before has come
    await settled()
    assert doing.done == []
    assert await two.cancel(lease.run) == Position(1, 9), "who tries again is heard"
    for worker in (one, two):
        await worker.close()


async def test_what_a_frozen_worker_was_asked_is_not_done_when_it_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Who asked was told long ago that nobody did it."""
    for where in (keeper, gatherings):
        monkeypatch.setattr(where, "ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(keeper, "STOP_SECONDS", 0.05)
    workers = Workers()
    one, two = await workers.worker(), await workers.worker()
    lease = await start(as_store(one), a_thread(), "r", expires_at=FAR)
    await one.probe()
    seat = Seat("user", "alice", 1)
    assert await one.take([seat]) == []
    doing = Doing(one)
    one._line._transport.pause_reading()
    asked = (two.cancel(lease.run), two.make_room(seat), two.ask("subject", b"question"))
    stopped, made, gathered = await asyncio.gather(*asked)
    assert (stopped, made, gathered.missing) == (None, False, [1])
    one._line._transport.resume_reading()
    await one.probe()  # what was sent to it before has come
    await settled()
    assert doing.done == []
    assert await two.cancel(lease.run) == Position(1, 9), "who tries again is heard"
    assert await two.make_room(seat)
    assert dict((await two.ask("subject", b"question")).answers)[1] == b"done"
    for worker in (one, two):
        await worker.close()


async def test_a_store_that_is_slow_while_its_keeper_runs_is_waited_for() -> None:
    workers = Workers()
    one = await workers.worker()
    go_on = asyncio.Event()

    async def slow() -> None:
        await go_on.wait()

    workers.kept.probe = slow  # type: ignore[method-assign]
    probing = one.probe()
    for _ in range(3 * keeper_line.SILENT):
        await asyncio.sleep(keeper_line.LOOK)
    assert not probing.done()
    go_on.set()
    await probing
    await one.close()


async def test_a_run_that_was_begun_for_nobody_is_ended_by_whoever_looks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The keeper froze between the creation of the run and the answer."""
    workers = Workers()
    one = await workers.worker()
    store, thread = as_store(one), a_thread()
    await store.open_thread(thread, "", 1)
    thaw = Frozen(workers).freeze
    create, thaws = workers.kept.create_run, []

    async def freezes(**given: Any) -> Any:
        created = await create(**given)
        thaws.append(thaw(monkeypatch))
        return created

    workers.kept.create_run = freezes  # type: ignore[method-assign]
    with pytest.raises(StoreFailed, match="does not answer"):
        await start(store, thread, "r", expires_at=FAR)
    (go_on,) = thaws
    go_on()
    await until(lambda: one._line._silent == 0)
    async with asyncio.timeout(5):
        while not (orphans := await store.orphans(1)):
            pass
    assert [run.key.id for run in orphans] == ["r"]
    await one.close()


async def test_seats_that_were_taken_for_nobody_are_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The keeper froze between the taking and the answer."""
    workers = Workers()
    one = await workers.worker()
    frozen = Frozen(workers)
    two = await workers.worker()
    seat = Seat("user", "alice", 1)
    take, thaws = workers.keeper.seats.take, []

    def freezes(*given: Any) -> Any:
        full = take(*given)
        thaws.append(frozen.freeze(monkeypatch))
        return full

    with monkeypatch.context() as context:
        context.setattr(workers.keeper.seats, "take", freezes)
        with pytest.raises(StoreFailed, match="does not answer"):
            await one.take([seat])
    assert await two.take([seat]) == [seat], "it is taken"
    thaws[0]()
    await until(lambda: not one._line._awaited)
    await one.probe()
    assert await two.take([seat]) == []
    for worker in (one, two):
        await worker.close()


@pytest.mark.parametrize("deleted", [False, True])
async def test_an_end_for_which_nobody_waited_is_told_to_all(
    monkeypatch: pytest.MonkeyPatch, deleted: bool
) -> None:
    workers = Workers()
    one = await workers.worker()
    frozen = Frozen(workers)
    two = await workers.worker()
    heard: dict[str, list[object]] = {"one": [], "two": []}
    for name, worker in (("one", one), ("two", two)):
        worker.bus.subscribe(lambda thread, found, name=name: heard[name].append(list(found)))
    store, thread = as_store(one), a_thread()
    lease = await start(store, thread, "r", expires_at=FAR)
    method = "delete_thread" if deleted else "append"
    done, thaws = getattr(workers.kept, method), []

    async def freezes(**given: Any) -> Any:
        result = await done(**given)
        thaws.append(frozen.freeze(monkeypatch))
        return result

    setattr(workers.kept, method, freezes)
    ended = End(RunStatus.FINISHED)
    with pytest.raises(StoreFailed, match="does not answer"):
        await (
            store.delete_thread(thread)
            if deleted
            else store.append([event("end")], writer=lease, at=2, end=ended)
        )
    thaws[0]()
    await until(lambda: bool(heard["one"] and heard["two"]))
    last = (await entries(store, thread))[-1:]
    assert heard == {"one": [last], "two": [last]}
    with pytest.raises(LeaseLost):  # who tries again learns that it is done
        await store.append([event("end")], writer=lease, at=2, end=ended)
    for worker in (one, two):
        await worker.close()
