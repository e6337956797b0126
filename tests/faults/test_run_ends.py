"""Every run ends once and its thread stays usable, whatever happens while it ends."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from ag_ui.core import (
    BaseEvent,
    RunAgentInput,
    RunErrorEvent,
    TextMessageChunkEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
)

from netra_backend.agents.run_input import run_started
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey
from netra_backend.core.ports import NewRun
from netra_backend.core.run import RunStatus
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer
from tests.agents.running import ALICE, POLICY, Running, running
from tests.client import run_input
from tests.eventually import until

pytestmark = pytest.mark.anyio


def given(run: str, thread: str = "t1") -> RunAgentInput:
    return RunAgentInput.model_validate(run_input(thread, run))


def key(run: str) -> RunKey:
    return RunKey(ALICE, RunId(run))


async def the_thread_works(house: Running) -> None:
    """A further run in the thread starts and finishes."""
    await house.start(ALICE, given("further"), agent="good")
    assert (await house.ended("further")).status is RunStatus.FINISHED


GOOD = ScriptedAgent(answer("all is well"))


async def test_a_cancel_while_the_agent_closes_after_its_own_end(caplog) -> None:
    closing, closed = asyncio.Event(), asyncio.Event()

    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        try:
            yield TextMessageStartEvent(message_id="m", role="assistant")
            yield RunErrorEvent(message="I give up")
        finally:
            closing.set()
            await closed.wait()

    async with running({"agent": agent, "good": GOOD}) as house:
        await house.start(ALICE, given("r1"))
        await closing.wait()
        position = await house.runner.cancel(key("r1"))
        closed.set()
        run = await house.ended("r1")
        assert run.status is RunStatus.FAILED
        assert run.ended is not None
        assert position.offset == run.ended.offset - 1
        assert (await house.chunks())[-1]["message"] == "I give up"
        await the_thread_works(house)
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("limit", range(1, 7))
async def test_wherever_the_limit_on_events_is_reached_what_is_open_is_closed(limit: int) -> None:
    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        for id in "abcdef":
            yield TextMessageStartEvent(message_id=id, role="assistant")
            yield TextMessageContentEvent(message_id=id, delta="x")
            yield TextMessageEndEvent(message_id=id)
            await asyncio.sleep(0)

    async with running({"agent": agent, "good": GOOD}, events=limit) as house:
        await house.start(ALICE, given("r1"))
        assert (await house.ended("r1")).status is RunStatus.FAILED
        types = await house.types()
        assert types.count("TEXT_MESSAGE_START") == types.count("TEXT_MESSAGE_END")
        house.runner._policies = dict.fromkeys(house.runner.agents, POLICY)
        await the_thread_works(house)


async def test_a_chunk_begins_what_the_thread_has() -> None:
    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        yield TextMessageChunkEvent(message_id="mine", role="assistant", delta="x")
        yield TextMessageChunkEvent(message_id="r1-user", role="assistant", delta="x")

    async with running({"agent": agent, "good": GOOD}) as house:
        await house.start(ALICE, given("r1"))
        assert (await house.ended("r1")).status is RunStatus.FAILED
        assert (await house.types())[-2:] == ["TEXT_MESSAGE_END", "RUN_ERROR"]
        await the_thread_works(house)


async def test_a_second_cancel_does_not_disturb_an_agent_that_stops() -> None:
    stopping, stopped, disturbed = asyncio.Event(), asyncio.Event(), []

    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        yield TextMessageStartEvent(message_id="m", role="assistant")
        try:
            await asyncio.Event().wait()
        finally:
            stopping.set()
            try:
                await stopped.wait()
            except asyncio.CancelledError:
                disturbed.append("disturbed")

    async with running(agent) as house:
        await house.start(ALICE, given("r1"))
        await house.when("r1", lambda _: len(house.store._threads) > 0)
        first = await house.runner.cancel(key("r1"))
        await stopping.wait()
        assert await house.runner.cancel(key("r1")) == first
        await asyncio.sleep(0)
        stopped.set()
        await until(lambda: house.runner.active == 0)
    assert not disturbed


async def test_a_name_is_used_again_while_its_first_run_still_stops() -> None:
    """The lease of the second is renewed all the same, so that no sweep ends it."""
    stopping, gate = asyncio.Event(), Gate()

    async def stubborn(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        yield TextMessageStartEvent(message_id="m", role="assistant")
        try:
            await asyncio.Event().wait()
        finally:
            await stopping.wait()

    agents = {"stubborn": stubborn, "waits": ScriptedAgent(answer("a", gate, "b"))}
    async with running(agents, lease_ms=30, sweep=True) as house:
        await house.start(ALICE, given("r1"))
        await asyncio.sleep(0)
        assert await house.runner.delete_thread(ThreadKey(ALICE, ThreadId("t1")))
        await house.start(ALICE, given("r1"), agent="waits")
        await gate.reached()
        stopping.set()
        await until(lambda: all("stubborn" not in str(t) for t in asyncio.all_tasks()))
        swept = house.clock.now
        for _ in range(10):
            house.clock.now += 20
            await asyncio.sleep(0.012)  # a sweep
        assert house.clock.now > swept + 100
        gate.open()
        assert (await house.ended("r1")).status is RunStatus.FINISHED


async def test_an_orphan_with_an_illegal_log_is_ended_and_keeps_no_other_from_it() -> None:
    store = MemoryStore()
    async with running(GOOD, store=store, lease_ms=30, sweep=True) as house:
        for name in ("bad", "fine"):
            thread = ThreadKey(ALICE, ThreadId(name))
            await store.open_thread(thread, name, 1)
            started = run_started(given(name, name), [])
            first = [started, started] if name == "bad" else [started]
            await store.create_run(NewRun(key(name), thread, "agent", "c", "dead", 1, 0), first)
        assert (await house.ended("bad")).status is RunStatus.INTERRUPTED
        assert (await house.ended("fine")).status is RunStatus.INTERRUPTED
