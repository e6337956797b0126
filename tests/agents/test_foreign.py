"""Foreign events: what is dropped, renamed, raised, and taken out of a snapshot."""

from collections.abc import AsyncIterator

import pytest
from ag_ui.core import (
    AssistantMessage,
    BaseEvent,
    FunctionCall,
    MessagesSnapshotEvent,
    RunErrorEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
    ToolCall,
    ToolMessage,
    UserMessage,
)

from netra_backend.agents.foreign import translated
from netra_backend.errors import AgentError
from netra_backend.testing import asking

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


async def test_an_error_is_raised() -> None:
    with pytest.raises(AgentError, match="it: boom"):
        await of(asking("hi"), RunErrorEvent(message="boom"))


async def test_of_a_snapshot_only_what_is_new_is_taken() -> None:
    def call(id: str) -> ToolCall:
        return ToolCall(id=id, function=FunctionCall(name="f", arguments="{}"))

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
