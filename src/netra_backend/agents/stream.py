"""Streams: what an agent returns when it is called, and where in its code it stands."""

import inspect
from collections.abc import AsyncIterable, AsyncIterator
from types import AsyncGeneratorType, CoroutineType, GeneratorType

from ag_ui.core import BaseEvent, RunAgentInput

from netra_backend.agents.base import Agent
from netra_backend.errors import AgentError

MAX_CALLS = 16
"""Calls of which a place is told."""

_KINDS: dict[type, tuple[str, str]] = {
    AsyncGeneratorType: ("ag_frame", "ag_await"),
    CoroutineType: ("cr_frame", "cr_await"),
    GeneratorType: ("gi_frame", "gi_yieldfrom"),
}
"""Where they stand, and for what. Nothing else is asked: its attributes may be anybody's code."""


def opened(agent: Agent, given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Return the stream of the agent's events. Raises AgentError if it returns anything else."""
    stream = agent(given)
    if not isinstance(stream, AsyncIterable):
        if inspect.iscoroutine(stream):
            stream.close()  # Python warns of one that nobody awaits
        raise AgentError(
            f"the agent returned {type(stream).__qualname__}; called with the run's input, it must "
            "return an async iterator of events"
        )
    return stream


async def close(stream: object) -> None:
    """Close the stream, if it can be."""
    aclose = getattr(stream, "aclose", None)
    if aclose is not None:
        await aclose()


def place(stream: object) -> list[str]:
    """Return the calls in which a stream stands that waits or has yielded, the innermost last.

    They end where a stream takes events from another one; empty if it is over, or no generator.
    Never raises.
    """
    calls: list[str] = []
    while len(calls) < MAX_CALLS and (kind := _KINDS.get(type(stream))) is not None:
        frame, stream = (getattr(stream, name) for name in kind)
        if frame is None:
            break
        calls.append(f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}")
    return calls
