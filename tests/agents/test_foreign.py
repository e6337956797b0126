"""Foreign events: what is dropped, renamed, raised, and taken out of a snapshot."""

from collections.abc import AsyncIterator

import pytest
from ag_ui.core import (
    AssistantMessage,
    BaseEvent,
    MessagesSnapshotEvent,
    RunAgentInput,
    RunErrorEvent,
    StateDeltaEvent,
    StateSnapshotEvent,
    StepStartedEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
    ToolCallChunkEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
    ToolMessage,
    UserMessage,
)

from netra_backend.agents.foreign import together, translated
from netra_backend.agents.run_context import RunContext, current_run
from netra_backend.errors import AgentError
from netra_backend.testing import asking, play
from tests.agents.translating import call, taken

pytestmark = pytest.mark.anyio


async def test_timestamps_and_empty_deltas_are_dropped() -> None:
    events = await taken(
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
    events = await taken(
        asking("hi", state={"a": 1}),
        *(
            StateDeltaEvent(delta=[{"op": "replace", "path": "/a", "value": 3}])
            if state is None
            else StateSnapshotEvent(snapshot=state)
            for state in states
        ),
    )
    assert [event.type for event in events] == ["STATE_SNAPSHOT", "STATE_DELTA", "STATE_SNAPSHOT"]


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


async def test_an_error_is_raised() -> None:
    with pytest.raises(AgentError, match="it: boom"):
        await taken(asking("hi"), RunErrorEvent(message="boom"))


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
    events = await taken(
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
