"""Streams: what an agent returns, and where it stands."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from ag_ui.core import BaseEvent, CustomEvent, RunAgentInput

from netra_backend.agents import stream
from netra_backend.errors import AgentError
from netra_backend.testing import asking

pytestmark = pytest.mark.anyio

EVENT = CustomEvent(name="n", value=1)


async def helper(asked: asyncio.Event) -> None:
    await asked.wait()


async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    yield EVENT
    await helper(asyncio.Event())


async def wrapper(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    async for event in agent(given):
        yield event


def names(thing: object) -> list[str]:
    return [call.rpartition(" in ")[2] for call in stream.place(thing)]


async def test_it_stands_where_it_has_yielded_or_waits() -> None:
    events = stream.opened(agent, asking(""))
    await anext(events)
    begins = agent.__code__.co_firstlineno
    assert stream.place(events) == [f"{__file__}:{begins + 1} in agent"]

    waiting = asyncio.ensure_future(anext(events))
    await asyncio.sleep(0)
    assert names(events) == ["agent", "helper", "wait"]
    assert f":{begins + 2} in agent" in stream.place(events)[0]

    waiting.cancel()
    await asyncio.wait({waiting})
    assert stream.place(events) == []


async def test_of_one_that_takes_its_events_from_another_its_own_place_is_told() -> None:
    events = stream.opened(wrapper, asking(""))
    await anext(events)
    assert names(events) == ["wrapper"]
    await stream.close(events)


class Plain:
    """An iterator that is no generator, and cannot be closed."""

    def __getattr__(self, name: str) -> object:
        if name == "aclose":
            raise AttributeError(name)
        raise RuntimeError("nobody has a reason to ask")

    def __aiter__(self) -> "Plain":
        return self

    async def __anext__(self) -> BaseEvent:
        return EVENT


async def test_an_iterator_of_another_kind_has_no_place_and_needs_no_close() -> None:
    events = stream.opened(lambda _: Plain(), asking(""))
    assert await anext(events) is EVENT
    assert stream.place(events) == []
    await stream.close(events)


async def test_what_is_no_stream_is_refused_with_what_it_is() -> None:
    with pytest.raises(AgentError, match=r"^the agent returned function; called with the run's"):
        stream.opened(lambda _: names, asking(""))  # type: ignore[arg-type, return-value]
