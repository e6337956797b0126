"""The scripted agent and its scripts."""

import asyncio

import pytest
from ag_ui.core import EventType, StepFinishedEvent, StepStartedEvent

from netra_backend.testing.player import asking, play
from netra_backend.testing.scripted_agent import (
    Gate,
    ScriptedAgent,
    answer,
    endless,
    events,
    failure,
    reasoning,
    tool_call,
)

pytestmark = pytest.mark.anyio
BOUND = 10.0
"""Seconds that nothing here may take."""


async def test_scripts_are_played_one_after_another() -> None:
    agent = ScriptedAgent(
        reasoning("Hm, ", "well."),
        tool_call("weather", '{"city":', '"Oslo"}', result="rain"),
        answer("Take ", "a coat."),
    )
    played = await play(agent, asking("What to wear?"))

    assert [event.type for event in played] == [
        "REASONING_START",
        "REASONING_MESSAGE_START",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_CONTENT",
        "REASONING_MESSAGE_END",
        "REASONING_END",
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
        "TOOL_CALL_RESULT",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
    ]
    assert agent.inputs[0].messages[0].content == "What to wear?"


async def test_each_run_has_its_own_ids() -> None:
    agent = ScriptedAgent(answer("a"), tool_call("t"))
    one, two = await play(agent, asking("")), await play(agent, asking(""))

    assert one[0].message_id != two[0].message_id
    assert one[-1].tool_call_id != two[-1].tool_call_id
    assert len(agent.inputs) == 2


async def test_it_stops_at_a_gate_until_the_gate_is_open() -> None:
    gate = Gate()
    seen: list[str] = []

    async def consume() -> None:
        stream = ScriptedAgent(answer("one ", gate, "two"))(asking(""))
        while (event := await anext(stream, None)) is not None:
            seen.append(getattr(event, "delta", event.type.value))

    task = asyncio.create_task(consume())
    async with asyncio.timeout(BOUND):
        await gate.reached()
        assert seen == ["TEXT_MESSAGE_START", "one "]
        gate.open()
        await task

    assert seen[2:] == ["two", "TEXT_MESSAGE_END"]


async def test_a_gate_that_is_open_stays_open() -> None:
    gate = Gate()
    gate.open()
    async with asyncio.timeout(BOUND):
        for _ in range(2):
            await play(ScriptedAgent(answer("a", gate)), asking(""))


async def test_a_failure_comes_in_the_middle_of_a_message() -> None:
    agent = ScriptedAgent(failure("Half of ", error=OSError("disk")))
    stream = agent(asking(""))
    seen = [await anext(stream), await anext(stream)]

    assert [event.type for event in seen] == ["TEXT_MESSAGE_START", "TEXT_MESSAGE_CONTENT"]
    with pytest.raises(OSError, match="disk"):
        await anext(stream)
    async with asyncio.timeout(BOUND):
        await agent.stopped()


async def test_an_endless_stream_lets_others_run_and_ends_when_it_is_closed() -> None:
    agent = ScriptedAgent(endless(pause=0.0))
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    stream = agent(asking(""))
    for _ in range(100):
        await anext(stream)
    task.cancel()
    await stream.aclose()

    assert turns > 90
    async with asyncio.timeout(BOUND):
        await agent.stopped()


async def test_an_endless_stream_pauses_between_its_deltas() -> None:
    stream = ScriptedAgent(endless(pause=10 * BOUND))(asking(""))
    assert [(await anext(stream)).type for _ in range(2)] == [
        EventType.TEXT_MESSAGE_START,
        EventType.TEXT_MESSAGE_CONTENT,
    ]
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await anext(stream)


async def test_a_whole_script_was_not_stopped() -> None:
    agent = ScriptedAgent(answer("a"))
    await play(agent, asking(""))

    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0):
            await agent.stopped()


async def test_events_are_played_as_they_are() -> None:
    steps = [StepStartedEvent(step_name="s"), StepFinishedEvent(step_name="s")]

    assert await play(ScriptedAgent(events(*steps)), asking("")) == steps
