"""The runner: starts once, cancels, decides once, and ends what nobody executes."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import cast

import msgspec
import pytest
from ag_ui.core import (
    BaseEvent,
    Interrupt,
    MessagesSnapshotEvent,
    ResumeEntry,
    RunAgentInput,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    UserMessage,
)

from netra_backend import jsonlog
from netra_backend.agents import conversations
from netra_backend.agents.callbacks import Happening
from netra_backend.agents.loading import adapt
from netra_backend.agents.run_request import run_request
from netra_backend.core.events import Body, Event, event_from_body
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId
from netra_backend.core.nodes import Cancel, Freed, Nodes
from netra_backend.core.ports import Answer, Created, NewRun, Thread
from netra_backend.core.roles import Role
from netra_backend.core.run import RunStatus
from netra_backend.errors import ErrorCode, Refused
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing import Gate, ScriptedAgent, asking
from netra_backend.testing.scripted_agent import answer, endless, events
from tests.agents.running import ALICE, POLICY, running
from tests.conftest import Lines
from tests.eventually import until

pytestmark = pytest.mark.anyio

T1 = ThreadKey(ALICE, ThreadId("t1"))


def ask(run: str, thread: str = "t1"):
    return asking("hi", thread_id=thread, run_id=run)


def key(run: str) -> RunKey:
    return RunKey(ALICE, RunId(run))


def asks(*ids: str) -> ScriptedAgent:
    """Return an agent that ends its run with these questions."""
    questions = [Interrupt(id=id, reason="approval") for id in ids]
    outcome = RunFinishedInterruptOutcome(interrupts=questions)
    return ScriptedAgent(events(RunFinishedEvent(thread_id="?", run_id="?", outcome=outcome)))


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


async def test_one_decision_and_one_run_that_goes_on() -> None:
    agents = asks("q1", "q2")
    async with running(agents) as house:
        await house.start(ALICE, ask("r1"))
        assert (await house.ended("r1")).status is RunStatus.AWAITING
        first = await house.runner.interrupts.decide(T1, Answer("q1", "resolved", b"1"), ALICE)
        assert first.decision.won
        assert first.run is None, "another question of the run is open"
        tries = [
            house.runner.interrupts.decide(T1, Answer("q2", "resolved", str(n).encode()), ALICE)
            for n in range(50)
        ]
        decided = await asyncio.gather(*tries)
        assert sum(one.decision.won for one in decided) == 1
        (run,) = {one.run for one in decided if one.run is not None}
        await house.ended(run)
    resumed = agents.inputs[1]
    assert resumed.parent_run_id == "r1"
    assert resumed.resume is not None
    assert [entry.interrupt_id for entry in resumed.resume] == ["q1", "q2"]
    assert len(agents.inputs) == 2


@pytest.mark.parametrize("decided_first", [True, False])
async def test_an_answer_is_told_though_a_run_went_on_with_the_other_one(
    decided_first: bool,
) -> None:
    """A client of AG-UI answers one of two questions by ``resume``, a person decides the other."""
    agents = asks("q1", "q2")
    resume = [ResumeEntry(interrupt_id="q2", status="resolved", payload=2)]
    async with running(agents) as house:
        await house.start(ALICE, ask("r1"))
        await house.ended("r1")
        decide = house.runner.interrupts.decide(T1, Answer("q1", "resolved", b"1"), ALICE)
        if decided_first:
            assert (await decide).run is None, "the other question is open"
        await house.start(ALICE, ask("r2").model_copy(update={"resume": resume}))
        await house.ended("r2")
        run = None if decided_first else (await decide).run
        await house.runner._deliver_decisions()
        last = await house.store.last_run(T1)
        assert last is not None
        assert run in {None, last.key.id}
        await house.ended(last.key.id)
        assert not await house.runner.interrupts.undelivered()
    told = [[entry.interrupt_id for entry in given.resume or ()] for given in agents.inputs]
    assert told == [[], ["q2"], ["q1"]]


async def test_an_answer_is_told_though_a_run_took_the_other_one_before_the_turn_of_both() -> None:
    agents = {"agent": (questioner := asks("q1", "q2")), "other": ScriptedAgent(endless())}
    resume = [ResumeEntry(interrupt_id="q2", status="resolved", payload=2)]
    async with running(agents) as house:
        await house.start(ALICE, ask("r1"))
        await house.ended("r1")
        await house.start(ALICE, ask("r2"), agent="other")
        for id, payload in (("q1", b"1"), ("q2", b"2")):
            answered = Answer(id, "resolved", payload)
            decided = await house.runner.interrupts.decide(T1, answered, ALICE)
        assert decided.run is not None
        with house.runner.waiting.held(T1):
            await until(lambda: not house.runner.waiting._serving)
            await house.runner.cancel(key("r2"))
            await house.start(ALICE, ask("r3").model_copy(update={"resume": resume}))
            await house.ended("r3")
        assert (await house.ended(decided.run)).status is RunStatus.FAILED
        await house.runner._deliver_decisions()
        last = await house.store.last_run(T1)
        assert last is not None
        await house.ended(last.key.id)
        assert not await house.runner.interrupts.undelivered()
    told = [[entry.interrupt_id for entry in given.resume or ()] for given in questioner.inputs]
    assert told == [[], ["q2"], ["q1"]]


async def test_a_question_of_an_agent_that_is_served_no_more_stays_open() -> None:
    """Nobody could go on with the answer; the agent may be served again."""
    store = MemoryStore()
    async with running(asks("q1"), store=store) as house:
        await house.start(ALICE, ask("r1"))
        await house.ended("r1")
    async with running({"other": ScriptedAgent()}, store=store) as house:
        with pytest.raises(Refused) as refusal:
            await house.runner.interrupts.decide(T1, Answer("q1", "resolved", b"1"), ALICE)
        assert refusal.value.code is ErrorCode.UNKNOWN_AGENT
    async with running(ScriptedAgent(answer("done")), store=store) as house:
        assert (
            await house.runner.interrupts.decide(T1, Answer("q1", "resolved", b"1"), ALICE)
        ).decision.won


async def test_a_decision_outlives_a_crash_before_its_run() -> None:
    store = MemoryStore()
    async with running(asks("q1"), store=store) as house:
        await house.start(ALICE, ask("r1"))
        await house.ended("r1")
        await store.decide(T1, Answer("q1", "resolved", b"true"), ALICE, Role.DECIDE)
    later = ScriptedAgent(answer("done"))
    async with running(later, store=store, sweep=True) as house:
        last = await store.last_run(T1)
        while last is None or last.key.id == "r1" or last.ended is None:
            await asyncio.sleep(0.005)
            last = await store.last_run(T1)
    assert last.status is RunStatus.FINISHED
    assert [entry.payload for entry in later.inputs[0].resume or ()] == [True]


async def test_a_decision_for_a_busy_thread_is_taken_up_when_it_is_free() -> None:
    """Also where another run would be refused: nobody is there to try again."""
    gate = Gate()
    questioner = asks("q1")
    async with running({"agent": questioner, "other": ScriptedAgent(answer("a", gate))}) as house:
        await house.start(ALICE, ask("r1"))
        await house.ended("r1")
        await house.start(ALICE, ask("r2"), agent="other")
        await gate.reached()
        decided = await house.runner.interrupts.decide(T1, Answer("q1", "resolved", b"true"), ALICE)
        assert decided.run is not None
        assert len(questioner.inputs) == 1
        gate.open()
        await house.ended(decided.run)
    assert [entry.payload for entry in questioner.inputs[1].resume or ()] == [True]


async def test_that_a_decision_waits_for_a_place_is_told_once(log_lines: Lines) -> None:
    """Each sweep tries again, and a run may take an hour."""
    gate = Gate()
    agents = {"agent": asks("q1"), "other": ScriptedAgent(answer("a", gate))}
    async with running(agents, policy=msgspec.structs.replace(POLICY, per_user=1)) as house:
        await house.start(ALICE, ask("r1"))
        await house.ended("r1")
        await until(lambda: not house.runner.active)
        await house.start(ALICE, ask("r2", "t2"), agent="other")
        await gate.reached()
        decided = await house.runner.interrupts.decide(T1, Answer("q1", "resolved", b"true"), ALICE)
        assert (decided.decision.won, decided.run) == (True, None)
        for _ in range(3):
            await house.runner._deliver_decisions()
        told = [line for line in log_lines() if line["message"] == "a decision waits"]
        assert [(line["interrupt"], line["code"]) for line in told] == [("q1", "too_many")]
        gate.open()
        await house.ended("r2")
        await until(lambda: not house.runner.active)
        await house.runner._deliver_decisions()
        assert list(await house.runner.interrupts.undelivered()) == []


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
    async with running(asks("q1"), store=store) as house:
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
