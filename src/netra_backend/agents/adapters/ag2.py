"""AG2: its agents, as they are (extra ``ag2``).

AG2's own AG-UI stream translates, to lines of server-sent events. Each run has a stream of its
own, which ends with it. The exception is a question that the agent asks a person: AG2 holds the
turn in this process until the answer comes. After a restart, or once too many are held, the answer
finds nobody and the run fails.
"""

import re
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from itertools import dropwhile, takewhile
from typing import cast

from ag2 import Agent
from ag2.ag_ui import AGUIStream
from ag_ui.core import (
    BaseEvent,
    Event,
    RunAgentInput,
    ToolCallResultEvent,
)
from pydantic import TypeAdapter

from netra_backend.agents.foreign import together, translated
from netra_backend.agents.held import Held
from netra_backend.agents.pairing import answered
from netra_backend.agents.run_context import scope_of

_EVENT: TypeAdapter[BaseEvent] = TypeAdapter(Event)


class AG2Agent:
    """An agent that runs `agent`, an AG2 one."""

    def __init__(self, agent: Agent) -> None:
        self._agent = agent
        self._held: Held[AGUIStream] = Held(AGUIStream.aclose)

    async def __call__(self, input: RunAgentInput) -> AsyncIterator[BaseEvent]:
        """Run the agent on the conversation; closing the iterator stops it.

        Raises AgentError for whatever it raises, and if the turn that asked is gone.
        """
        scope, input = scope_of(input), answered(input)
        stream, input, calls = await self._held.take(scope, input)
        stream = stream or AGUIStream(self._agent)
        given = input.model_copy(update={"thread_id": scope})
        held = False
        try:
            lines = cast(AsyncGenerator[str], stream.dispatch(given))
            async with aclosing(lines):
                decoded = _decoded(lines)
                async for event in together(translated("the agent", input, decoded, calls)):
                    held = await self._held.keep(scope, stream, calls, event)
                    yield event
        finally:
            if not held:
                await stream.aclose()


async def _decoded(lines: AsyncIterator[str]) -> AsyncIterator[BaseEvent]:
    async for line in lines:
        event = _EVENT.validate_json(line.removeprefix("data: "))
        if isinstance(event, ToolCallResultEvent) and isinstance(event.content, str):
            event.content = _without_traceback(event.content)
        yield event


_TRACEBACK = re.compile(
    r"^(?:Traceback|  (\+) Exception Group Traceback) \(most recent call last\):\n"
    r'(?:  \| )?  File "[^"\n]*function_tool\.py"',
    re.MULTILINE,
)
"""How that of a failed tool begins, the first frame of which is AG2's, or that of a group's."""


def _without_traceback(result: str) -> str:
    """Return what a failed tool's exception says, without the places in the server's files.

    AG2 gives the model all of it: what led to the exception, and what a group of them holds.
    """
    *_, begun = None, *_TRACEBACK.finditer(result)  # the last is that of what was raised
    if begun is None:
        return result
    lines = result[begun.end() :].splitlines()[1:]
    if begun[1]:
        lines = [line[4:] for line in takewhile(lambda line: line[:4] == "  | ", lines)]
    return "\n".join(dropwhile(lambda line: line[:1] == " ", lines))
