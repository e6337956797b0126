"""What comes of the events of another library."""

from collections.abc import AsyncIterator

from ag_ui.core import BaseEvent, FunctionCall, RunAgentInput, ToolCall

from netra_backend.agents.foreign import translated


async def taken(given: RunAgentInput, *events: BaseEvent) -> list[BaseEvent]:
    """Return what the log takes of them in a run with this input."""

    async def stream() -> AsyncIterator[BaseEvent]:
        for event in events:
            yield event

    return [event async for event in translated("it", given, stream())]


def call(id: str) -> ToolCall:
    """Return a call that a message of the assistant makes."""
    return ToolCall(id=id, function=FunctionCall(name="f", arguments="{}"))
