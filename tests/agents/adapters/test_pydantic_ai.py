"""pydantic-ai agents, with the library's offline models."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Any

import pytest
from ag_ui.core import (
    AssistantMessage,
    EventType,
    FunctionCall,
    ResumeEntry,
    Tool,
    ToolCall,
    ToolMessage,
    UserMessage,
)

from netra_backend.agents.base import Agent
from netra_backend.core.ids import ThreadId, ThreadKey
from netra_backend.core.ports import Answer
from netra_backend.core.run import RunStatus
from netra_backend.testing.player import asking, play
from tests.agents.adapters.later import Later
from tests.agents.running import ALICE, running
from tests.agents.said import of_type, text

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage
    from pydantic_ai.models import Model
    from pydantic_ai.models.function import AgentInfo

adapter = Later("netra_backend.agents.adapters.pydantic_ai")
library = Later("pydantic_ai")
function = Later("pydantic_ai.models.function")
offline = Later("pydantic_ai.models.test")

pytestmark = pytest.mark.anyio
BOUND = 10.0
"""Seconds that nothing here may take."""


def streaming(stream: Any) -> Agent:
    return adapter.PydanticAIAgent(library.Agent(function.FunctionModel(stream_function=stream)))


def with_tool(**options: Any) -> Agent:
    agent = library.Agent(offline.TestModel())

    @agent.tool_plain(**options)
    def weather(city: str) -> str:
        return f"sunny in {city}"

    return adapter.PydanticAIAgent(agent)


async def test_an_answer(assert_legal) -> None:
    given = asking("hello")
    events = await play(
        adapter.PydanticAIAgent(library.Agent(offline.TestModel(custom_output_text="Hi there"))),
        given,
    )

    assert text(events) == "Hi there"
    assert events[-1].type is EventType.RUN_FINISHED
    assert all(event.timestamp is None for event in events)
    assert_legal(given, events)


async def test_a_tool_call(assert_legal) -> None:
    given = asking("weather?")
    events = await play(with_tool(), given)
    (start,) = of_type(events, "TOOL_CALL_START")
    (result,) = of_type(events, "TOOL_CALL_RESULT")

    assert start.tool_call_name == "weather"
    assert json.loads(text(events, "TOOL_CALL_ARGS")) == {"city": "a"}
    assert (result.tool_call_id, result.content) == (start.tool_call_id, "sunny in a")
    assert_legal(given, events)


async def test_reasoning_and_empty_deltas(assert_legal) -> None:
    async def stream(_: list[ModelMessage], __: AgentInfo) -> AsyncIterator[Any]:
        yield {0: function.DeltaThinkingPart(content="Let me ")}
        yield {0: function.DeltaThinkingPart(content="see.")}
        yield "A"
        yield ""
        yield "nswer"

    given = asking("why?")
    events = await play(streaming(stream), given)

    assert text(events, "REASONING_MESSAGE_CONTENT") == "Let me see."
    assert text(events) == "Answer"
    assert_legal(given, events)


async def test_empty_arguments_are_no_event(assert_legal) -> None:
    async def stream(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[Any]:
        if len(messages) > 1:
            yield "done"
            return
        yield {0: function.DeltaToolCall(name="count", json_args="", tool_call_id="c1")}
        yield {0: function.DeltaToolCall(json_args="{}", tool_call_id="c1")}
        yield {0: function.DeltaToolCall(json_args="", tool_call_id="c1")}

    agent = library.Agent(function.FunctionModel(stream_function=stream))
    agent.tool_plain(lambda: 1, name="count")
    given = asking("count")
    events = await play(adapter.PydanticAIAgent(agent), given)

    assert [event.delta for event in of_type(events, "TOOL_CALL_ARGS")] == ["{}"]
    assert_legal(given, events)


async def test_the_conversation_reaches_the_model() -> None:
    seen: list[list[ModelMessage]] = []

    async def stream(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[str]:
        seen.append(messages)
        yield "ok"

    history = [
        UserMessage(id="u1", content="first"),
        AssistantMessage(id="a1", content="an answer"),
        UserMessage(id="u2", content="second"),
    ]
    await play(streaming(stream), asking("", messages=history))

    parts = [part.content for message in seen[0] for part in message.parts]
    assert parts == ["first", "an answer", "second"]


async def test_a_call_id_that_the_thread_has_used_is_replaced(assert_legal) -> None:
    """TestModel gives the same id to each call of a tool, as some real servers do."""
    own_id = "pyd_ai_tool_call_id__weather"
    history = [
        UserMessage(id="u1", content="weather?"),
        AssistantMessage(
            id=own_id,
            tool_calls=[ToolCall(id=own_id, function=FunctionCall(name="weather", arguments="{}"))],
        ),
        ToolMessage(id="t1", tool_call_id=own_id, content="rain"),
    ]

    async def stream(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[Any]:
        if "sunny" in str(messages[-1]):
            yield "done"
        else:
            yield {
                0: function.DeltaToolCall(
                    name="weather", json_args='{"city":"x"}', tool_call_id=own_id
                )
            }

    agent = library.Agent(function.FunctionModel(stream_function=stream))
    agent.tool_plain(lambda city: f"sunny in {city}", name="weather")
    given = asking("", messages=[*history, UserMessage(id="u2", content="and now?")])
    events = await play(adapter.PydanticAIAgent(agent), given)
    (start,) = of_type(events, "TOOL_CALL_START")
    (result,) = of_type(events, "TOOL_CALL_RESULT")

    assert start.tool_call_id != own_id
    assert start.tool_call_id == result.tool_call_id
    assert_legal(given, events)


async def test_two_rounds_with_one_id_are_two_calls(assert_legal) -> None:
    async def stream(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[Any]:
        if len(messages) > 3:
            yield "done"
        else:
            yield {0: function.DeltaToolCall(name="count", json_args="{}", tool_call_id="call_0")}

    agent = library.Agent(function.FunctionModel(stream_function=stream))
    agent.tool_plain(lambda: 1, name="count")
    given = asking("count twice")
    events = await play(adapter.PydanticAIAgent(agent), given)

    started = [event.tool_call_id for event in of_type(events, "TOOL_CALL_START")]
    assert started[0] == "call_0"
    assert len(set(started)) == 2
    assert [event.tool_call_id for event in of_type(events, "TOOL_CALL_RESULT")] == started
    assert_legal(given, events)


async def test_a_tool_of_the_client_is_left_to_the_client(assert_legal) -> None:
    tool = Tool(name="pick", description="Pick a colour", parameters={"type": "object"})
    given = asking("pick one", tools=[tool], protocol_version="1.0")
    events = await play(adapter.PydanticAIAgent(library.Agent(offline.TestModel())), given)
    (start,) = of_type(events, "TOOL_CALL_START")

    assert start.tool_call_name == "pick"
    assert not of_type(events, "TOOL_CALL_RESULT")
    assert events[-1].outcome.pending_tool_call_ids == [start.tool_call_id]
    assert_legal(given, events)


def asking_for_approval(model: Model, *tools: Callable[..., Any]) -> tuple[Agent, list[str]]:
    output = [str, library.DeferredToolRequests]
    agent = library.Agent(model, output_type=output, tools=tools)
    deleted: list[str] = []

    @agent.tool_plain(requires_approval=True)
    def delete(path: str) -> str:
        deleted.append(path)
        return f"deleted {path}"

    return adapter.PydanticAIAgent(agent), deleted


@pytest.mark.parametrize("approved", [True, False])
async def test_an_approval_is_asked_for_and_taken_up(assert_legal, approved: bool) -> None:
    agent, deleted = asking_for_approval(offline.TestModel())
    first = asking("delete it")
    events = await play(agent, first)
    (start,) = of_type(events, "TOOL_CALL_START")
    (asked,) = events[-1].outcome.interrupts
    assert asked.tool_call_id == start.tool_call_id
    assert not deleted
    assert_legal(first, events)

    call = FunctionCall(name="delete", arguments=text(events, "TOOL_CALL_ARGS"))
    asked_for = AssistantMessage(
        id="a1", tool_calls=[ToolCall(id=start.tool_call_id, function=call)]
    )
    answer = ResumeEntry(interrupt_id=asked.id, status="resolved", payload={"approved": approved})
    second = asking("", messages=[*first.messages, asked_for], resume=[answer])
    events = await play(agent, second)

    assert deleted == (["a"] if approved else [])
    assert of_type(events, "TOOL_CALL_RESULT")[0].tool_call_id == start.tool_call_id


async def test_an_approval_of_a_replaced_call_is_taken_up() -> None:
    own_id = "pyd_ai_tool_call_id__delete"
    before = AssistantMessage(
        id=own_id,
        tool_calls=[ToolCall(id=own_id, function=FunctionCall(name="delete", arguments="{}"))],
    )

    async def stream(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[Any]:
        if "deleted b" in str(messages[-1]):
            yield "done"
        else:
            yield {
                0: function.DeltaToolCall(
                    name="delete", json_args='{"path":"b"}', tool_call_id=own_id
                )
            }

    agent, deleted = asking_for_approval(function.FunctionModel(stream_function=stream))
    history = [
        UserMessage(id="u1", content="delete a"),
        before,
        ToolMessage(id="t1", tool_call_id=own_id, content="deleted a"),
        UserMessage(id="u2", content="delete b"),
    ]
    events = await play(agent, asking("", messages=history))
    (start,) = of_type(events, "TOOL_CALL_START")
    (asked,) = events[-1].outcome.interrupts
    assert start.tool_call_id == asked.tool_call_id != own_id

    call = FunctionCall(name="delete", arguments='{"path":"b"}')
    now = AssistantMessage(id="a2", tool_calls=[ToolCall(id=start.tool_call_id, function=call)])
    answer = ResumeEntry(interrupt_id=asked.id, status="resolved", payload={"approved": True})
    events = await play(agent, asking("", messages=[*history, now], resume=[answer]))

    assert of_type(events, "TOOL_CALL_RESULT")[0].content == "deleted b"
    assert deleted == ["b"]


async def test_an_approval_that_comes_after_another_message_is_taken_up() -> None:
    """And each result reaches the model behind its call, as APIs of models ask."""
    told: list[list[str]] = []

    async def stream(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[Any]:
        parts = [part for message in messages for part in message.parts]
        told.append([getattr(part, "tool_call_id", "") or str(part.content) for part in parts])
        if told[-1] != ["delete it"]:
            yield "yes"
            return
        yield {0: function.DeltaToolCall("delete", '{"path":"a"}', tool_call_id="c0")}
        yield {1: function.DeltaToolCall("look", "{}", tool_call_id="c1")}

    def look() -> str:
        return "seen"

    agent, deleted = asking_for_approval(function.FunctionModel(stream_function=stream), look)
    async with running(agent) as house:
        for run, said in (("r1", "delete it"), ("r2", "wait")):
            await house.start(ALICE, asking(said, thread_id="t1", run_id=run))
            await house.ended(run)
        assert not deleted
        thread = ThreadKey(ALICE, ThreadId("t1"))
        (asked,) = await house.store.asked(thread, 9)
        answer = Answer(asked.id, "resolved", b'{"approved":true}')
        decided = await house.runner.interrupts.decide(thread, answer, ALICE)
        assert (await house.ended(decided.run or "")).status is RunStatus.FINISHED
        await house.start(ALICE, asking("and?", thread_id="t1", run_id="r3"))
        await house.ended("r3")
    assert deleted == ["a"]
    calls = ["c0", "c1", "c0", "c1"]
    assert told == [
        ["delete it"],
        ["delete it", *calls, "wait"],
        ["delete it", "wait", "yes", *calls],
        ["delete it", *calls, "wait", "yes", "yes", "and?"],
    ]


async def test_an_error_of_the_model_is_raised() -> None:
    async def stream(_: list[ModelMessage], __: AgentInfo) -> AsyncIterator[str]:
        yield "Part of "
        raise ValueError("secret detail")

    events = aiter(streaming(stream)(asking("hello")))
    seen = [await anext(events) for _ in range(4)]
    with pytest.raises(ValueError, match="secret detail"):
        await anext(events)

    assert [event.type for event in seen] == [
        "RUN_STARTED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
    ]


async def test_an_error_of_a_tool_is_raised() -> None:
    agent = library.Agent(offline.TestModel())

    @agent.tool_plain
    def weather(city: str) -> str:
        raise LookupError("no such city")

    with pytest.raises(LookupError, match="no such city"):
        await play(adapter.PydanticAIAgent(agent), asking("weather?"))


async def test_an_answer_that_does_not_fit_the_question_is_raised() -> None:
    agent, _ = asking_for_approval(offline.TestModel())
    answer = ResumeEntry(interrupt_id="int-x", status="resolved", payload={"approved": "maybe"})

    with pytest.raises(Exception, match="does not match"):
        await play(agent, asking("", resume=[answer]))


class Endless:
    """A model that streams until it is stopped, and says when it has been."""

    def __init__(self, *parts: Any) -> None:
        self._parts = parts
        self.waiting = asyncio.Event()
        self.stopped = asyncio.Event()

    async def stream(self, _: list[ModelMessage], __: AgentInfo) -> AsyncIterator[Any]:
        try:
            for part in self._parts:
                yield part
            self.waiting.set()
            await asyncio.Event().wait()
        finally:
            self.stopped.set()


CONSTRUCTS: dict[str, tuple[Callable[[], Any], str]] = {
    "message": (lambda: "Half a ", "TEXT_MESSAGE_CONTENT"),
    "tool call": (
        lambda: {0: function.DeltaToolCall(name="count", json_args='{"a":', tool_call_id="c1")},
        "TOOL_CALL_ARGS",
    ),
    "reasoning": (
        lambda: {0: function.DeltaThinkingPart(content="Hm, ")},
        "REASONING_MESSAGE_CONTENT",
    ),
}


@pytest.mark.parametrize("construct", CONSTRUCTS)
async def test_closing_it_in_the_middle_stops_the_model(
    construct: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = library.CancellationToken()
    monkeypatch.setattr(
        "netra_backend.agents.adapters.pydantic_ai.CancellationToken", lambda: token
    )
    part, kind = CONSTRUCTS[construct]
    model = Endless(part())
    stream = streaming(model.stream)(asking("go on"))
    async with asyncio.timeout(BOUND):
        async for event in stream:
            if event.type == kind:
                break
        assert not token.cancelled
        await stream.aclose()
        assert token.cancelled
        await model.stopped.wait()


@pytest.mark.parametrize("construct", CONSTRUCTS)
async def test_cancelling_it_while_it_waits_stops_the_model(construct: str) -> None:
    model = Endless(CONSTRUCTS[construct][0]())
    agent = streaming(model.stream)

    async def consume() -> None:
        async for _ in agent(asking("go on")):
            pass

    task = asyncio.create_task(consume())
    async with asyncio.timeout(BOUND):
        await model.waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await model.stopped.wait()


async def test_closing_it_while_a_tool_runs_stops_the_tool() -> None:
    started, stopped = asyncio.Event(), asyncio.Event()
    agent = library.Agent(offline.TestModel())

    @agent.tool_plain
    async def wait() -> str:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()
        return "never"

    async def consume() -> None:
        async for _ in adapter.PydanticAIAgent(agent)(asking("go on")):
            pass

    task = asyncio.create_task(consume())
    async with asyncio.timeout(BOUND):
        await started.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await stopped.wait()
