"""pydantic-ai: any of its agents, as it is (extra ``pydantic-ai``).

The library translates to AG-UI itself. This adapter lets errors out as exceptions, so that they
are logged whole and shown redacted.
"""

from collections.abc import AsyncGenerator, AsyncIterator, Set
from contextlib import aclosing
from typing import Any, cast

from ag_ui.core import BaseEvent, Message, RunAgentInput, ToolMessage
from pydantic_ai import CancellationToken
from pydantic_ai.agent import AbstractAgent
from pydantic_ai.ui.ag_ui import AGUIAdapter, AGUIEventStream

from netra_backend.agents.base import calls_of
from netra_backend.agents.foreign import translated
from netra_backend.agents.pairing import paired


class PydanticAIAgent:
    """An agent that runs `agent`, a pydantic-ai one, without deps."""

    def __init__(self, agent: AbstractAgent[Any, Any]) -> None:
        self._agent = agent

    async def __call__(self, input: RunAgentInput) -> AsyncIterator[BaseEvent]:
        """Run the agent on the conversation; closing the iterator cancels the library's run.

        Raises whatever the agent, a tool or the model raises.
        """
        token = CancellationToken()
        deferred = AGUIAdapter(self._agent, input).deferred_tool_results
        decided = set(deferred.approvals) if deferred is not None else set()
        given = input.model_copy(update={"messages": _moved(input, decided)})
        native = AGUIAdapter(self._agent, given).run_stream_native(cancellation_token=token)
        events = cast(AsyncGenerator[BaseEvent], _Events(input).transform_stream(native))
        async with aclosing(events):
            try:
                async for event in translated("the agent", input, events):
                    yield event
            finally:
                token.cancel()  # before the stream is closed: the run then ends as cancelled


def _moved(input: RunAgentInput, decided: Set[str]) -> list[Message]:
    """Return the conversation with the `decided` calls, which a person was asked about, at its end.

    The library looks for them in the last answer, and more may have been said since they were made.
    """
    before: list[Message] = []
    last: list[Message] = []
    into = before
    for message in paired(input, decided):
        if not isinstance(message, ToolMessage):
            into = before if decided.isdisjoint(call.id for call in calls_of(message)) else last
        into.append(message)
    return before + last


class _Events(AGUIEventStream[Any, Any]):
    """The library's translation to AG-UI, with errors raised instead of sent."""

    async def on_error(self, error: Exception) -> AsyncIterator[BaseEvent]:
        raise error
        yield
