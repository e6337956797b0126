"""Runs for a busy thread: refused, queued or in its place, and what becomes of those that wait."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
from ag_ui.core import ResumeEntry, RunAgentInput
from msgspec import structs

from netra_backend.agents.execution import Limits
from netra_backend.agents.policy import Policy
from netra_backend.agents.run_request import run_request
from netra_backend.agents.waiting import Waiting
from netra_backend.config import WhenBusy
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId
from netra_backend.core.nodes import Cancel, Freed, Nodes
from netra_backend.core.ports import Answer, Created, End, Interrupt, NewRun, Store
from netra_backend.core.positions import Position
from netra_backend.core.queue import QueuedRun
from netra_backend.core.roles import Role
from netra_backend.core.run import Lease, Run, RunStatus
from netra_backend.errors import ErrorCode, Refused, StoreFailed
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing import Gate, ScriptedAgent, asking
from netra_backend.testing.scenario import start
from netra_backend.testing.scripted_agent import answer, endless
from tests.agents.running import ALICE, BOUND, Running, running
from tests.eventually import until
from tests.server.agents import asks
from tests.stores.workers import Workers, as_store

pytestmark = pytest.mark.anyio

BOB = UserId("bob")
T1 = ThreadKey(ALICE, ThreadId("t1"))
LIMITS = Limits(timeout=60.0, events=1_000, grace=1.0)
ENQUEUE = Policy(LIMITS, when_busy=WhenBusy.ENQUEUE, queued=3)


def ask(run: str, thread: str = "t1"):
    return asking("hi", thread_id=thread, run_id=run)


def key(run: str) -> RunKey:
    return RunKey(ALICE, RunId(run))


async def until_queued(house: Running) -> None:
    """Return when a run waits."""
    while not await house.store.queued():  # noqa: ASYNC110 - nothing announces it
        await asyncio.sleep(0)


async def order(house: Running) -> list[str]:
    """Return the runs in the order in which they began."""
    return [chunk["runId"] for chunk in await house.chunks() if chunk["type"] == "RUN_STARTED"]


async def test_runs_wait_their_turn_and_start_once() -> None:
    gate = Gate()
    agent = ScriptedAgent(answer("a", gate))
    async with running(agent, policy=ENQUEUE) as house:
        await house.start(ALICE, ask("r1"))
        for run in ("r2", "r3", "r2"):
            assert (await house.submit(ALICE, ask(run))).run is None
        with pytest.raises(Refused) as refusal:
            await house.submit(ALICE, ask("r2", "t2"))
        assert refusal.value.code is ErrorCode.RUN_CONFLICT
        attached = asyncio.create_task(house.start(ALICE, ask("r3")))
        gate.open()
        for run in ("r2", "r3"):
            assert (await house.ended(run)).status is RunStatus.FINISHED
        assert (await attached).run.key == key("r3")
        assert await order(house) == ["r1", "r2", "r3"]
    assert [given.run_id for given in agent.inputs] == ["r1", "r2", "r3"]
    assert [m.role for m in agent.inputs[1].messages] == ["user", "assistant", "user"]


@pytest.mark.parametrize("waits_first", [True, False])
async def test_a_run_asked_for_in_two_threads_at_once_holds_up_neither(
    tmp_path: Path, waits_first: bool
) -> None:
    """One of the two is a conflict; if it waited, too, it could never begin, and all behind it."""
    store = SqliteStore(tmp_path)
    await store.open()
    gate = Gate()
    async with running(ScriptedAgent(answer("a", gate)), store=store, policy=ENQUEUE) as house:
        await house.start(ALICE, ask("r1"))
        asked = [house.submit(ALICE, ask("r2", thread)) for thread in ("t1", "t2")]
        if not waits_first:
            asked.reverse()
        outcomes = await asyncio.gather(*asked, return_exceptions=True)
        (refusal,) = [outcome for outcome in outcomes if isinstance(outcome, Refused)]
        assert refusal.code is ErrorCode.RUN_CONFLICT
        await house.submit(ALICE, ask("r3"))
        gate.open()
        assert (await house.ended("r2")).status is RunStatus.FINISHED
        assert (await house.ended("r3")).status is RunStatus.FINISHED
    await store.close()


class EnqueuesLate(MemoryStore):
    """Holds the first run back that is to wait."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def enqueue(self, new: QueuedRun, limit: int) -> QueuedRun:
        if not self.asked.is_set():
            self.asked.set()
            await self.let.wait()
        return await super().enqueue(new, limit)


async def test_a_run_asked_for_twice_is_one_though_it_begins_before_it_is_to_wait_again() -> None:
    store = EnqueuesLate()
    gate = Gate()
    async with running(ScriptedAgent(answer("a", gate)), store=store, policy=ENQUEUE) as house:
        await house.start(ALICE, ask("r1"))
        late = asyncio.create_task(house.submit(ALICE, ask("r2")))
        await store.asked.wait()
        assert (await house.submit(ALICE, ask("r2"))).run is None
        gate.open()
        run = await house.ended("r2")
        store.let.set()
        accepted = await late
        assert (accepted.run, accepted.started) == (run, False)


async def test_so_many_wait_and_no_more() -> None:
    async with running(ScriptedAgent(endless()), policy=ENQUEUE) as house:
        for run in ("r1", "r2", "r3", "r4"):
            await house.submit(ALICE, ask(run))
        with pytest.raises(Refused) as refusal:
            await house.submit(ALICE, ask("r5"))
        assert refusal.value.code is ErrorCode.TOO_MANY


async def test_a_run_that_waits_is_cancelled_and_still_ends_once() -> None:
    agent = ScriptedAgent(endless())
    async with running(agent, policy=ENQUEUE) as house:
        await house.start(ALICE, ask("r1"))
        for run in ("r2", "r3"):
            await house.submit(ALICE, ask(run))
        position = await house.runner.cancel(key("r2"))
        await house.runner.cancel(key("r1"))
        run = await house.ended("r2")
        assert run.status is RunStatus.CANCELLED
        assert run.started.offset > position.offset
        await house.when("r3", lambda found: found.started.offset > 0)
        chunks = await house.chunks()
        mine = [chunk for chunk in chunks if chunk.get("runId") == "r2"]
        assert [chunk["type"] for chunk in mine] == ["RUN_STARTED", "RUN_FINISHED"]
        assert mine[1]["outcome"] == {"type": "cancelled"}
        assert (await house.runner.cancel(key("r2"))) == run.ended
    assert [given.run_id for given in agent.inputs] == ["r1", "r3"]


class EndsLate(MemoryStore):
    """Writes the end of `late` at the second try; the first fails when the test says so."""

    late = key("r2")

    def __init__(self) -> None:
        super().__init__()
        self.tried = asyncio.Event()
        self.fail = asyncio.Event()

    def append(self, events: Any, *, writer: Lease, at: int, end: End | None = None) -> Any:
        if end is None or writer.run != self.late or self.tried.is_set():
            return super().append(events, writer=writer, at=at, end=end)
        self.tried.set()
        return asyncio.ensure_future(self._fails())

    async def _fails(self) -> Position:
        await self.fail.wait()
        raise StoreFailed("the disk is full")


@pytest.mark.parametrize("meanwhile", [True, False])
async def test_a_cancelled_run_whose_end_is_written_late_ends_as_cancelled(meanwhile: bool) -> None:
    """It was told to be, and the sweep may look before its end is written, or after."""
    store = EndsLate()
    async with running(ScriptedAgent(endless()), store=store, policy=ENQUEUE) as house:
        await house.start(ALICE, ask("r1"))
        waiting = asyncio.create_task(house.start(ALICE, ask("r2")))
        await until_queued(house)
        await house.runner.cancel(key("r2"))
        await house.runner.cancel(key("r1"))
        await store.tried.wait()
        if meanwhile:
            await house.runner._sweep.look()
        store.fail.set()
        assert (await asyncio.wait_for(waiting, BOUND)).run.key == key("r2")
        await house.runner._sweep.look()
        assert (await house.ended("r2")).status is RunStatus.CANCELLED
        await house.runner._sweep.look()
        assert (await house.types()).count("RUN_FINISHED") == 2


async def test_a_run_that_another_node_begins_holds_up_nobody_and_is_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Both look when the thread is free, and one is first."""
    store, begun = MemoryStore(), asyncio.Event()
    await store.open_thread(T1, "", 1)

    async def begin(queued: QueuedRun, given: RunAgentInput) -> Run:
        if queued.key == key("r1"):
            del store._queue[queued.key]
            raise Refused(ErrorCode.NOT_FOUND)
        begun.set()
        return Run(queued.key, T1, "agent", RunStatus.RUNNING, "c", Position(1, 1))

    waiting = Waiting(store, begin=begin, now=lambda: 1)
    for run in ("r1", "r2"):
        await waiting.add(run_request(ALICE, ask(run)), "agent", 8)
    await asyncio.wait_for(begun.wait(), BOUND)
    await waiting.close()
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_run_that_found_no_room_begins_when_another_node_gives_some_back() -> None:
    """At once, and not when it is looked again: nobody here ends a run or looks."""
    workers, gate, stop = Workers(), Gate(), Gate()
    one, two = [await workers.worker() for _ in range(2)]
    policy = structs.replace(ENQUEUE, concurrent=1)
    scarce, other = ScriptedAgent(answer("a", stop)), ScriptedAgent(answer("b", gate))
    async with running(scarce, store=as_store(two), policy=policy) as there:
        there.runner.share(two)
        agents = {"agent": ScriptedAgent(answer("c")), "other": other}
        async with running(agents, store=as_store(one), policy=policy) as here:
            here.runner.share(one)
            await here.start(ALICE, ask("r1"), agent="other")
            await here.submit(ALICE, ask("r2"))
            await there.start(ALICE, ask("far", "t2"))
            gate.open()
            await here.ended("r1")
            await until(lambda: not here.runner.active and not here.runner.waiting._serving)
            stop.open()
            assert (await here.ended("r2")).status is RunStatus.FINISHED
    for worker in (one, two):
        await worker.close()


@pytest.mark.parametrize("deleted", [False, True], ids=["begun", "deleted"])
async def test_who_waits_for_a_run_is_told_of_it_though_the_news_was_lost(deleted: bool) -> None:
    """Another node has begun it, or deleted its thread, and a bus may lose."""
    store = MemoryStore()
    await store.open_thread(T1, "", 1)

    async def begin(queued: QueuedRun, given: RunAgentInput) -> Run:
        raise Refused(ErrorCode.THREAD_BUSY)

    waiting = Waiting(store, begin=begin, now=lambda: 1)
    await waiting.add(run_request(ALICE, ask("r1")), "agent", 8)
    asked = asyncio.create_task(waiting.begun(T1, RunId("r1")))
    await until(lambda: waiting._begun)
    await (store.delete_thread(T1) if deleted else start(store, T1, "r1"))
    assert not asked.done()
    await waiting.look()
    if deleted:
        with pytest.raises(Refused) as refusal:
            await asyncio.wait_for(asked, BOUND)
        assert refusal.value.code is ErrorCode.NOT_FOUND
    else:
        assert (await asyncio.wait_for(asked, BOUND)).key == key("r1")
    await waiting.close()


class ReadsLate(MemoryStore):
    """Tells, once it is `late`, only when it is `let` what waited when it was asked first."""

    def __init__(self) -> None:
        super().__init__()
        self.late = False
        self.asked, self.let = asyncio.Event(), asyncio.Event()

    async def queued(self, thread: ThreadKey | None = None) -> list[QueuedRun]:
        found = await super().queued(thread)
        if self.late and not self.asked.is_set():
            self.asked.set()
            await self.let.wait()
        return found


@pytest.mark.parametrize("read", [lambda w: w.serve(T1), lambda w: w.look()], ids=["serve", "look"])
async def test_a_run_that_comes_while_the_queue_is_read_is_not_forgotten(
    read: Callable[[Waiting], Coroutine[object, object, None] | None],
) -> None:
    store, begun = ReadsLate(), asyncio.Event()
    await store.open_thread(T1, "", 1)

    async def begin(queued: QueuedRun, given: RunAgentInput) -> Run:
        if store.late:
            raise Refused(ErrorCode.THREAD_BUSY)
        del store._queue[queued.key]
        begun.set()
        return Run(queued.key, T1, "agent", RunStatus.RUNNING, "c", Position(1, 1))

    waiting = Waiting(store, begin=begin, now=lambda: 1)
    await waiting.add(run_request(ALICE, ask("r1")), "agent", 8)
    await begun.wait()
    begun.clear()
    store.late = True
    looking = read(waiting)
    reading = asyncio.create_task(looking) if looking is not None else None
    await store.asked.wait()
    await waiting.add(run_request(ALICE, ask("r2")), "agent", 8)
    await asyncio.sleep(0)
    store.let.set()
    await (reading or asyncio.sleep(0))
    store.late = False
    await until(lambda: not waiting._serving)
    waiting.serve(T1)
    await asyncio.wait_for(begun.wait(), BOUND)
    await waiting.close()


async def test_who_waits_for_a_run_is_told_when_another_call_begins_it_at_once() -> None:
    """Of two that submit it at once, one finds the thread busy, and the other finds it free."""
    store, gate = ReadsLate(), Gate()
    async with running(ScriptedAgent(answer("a", gate)), store=store, policy=ENQUEUE) as house:
        store.late = True
        first = asyncio.create_task(house.submit(ALICE, ask("r2")))
        await store.asked.wait()
        await house.start(ALICE, ask("r1"))
        waiting = asyncio.create_task(house.start(ALICE, ask("r2")))
        await until_queued(house)
        with house.runner.waiting.held(T1):
            gate.open()
            await house.ended("r1")
            store.let.set()
            assert (await asyncio.wait_for(waiting, BOUND)).run == (await first).run
    assert await order(house) == ["r1", "r2"]


async def test_what_waits_outlives_the_process() -> None:
    store = MemoryStore()
    async with running(ScriptedAgent(endless()), store=store, policy=ENQUEUE) as house:
        await house.start(ALICE, ask("r1"))
        waiting = asyncio.create_task(house.start(ALICE, ask("r2")))
        await until_queued(house)
        await house.submit(ALICE, ask("r3"))
        await house.runner.cancel(key("r3"))
    with pytest.raises(Refused) as refusal:
        await waiting
    assert refusal.value.code is ErrorCode.DRAINING
    assert "the run waits on" in refusal.value.message
    assert [queued.key for queued in await store.queued()] == [key("r2"), key("r3")]
    later = ScriptedAgent(answer("done"))
    async with running(later, store=store, policy=ENQUEUE, sweep=True) as house:
        assert (await house.ended("r2")).status is RunStatus.FINISHED
        assert (await house.ended("r3")).status is RunStatus.CANCELLED
    assert [given.run_id for given in later.inputs] == ["r2"]


async def test_who_begins_to_wait_while_the_runner_ends_is_told_that_the_run_waits_on() -> None:
    store = EnqueuesLate()
    async with running(ScriptedAgent(endless()), store=store, policy=ENQUEUE) as house:
        await house.start(ALICE, ask("r1"))
        waiting = asyncio.create_task(house.start(ALICE, ask("r2")))
        await store.asked.wait()
        ending = asyncio.create_task(house.runner.end())
        await until(lambda: house.runner.closing)
        store.let.set()
        await ending
        with pytest.raises(Refused) as refusal:
            await asyncio.wait_for(waiting, BOUND)
    assert "the run waits on" in refusal.value.message
    assert [queued.key for queued in await store.queued()] == [key("r2")]


async def test_a_run_whose_agent_is_gone_ends_with_the_reason() -> None:
    store = MemoryStore()
    async with running({"old": ScriptedAgent(endless())}, store=store, policy=ENQUEUE) as house:
        await house.start(ALICE, ask("r1"))
        await house.submit(ALICE, ask("r2"))
    async with running({"new": ScriptedAgent(answer("x"))}, store=store, sweep=True) as house:
        assert (await house.ended("r2")).status is RunStatus.FAILED
        assert (await house.chunks())[-1]["code"] == "unknown_agent"


class JustThen(MemoryStore):
    """Does something `then`, once, when it has been looked whether a run waits, and one does."""

    then: Callable[[QueuedRun], Awaitable[object]] | None = None

    async def queued_run(self, key: RunKey) -> QueuedRun | None:
        found = await super().queued_run(key)
        if found is not None and self.then is not None:
            then, self.then = self.then, None
            await then(found)
        return found


async def test_a_run_that_is_cancelled_in_the_moment_in_which_it_is_refused_is_cancelled() -> None:
    store = JustThen()
    async with running({"old": ScriptedAgent(endless())}, store=store, policy=ENQUEUE) as house:
        await house.start(ALICE, ask("r1"))
        await house.submit(ALICE, ask("r2"))
    store.then = lambda queued: store.cancel_queued(queued.key)
    async with running({"new": ScriptedAgent(answer("x"))}, store=store, sweep=True) as house:
        assert (await house.ended("r2")).status is RunStatus.CANCELLED


@pytest.mark.parametrize("anew", [False, True], ids=["gone", "opened anew"])
async def test_a_run_whose_thread_is_deleted_just_then_does_not_begin_in_one_of_its_name(
    anew: bool,
) -> None:
    """Another worker deletes it, so nobody here knows of that; a thread that is gone stays so."""
    store, gate = JustThen(), Gate()
    agent = ScriptedAgent(answer("a", gate))
    async with running(agent, store=store, policy=ENQUEUE) as house:
        await house.start(ALICE, ask("r1"))
        waiting = asyncio.create_task(house.start(ALICE, ask("r2")))
        await until_queued(house)

        async def delete(queued: QueuedRun) -> None:
            await store.delete_thread(queued.thread)
            if anew:
                await store.open_thread(queued.thread, "new", 1)

        store.then = delete
        gate.open()
        await until(lambda: store.then is None and not house.runner.waiting._serving)
        assert await house.types() == []
        await house.runner.waiting.look()
        with pytest.raises(Refused) as refusal:
            await asyncio.wait_for(waiting, BOUND)
        assert refusal.value.code is ErrorCode.NOT_FOUND
        assert (await store.thread(T1) is not None) is anew
    assert [given.run_id for given in agent.inputs] == ["r1"]


async def test_nothing_begins_in_a_thread_that_is_deleted_also_where_it_is_looked_meanwhile() -> (
    None
):
    """What was active has ended by then, and the thread is there yet."""

    class Looks(MemoryStore):
        fails = False

        async def delete_thread(self, key: ThreadKey) -> bool:
            await house.runner.waiting.look()
            await until(lambda: not house.runner.waiting._serving)
            if self.fails:
                raise StoreFailed("no room")
            return await super().delete_thread(key)

    store, brief = Looks(), ScriptedAgent(answer("b"))
    agents = {"agent": ScriptedAgent(endless()), "brief": brief}
    async with running(agents, store=store, policy=ENQUEUE) as house:
        await house.start(ALICE, ask("r1"))
        await house.submit(ALICE, ask("r2"), agent="brief")
        store.fails = True
        with pytest.raises(StoreFailed):
            await house.runner.delete_thread(T1)
        assert (await house.ended("r2")).status is RunStatus.FINISHED, "nothing was deleted"

        store.fails = False
        await house.start(ALICE, ask("r3"))
        await house.submit(ALICE, ask("r4"), agent="brief")
        assert await house.runner.delete_thread(T1)
    assert [given.run_id for given in brief.inputs] == ["r2"]


async def test_deleting_the_thread_deletes_what_waits() -> None:
    async with running(ScriptedAgent(endless()), policy=ENQUEUE) as house:
        await house.start(ALICE, ask("r1"))
        waiting = asyncio.create_task(house.start(ALICE, ask("r2")))
        await until_queued(house)
        await house.runner.delete_thread(T1)
        with pytest.raises(Refused) as refusal:
            await waiting
        assert refusal.value.code is ErrorCode.NOT_FOUND
        with pytest.raises(Refused):
            await house.runner.cancel(key("r2"))


async def test_a_run_that_was_deleted_does_not_begin_as_the_one_that_has_its_name_now() -> None:
    """It was read from the queue before; the other waits in another thread."""
    async with running(ScriptedAgent(endless()), policy=ENQUEUE) as house:
        await house.start(ALICE, ask("r1"))
        await house.submit(ALICE, ask("r2"))
        (stale,) = await house.store.queued()
        await house.runner.delete_thread(T1)
        await house.start(ALICE, ask("r3", "t2"))
        await house.submit(ALICE, ask("r2", "t2"))
        await house.store.open_thread(T1, "", 1)
        waiting = await house.store.queued()
        with pytest.raises(Refused) as refusal:
            await house.runner._turns.take(stale, ask("r2"))
        assert refusal.value.code is ErrorCode.NOT_FOUND
        assert await house.store.queued() == waiting


async def test_a_new_run_takes_the_place_of_the_active_one() -> None:
    agent = ScriptedAgent(endless())
    policy = Policy(LIMITS, when_busy=WhenBusy.INTERRUPT)
    async with running(agent, policy=policy) as house:
        await house.start(ALICE, ask("r1"))
        assert (await house.start(ALICE, ask("r2"))).started
        assert (await house.ended("r1")).status is RunStatus.CANCELLED
        many = await asyncio.gather(
            *(house.start(ALICE, ask(f"m{n}")) for n in range(4)), return_exceptions=True
        )
        refused = [one for one in many if isinstance(one, Refused)]
        assert all(one.code is ErrorCode.THREAD_BUSY for one in refused)
        last = await house.store.last_run(T1)
        assert last is not None
        assert last.status is RunStatus.RUNNING
        assert len(await order(house)) == 6 - len(refused)


class FindsLastLate(MemoryStore):
    """Tells which run is the last only when the test says so, and what is true by then."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def last_run(self, thread: ThreadKey) -> Run | None:
        self.asked.set()
        await self.let.wait()
        return await super().last_run(thread)


class Asked:
    """The nodes of which each asks all, and there is one."""

    def join(self, cancel: Cancel) -> None:
        self.cancel = cancel

    def tell_freed(self, freed: Freed) -> None: ...


async def test_a_run_that_is_submitted_twice_does_not_take_its_own_place() -> None:
    """Again by another worker, say, for the first did not answer."""
    store = FindsLastLate()
    policy = Policy(LIMITS, when_busy=WhenBusy.INTERRUPT)
    async with running(ScriptedAgent(endless()), store=store, policy=policy) as house:
        house.runner.share(cast("Nodes", Asked()))
        await house.start(ALICE, ask("r1"))
        first = asyncio.create_task(house.start(ALICE, ask("r2")))
        await store.asked.wait()
        second = await house.start(ALICE, ask("r2"))
        store.let.set()
        assert (await first).run == second.run
        assert (await store.run(key("r2"))).status is RunStatus.RUNNING


class CreatesTwoAtOnce(MemoryStore):
    """Two runs are created in one turn of the loop, as of one commit; ends wait for the test."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.let = asyncio.Event()
        self._both = asyncio.Barrier(2)

    async def create_run(self, new: NewRun, events: Any) -> Created:
        if not self.asked.is_set():
            await self._both.wait()
        return await super().create_run(new, events)

    def append(self, events: Any, *, writer: Lease, at: int, end: End | None = None) -> Any:
        if end is None:
            return super().append(events, writer=writer, at=at)
        return asyncio.ensure_future(self._end(events, writer, at, end))

    async def _end(self, events: Any, writer: Lease, at: int, end: End) -> Position:
        self.asked.set()
        await self.let.wait()
        return await super().append(events, writer=writer, at=at, end=end)


async def test_a_run_that_is_stopped_before_its_first_step_is_executed_until_its_end() -> None:
    """Else its thread is looked at before it is free, and what waits for it waits for long."""
    store, agent = CreatesTwoAtOnce(), ScriptedAgent(endless())
    policy = Policy(LIMITS, when_busy=WhenBusy.INTERRUPT)
    async with running(agent, store=store, policy=policy) as house:
        both = asyncio.gather(*(house.submit(ALICE, ask(run)) for run in ("r1", "r2")))
        await store.asked.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        executed = list(house.runner.executions)
        store.let.set()
        await both
        (stopped,) = executed
        assert (await house.ended(stopped.id)).status is RunStatus.CANCELLED
        other = {"r1": "r2", "r2": "r1"}[stopped.id]
        await house.when(other, lambda found: found.started.offset > 0)
    assert [given.run_id for given in agent.inputs] == [other], "the other agent was never called"


async def test_an_agent_has_so_many_runs_at_once() -> None:
    policy = Policy(LIMITS, concurrent=2)
    async with running(ScriptedAgent(endless()), policy=policy) as house:
        started = await asyncio.gather(
            *(house.start(ALICE, ask(f"r{n}", f"t{n}")) for n in range(5)),
            return_exceptions=True,
        )
        refused = [one for one in started if isinstance(one, Refused)]
        assert [one.code for one in refused] == [ErrorCode.TOO_MANY] * 3
        assert house.runner.active == 2
        (first, *_) = [one for one in started if not isinstance(one, BaseException)]
        await house.runner.cancel(first.run.key)
        await house.ended(first.run.key.id)
        await until(lambda: house.runner.active == 1)
        assert (await house.start(ALICE, ask("r9", "t9"))).started


# --- a decision whose run waits --------------------------------------------------------------


both_stores = pytest.mark.parametrize(
    "make_store", [lambda _: MemoryStore(), SqliteStore], ids=["memory", "sqlite"]
)
MakeStore = Callable[[Path], Store]


class Decision(NamedTuple):
    """A house in which the run `run`, that goes on with the answer of q1, waits for r1."""

    house: Running
    run: RunId
    gate: Gate

    async def left(self) -> tuple[Interrupt, list[Interrupt]]:
        """Return the question, and what no run has taken up."""
        asked = await self.house.store.interrupt(T1, "q1")
        assert asked is not None
        return asked, list(await self.house.store.undelivered())


@asynccontextmanager
async def decided(store: Store) -> AsyncIterator[Decision]:
    """Let bob's run in alice's thread ask, and alice decide while a run of hers is active."""
    gate = Gate()
    agents = {"asks": asks, "slow": ScriptedAgent(answer("a", gate))}
    async with running(agents, store=store, policy=ENQUEUE) as house:
        await store.open_thread(T1, "", 0)
        await store.set_member(T1, BOB, Role.WRITE, 9)
        question = asking("ask q1", thread_id="t1", run_id="rb")
        await house.runner.start(run_request(BOB, question, thread=T1, agent="asks"))
        await house.ended("rb", BOB)
        await house.start(ALICE, ask("r1"), agent="slow")
        made = await house.runner.interrupts.decide(T1, Answer("q1", "resolved", b"true"), ALICE)
        assert made.run is not None
        assert [queued.key for queued in await store.queued()] == [RunKey(BOB, made.run)]
        yield Decision(house, made.run, gate)


@pytest.mark.parametrize("owner", [ALICE, BOB])
@both_stores
async def test_a_decision_goes_on_as_the_owner_if_the_asker_may_write_no_more(
    tmp_path: Path, make_store: MakeStore, owner: UserId
) -> None:
    store = make_store(tmp_path)
    await store.open()
    async with decided(store) as there:
        begun = asyncio.create_task(there.house.runner.waiting.begun(T1, there.run))
        await asyncio.sleep(0)
        if owner == ALICE:
            await store.remove_member(T1, BOB)
        there.gate.open()
        assert (await begun).key == RunKey(owner, there.run)
        assert (await there.house.ended(there.run, owner)).status is RunStatus.FINISHED
        asked, undelivered = await there.left()
        assert (asked.resumed_by, undelivered) == (there.run, [])
        assert list(await store.queued()) == []
    await store.close()


@both_stores
async def test_a_cancelled_run_takes_the_decision_that_it_was_to_go_on_with(
    tmp_path: Path, make_store: MakeStore
) -> None:
    store = make_store(tmp_path)
    await store.open()
    async with decided(store) as there:
        await there.house.runner.cancel(RunKey(BOB, there.run))
        await store.remove_member(T1, BOB)
        there.gate.open()
        assert (await there.house.ended(there.run, BOB)).status is RunStatus.CANCELLED
        asked, undelivered = await there.left()
        assert (asked.resumed_by, undelivered) == (there.run, [])
    await store.close()


async def test_a_decision_whose_agent_is_gone_in_its_turn_is_taken_up_all_the_same() -> None:
    store = MemoryStore()
    async with decided(store) as there:
        pass
    async with running({"new": ScriptedAgent(answer("x"))}, store=store, sweep=True) as house:
        assert (await house.ended(there.run, BOB)).status is RunStatus.FAILED
        assert (await house.chunks())[-1]["code"] == "unknown_agent"
        assert list(await store.undelivered()) == []


async def test_a_decision_that_waits_holds_up_nobody() -> None:
    """The sweep, which renews the leases, tries to deliver it each time."""
    async with decided(MemoryStore()) as there:
        asked, undelivered = await there.left()
        assert undelivered == [asked]
        await asyncio.wait_for(there.house.runner.interrupts.deliver(asked), 10)
        await there.house.store.remove_member(T1, BOB)
        await asyncio.wait_for(there.house.runner.interrupts.deliver(asked), 10)
        assert len(await there.house.store.queued()) == 1


@pytest.mark.parametrize("meanwhile", [True, False])
async def test_a_cancelled_run_answers_nothing_that_it_would_have_answered(meanwhile: bool) -> None:
    """Nor does it keep an answer that somebody else gave from the run that goes on with it."""
    gate = Gate()
    agents = {"asks": asks, "slow": ScriptedAgent(answer("a", gate))}
    async with running(agents, policy=ENQUEUE) as house:
        await house.start(ALICE, asking("ask q1", thread_id="t1", run_id="asked"), agent="asks")
        await house.ended("asked")
        await house.start(ALICE, ask("r1"), agent="slow")
        entry = ResumeEntry(interrupt_id="q1", status="resolved", payload=True)
        await house.submit(ALICE, ask("mine").model_copy(update={"resume": [entry]}))
        await house.runner.cancel(key("mine"))
        told = Answer("q1", "resolved", b"true")
        if meanwhile:
            goes_on = (await house.runner.interrupts.decide(T1, told, ALICE)).run
        gate.open()
        assert (await house.ended("mine")).status is RunStatus.CANCELLED
        if not meanwhile:
            goes_on = (await house.runner.interrupts.decide(T1, told, ALICE)).run
        assert goes_on is not None
        assert (await house.ended(goes_on)).status is RunStatus.FINISHED


# --- what a member says who was removed ------------------------------------------------------


@pytest.mark.parametrize("cancelled", [True, False])
@pytest.mark.parametrize("removed", [True, False])
async def test_what_a_removed_member_said_does_not_enter_the_conversation(
    cancelled: bool, removed: bool
) -> None:
    gate = Gate()
    async with running(ScriptedAgent(answer("a", gate)), policy=ENQUEUE) as house:
        await house.start(ALICE, ask("r1"))
        await house.store.set_member(T1, BOB, Role.WRITE, 9)
        said = asking("from bob", thread_id="t1", run_id="rb").model_copy(
            update={"state": {"by": "bob"}}
        )
        await house.runner.submit(run_request(BOB, said, thread=T1))
        if cancelled:
            await house.runner.cancel(RunKey(BOB, RunId("rb")))
        if removed:
            await house.store.remove_member(T1, BOB)
        gate.open()
        status = (await house.ended("rb", BOB)).status
        conversation, _ = await house.runner.conversations.fold(T1)
    if not cancelled:
        assert status is (RunStatus.FAILED if removed else RunStatus.FINISHED)
    said_all = [message.get("content") for message in conversation.messages()]
    assert ("from bob" in said_all) is not removed
    assert (conversation.state == {"by": "bob"}) is not removed


@both_stores
async def test_answers_to_questions_of_one_name_go_on_in_runs_of_two_names(
    tmp_path: Path, make_store: MakeStore
) -> None:
    """Two users' runs may have one name, and both go on as the owner of the threads."""
    store = make_store(tmp_path)
    await store.open()
    async with running({"asks": asks}, store=store) as house:
        await store.open_thread(T1, "", 0)
        await store.set_member(T1, BOB, Role.WRITE, 9)
        bobs = asking("ask q1", thread_id="t1", run_id="r")
        await house.runner.start(run_request(BOB, bobs, thread=T1))
        await house.ended("r", BOB)
        await store.remove_member(T1, BOB)
        await house.start(ALICE, asking("ask q1", thread_id="t2", run_id="r"))
        await house.ended("r", ALICE)
        for thread in (T1, ThreadKey(ALICE, ThreadId("t2"))):
            made = await house.runner.interrupts.decide(
                thread, Answer("q1", "resolved", b"true"), ALICE
            )
            assert made.run is not None
            assert (await house.ended(made.run, ALICE)).thread == thread
        assert list(await store.undelivered()) == []
    await store.close()
