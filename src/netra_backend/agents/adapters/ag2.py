"""AG2: its agents, as they are (extra ``ag2``).

AG2's own AG-UI stream translates, to lines of server-sent events. Each run has a stream of its
own, which ends with it. The exception is a question that the agent asks a person: AG2 holds the
turn in this process until the answer comes. After a restart, or once more than `MAX_HELD` turns
are held, the answer finds nobody and the run fails.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import cast

from ag2 import Agent
from ag2.ag_ui import AGUIStream
from ag_ui.core import (
    BaseEvent,
    Event,
    RunAgentInput,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    ToolCallResultEvent,
)
from pydantic import TypeAdapter

from netra_backend.agents.foreign import answered, translated
from netra_backend.agents.run_context import scope_of
from netra_backend.errors import AgentError

MAX_HELD = 1_000
"""Turns that wait for an answer; beyond it, the oldest is given up."""

_EVENT: TypeAdapter[BaseEvent] = TypeAdapter(Event)


class AG2Agent:
    """An agent that runs `agent`, an AG2 one."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._held: dict[str, AGUIStream] = {}

    async def __call__(self, input: RunAgentInput) -> AsyncIterator[BaseEvent]:
        """Run the agent on the conversation; closing the iterator stops it.

        Raises AgentError for whatever it raises, and if the turn that asked is gone.
        """
        scope = scope_of(input)
        stream = self._held.pop(scope, None)
        if input.resume and stream is None:
            raise AgentError("the turn that asked this question is gone")
        stream = stream or AGUIStream(self._agent)
        input = answered(input)
        given = input.model_copy(update={"thread_id": scope})
        held = False
        try:
            lines = cast(AsyncGenerator[str], stream.dispatch(given))
            async with aclosing(lines):
                async for event in translated("the agent", input, _decoded(lines)):
                    if _asks(event):
                        await self._hold(scope, stream)
                        held = True
                    yield event
        finally:
            if not held:
                await stream.aclose()

    async def _hold(self, scope: str, stream: AGUIStream) -> None:
        self._held[scope] = stream
        if len(self._held) > MAX_HELD:
            await self._held.pop(next(iter(self._held))).aclose()


def _asks(event: BaseEvent) -> bool:
    return isinstance(event, RunFinishedEvent) and isinstance(
        event.outcome, RunFinishedInterruptOutcome
    )


async def _decoded(lines: AsyncIterator[str]) -> AsyncIterator[BaseEvent]:
    async for line in lines:
        event = _EVENT.validate_json(line.removeprefix("data: "))
        if isinstance(event, ToolCallResultEvent) and isinstance(event.content, str):
            event.content = _without_traceback(event.content)
        yield event


def _without_traceback(result: str) -> str:
    """Return what a failed tool's exception says, without the places in the server's files.

    AG2 gives the model all of it, and has the first frame of the last traceback itself.
    """
    _, head, last = result.rpartition("Traceback (most recent call last):\n")
    lines = last.splitlines()
    if not head or "function_tool.py" not in "".join(lines[:1]):
        return result
    return "\n".join(lines[next((n for n, line in enumerate(lines) if line[:1] != " "), 0) :])
