"""The runner: starts once, stops what has to make way, and ends what nobody executes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any, cast

import pytest
from ag_ui.core import (
    BaseEvent,
    MessagesSnapshotEvent,
    ResumeEntry,
    RunAgentInput,
    RunFinishedEvent,
    UserMessage,
)

from netra_backend import jsonlog
from netra_backend.agents import conversations
from netra_backend.agents.callbacks import Happening
from netra_backend.agents.loading import adapt
from netra_backend.agents.policy import Policy
from netra_backend.agents.run_request import run_request
from netra_backend.config import WhenBusy
from netra_backend.core.events import Body, Event, event_from_body
from netra_backend.core.ids import ThreadKey, UserId
from netra_backend.core.nodes import Cancel, Freed, Nodes
from netra_backend.core.ports import Created, End, NewRun, Thread
from netra_backend.core.positions import Position
from netra_backend.core.roles import Role
from netra_backend.core.run import Lease, Run, RunStatus
from netra_backend.errors import ErrorCode, Refused
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing import Gate, ScriptedAgent, asking
from netra_backend.testing.scripted_agent import answer, endless
from tests.agents.running import ALICE, LIMITS, T1, ask, key, running, that_asks
from tests.eventually import until

pytestmark = pytest.mark.anyio


async def test_a_run_starts_once_whoever_asks_how_often() -> None:
    gate = Gate()
    agent = ScriptedAgent(answer("a", gate))
    async with running(agent) as house:
        asked = [house.start(ALICE, ask("r1")) for _ in range(20)]
        accepted = await asyncio.gather(*asked)
        assert sum(one.started for one in accepted) == 1
        assert len({one.run.started for one in accepted}) == 1
        gate.open()
        await house.ended("r1")
        assert not (await house.start(ALICE, ask("r1"))).started
    assert len(agent.inputs) == 1


async def test_refusals() -> None:
    async with running(ScriptedAgent(endless())) as house:
        await house.start(ALICE, ask("r1"))
        for asked, agent, code in (
            (ask("r2"), None, ErrorCode.THREAD_BUSY),
            (ask("r1", "t2"), None, ErrorCode.RUN_CONFLICT),
            (ask("r3", "t3"), "nobody", ErrorCode.UNKNOWN_AGENT),
        ):
            with pytest.raises(Refused) as refusal:
                await house.start(ALICE, asked, agent=agent)
            assert refusal.value.code is code
        with pytest.raises(Refused):
            await house.runner.cancel(key("nothing"))
        await house.runner.close()
        with pytest.raises(Refused) as refusal:
            await house.start(ALICE, ask("r4", "t4"))
        assert refusal.value.code is ErrorCode.DRAINING
        assert (await house.ended("r1")).status is RunStatus.INTERRUPTED


async def test_an_agent_gets_the_history() -> None:
    agent = ScriptedAgent(answer("hello"))
    async with running(agent) as house:
        for run in ("r1", "r2"):
            await house.start(ALICE, ask(run))
            await house.ended(run)
    roles = [message.role for message in agent.inputs[1].messages]
    assert roles == ["user", "assistant", "user"]


async def test_a_run_that_nobody_executes_is_ended_with_what_it_left_open_closed(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Another process began it and died: its lease is over, and the sweep ends it once."""
    store = MemoryStore()
    told: list[Happening] = []
    async with running(ScriptedAgent(answer("x")), store=store, lease_ms=30, sweep=True) as house:
        house.runner.projection.observe(told.append)
        await store.open_thread(T1, "title", 1)
        started = event_from_body(Body(type="RUN_STARTED", thread_id="t1", run_id="r1"))  # type: ignore[arg-type]
        message = Body(type="TEXT_MESSAGE_START", message_id="m")  # type: ignore[arg-type]
        new = NewRun(key("r1"), T1, "agent", "c0", "a dead node", 1, 0)
        await store.create_run(new, [started, event_from_body(message)])
        house.clock.now += 11
        run = await house.ended("r1")
        assert run.status is RunStatus.INTERRUPTED
        assert await house.types() == [
            "RUN_STARTED",
            "TEXT_MESSAGE_START",
            "TEXT_MESSAGE_END",
            "RUN_ERROR",
        ]
        assert (await house.chunks())[-1]["code"] == "interrupted"
    (happening,) = told
    assert (happening.kind, happening.status) == ("agent_completed", "interrupted")
    (line,) = [vars(record) for record in caplog.records if record.msg == "run interrupted"]
    assert (line["levelname"], line["agent"], line["correlation"]) == ("WARNING", "agent", "c0")
    assert "process has ended" in line["why"]
    assert happening.seconds == (house.clock.now - new.at) / 1000


async def test_a_clock_that_jumps_ends_no_run_that_is_executed() -> None:
    gate = Gate()
    async with running(ScriptedAgent(answer("a", gate)), lease_ms=30, sweep=True) as house:
        await house.start(ALICE, ask("r1"))
        await gate.reached()
        for jump in (86_400_000, -2 * 86_400_000, 86_400_000):
            house.clock.now += jump
            for _ in range(5):
                await asyncio.sleep(0.01)  # several sweeps
        gate.open()
        assert (await house.ended("r1")).status is RunStatus.FINISHED


async def test_deleting_a_thread_cancels_what_runs_in_it() -> None:
    agent = ScriptedAgent(endless())
    async with running(agent) as house:
        await house.start(ALICE, ask("r1"))
        assert await house.runner.delete_thread(T1)
        await asyncio.wait_for(agent.stopped(), 5)
        assert await house.store.run(key("r1")) is None
        assert not await house.runner.delete_thread(T1)
        assert (await house.start(ALICE, ask("r1"))).started


class ToldLate(MemoryStore):
    """Tells of the first run that it was created only when `told` is set."""

    def __init__(self, *, by_deletion: bool) -> None:
        super().__init__()
        self.created, self.told = asyncio.Event(), asyncio.Event()
        self._by_deletion = by_deletion

    async def create_run(self, new: NewRun, events: Sequence[Event]) -> Created:
        created = await super().create_run(new, events)
        if not self.created.is_set():
            self.created.set()
            await self.told.wait()
        return created

    async def delete_thread(self, key: ThreadKey) -> bool:
        deleted = await super().delete_thread(key)
        if self._by_deletion:
            self.told.set()
            for _ in range(9):  # who created the run knows it first
                await asyncio.sleep(0)
        return deleted


@pytest.mark.parametrize("told", ["by the deletion", "after it", "after the next"])
async def test_a_run_that_begins_while_its_thread_is_deleted_stops(told: str) -> None:
    inputs: set[str] = set()
    stopped: set[str] = set()

    async def waits(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        name = given.messages[-1].content
        inputs.add(name)
        try:
            await asyncio.Event().wait()
            yield RunFinishedEvent(thread_id="?", run_id="?")
        finally:
            stopped.add(name)

    store = ToldLate(by_deletion=told == "by the deletion")
    happenings: list[Happening] = []
    async with running(waits, store=store) as house:
        house.runner.projection.observe(happenings.append)
        first = asyncio.create_task(house.start(ALICE, asking("1", thread_id="t1", run_id="r1")))
        await store.created.wait()
        assert await house.runner.delete_thread(T1)
        if told == "after it":
            store.told.set()
            await first
        second = await house.start(ALICE, asking("2", thread_id="t1", run_id="r1"))
        assert second.started
        store.told.set()
        await first
        await until(lambda: "2" in inputs and inputs == stopped | {"2"})
        assert "2" not in stopped
        assert house.runner.executions[second.run.key].run == second.run
        assert second.run.correlation in {happening.correlation for happening in happenings}
        await house.runner.cancel(second.run.key)
        assert happenings[-1].correlation == second.run.correlation


class Alone:
    """The other nodes: none."""

    def join(self, cancel: Cancel) -> None: ...

    def tell_freed(self, freed: Freed) -> None: ...


async def test_of_a_thread_that_another_node_deletes_nothing_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(conversations, "KEPT_AFTER", 1)
    async with running(ScriptedAgent(answer("a"))) as house:
        house.runner.share(cast("Nodes", Alone()))
        await house.start(ALICE, ask("r1"))
        await house.ended("r1")
        await house.runner.conversations.fold(T1)
        assert "1 threads kept" in repr(house.runner.conversations)
        house.bus.publish(T1, ())
        assert "0 threads kept" in repr(house.runner.conversations)


async def test_a_snapshot_of_an_agent_changes_nothing_of_who_has_said_what() -> None:
    """Many agents send back all that was said, and not what they do not know of it."""

    async def tells_again(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        bobs = {"netra": {"user": "bob"}, "mine": 1}
        changed = {"owner": bobs, "member": None}
        said = [message for message in given.messages if message.id in changed]
        messages = [m.model_copy(update={"metadata": changed[m.id]}) for m in said]
        yield MessagesSnapshotEvent(messages=messages)

    def say(id: str, run: str) -> RunAgentInput:
        given = asking("hi", thread_id="t1", run_id=run)
        return given.model_copy(update={"messages": [UserMessage(id=id, content="hi")]})

    async with running({"quiet": ScriptedAgent(answer("a")), "again": adapt(tells_again)}) as house:
        await house.start(ALICE, say("owner", "r1"), agent="quiet")
        await house.ended("r1")
        await house.store.set_member(T1, UserId("bob"), Role.WRITE, 9)
        await house.runner.start(
            run_request(UserId("bob"), say("member", "r2"), agent="quiet", thread=T1)
        )
        await house.ended("r2", UserId("bob"))
        await house.start(ALICE, ask("r3"), agent="again")
        await house.ended("r3")
        said = {m["id"]: m.get("metadata") for m in await house.messages() if m["role"] == "user"}
    assert said["owner"] == {"mine": 1}
    assert said["member"] == {"netra": {"user": "bob"}}


class DeletesJustThen(MemoryStore):
    """When it is `armed`, another node deletes the thread that was found."""

    armed = False

    async def thread(self, key: ThreadKey) -> Thread | None:
        found = await super().thread(key)
        if self.armed:
            self.armed = False
            await self.delete_thread(key)
        return found


async def test_a_run_with_answers_opens_no_thread_again_that_is_deleted_just_then() -> None:
    store = DeletesJustThen()
    async with running(that_asks("q1"), store=store) as house:
        await house.start(ALICE, ask("r1"))
        await house.ended("r1")
        resume = [ResumeEntry(interrupt_id="q1", status="resolved", payload=1)]
        store.armed = True
        with pytest.raises(Refused) as refusal:
            await house.start(ALICE, ask("r2").model_copy(update={"resume": resume}))
    assert refusal.value.code is ErrorCode.NOT_FOUND
    assert await store.thread(T1) is None


async def test_one_line_joins_who_asked_to_the_lines_of_the_run(log_lines) -> None:
    async with running(ScriptedAgent(answer("a"))) as house:
        with jsonlog.bind(correlation="of-the-request"):
            await house.start(ALICE, asking("hi", thread_id="t1", run_id="r1"))
        correlation = (await house.ended("r1")).correlation
    lines = {line["message"]: line for line in log_lines()}
    begins = lines["run begins"]
    assert (begins["run"], begins["thread"]) == ("r1", "t1")
    assert (begins["correlation"], begins["run_correlation"]) == ("of-the-request", correlation)
    assert lines["agent completed"]["correlation"] == correlation


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
        assert len(await house.order()) == 6 - len(refused)


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
