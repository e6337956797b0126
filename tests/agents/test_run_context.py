"""RunContext: what an agent that was written for Netra may ask of its run."""

import asyncio
import enum
import json
import threading
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import msgspec
import pytest
from ag_ui.core import BaseEvent, RunAgentInput, TextMessageChunkEvent

from netra_backend.agents.answers import APPROVAL
from netra_backend.agents.base import Text, ToolCall
from netra_backend.agents.loading import adapt
from netra_backend.agents.outbox import MAX_WAITING
from netra_backend.agents.run_context import RunContext, current_run
from netra_backend.agents.size import MAX_EVENT_BYTES
from netra_backend.core.ids import RunId, RunKey, UserId
from netra_backend.core.ports import Answer
from netra_backend.core.run import RunStatus
from netra_backend.errors import AgentError
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing import Gate, asking, play
from tests.agents.running import ALICE, T1, Running, running
from tests.legality import illegal

pytestmark = pytest.mark.anyio


async def ran(house: Running, run: str = "r1", **fields) -> RunStatus:
    await house.start(ALICE, asking("hi", thread_id="t1", run_id=run, **fields))
    return (await house.ended(run)).status


def said(chunks: list) -> list[str]:
    return [chunk["delta"] for chunk in chunks if chunk["type"] == "TEXT_MESSAGE_CONTENT"]


async def speak(words: str) -> AsyncIterator[BaseEvent]:
    text = Text()
    for event in (*text.start(), *text.add(words), *text.end()):
        yield event


async def test_two_questions_one_after_the_other_and_each_answer_once() -> None:
    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        name = await run.ask("What is your name?", schema={"type": "string"})
        sure = await run.ask(f"Sure, {name}?")
        again = await run.ask(f"Sure, {name}?")
        async for event in speak(f"{name} {sure} {again}"):
            yield event

    async with running(adapt(agent)) as house:
        assert await ran(house) is RunStatus.AWAITING
        for payload in (b'"Ann"', b"true", b"7"):
            (*_, asked) = await house.store.asked(T1, 9)
            decided = await house.runner.interrupts.decide(
                T1, Answer(asked.id, "resolved", payload), ALICE
            )
            assert decided.run is not None
            last = await house.ended(decided.run)
        chunks = await house.chunks()
    assert last.status is RunStatus.FINISHED
    assert said(chunks) == ["Ann True 7"]
    assert illegal(chunks) == []


async def in_a_group(run: RunContext) -> tuple[object, object]:
    async with asyncio.TaskGroup() as group:
        name = group.create_task(run.ask("What is your name?"))
        sure = group.create_task(run.ask("Are you sure?"))
    return name.result(), sure.result()


async def gathered(run: RunContext) -> tuple[object, object]:
    name, sure = await asyncio.gather(run.ask("What is your name?"), run.ask("Are you sure?"))
    return name, sure


@pytest.mark.parametrize(("at_once", "runs"), [(in_a_group, 2), (gathered, 3)])
async def test_questions_that_are_asked_at_once(tmp_path: Path, at_once, runs: int) -> None:
    """A group asks all of them in one run, what stops at the first asks the others later."""
    answers = {"What is your name?": b'"Ann"', "Are you sure?": b"true"}

    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        name, sure = await at_once(run)
        async for event in speak(f"{name} {sure}"):
            yield event

    store = SqliteStore(tmp_path)
    await store.open()
    async with running(adapt(agent), store=store) as house:
        assert await ran(house) is RunStatus.AWAITING
        for _ in range(runs - 1):
            last = None
            for asked in await house.store.asked(T1, 9):
                if asked.decided_by is None:
                    said_yes = answers[json.loads(asked.question)["message"]]
                    decided = await house.runner.interrupts.decide(
                        T1, Answer(asked.id, "resolved", said_yes), ALICE
                    )
                    last = decided.run or last
            assert last is not None
            await house.ended(last)
        chunks = await house.chunks()
    await store.close()
    assert said(chunks) == ["Ann True"]
    assert [chunk["type"] for chunk in chunks].count("RUN_STARTED") == runs
    assert illegal(chunks) == []


async def test_a_question_beside_an_error_is_not_asked() -> None:
    async def fails() -> None:
        raise ValueError("a secret")

    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        async with asyncio.TaskGroup() as group:
            group.create_task(run.ask("Why?"))
            group.create_task(fails())
        yield TextMessageChunkEvent(message_id="m")

    async with running(adapt(agent)) as house:
        assert await ran(house) is RunStatus.FAILED


async def test_a_question_in_the_middle_of_a_message_in_chunks_ends_it_once() -> None:
    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        yield TextMessageChunkEvent(message_id="m1", role="assistant", delta="hi")
        await run.ask("sure?")

    async with running(adapt(agent)) as house:
        assert await ran(house) is RunStatus.AWAITING
        chunks = await house.chunks()
    assert [chunk["type"] for chunk in chunks].count("TEXT_MESSAGE_END") == 1
    assert illegal(chunks) == []


async def test_progress_in_the_middle_of_a_message_is_left_out_when_there_is_too_much() -> None:
    """It waits for the message's end, and nothing else would bound it."""

    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        yield TextMessageChunkEvent(message_id="m", role="assistant", delta="a")
        for step in range(3 * MAX_WAITING):
            run.progress("a step", done=step)
        await run.save({"saved": True})
        yield TextMessageChunkEvent(message_id="m", delta="b")

    async with running(adapt(agent)) as house:
        assert await ran(house) is RunStatus.FINISHED
        chunks = await house.chunks()
    types = [chunk["type"] for chunk in chunks]
    assert types.count("CUSTOM") == MAX_WAITING
    assert types.count("STATE_SNAPSHOT") == 1
    assert "".join(said(chunks)) == "ab"


async def test_what_is_no_event_breaks_the_rules_also_while_something_waits() -> None:
    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        yield TextMessageChunkEvent(message_id="m", role="assistant", delta="a")
        run.progress("a step")
        yield "no event"  # type: ignore[misc]

    async with running(adapt(agent)) as house:
        assert await ran(house) is RunStatus.FAILED
        assert (await house.chunks())[-1]["code"] == "illegal_event"


async def test_of_states_saved_in_the_middle_of_a_message_the_last_waits() -> None:
    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        yield TextMessageChunkEvent(message_id="m", role="assistant", delta="a")
        for step in range(100):
            await run.save({"step": step})
        yield TextMessageChunkEvent(message_id="m", delta="b")

    async with running(adapt(agent), events=50) as house:
        assert await ran(house) is RunStatus.FINISHED
        chunks = await house.chunks()
    states = [chunk["snapshot"] for chunk in chunks if chunk["type"] == "STATE_SNAPSHOT"]
    assert states == [{"step": 99}]
    assert "".join(said(chunks)) == "ab"


@pytest.mark.parametrize(
    ("reason", "call", "schema"),
    [
        ("question", None, None),
        ("budget", None, None),
        ("approval", None, APPROVAL),
        ("confirmation", None, APPROVAL),
        ("tool_call", None, APPROVAL),
        ("question", "c1", APPROVAL),
    ],
)
async def test_what_is_asked_without_a_schema_is_free_unless_it_is_an_approval(
    reason: str, call: str | None, schema: dict | None
) -> None:
    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        for event in ToolCall("look", id="c1").whole({}):
            yield event
        await run.ask("Well?", reason=reason, tool_call_id=call)

    async with running(adapt(agent)) as house:
        await ran(house)
        (asked,) = await house.store.asked(T1, 9)
    assert msgspec.json.decode(asked.question).get("responseSchema") == schema


async def test_a_question_that_expires_says_when() -> None:
    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        await run.ask("Now?", expires=timedelta(hours=1))
        yield Text().start()[0]

    before = datetime.now(UTC)
    async with running(adapt(agent)) as house:
        await ran(house)
        (asked,) = await house.store.asked(T1, 9)
    until = datetime.fromisoformat(msgspec.json.decode(asked.question)["expiresAt"])
    assert before < until - timedelta(hours=1) < datetime.now(UTC)


async def test_a_schema_that_is_none_fails_the_run_and_asks_nobody() -> None:
    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        await run.ask("How many?", schema={"type": "whole number"})
        yield Text().start()[0]

    async with running(adapt(agent)) as house:
        assert await ran(house) is RunStatus.FAILED
        assert await house.store.asked(T1, 9) == []


async def test_a_question_that_is_declined_is_answered_with_none() -> None:
    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        async for event in speak(repr(await run.ask("May I?"))):
            yield event

    async with running(adapt(agent)) as house:
        await ran(house)
        (asked,) = await house.store.asked(T1, 9)
        answer = Answer(asked.id, "cancelled", b"true")
        decided = await house.runner.interrupts.decide(T1, answer, ALICE)
        await house.ended(decided.run or "")
        assert said(await house.chunks()) == ["None"]


async def test_asking_in_the_middle_of_a_message_closes_it() -> None:
    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        text = Text()
        for event in (*text.start(), *text.add("half")):
            yield event
        await run.ask("Go on?")

    async with running(adapt(agent)) as house:
        assert await ran(house) is RunStatus.AWAITING
        assert (await house.types())[-2:] == ["TEXT_MESSAGE_END", "RUN_FINISHED"]


async def test_progress_from_a_tool_a_thread_and_between_chunks() -> None:
    async def agent(input: RunAgentInput) -> AsyncIterator[BaseEvent]:
        run = current_run()
        run.progress("first", 1, 3)
        yield TextMessageChunkEvent(message_id="m", role="assistant", delta="a")
        run.progress("second")
        yield TextMessageChunkEvent(message_id="m", delta="b")
        await asyncio.to_thread(run.progress, "third")
        await asyncio.sleep(0)

    async with running(adapt(agent)) as house:
        assert await ran(house) is RunStatus.FINISHED
        chunks = await house.chunks()
    told = [chunk["value"] for chunk in chunks if chunk["type"] == "CUSTOM"]
    assert told == [{"text": "first", "done": 1, "total": 3}, {"text": "second"}, {"text": "third"}]
    assert "".join(said(chunks)) == "ab"
    assert illegal(chunks) == []


@dataclass
class Basket:
    things: list[str] = field(default_factory=list)


class Colour(enum.Enum):
    RED = 1


CYCLE: list[object] = []
CYCLE.append(CYCLE)


@pytest.mark.parametrize(
    ("state", "where"),
    [
        (object(), "state: <object object at 0x"),
        ({"a": [1, object()]}, "state.a[1]: <object object at 0x"),
        (CYCLE, "state[0]: "),
        ({"days": [date(2026, 1, 2)] * 200, "lock": threading.Lock()}, "state.lock: "),
        ({"half": "\ud800"}, "state.half: "),
        (["x" * MAX_EVENT_BYTES], "it has at least 4194306 bytes, and an event may have 4194304"),
        (Basket([None] * MAX_EVENT_BYTES), "it has at least "),  # type: ignore[list-item]
    ],
    ids=["object", "inside", "cycle", "behind", "surrogate", "too big", "too big inside"],
)
async def test_what_would_be_saved_in_part_is_refused_where_it_stands(
    state: object, where: str
) -> None:
    told: list[str] = []

    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        await run.save({"good": 1})
        with pytest.raises(TypeError) as refused:
            await run.save(state)
        told.append(str(refused.value))
        assert input.state == {"good": 1}
        yield TextMessageChunkEvent(message_id="m", role="assistant", delta="a")

    await play(agent, asking(""))
    assert told[0].startswith(f"the state cannot be saved: {where}")


async def test_what_has_one_faithful_form_is_saved_in_it() -> None:
    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        await run.save({"basket": Basket(["a"]), "on": date(2026, 1, 2), Colour.RED: {2, 1}})
        saved = {"basket": {"things": ["a"]}, "on": "2026-01-02", "RED": [1, 2]}
        assert input.state == saved
        yield TextMessageChunkEvent(message_id="m", role="assistant", delta="a")

    await play(agent, asking(""))


@pytest.mark.parametrize(
    ("given", "wrong"),
    [
        ({"text": 5, "done": "x"}, "text is of type int"),
        ({"text": "a", "done": "x"}, "done is of type str"),
        ({"text": "a", "done": True}, "done is of type bool"),
        ({"text": "a", "total": float("nan")}, "total is nan"),
        ({"text": "a", "total": float("inf")}, "total is inf"),
        ({"text": "a", "total": Decimal("Infinity")}, "total is inf"),
        ({"text": "a", "total": Decimal("1e400")}, "total is inf"),
        ({"text": "a", "total": Decimal("NaN")}, "total is nan"),
        ({"text": "a", "total": Fraction(10**400, 3)}, "total is inf"),
        ({"text": "a", "total": 1j}, "total is of type complex"),
    ],
)
async def test_progress_that_json_has_not_is_refused(given: dict, wrong: str) -> None:
    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        with pytest.raises((TypeError, ValueError), match=wrong):
            run.progress(**given)
        run.progress("a", Fraction(1, 2), 10**400)
        run.progress("b", Decimal("0.5"), Decimal(3))
        yield TextMessageChunkEvent(message_id="m", role="assistant", delta="a")

    told = (await play(agent, asking("")))[:2]
    assert [event.value for event in told] == [
        {"text": "a", "done": 0.5, "total": 10**400},
        {"text": "b", "done": 0.5, "total": 3.0},
    ]


async def test_a_typed_state_is_kept_for_the_next_run() -> None:
    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        basket = run.state(Basket)
        basket.things.append(input.run_id)
        await run.save(basket)
        async for event in speak(",".join(basket.things)):
            yield event

    async with running(adapt(agent)) as house:
        for run in ("r1", "r2"):
            assert await ran(house, run) is RunStatus.FINISHED
        assert said(await house.chunks()) == ["r1", "r1,r2"]
        assert await ran(house, "r3", state={"things": 1}) is RunStatus.FAILED


async def test_watchers_cancelled_user_and_scope() -> None:
    gate, seen = Gate(), []

    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        seen.append(run)
        await gate.pass_through()
        async for event in speak("x"):
            yield event

    async with running(adapt(agent)) as house:
        for user in (ALICE, UserId("bob")):
            await house.start(user, asking("hi", thread_id="t1", run_id="r1"))
        while len(seen) < 2:  # noqa: ASYNC110 - two agents begin
            await asyncio.sleep(0)
        alice, bob = seen
        assert (alice.user, bob.user) == ("alice", "bob")
        assert alice.scope != bob.scope, "one name, two users, two threads"
        assert alice.watchers == 0
        assert not alice.cancelled
        await house.runner.cancel(RunKey(ALICE, RunId("r1")))
        assert alice.cancelled
        alice.progress("late")  # does nothing
        gate.open()


def test_outside_of_a_run_there_is_none() -> None:
    with pytest.raises(AgentError):
        current_run()
