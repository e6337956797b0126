"""pydantic-ai: any of its agents, as it is (extra ``pydantic-ai``).

The library translates to AG-UI itself. This adapter lets errors out as exceptions, so that they
are logged whole and shown redacted; drops what the log has already (timestamps) or forbids
(empty deltas); and gives a tool call a new id if its own was used before, because some models
count from zero in every answer.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, cast

from ag_ui.core import (
    AssistantMessage,
    BaseEvent,
    ReasoningEncryptedValueEvent,
    RunAgentInput,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    RunFinishedSuccessOutcome,
    ToolCallArgsEvent,
    ToolCallEndEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
)
from pydantic_ai.agent import AbstractAgent
from pydantic_ai.ui.ag_ui import AGUIAdapter, AGUIEventStream

from netra_backend.core.events import DELTAS
from netra_backend.core.ids import new_id


class PydanticAIAgent:
    """An agent that runs `agent`, a pydantic-ai one, without deps."""

    def __init__(self, agent: AbstractAgent[Any, Any]) -> None:
        self._agent = agent

    async def __call__(self, input: RunAgentInput) -> AsyncIterator[BaseEvent]:
        """Run the agent on the conversation; closing the iterator stops the model's answer.

        Raises whatever the agent, a tool or the model raises.
        """
        calls = _CallIds(input)
        native = AGUIAdapter(self._agent, input).run_stream_native()
        events = cast(AsyncGenerator[BaseEvent], _Events(input).transform_stream(native))
        async with aclosing(events):
            async for event in events:
                if event.type in DELTAS and not getattr(event, "delta", ""):
                    continue
                event.timestamp = None
                calls.rename(event)
                yield event


class _Events(AGUIEventStream[Any, Any]):
    """The library's translation to AG-UI, with errors raised instead of sent."""

    async def on_error(self, error: Exception) -> AsyncIterator[BaseEvent]:
        raise error
        yield


class _CallIds:
    """New ids for tool calls whose own ids the thread has used before."""

    def __init__(self, input: RunAgentInput) -> None:
        self._used = {
            call.id
            for message in input.messages
            if isinstance(message, AssistantMessage)
            for call in message.tool_calls or ()
        }
        self._renamed: dict[str, str] = {}

    def rename(self, event: BaseEvent) -> None:
        """Put the new id wherever `event` names a renamed call; a start may need a new one."""
        if isinstance(event, ToolCallStartEvent):
            if event.tool_call_id in self._used:
                self._renamed[event.tool_call_id] = new_id("call")
            event.tool_call_id = self._new(event.tool_call_id)
            self._used.add(event.tool_call_id)
        elif isinstance(event, ToolCallArgsEvent | ToolCallEndEvent | ToolCallResultEvent):
            event.tool_call_id = self._new(event.tool_call_id)
        elif isinstance(event, ReasoningEncryptedValueEvent):
            event.entity_id = self._new(event.entity_id)
        elif isinstance(event, RunFinishedEvent):
            self._rename_outcome(event)

    def _rename_outcome(self, event: RunFinishedEvent) -> None:
        outcome = event.outcome
        if isinstance(outcome, RunFinishedSuccessOutcome) and outcome.pending_tool_call_ids:
            pending = outcome.pending_tool_call_ids
            outcome.pending_tool_call_ids = [self._new(id) for id in pending]
        elif isinstance(outcome, RunFinishedInterruptOutcome):
            for asked in outcome.interrupts:
                old = asked.tool_call_id or ""
                if old in self._renamed:
                    # The library finds the call by the end of the interrupt's id.
                    asked.id = asked.id.removesuffix(old) + self._renamed[old]
                    asked.tool_call_id = self._renamed[old]

    def _new(self, id: str) -> str:
        return self._renamed.get(id, id)
