"""Interrupts: each question is decided once, and a run goes on with the answer.

Over sockets and HTTP they are tested in ``tests/server/test_interrupts.py``.
"""

import asyncio
from pathlib import Path

import msgspec
import pytest
from ag_ui.core import ResumeEntry

from netra_backend.agents.run_request import run_request
from netra_backend.core.ids import RunId, ThreadId, ThreadKey
from netra_backend.core.ports import Answer
from netra_backend.core.roles import Role
from netra_backend.core.run import RunStatus
from netra_backend.errors import ErrorCode, Refused
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing import Gate, ScriptedAgent, asking
from netra_backend.testing.scripted_agent import answer, endless
from tests.agents.running import (
    ALICE,
    BOB,
    POLICY,
    T1,
    MakeStore,
    ask,
    both_stores,
    key,
    running,
    that_asks,
)
from tests.conftest import Lines
from tests.eventually import until
from tests.server.agents import asks

pytestmark = pytest.mark.anyio


async def test_one_decision_and_one_run_that_goes_on() -> None:
    agents = that_asks("q1", "q2")
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
    agents = that_asks("q1", "q2")
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
    agents = {"agent": (questioner := that_asks("q1", "q2")), "other": ScriptedAgent(endless())}
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
    async with running(that_asks("q1"), store=store) as house:
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
    async with running(that_asks("q1"), store=store) as house:
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
    questioner = that_asks("q1")
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
    agents = {"agent": that_asks("q1"), "other": ScriptedAgent(answer("a", gate))}
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
        seen = [(line["interrupt"], line["code"], line["thread"], line["run"]) for line in told]
        assert seen == [("q1", "too_many", "t1", "r1")]
        gate.open()
        await house.ended("r2")
        await until(lambda: not house.runner.active)
        await house.runner._deliver_decisions()
        assert list(await house.runner.interrupts.undelivered()) == []


async def test_no_decision_waits_whose_thread_was_deleted_when_it_was_to_be_taken_up(
    monkeypatch: pytest.MonkeyPatch, log_lines: Lines
) -> None:
    async with running(that_asks("q1")) as house:
        await house.start(ALICE, ask("r1"))
        await house.ended("r1")
        interrupts = house.store.interrupts

        async def and_deleted(thread: ThreadKey, run: RunId) -> object:
            found = await interrupts(thread, run)
            assert await house.runner.delete_thread(T1)
            return found

        monkeypatch.setattr(house.store, "interrupts", and_deleted)
        decided = await house.runner.interrupts.decide(T1, Answer("q1", "resolved", b"true"), ALICE)
        assert (decided.decision.won, decided.run) == (True, None)
    assert "a decision waits" not in [line["message"] for line in log_lines()]


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
