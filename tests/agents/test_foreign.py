"""Foreign events: what is dropped, renamed, raised, and taken out of a snapshot."""

from collections.abc import AsyncIterator

import pytest
from ag_ui.core import (
    ActivitySnapshotEvent,
    AssistantMessage,
    BaseEvent,
    FunctionCall,
    Interrupt,
    MessagesSnapshotEvent,
    ResumeEntry,
    RunAgentInput,
    RunErrorEvent,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    StateDeltaEvent,
    StateSnapshotEvent,
    StepStartedEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
    ToolCall,
    ToolCallChunkEvent,
    ToolCallEndEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
    ToolMessage,
    UserMessage,
)

from netra_backend.agents import foreign
from netra_backend.agents.foreign import CallIds, Held, answered, together, translated
from netra_backend.agents.run_context import RunContext, current_run
from netra_backend.errors import AgentError
from netra_backend.testing import asking, play

pytestmark = pytest.mark.anyio


async def of(given, *events: BaseEvent) -> list[BaseEvent]:
    async def stream() -> AsyncIterator[BaseEvent]:
        for event in events:
            yield event

    return [event async for event in translated("it", given, stream())]


async def test_timestamps_and_empty_deltas_are_dropped() -> None:
    events = await of(
        asking("hi"),
        TextMessageStartEvent(message_id="m", role="assistant", timestamp=5),
        TextMessageContentEvent.model_construct(
            type="TEXT_MESSAGE_CONTENT", message_id="m", delta=""
        ),
        TextMessageEndEvent(message_id="m"),
    )
    assert [event.type for event in events] == ["TEXT_MESSAGE_START", "TEXT_MESSAGE_END"]
    assert events[0].timestamp is None


async def test_a_state_as_it_was_is_dropped() -> None:
    states = [{"a": 1}, {"a": 2}, {"a": 2}, None, {"a": 2}]
    events = await of(
        asking("hi", state={"a": 1}),
        *(
            StateDeltaEvent(delta=[{"op": "replace", "path": "/a", "value": 3}])
            if state is None
            else StateSnapshotEvent(snapshot=state)
            for state in states
        ),
    )
    assert [event.type for event in events] == ["STATE_SNAPSHOT", "STATE_DELTA", "STATE_SNAPSHOT"]


async def test_the_result_of_a_call_with_a_new_id_has_one_too() -> None:
    """LangGraph names the result after the call, and the thread has had both."""
    events = await of(
        asking("", messages=[AssistantMessage(id="a", tool_calls=[call("c0"), call("c1")])]),
        ToolCallStartEvent(tool_call_id="c0", tool_call_name="f"),
        ToolCallEndEvent(tool_call_id="c0"),
        ToolCallResultEvent(message_id="c0", tool_call_id="c0", content="done"),
        ToolCallResultEvent(message_id="c1", tool_call_id="c1", content="done"),
    )
    start, _, result, other = events
    assert result.tool_call_id == start.tool_call_id != "c0"
    assert result.message_id != "c0"
    assert (other.tool_call_id, other.message_id) == ("c1", "c1")


async def test_a_question_names_the_call_by_its_new_id() -> None:
    asked = [
        Interrupt(id=id, reason="approval", tool_call_id="c0") for id in ("about-c0", "about it")
    ]
    start, *_, end = await of(
        asking("", messages=[AssistantMessage(id="a", tool_calls=[call("c0")])]),
        ToolCallStartEvent(tool_call_id="c0", tool_call_name="f"),
        ToolCallEndEvent(tool_call_id="c0"),
        RunFinishedEvent(
            thread_id="t", run_id="r", outcome=RunFinishedInterruptOutcome(interrupts=asked)
        ),
    )
    new = start.tool_call_id
    assert [question.tool_call_id for question in end.outcome.interrupts] == [new, new]
    assert [question.id for question in end.outcome.interrupts] == [f"about-{new}", "about it"]


def call(id: str) -> ToolCall:
    return ToolCall(id=id, function=FunctionCall(name="f", arguments="{}"))


async def test_the_calls_of_one_answer_are_in_one_message() -> None:
    given = asking("", messages=[AssistantMessage(id="m", tool_calls=[call("0")])])

    async def calls() -> AsyncIterator[BaseEvent]:
        yield ToolCallStartEvent(tool_call_id="0", tool_call_name="f")
        yield ToolCallChunkEvent(tool_call_id="1", tool_call_name="f", parent_message_id="own")
        yield ToolCallResultEvent(message_id="r", tool_call_id="1", content="")
        yield ToolCallStartEvent(tool_call_id="2", tool_call_name="f", parent_message_id="own")
        yield TextMessageStartEvent(message_id="t", role="assistant")
        yield ToolCallStartEvent(tool_call_id="3", tool_call_name="f", parent_message_id="other")

    events = [event async for event in together(translated("it", given, calls()))]
    parents = [getattr(event, "parent_message_id", None) for event in events]
    new = events[0].tool_call_id
    assert new != "0"
    assert parents == [new, new, None, "own", None, "t"]


async def test_chunks_of_a_call_have_its_new_id_too() -> None:
    def chunk(id: str | None, name: str | None = None) -> BaseEvent:
        return ToolCallChunkEvent(tool_call_id=id, tool_call_name=name, delta="{")

    given = asking("", messages=[AssistantMessage(id="m", tool_calls=[call("0")])])
    events = await of(
        given,
        *(chunk("0", "f"), ActivitySnapshotEvent(message_id="a", activity_type="t", content={})),
        *(chunk("0", "f"), chunk(None), chunk("1", "f"), chunk("0", "f")),
        TextMessageStartEvent(message_id="t", role="assistant"),
        chunk("0", "f"),
    )
    ids = [event.tool_call_id for event in events if isinstance(event, ToolCallChunkEvent)]
    assert ids == [ids[0], ids[0], None, "1", ids[4], ids[5]]
    assert len({"0", *ids}) == 6


async def test_a_message_that_is_named_after_a_call_with_a_new_id_has_that_too() -> None:
    given = asking("", messages=[AssistantMessage(id="0", tool_calls=[call("0")])])
    first, second = await of(
        given,
        ToolCallStartEvent(tool_call_id="0", tool_call_name="f"),
        ToolCallStartEvent(tool_call_id="1", tool_call_name="f", parent_message_id="0"),
    )
    assert second.parent_message_id == first.tool_call_id != "0"


async def test_what_a_library_calls_cannot_ask_but_who_calls_the_library_can() -> None:
    async def tool() -> AsyncIterator[BaseEvent]:
        with pytest.raises(AgentError, match="approvals or interrupts of that library"):
            await current_run().ask("Really?")
        yield StepStartedEvent(step_name="asked")

    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        async for event in translated("it", input, tool()):
            yield event
            await run.ask("Now?")

    events = await play(agent, asking("hi"))
    assert [question.message for question in events[-1].outcome.interrupts] == ["Now?"]


def test_each_call_is_followed_by_its_result() -> None:
    given = asking(
        "",
        messages=[
            AssistantMessage(id="a", tool_calls=[call("c0"), call("c1"), call("c2")]),
            ToolMessage(id="t2", tool_call_id="c2", content="two"),
            UserMessage(id="u", content="And now?"),
            ToolMessage(id="t0", tool_call_id="c0", content="late"),
            ToolMessage(id="t9", tool_call_id="c9", content="of no call here"),
        ],
    )
    messages = answered(given).messages
    assert [message.id for message in messages] == ["a", "t0", "c1-unanswered", "t2", "u", "t9"]
    assert messages[2].tool_call_id == "c1"

    asked = given.model_copy(update={"resume": [ResumeEntry(interrupt_id="i", status="resolved")]})
    assert answered(asked) == asked


async def test_an_error_is_raised() -> None:
    with pytest.raises(AgentError, match="it: boom"):
        await of(asking("hi"), RunErrorEvent(message="boom"))


async def test_of_a_snapshot_only_what_is_new_is_taken() -> None:
    history = [UserMessage(id="u", content="hi"), AssistantMessage(id="a", content="old")]
    snapshot = MessagesSnapshotEvent(
        messages=[
            *history,
            AssistantMessage(id="m", content="streamed"),
            AssistantMessage(id="n", content="new", tool_calls=[call("c")]),
            ToolMessage(id="t", tool_call_id="c", content="done"),
        ]
    )
    events = await of(
        asking("", messages=history),
        TextMessageStartEvent(message_id="m", role="assistant"),
        TextMessageEndEvent(message_id="m"),
        snapshot,
        snapshot,
    )
    assert [event.type for event in events[2:]] == [
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "TOOL_CALL_RESULT",
    ]


def ends(*questions: str) -> RunFinishedEvent:
    asked = [Interrupt(id=id, reason="approval") for id in questions]
    outcome = RunFinishedInterruptOutcome(interrupts=asked) if asked else None
    return RunFinishedEvent(thread_id="t", run_id="r", outcome=outcome)


def answering(*questions: str) -> RunAgentInput:
    return asking("", resume=[ResumeEntry(interrupt_id=id, status="resolved") for id in questions])


async def test_a_turn_waits_for_the_answers_to_its_own_questions(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(foreign, "MAX_HELD", 2)
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
