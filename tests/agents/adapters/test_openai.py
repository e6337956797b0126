"""The OpenAI adapter, against a real HTTP server that fakes the chat completions API."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import uvicorn
from ag_ui.core import (
    ActivityMessage,
    AssistantMessage,
    BaseEvent,
    Context,
    DataSource,
    DeveloperMessage,
    EventType,
    FunctionCall,
    ImagePart,
    ReasoningMessage,
    SystemMessage,
    TextPart,
    Tool,
    ToolCall,
    ToolMessage,
    UrlSource,
    UserMessage,
    VideoPart,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from netra_backend.agents.base import Agent
from netra_backend.errors import AgentError
from netra_backend.testing.player import asking, play
from tests.agents.said import of_type, text

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("few_certificates")]
BOUND = 10.0
"""Seconds that nothing here may take."""


def model() -> Agent:
    """Import the library in the worker that needs it: it takes a second, and all would wait."""
    from netra_backend.agents.adapters.openai import OpenAIAgent

    return OpenAIAgent("m-1")


WAIT = object()
"""In a fake's script: send nothing more, and wait to be left."""


class FakeAPI:
    """An API that answers every request with `script`: chunks, raw text, or WAIT.

    It keeps no connection open, so that an agent's client has none left when a test ends.
    `refusal` is sent instead if it is set. `requests` are the bodies it was sent; `left` is set
    when a client has gone before the end.
    """

    def __init__(self) -> None:
        self.script: list[object] = []
        self.refusal: Response | None = None
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.waiting = asyncio.Event()
        self.left = asyncio.Event()

    async def complete(self, request: Request) -> Response:
        self.requests.append(await request.json())
        self.headers.append(dict(request.headers))
        return self.refusal or StreamingResponse(
            self._stream(), headers={"connection": "close"}, media_type="text/event-stream"
        )

    async def _stream(self) -> AsyncIterator[str]:
        try:
            for item in self.script:
                if item is WAIT:
                    self.waiting.set()
                    await asyncio.Event().wait()
                yield item if isinstance(item, str) else f"data: {json.dumps(item)}\n\n"
        except asyncio.CancelledError:
            self.left.set()
            raise


@pytest.fixture
async def api(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[FakeAPI]:
    fake = FakeAPI()
    app = Starlette(routes=[Route("/v1/chat/completions", fake.complete, methods=["POST"])])
    server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        monkeypatch.setenv("OPENAI_API_KEY", "key-1")
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{port}/v1")
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        yield fake
        server.should_exit = True
        async with asyncio.timeout(BOUND):
            await serving


def delta(finish: str | None = None, **fields: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": fields, "finish_reason": finish}
    return {"id": "x", "object": "chat.completion.chunk", "model": "m-1", "choices": [choice]}


def call(index: int, id: str | None, name: str | None, arguments: str) -> dict[str, Any]:
    function = {"name": name, "arguments": arguments}
    return delta(tool_calls=[{"index": index, "id": id, "type": "function", "function": function}])


USAGE = {
    "id": "x",
    "object": "chat.completion.chunk",
    "model": "m-1",
    "choices": [],
    "usage": {
        "prompt_tokens": 11,
        "completion_tokens": 7,
        "total_tokens": 18,
        "completion_tokens_details": {"reasoning_tokens": 3},
        "prompt_tokens_details": {"cached_tokens": 2},
    },
}
DONE = "data: [DONE]\n\n"
HELLO = [
    delta(role="assistant", content=""),
    delta(content="Hel"),
    delta(content="lo"),
    delta("stop"),
]


async def exhausted(stream: AsyncIterator[BaseEvent]) -> None:
    async for _ in stream:
        pass


async def conversation(api: FakeAPI, *messages: Any, **fields: Any) -> list[dict[str, Any]]:
    """Return what the model is sent for a run with these messages."""
    api.script = [*HELLO, DONE]
    await play(model(), asking("", messages=list(messages), **fields))
    return api.requests[-1]["messages"]


async def test_an_answer_with_its_usage(api: FakeAPI, assert_legal) -> None:
    api.script = [*HELLO, USAGE, DONE]
    given = asking("Hi")
    events = await play(model(), given)

    assert [event.type for event in events] == [
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]
    assert text(events) == "Hello"
    assert events[-1].result == {"finishReason": "stop"}
    assert events[-1].usage[0].model_dump() == {
        "model": "m-1",
        "input_tokens": 11,
        "output_tokens": 7,
        "total_tokens": 18,
        "reasoning_tokens": 3,
        "cached_input_tokens": 2,
    }
    assert_legal(given, events)


async def test_what_is_asked_of_the_api(api: FakeAPI) -> None:
    api.script = [*HELLO, DONE]
    await play(model(), asking("Hi"))

    assert api.requests == [
        {
            "model": "m-1",
            "messages": [{"role": "user", "content": "Hi"}],
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]
    assert api.headers[0]["authorization"] == "Bearer key-1"


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
async def test_reasoning_before_the_answer(api: FakeAPI, assert_legal, field: str) -> None:
    api.script = [delta(**{field: "Let me "}), delta(**{field: "see."}), *HELLO, DONE]
    given = asking("Hi")
    events = await play(model(), given)

    assert text(events, "REASONING_MESSAGE_CONTENT") == "Let me see."
    assert [event.type for event in events][4:7] == [
        "REASONING_MESSAGE_END",
        "REASONING_END",
        "TEXT_MESSAGE_START",
    ]
    assert_legal(given, events)


async def test_answer_and_reasoning_may_alternate(api: FakeAPI, assert_legal) -> None:
    api.script = [
        delta(content="A"),
        delta(reasoning="hm"),
        delta(content="B"),
        delta("stop"),
        DONE,
    ]
    given = asking("Hi")
    events = await play(model(), given)

    assert len({event.message_id for event in of_type(events, "TEXT_MESSAGE_START")}) == 2
    assert_legal(given, events)


async def test_a_refusal_of_the_model_is_shown(api: FakeAPI) -> None:
    api.script = [delta(refusal="I will not."), delta("stop"), DONE]

    assert text(await play(model(), asking("Hi"))) == "I will not."


async def test_tools_are_offered_and_their_calls_streamed(api: FakeAPI, assert_legal) -> None:
    api.script = [
        delta(content="I look. "),
        call(0, "c0", "weather", ""),
        call(0, None, None, '{"city":'),
        call(0, None, None, '"Oslo"}'),
        call(1, "c1", "time", "{}"),
        delta("tool_calls"),
        DONE,
    ]
    parameters = {"type": "object", "properties": {"city": {"type": "string"}}}
    tools = [
        Tool(name="weather", description="The weather", parameters=parameters),
        Tool(name="time", description="The time"),
    ]
    given = asking("Hi", tools=tools)
    events = await play(model(), given)

    assert [tool["function"] for tool in api.requests[0]["tools"]] == [
        {"name": "weather", "description": "The weather", "parameters": parameters},
        {
            "name": "time",
            "description": "The time",
            "parameters": {"type": "object", "properties": {}},
        },
    ]
    (said,) = of_type(events, "TEXT_MESSAGE_START")
    assert [
        (event.tool_call_id, event.tool_call_name, event.parent_message_id)
        for event in of_type(events, "TOOL_CALL_START")
    ] == [("c0", "weather", said.message_id), ("c1", "time", said.message_id)]
    assert [(event.tool_call_id, event.delta) for event in of_type(events, "TOOL_CALL_ARGS")] == [
        ("c0", '{"city":'),
        ("c0", '"Oslo"}'),
        ("c1", "{}"),
    ]
    assert events[-1].result == {"finishReason": "tool_calls"}
    assert_legal(given, events)


async def test_calls_that_all_have_the_index_0(api: FakeAPI, assert_legal) -> None:
    api.script = [
        call(0, "c0", "weather", "{}"),
        call(0, "c1", "weather", "{}"),
        delta("tool_calls"),
        DONE,
    ]
    given = asking("Hi")
    events = await play(model(), given)

    assert [event.tool_call_id for event in of_type(events, "TOOL_CALL_END")] == ["c0", "c1"]
    assert_legal(given, events)


async def test_an_id_that_the_thread_has_used_is_replaced(api: FakeAPI, assert_legal) -> None:
    api.script = [
        call(0, "call_0", "weather", "{}"),
        call(0, "call_0", None, " "),
        delta("tool_calls"),
        DONE,
    ]
    before = AssistantMessage(
        id="a",
        tool_calls=[ToolCall(id="call_0", function=FunctionCall(name="x", arguments="{}"))],
    )
    given = asking("", messages=[before, UserMessage(id="u", content="Hi")])
    events = await play(model(), given)
    (start,) = of_type(events, "TOOL_CALL_START")

    assert start.tool_call_id != "call_0"
    assert_legal(given, events)


async def test_a_call_without_an_id_gets_one(api: FakeAPI) -> None:
    api.script = [
        call(0, "", "weather", "{"),
        call(0, "", "", "}"),
        call(1, None, "weather", "{}"),
        delta("tool_calls"),
        DONE,
    ]
    events = await play(model(), asking("Hi"))

    assert len({event.tool_call_id for event in of_type(events, "TOOL_CALL_START")}) == 2


async def test_the_conversation_is_sent(api: FakeAPI) -> None:
    asked = ToolCall(id="c0", function=FunctionCall(name="weather", arguments=""))
    sent = await conversation(
        api,
        SystemMessage(id="1", content="Be brief."),
        DeveloperMessage(id="2", content="Be kind."),
        UserMessage(id="3", content="Weather?"),
        ReasoningMessage(id="4", content="hm"),
        AssistantMessage(id="5", content="I look.", tool_calls=[asked]),
        ActivityMessage(id="6", activity_type="x", content={}),
        ToolMessage(id="7", tool_call_id="c0", content="rain"),
        AssistantMessage(id="8", content="Rain."),
        UserMessage(id="9", content="Thanks"),
        context=[Context(description="The user's town", value="Oslo")],
    )

    function = {"name": "weather", "arguments": "{}"}
    assert sent == [
        {"role": "system", "content": "The user's town: Oslo"},
        {"role": "system", "content": "Be brief."},
        {"role": "system", "content": "Be kind."},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "I look.",
            "tool_calls": [{"id": "c0", "type": "function", "function": function}],
        },
        {"role": "tool", "tool_call_id": "c0", "content": "rain"},
        {"role": "assistant", "content": "Rain."},
        {"role": "user", "content": "Thanks"},
    ]


async def test_each_result_follows_its_call(api: FakeAPI) -> None:
    def turn(id: str) -> AssistantMessage:
        function = FunctionCall(name="weather", arguments="{}")
        return AssistantMessage(id=f"m{id}", tool_calls=[ToolCall(id=id, function=function)])

    sent = await conversation(
        api,
        UserMessage(id="u", content="Weather?"),
        turn("c0"),
        turn("c1"),
        ToolMessage(id="t0", tool_call_id="c0", content="rain"),
        ToolMessage(id="t1", tool_call_id="c1", content="", error="no such town"),
    )

    assert [message["role"] for message in sent] == ["user", *["assistant", "tool"] * 2]
    assert [message["content"] for message in sent if message["role"] == "tool"] == [
        "rain",
        "no such town",
    ]


async def test_a_call_without_a_result_is_left_out(api: FakeAPI) -> None:
    """The API refuses such a conversation, and a cancelled run leaves one behind."""
    lost = ToolCall(id="c0", function=FunctionCall(name="weather", arguments='{"ci'))
    sent = await conversation(
        api,
        UserMessage(id="1", content="Weather?"),
        AssistantMessage(id="2", content="I look.", tool_calls=[lost]),
        AssistantMessage(id="3", tool_calls=[lost]),
        UserMessage(id="4", content="Again?"),
        ToolMessage(id="5", tool_call_id="c9", content="an answer to nothing"),
    )

    assert sent == [
        {"role": "user", "content": "Weather?"},
        {"role": "assistant", "content": "I look."},
        {"role": "user", "content": "Again?"},
    ]


async def test_images_are_sent(api: FakeAPI) -> None:
    parts = [
        TextPart(text="What is it?"),
        ImagePart(source=UrlSource(value="https://example.org/a.png")),
        ImagePart(source=DataSource(value="AAAA", mime_type="image/png")),
    ]
    (sent,) = await conversation(api, UserMessage(id="1", content=parts))

    assert sent["content"] == [
        {"type": "text", "text": "What is it?"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    ]


async def test_what_cannot_be_sent_is_an_error(api: FakeAPI) -> None:
    video = VideoPart(source=UrlSource(value="https://example.org/a.mp4"))

    with pytest.raises(AgentError, match=r"text and images, but not this video \(url\)"):
        await conversation(api, UserMessage(id="1", content=[video]))


async def test_a_refusal_of_the_api_is_an_error(api: FakeAPI) -> None:
    body = {"error": {"message": "no such model", "code": "model_not_found"}}
    api.refusal = JSONResponse(body, 404, headers={"connection": "close"})

    with pytest.raises(AgentError, match=r"^openai:m-1: Error code: 404 - .*no such model"):
        await play(model(), asking("Hi"))


async def test_a_server_that_is_not_there_is_an_error(monkeypatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    monkeypatch.setenv("OPENAI_API_KEY", "key-1")
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{port}/v1")

    with pytest.raises(AgentError, match="Connection error"):
        await play(model(), asking("Hi"))


BROKEN = {
    "an error in the stream": ('data: {"error": {"message": "overloaded"}}\n\n', "overloaded"),
    "no JSON": ("data: {half\n\n", "openai:m-1: "),
    "the end too early": ("", "broke off: it came without a finish reason"),
    "a call of no tool": (
        f"data: {json.dumps(call(0, 'c0', None, ''))}\n\n",
        "called a tool without saying which",
    ),
    "the content filter": (
        f"data: {json.dumps(delta('content_filter'))}\n\n",
        "the content filter of the model's API stopped the answer",
    ),
}


@pytest.mark.parametrize("fault", BROKEN)
async def test_an_answer_that_breaks_off_is_an_error(api: FakeAPI, fault: str) -> None:
    last, message = BROKEN[fault]
    api.script = [delta(content="Half of "), last, *([DONE] if last else [])]
    stream = model()(asking("Hi"))
    seen = [await anext(stream), await anext(stream)]

    assert text(seen) == "Half of "
    with pytest.raises(AgentError, match=message):
        await exhausted(stream)


async def test_nulls_that_some_servers_send_are_nothing(api: FakeAPI) -> None:
    last = {"choices": [{"index": 0, "delta": None, "finish_reason": "stop"}]}
    api.script = [{"choices": None}, delta(content="Hello", tool_calls=None), last, DONE]

    assert text(await play(model(), asking("Hi"))) == "Hello"


async def test_a_usage_that_is_no_count_is_left_out(api: FakeAPI) -> None:
    usage = {"prompt_tokens": -1, "completion_tokens": None, "total_tokens": "many"}
    api.script = [*HELLO, {**USAGE, "usage": usage}, DONE]
    events = await play(model(), asking("Hi"))

    assert events[-1].usage[0].model_dump() == {"model": "m-1"}


CONSTRUCTS = {
    "message": (delta(content="Half of "), "TEXT_MESSAGE_CONTENT"),
    "tool call": (call(0, "c0", "weather", '{"a":'), "TOOL_CALL_ARGS"),
    "reasoning": (delta(reasoning="Hm, "), "REASONING_MESSAGE_CONTENT"),
}


@pytest.mark.parametrize("construct", CONSTRUCTS)
async def test_closing_it_in_the_middle_closes_the_response(api: FakeAPI, construct: str) -> None:
    chunk, kind = CONSTRUCTS[construct]
    api.script = [chunk, WAIT]
    stream = model()(asking("Hi"))
    async with asyncio.timeout(BOUND):
        async for event in stream:
            if event.type == kind:
                break
        await stream.aclose()
        await api.left.wait()


async def test_cancelling_it_while_it_waits_closes_the_response(api: FakeAPI) -> None:
    api.script = [delta(content="Half of "), WAIT]
    task = asyncio.create_task(play(model(), asking("Hi")))
    async with asyncio.timeout(BOUND):
        await api.waiting.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await api.left.wait()


async def test_each_run_has_its_own_ids(api: FakeAPI) -> None:
    api.script = [*HELLO, DONE]
    agent = model()
    ids = [
        event.message_id
        for _ in range(2)
        for event in await play(agent, asking("Hi"))
        if event.type is EventType.TEXT_MESSAGE_START
    ]

    assert len(set(ids)) == 2
