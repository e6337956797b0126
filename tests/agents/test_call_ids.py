"""Call ids: a call whose id the thread has used gets a new one, wherever it is named."""

import pytest
from ag_ui.core import (
    ActivitySnapshotEvent,
    AssistantMessage,
    BaseEvent,
    Interrupt,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    TextMessageStartEvent,
    ToolCallChunkEvent,
    ToolCallEndEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
)

from netra_backend.testing import asking
from tests.agents.translating import call, taken

pytestmark = pytest.mark.anyio


async def test_the_result_of_a_call_with_a_new_id_has_one_too() -> None:
    """LangGraph names the result after the call, and the thread has had both."""
    events = await taken(
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
    start, *_, end = await taken(
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


async def test_chunks_of_a_call_have_its_new_id_too() -> None:
    def chunk(id: str | None, name: str | None = None) -> BaseEvent:
        return ToolCallChunkEvent(tool_call_id=id, tool_call_name=name, delta="{")

    given = asking("", messages=[AssistantMessage(id="m", tool_calls=[call("0")])])
    events = await taken(
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
    first, second = await taken(
        given,
        ToolCallStartEvent(tool_call_id="0", tool_call_name="f"),
        ToolCallStartEvent(tool_call_id="1", tool_call_name="f", parent_message_id="0"),
    )
    assert second.parent_message_id == first.tool_call_id != "0"
