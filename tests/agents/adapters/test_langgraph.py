"""LangGraph graphs: interrupts over runs, users that stay apart, and what was not streamed."""

from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest
from ag_ui.core import (
    AssistantMessage,
    BaseEvent,
    FunctionCall,
    ResumeEntry,
    ToolCall,
    ToolCallResultEvent,
    ToolCallStartEvent,
)

from netra_backend.agents.loading import adapt
from netra_backend.core.ids import ThreadId, ThreadKey, UserId
from netra_backend.core.ports import Answer
from netra_backend.core.run import RunStatus
from netra_backend.testing import asking
from tests.agents.running import ALICE, T1, Running, running
from tests.contract.adapters import langgraph
from tests.contract.stage import Call, Say, Scenario, Stage, Think
from tests.legality import illegal

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("imported")]


@pytest.fixture(scope="module")
def imported() -> None:
    """Import the framework in the worker that needs it: it takes seconds, and all would wait."""
    pytest.importorskip("ag_ui_langgraph", reason="the extra langgraph is not installed")


def graph(node: Any, checkpointer: Any = None) -> Any:
    from langgraph.graph import END, START, MessagesState, StateGraph

    built = StateGraph(MessagesState)
    built.add_node("node", node)
    built.add_edge(START, "node")
    built.add_edge("node", END)
    return built.compile(checkpointer=checkpointer)


def call(id: str) -> ToolCall:
    return ToolCall(id=id, function=FunctionCall(name="f", arguments="{}"))


def texts(chunks: list) -> list[str]:
    return [chunk["delta"] for chunk in chunks if chunk["type"] == "TEXT_MESSAGE_CONTENT"]


async def test_a_message_that_was_not_streamed_is_said_once() -> None:
    from langchain_core.messages import AIMessage

    def node(state: dict[str, Any]) -> dict[str, Any]:
        return {"messages": [AIMessage(f"after {len(state['messages'])}")]}

    async with running(adapt(graph(node))) as house:
        for run in ("r1", "r2"):
            await house.start(ALICE, asking("hi", thread_id="t1", run_id=run))
            await house.ended(run)
        chunks = await house.chunks()
    assert texts(chunks) == ["after 1", "after 3"], "the log brings the history"
    assert illegal(chunks) == []
    assert not {"RAW", "MESSAGES_SNAPSHOT"} & {chunk["type"] for chunk in chunks}


def asks(state: dict[str, Any]) -> dict[str, Any]:
    from langchain_core.messages import AIMessage
    from langgraph.types import interrupt

    return {"messages": [AIMessage(f"You said {interrupt('Go on?')}")]}


@pytest.mark.parametrize("keeps", [True, False])
async def test_an_interrupt_goes_on_if_the_graph_keeps_checkpoints(keeps: bool) -> None:
    from langgraph.checkpoint.memory import InMemorySaver

    async with running(adapt(graph(asks, InMemorySaver() if keeps else None))) as house:
        await house.start(ALICE, asking("hi", thread_id="t1", run_id="r1"))
        assert (await house.ended("r1")).status is RunStatus.AWAITING
        (asked,) = await house.store.asked(T1, 9)
        answer = Answer(asked.id, "resolved", b'"yes"')
        decided = await house.runner.interrupts.decide(T1, answer, ALICE)
        last = await house.ended(decided.run or "")
        chunks = await house.chunks()
    assert last.status is (RunStatus.FINISHED if keeps else RunStatus.FAILED)
    assert texts(chunks) == (["You said yes"] if keeps else [])
    assert illegal(chunks) == []


async def answered(house: Running, payloads: list[bytes | None]) -> RunStatus:
    """Answer the thread's questions, None to decline; return how the run ended that went on."""
    questions = await house.store.asked(T1, 9)
    for asked, payload in zip(questions, payloads, strict=True):
        status = "cancelled" if payload is None else "resolved"
        answer = Answer(asked.id, status, payload or b"null")
        decided = await house.runner.interrupts.decide(T1, answer, ALICE)
    return (await house.ended(decided.run or "")).status


@pytest.mark.parametrize(
    ("mode", "payload", "result"),
    [
        ("batched", b'{"approved":true}', "sunny in Oslo"),
        ("batched", b'{"approved":false}', "User rejected"),
        ("batched", b'{"approved":false,"reason":"it is far"}', "with reason: it is far"),
        ("batched", b'{"decisions":[{"type":"respond","message":"rain"}]}', "rain"),
        ("batched", None, "User rejected"),
        ("per_call", b'{"approved":true}', "sunny in Oslo"),
        ("per_call", b'{"approved":false,"reason":"it is far"}', "with reason: it is far"),
        ("per_call", b'{"type":"respond","message":"rain"}', "rain"),
        ("per_call", None, "User rejected"),
    ],
)
async def test_the_middleware_for_people_is_answered_by_yes_or_no_or_in_its_form(
    mode: Any, payload: bytes | None, result: str
) -> None:
    from langchain.agents.middleware import HumanInTheLoopMiddleware
    from langgraph.checkpoint.memory import InMemorySaver

    careful = [HumanInTheLoopMiddleware({"weather": True}, interrupt_mode=mode)]
    stage = Stage(Scenario.TOOL)
    async with (
        langgraph(stage, middleware=careful, checkpointer=InMemorySaver()) as thing,
        running(adapt(thing)) as house,
    ):
        await house.start(ALICE, asking("hi", thread_id="t1", run_id="r1"))
        assert (await house.ended("r1")).status is RunStatus.AWAITING
        (asked,) = await house.store.asked(T1, 9)
        assert b"Tool: weather" in asked.question
        assert await answered(house, [payload]) is RunStatus.FINISHED
        chunks = await house.chunks()
    types = [chunk["type"] for chunk in chunks]
    assert types.count("TOOL_CALL_START") == 1, "the call is not told once more"
    results = [chunk["content"] for chunk in chunks if chunk["type"] == "TOOL_CALL_RESULT"]
    assert len(results) == 1
    assert result in results[0]
    assert illegal(chunks, later_run=True) == []


@pytest.mark.parametrize("mode", ["batched", "per_call"])
async def test_each_rejection_is_told_of_its_own_call(mode: Any) -> None:
    """Though the model gives each call the same id."""
    from langchain.agents.middleware import HumanInTheLoopMiddleware
    from langgraph.checkpoint.memory import InMemorySaver

    careful = [HumanInTheLoopMiddleware({"weather": True}, interrupt_mode=mode)]
    async with (
        langgraph(Stage(Scenario.TOOL), middleware=careful, checkpointer=InMemorySaver()) as thing,
        running(adapt(thing)) as house,
    ):
        for run in ("r1", "r2"):
            await house.start(ALICE, asking("hi", thread_id="t1", run_id=run))
            await house.ended(run)
            asked = next(one for one in await house.store.asked(T1, 9) if one.run == run)
            answer = Answer(asked.id, "resolved", b'{"approved":false}')
            decided = await house.runner.interrupts.decide(T1, answer, ALICE)
            assert (await house.ended(decided.run or "")).status is RunStatus.FINISHED
        messages = await house.messages()
    roles = [message["role"] for message in messages]
    assert roles == ["user", "assistant", "tool", "assistant"] * 2


async def test_a_call_that_goes_on_is_not_told_again_but_one_with_the_id_of_an_older_is() -> None:
    """The first run was cancelled, so that its calls have results in the checkpoint only."""
    from langchain_core.messages import AIMessage
    from langchain_core.messages import ToolMessage as Result

    from netra_backend.agents.adapters.langgraph import _told_again

    async def told(*ids: str) -> AsyncIterator[BaseEvent]:
        for id in ids:
            yield ToolCallStartEvent(tool_call_id=id, tool_call_name="f")
            yield ToolCallResultEvent(message_id=f"of {id}", tool_call_id=id, content="")

    ids = {"first": ["0", "1"], "second": ["new"]}  # as in the log, where "new" stands for "0"
    messages = [AssistantMessage(id=id, tool_calls=list(map(call, ids[id]))) for id in ids]
    kept = [
        AIMessage("", id="first", tool_calls=[{"id": id, "name": "f", "args": {}} for id in "01"]),
        *(Result("interrupted", tool_call_id=id) for id in "01"),
        AIMessage("", id="second", tool_calls=[{"id": "0", "name": "f", "args": {}}]),
    ]
    resume = [ResumeEntry(interrupt_id="i", status="resolved")]
    given = asking("", messages=messages).model_copy(update={"resume": resume})
    events = [event async for event in _told_again(given, kept, told("0", "1"))]
    assert [(event.type.value, event.tool_call_id) for event in events] == [
        ("TOOL_CALL_RESULT", "new"),
        ("TOOL_CALL_START", "1"),
        ("TOOL_CALL_RESULT", "1"),
    ]


@pytest.mark.parametrize(
    ("question", "shown", "answer"),
    [
        ({"action_requests": ["delete"]}, '"action_requests":["delete"]', "{'approved': True}"),
        ({"action_requests": ["delete"], "review_configs": []}, '"delete"', "{'approved': True}"),
        ({"type": "tool_approval", "tool": "rm"}, '"tool":"rm"', "{'approved': True}"),
        (
            {"action_requests": [{"name": "rm", "args": {}}], "review_configs": []},
            '"name":"rm"',
            "{'decisions': [{'type': 'approve'}]}",
        ),
    ],
)
async def test_a_question_much_like_the_middleware_s_is_shown_and_answered_too(
    question: dict[str, Any], shown: str, answer: str
) -> None:
    from langchain_core.messages import AIMessage
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.types import interrupt

    def node(_: dict[str, Any]) -> dict[str, Any]:
        return {"messages": [AIMessage(str(interrupt(question)))]}

    async with running(adapt(graph(node, InMemorySaver()))) as house:
        await house.start(ALICE, asking("hi", thread_id="t1", run_id="r1"))
        await house.ended("r1")
        (asked,) = await house.store.asked(T1, 9)
        assert shown in msgspec.json.decode(asked.question)["message"]
        assert await answered(house, [b'{"approved":true}']) is RunStatus.FINISHED
        assert texts(await house.chunks()) == [answer]


async def test_a_message_in_place_of_an_answer_gives_the_question_up() -> None:
    from langgraph.checkpoint.memory import InMemorySaver

    def node(state: dict[str, Any]) -> dict[str, Any]:
        return asks(state) if state["messages"][-1].content == "hi" else {}

    async with running(adapt(graph(node, InMemorySaver()))) as house:
        for run, words, end in (
            ("r1", "hi", RunStatus.AWAITING),
            ("r2", "no, wait", RunStatus.FINISHED),
        ):
            await house.start(ALICE, asking(words, thread_id="t1", run_id=run))
            assert (await house.ended(run)).status is end
        assert await answered(house, [b'"late"']) is RunStatus.FAILED


async def test_two_questions_at_once_have_each_its_answer() -> None:
    from langchain_core.messages import AIMessage
    from langgraph.checkpoint.memory import InMemorySaver
    from langgraph.graph import START, MessagesState, StateGraph
    from langgraph.types import interrupt

    def asks_for(what: str) -> Any:
        def node(_: dict[str, Any]) -> dict[str, Any]:
            return {"messages": [AIMessage(f"{what}: {interrupt({'question': what})}")]}

        return node

    built = StateGraph(MessagesState)
    for what in ("first", "second"):
        built.add_node(what, asks_for(what))
        built.add_edge(START, what)
    async with running(adapt(built.compile(checkpointer=InMemorySaver()))) as house:
        await house.start(ALICE, asking("hi", thread_id="t1", run_id="r1"))
        await house.ended("r1")
        questions = await house.store.asked(T1, 9)
        names = ["first" if b"first" in asked.question else "second" for asked in questions]
        payloads: list[bytes | None] = [f'"to {name}"'.encode() for name in names]
        assert await answered(house, payloads) is RunStatus.FINISHED
        chunks = await house.chunks()
    assert sorted(texts(chunks)) == ["first: to first", "second: to second"]


async def test_threads_of_one_name_and_two_users_share_no_checkpoint() -> None:
    from langchain_core.messages import AIMessage
    from langgraph.checkpoint.memory import InMemorySaver

    def node(state: dict[str, Any]) -> dict[str, Any]:
        return {"messages": [AIMessage(" ".join(str(m.content) for m in state["messages"]))]}

    async with running(adapt(graph(node, InMemorySaver()))) as house:
        for user, secret in ((ALICE, "hers"), (UserId("bob"), "his")):
            given = asking(secret, thread_id="t1", run_id="r1")
            await house.start(user, given)
            await house.ended("r1", user)
        entries = await house.store.read(ThreadKey(UserId("bob"), ThreadId("t1")), 0, 99)
    assert "hers" not in str([entry.event.data for entry in entries])


class _Lost(Stage):
    """A model that calls a tool which there is not."""

    async def parts(self, answered: bool) -> AsyncIterator[Say | Think | Call]:
        yield Say("Sorry.") if answered else Call("none")


async def test_the_result_of_a_call_of_no_tool_stands_before_the_answer() -> None:
    """The translator tells it at the end only, in a snapshot of the messages."""
    async with langgraph(_Lost(Scenario.TOOL)) as thing, running(adapt(thing)) as house:
        await house.start(ALICE, asking("hi", thread_id="t1", run_id="r1"))
        await house.ended("r1")
        types = await house.types()
    assert types.index("TOOL_CALL_RESULT") < types.index("TEXT_MESSAGE_START")
    assert "STATE_SNAPSHOT" not in types, "the state is nothing but the messages"


def city(name: str, **fields: Any) -> dict[str, Any]:
    """Return a call as a model gives it that does not stream its arguments."""
    return {"name": "weather", "args": f'{{"city": "{name}"}}', "id": name, "index": None, **fields}


STOP = {"response_metadata": {"finish_reason": "STOP"}}


@pytest.mark.parametrize(
    "chunks",
    [
        [{"content": "Let me see."}, {"tool_call_chunks": [city("Oslo")]}],
        [{"content": "Let me see.", "tool_call_chunks": [city("Oslo"), city("Rome")]}],
        [{"content": "Let me "}, {"content": "see.", "tool_call_chunks": [city("Oslo")], **STOP}],
    ],
    ids=["one", "two at once", "with the reason of the end"],
)
async def test_calls_that_come_whole_are_told_whole(chunks: list[dict[str, Any]]) -> None:
    """And what is said in the last chunk is, too: Gemini gives both with the reason of the end."""
    from langchain.agents import create_agent
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessage, AIMessageChunk, ToolMessage
    from langchain_core.outputs import ChatGenerationChunk

    remembered: list[Any] = []

    class Model(BaseChatModel):
        @property
        def _llm_type(self) -> str:
            return "fake"

        def bind_tools(self, tools: Any, **_: Any) -> "Model":
            return self

        def _generate(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

        async def _astream(self, messages: Any, *_: Any, **__: Any) -> AsyncIterator[Any]:
            made = [
                call["args"] for m in messages if isinstance(m, AIMessage) for call in m.tool_calls
            ]
            remembered.append(made)
            answered = isinstance(messages[-1], ToolMessage)
            for fields in (
                [{"content": "It is "}, {"content": "sunny.", **STOP}] if answered else chunks
            ):
                yield ChatGenerationChunk(message=AIMessageChunk(**{"content": "", **fields}))

    def weather(city: str) -> str:
        """Tell the weather."""
        return f"sunny in {city}"

    async with running(adapt(create_agent(Model(), [weather]))) as house:
        for run in ("r1", "r2"):
            await house.start(ALICE, asking("hi", thread_id="t1", run_id=run))
            await house.ended(run)
        told = await house.chunks()
        messages = await house.messages()
    cities = [one["id"] for chunk in chunks for one in chunk.get("tool_call_chunks", ())]
    (_, made, *results, answer) = messages[: 3 + len(cities)]
    assert made["content"] == "Let me see."
    called = [call["function"]["arguments"] for call in made["toolCalls"]]
    assert called == [f'{{"city": "{name}"}}' for name in cities]
    assert {result["content"] for result in results} == {f"sunny in {name}" for name in cities}
    assert answer["content"] == "It is sunny."
    assert remembered[2] == [{"city": name} for name in cities]
    assert illegal(told) == []


async def test_a_state_is_told_once_and_without_the_messages() -> None:
    from langgraph.graph import END, START, MessagesState, StateGraph

    class Counted(MessagesState):
        asked: int

    built = StateGraph(Counted)
    built.add_node("node", lambda state: {"asked": len(state["messages"])})
    built.add_edge(START, "node")
    built.add_edge("node", END)
    async with running(adapt(built.compile())) as house:
        for run in ("r1", "r2"):
            await house.start(ALICE, asking("hi", thread_id="t1", run_id=run))
            await house.ended(run)
        chunks = await house.chunks()
    states = [chunk["snapshot"] for chunk in chunks if chunk["type"] == "STATE_SNAPSHOT"]
    assert states == [{"asked": 1}, {"asked": 2}]


async def test_a_graph_is_told_only_what_came_after_what_it_keeps() -> None:
    """It may have forgotten or summed up the rest, which must not come back."""
    from langchain_core.messages import AIMessage, RemoveMessage
    from langgraph.checkpoint.memory import InMemorySaver

    seen: list[list[str]] = []

    def node(state: dict[str, Any]) -> dict[str, Any]:
        seen.append([str(message.content) for message in state["messages"]])
        forgotten = [RemoveMessage(id=message.id) for message in state["messages"][:-1]]
        return {"messages": [*forgotten, AIMessage("Yes.")]}

    async with running(adapt(graph(node, InMemorySaver()))) as house:
        for number in ("1", "2", "3"):
            await house.start(ALICE, asking(number, thread_id="t1", run_id=number))
            await house.ended(number)
    assert seen == [["1"], ["1", "Yes.", "2"], ["2", "Yes.", "3"]]
