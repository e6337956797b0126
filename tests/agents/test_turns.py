"""Turns: how a run begins or ends that has waited, and what becomes of what it was to say."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ag_ui.core import ResumeEntry

from netra_backend.agents.run_request import run_request
from netra_backend.core.ids import RunId, RunKey, UserId
from netra_backend.core.ports import Answer, End, Interrupt, Store
from netra_backend.core.positions import Position
from netra_backend.core.queue import QueuedRun
from netra_backend.core.roles import Role
from netra_backend.core.run import Lease, RunStatus
from netra_backend.errors import ErrorCode, Refused, StoreFailed
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing import Gate, ScriptedAgent, asking
from netra_backend.testing.scripted_agent import answer, endless
from tests.agents.running import (
    ALICE,
    BOB,
    BOUND,
    ENQUEUE,
    T1,
    MakeStore,
    Running,
    ask,
    both_stores,
    key,
    running,
)
from tests.eventually import until
from tests.server.agents import asks

pytestmark = pytest.mark.anyio


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
        await house.until_queued()
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
        await house.until_queued()

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
