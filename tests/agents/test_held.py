"""Held: a turn of another library goes on with the answers to its own questions, and no others."""

import pytest
from ag_ui.core import (
    AssistantMessage,
    Interrupt,
    ResumeEntry,
    RunAgentInput,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    ToolCallStartEvent,
)

from netra_backend.agents import held as held_module
from netra_backend.agents.call_ids import CallIds
from netra_backend.agents.held import Held
from netra_backend.errors import AgentError
from netra_backend.testing import asking
from tests.agents.translating import call

pytestmark = pytest.mark.anyio


def ends(*questions: str) -> RunFinishedEvent:
    asked = [Interrupt(id=id, reason="approval") for id in questions]
    outcome = RunFinishedInterruptOutcome(interrupts=asked) if asked else None
    return RunFinishedEvent(thread_id="t", run_id="r", outcome=outcome)


def answering(*questions: str) -> RunAgentInput:
    return asking("", resume=[ResumeEntry(interrupt_id=id, status="resolved") for id in questions])


async def test_a_turn_waits_for_the_answers_to_its_own_questions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(held_module, "MAX_HELD", 2)
    closed: list[str] = []

    async def close(turn: str) -> None:
        closed.append(turn)

    held, calls = Held(close), CallIds(asking(""))
    assert not await held.keep("t0", "none", calls, ends())
    asked: dict[str, list[str]] = {}
    for scope in ("t1", "t2", "t3"):
        end = ends("q1", "q2")
        assert await held.keep(scope, f"turn of {scope}", calls, end)
        asked[scope] = [question.id for question in end.outcome.interrupts]
    assert len({id for ids in asked.values() for id in ids}) == 6
    assert closed == ["turn of t1"], "the oldest"

    for scope, answers in (("t1", asked["t1"]), ("t2", [asked["t2"][0], "other"])):
        with pytest.raises(AgentError, match="is gone"):
            await held.take(scope, answering(*answers))
    turn, given, taken = await held.take("t2", answering(*asked["t2"]))
    assert (turn, taken) == ("turn of t2", calls)
    assert [entry.interrupt_id for entry in given.resume or ()] == ["q1", "q2"]
    said = asking("Something else")
    turn, given, taken = await held.take("t3", said)
    assert (turn, given) == (None, said)
    assert taken is not calls
    assert closed == ["turn of t1", "turn of t3"]


async def test_a_turn_that_goes_on_knows_what_calls_other_agents_have_made_since() -> None:
    held, end = Held[str](), ends("q")
    await held.keep("t", "turn", CallIds(asking("")), end)
    (question,) = end.outcome.interrupts
    made = AssistantMessage(id="m", tool_calls=[call("c")])
    given = answering(question.id).model_copy(update={"messages": [made]})
    _, _, calls = await held.take("t", given)
    start = ToolCallStartEvent(tool_call_id="c", tool_call_name="f")
    calls.rename(start)
    assert start.tool_call_id != "c"
