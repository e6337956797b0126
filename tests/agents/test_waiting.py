"""Waiting: runs for a busy thread wait their turn, and who waits for them is told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextvars import ContextVar
from pathlib import Path

import pytest
from ag_ui.core import BaseEvent, RunAgentInput
from msgspec import structs

from netra_backend import jsonlog
from netra_backend.agents.run_request import run_request
from netra_backend.agents.waiting import Waiting
from netra_backend.core.ids import RunId, ThreadKey
from netra_backend.core.positions import Position
from netra_backend.core.queue import QueuedRun
from netra_backend.core.run import Run, RunStatus
from netra_backend.errors import ErrorCode, Refused, StoreFailed
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing import Gate, ScriptedAgent
from netra_backend.testing.scenario import start
from netra_backend.testing.scripted_agent import answer, endless
from tests.agents.running import ALICE, BOUND, ENQUEUE, T1, ask, key, running
from tests.conftest import Lines
from tests.eventually import until
from tests.stores.workers import Workers, as_store

pytestmark = pytest.mark.anyio


async def test_a_run_that_has_waited_sees_no_context_variable_of_another(log_lines: Lines) -> None:
    """As a run before it has set it, or a request: they may be of other users, or tenants."""
    tenant = ContextVar("tenant", default="nobody")
    seen: list[str] = []
    gate = Gate()
    script = ScriptedAgent(*[answer("a", gate)] * 3)

    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        seen.append(tenant.get())
        tenant.set(given.run_id)
        async for event in script(given):
            yield event

    async with running(agent, policy=ENQUEUE) as house:
        tenant.set("r1's")
        with jsonlog.bind(correlation="r1's", user="another"):
            await house.start(ALICE, ask("r1"))
            for run in ("r2", "r3"):
                await house.submit(ALICE, ask(run))
        house.bus.subscribe(lambda thread, _: house.runner.waiting.serve(thread))
        gate.open()
        await house.ended("r3")
    assert seen == ["r1's", "nobody", "nobody"]
    began = [line for line in log_lines() if line["message"] == "run begins"]
    assert [line.get("user") for line in began] == ["another", "alice", "alice"]
    assert "r1's" not in [line["correlation"] for line in began[1:]]


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
        assert await house.order() == ["r1", "r2", "r3"]
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
        await house.until_queued()
        with house.runner.waiting.held(T1):
            gate.open()
            await house.ended("r1")
            store.let.set()
            assert (await asyncio.wait_for(waiting, BOUND)).run == (await first).run
    assert await house.order() == ["r1", "r2"]


async def test_what_waits_outlives_the_process() -> None:
    store = MemoryStore()
    async with running(ScriptedAgent(endless()), store=store, policy=ENQUEUE) as house:
        await house.start(ALICE, ask("r1"))
        waiting = asyncio.create_task(house.start(ALICE, ask("r2")))
        await house.until_queued()
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
        await house.until_queued()
        await house.runner.delete_thread(T1)
        with pytest.raises(Refused) as refusal:
            await waiting
        assert refusal.value.code is ErrorCode.NOT_FOUND
        with pytest.raises(Refused):
            await house.runner.cancel(key("r2"))
