"""Runs for a busy thread: refused, queued or in its place, and what becomes of those that wait."""

import asyncio

import pytest

from netra_backend.agents.execution import Limits
from netra_backend.agents.policy import Policy
from netra_backend.config import WhenBusy
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey
from netra_backend.core.run import RunStatus
from netra_backend.errors import ErrorCode, Refused
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing import Gate, ScriptedAgent, asking
from netra_backend.testing.scripted_agent import answer, endless
from tests.agents.running import ALICE, Running, running
from tests.eventually import until

pytestmark = pytest.mark.anyio

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
    assert [queued.key for queued in await store.queued()] == [key("r2"), key("r3")]
    later = ScriptedAgent(answer("done"))
    async with running(later, store=store, policy=ENQUEUE, sweep=True) as house:
        assert (await house.ended("r2")).status is RunStatus.FINISHED
        assert (await house.ended("r3")).status is RunStatus.CANCELLED
    assert [given.run_id for given in later.inputs] == ["r2"]


async def test_a_run_whose_agent_is_gone_ends_with_the_reason() -> None:
    store = MemoryStore()
    async with running({"old": ScriptedAgent(endless())}, store=store, policy=ENQUEUE) as house:
        await house.start(ALICE, ask("r1"))
        await house.submit(ALICE, ask("r2"))
    async with running({"new": ScriptedAgent(answer("x"))}, store=store, sweep=True) as house:
        assert (await house.ended("r2")).status is RunStatus.FAILED
        assert (await house.chunks())[-1]["code"] == "unknown_agent"


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
