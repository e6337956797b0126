"""Running an agent without a server."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from ag_ui.core import (
    BaseEvent,
    EventType,
    RunAgentInput,
    RunErrorEvent,
    RunFinishedEvent,
    RunStartedEvent,
    StepFinishedEvent,
    TextMessageChunkEvent,
)

from netra_backend.agents.base import Text
from netra_backend.agents.run_context import RunContext
from netra_backend.errors import ConfigError, EventError
from netra_backend.testing.player import asking, play
from netra_backend.testing.scripted_agent import ScriptedAgent, answer, endless, events

pytestmark = pytest.mark.anyio


def test_the_input_asks_the_question_in_a_new_thread() -> None:
    one, two = asking("Hello"), asking("", thread_id="t1", state={"a": 1})

    assert [message.content for message in one.messages] == ["Hello"]
    assert one.thread_id != asking("Hello").thread_id
    assert (two.thread_id, two.state) == ("t1", {"a": 1})


async def test_the_agent_may_start_the_run_itself() -> None:
    started = RunStartedEvent(thread_id="t", run_id="r")

    assert await play(ScriptedAgent(events(started)), asking("")) == [started]


async def test_it_refuses_what_the_runner_would_refuse() -> None:
    agent = ScriptedAgent(events(StepFinishedEvent(step_name="s")), endless())

    with pytest.raises(EventError, match="STEP_FINISHED 's'"):
        await play(agent, asking(""))
    await agent.stopped()


@pytest.mark.parametrize(
    "end", [RunFinishedEvent(thread_id="own", run_id="own"), RunErrorEvent(message="no")]
)
async def test_a_terminal_event_ends_the_run_and_closes_the_agent(end: BaseEvent) -> None:
    closed = []

    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        try:
            yield end
            yield TextMessageChunkEvent(message_id="m", role="assistant", delta="late")
        finally:
            await run.save({"late": True})
            closed.append(True)

    assert await play(agent, asking("")) == [end]
    assert closed == [True]


async def test_what_is_said_in_the_middle_of_a_message_in_chunks_does_not_end_it() -> None:
    async def agent(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        yield TextMessageChunkEvent(message_id="m", role="assistant", delta="a")
        run.progress("half")
        await run.save({"half": True})
        yield TextMessageChunkEvent(message_id="m", delta="b")

    assert said(await play(agent, asking(""))) == "ab"


async def test_it_refuses_an_id_that_the_conversation_has() -> None:
    played = await play(ScriptedAgent(answer("a")), asking(""))
    (start,) = [event for event in played if event.type is EventType.TEXT_MESSAGE_START]
    before = {"id": start.message_id, "role": "assistant", "content": "a"}

    with pytest.raises(EventError, match="used before"):
        await play(ScriptedAgent(events(*played)), asking("", messages=[before]))


async def book(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
    """Ask two questions, and say the answers and how often it was begun."""
    begun = run.state(dict).get("begun", 0) + 1
    await run.save({"begun": begun})
    sure, seat = await run.ask("Sure?"), await run.ask("Which seat?", schema={"type": "string"})
    text = Text()
    for event in (*text.start(), *text.add(f"{sure} {seat} {begun}"), *text.end()):
        yield event


async def remember(input: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
    """Say something, ask, and say what the history has then."""
    text = Text()
    if not input.resume:
        for event in (*text.start(), *text.add("Before. "), *text.end()):
            yield event
    await run.ask("Sure?")
    for event in (*text.start(), *text.add(str([one.content for one in input.messages]))):
        yield event


async def test_the_run_after_an_answer_has_what_was_said_before() -> None:
    assert said(await play(remember, asking("Q"), answers=[1])) == "['Q', 'Before. ']"


def said(events: list[BaseEvent]) -> str:
    return "".join(getattr(event, "delta", "") for event in events)


async def test_an_agent_that_takes_the_run_is_answered_as_by_a_person() -> None:
    def asks(events: list[BaseEvent]) -> str:
        last: Any = events[-1]
        return str(last.outcome.interrupts[0].message)

    assert asks(await play(book, asking(""))) == "Sure?"
    assert asks(await play(book, asking(""), answers=[True])) == "Which seat?"
    assert said(await play(book, asking(""), answers=[True, "12A"])) == "True 12A 3"
    assert said(await play(book, asking(""), answers=[True, None])) == "True None 3"


async def test_an_answer_without_a_question_is_refused() -> None:
    with pytest.raises(ValueError, match="0 questions, for 1 answers"):
        await play(ScriptedAgent(answer("a")), asking(""), answers=[True])


async def test_an_answer_that_does_not_fit_the_schema_is_refused_as_by_a_server() -> None:
    with pytest.raises(ValueError, match=r"'Which seat\?' is not answered: the answer: .*string"):
        await play(book, asking(""), answers=[True, 12])


async def test_it_takes_what_is_served_and_nothing_else() -> None:
    with pytest.raises(ConfigError, match="it cannot be called"):
        await play(7, asking(""))
    pydantic_ai = pytest.importorskip("pydantic_ai", reason="the extra pydantic-ai is missing")
    from pydantic_ai.models.test import TestModel

    agent = pydantic_ai.Agent(TestModel(custom_output_text="Hello."))
    assert said(await play(agent, asking("Hi"))) == "Hello."
