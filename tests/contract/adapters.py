"""The adapters, and what each can do: one table for every test that runs through all of them.

``async with adapter.playing(stage) as agent`` gives what `create_app` takes, over the library's
own offline model where it has one, else over a local HTTP API (`completions`).
"""

import importlib.util
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from ag_ui.core import BaseEvent, RunAgentInput, ToolMessage
from ag_ui.encoder import EventEncoder
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import StreamingResponse
from starlette.routing import Route

from netra_backend.agents.base import Reasoning, Text, ToolCall
from tests.contract.completions import completions
from tests.contract.stage import Call, Say, Scenario, Stage, Think, odd, refused, weather
from tests.live import serving

Playing = Callable[[Stage], AbstractAsyncContextManager[object]]


@dataclass(frozen=True)
class Adapter:
    """One way in: how to make its agent, the modules it needs, and what it cannot do, and why.

    `elsewhere` says who plays it where the modules cannot be installed; `paged` is what of
    `cannot` it can do together with a page.
    """

    name: str
    playing: Playing
    needs: tuple[str, ...] = ()
    elsewhere: str = ""
    cannot: Mapping[Scenario, str] = field(default_factory=dict)
    paged: frozenset[Scenario] = frozenset()

    def missing(self, scenario: Scenario, page: bool = False) -> str | None:
        """Return why the scenario cannot be played, or None; `page` says whether there is one."""
        for module in self.needs:
            if importlib.util.find_spec(module) is None:
                return f"{self.name}: {module} is not installed{self.elsewhere}"
        return None if page and scenario in self.paged else self.cannot.get(scenario)


def _tools(stage: Stage) -> list[Callable[..., Any]]:
    async def linger() -> str:
        """Wait for ever."""
        return await stage.linger()

    return [weather, odd, linger]


# --- an async generator ---


async def _generate(stage: Stage, input: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Play the stage as an agent would that is written for AG-UI."""
    calls: list[Call] = []
    voice = _Voice()
    async for part in stage.parts(isinstance(input.messages[-1], ToolMessage)):
        if isinstance(part, Call) and part.whole:
            calls.append(part)
        else:
            for event in voice.say(part):
                yield event
    for event in voice.end():
        yield event
    for call in calls:
        async for event in _call(stage, call):
            yield event
    if calls:
        told = ToolMessage(id="result", tool_call_id="call", content="")
        async for event in _generate(stage, input.model_copy(update={"messages": [told]})):
            yield event


class _Voice:
    """What is being said or thought."""

    def __init__(self) -> None:
        self._open: Text | Reasoning | None = None

    def say(self, part: Say | Think | Call) -> list[BaseEvent]:
        if isinstance(part, Call):  # one that is only begun
            made = ToolCall(part.name)
            return [*self.end(), *made.start(), *made.add(part.json)]
        kind = Text if isinstance(part, Say) else Reasoning
        if isinstance(self._open, kind):
            return self._open.add(part.text)
        ended, self._open = self.end(), kind()
        return [*ended, *self._open.start(), *self._open.add(part.text)]

    def end(self) -> list[BaseEvent]:
        return self._open.end() if self._open is not None else []


async def _call(stage: Stage, call: Call) -> AsyncIterator[BaseEvent]:
    tools = {tool.__name__: tool for tool in _tools(stage)}
    made = ToolCall(call.name)
    for event in made.whole(call.arguments):
        yield event
    given = tools[call.name](**call.arguments)
    result = await given if call.name == "linger" else given
    (event,) = made.result(str(result))
    event.metadata = {"value": result}  # type: ignore[attr-defined]
    yield event


@asynccontextmanager
async def _generator(stage: Stage) -> AsyncIterator[object]:
    async def agent(input: RunAgentInput) -> AsyncIterator[BaseEvent]:
        async for event in _generate(stage, input):
            yield event

    yield agent


# --- pydantic-ai ---


@asynccontextmanager
async def _pydantic_ai(stage: Stage) -> AsyncIterator[object]:
    from pydantic_ai import Agent
    from pydantic_ai.messages import ModelMessage, ToolReturnPart
    from pydantic_ai.models.function import (
        AgentInfo,
        DeltaThinkingPart,
        DeltaToolCall,
        FunctionModel,
    )

    async def stream(messages: list[ModelMessage], _: AgentInfo) -> AsyncIterator[Any]:
        answered = isinstance(messages[-1].parts[-1], ToolReturnPart)
        async for part in stage.parts(answered):
            if isinstance(part, Say):
                yield part.text
            elif isinstance(part, Think):
                yield {0: DeltaThinkingPart(content=part.text)}
            else:
                yield {0: DeltaToolCall(part.name, part.json, tool_call_id="call_0")}

    yield Agent(FunctionModel(stream_function=stream), tools=_tools(stage))


# --- LangGraph ---


def _calls(message: Any) -> tuple[list[str], str | None]:
    calls = [call["id"] for call in getattr(message, "tool_calls", ())]
    return calls, getattr(message, "tool_call_id", None)


@asynccontextmanager
async def langgraph(stage: Stage, **options: Any) -> AsyncIterator[object]:
    """Yield an agent of langchain; `options` are those of ``create_agent``."""
    from langchain.agents import create_agent
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessageChunk
    from langchain_core.messages import ToolMessage as LangChainResult
    from langchain_core.outputs import ChatGenerationChunk

    class Model(BaseChatModel):
        """A fake chat model that streams, and gives each call the same id, as some do."""

        @property
        def _llm_type(self) -> str:
            return "fake"

        def bind_tools(self, tools: Any, **_: Any) -> "Model":
            return self

        def _generate(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

        async def _astream(self, messages: Any, *_: Any, **__: Any) -> AsyncIterator[Any]:
            assert not refused(map(_calls, messages)), messages
            async for part in stage.parts(isinstance(messages[-1], LangChainResult)):
                for fields in self._chunks(part):
                    yield ChatGenerationChunk(message=AIMessageChunk(**{"content": "", **fields}))

        def _chunks(self, part: Say | Think | Call) -> list[dict[str, Any]]:
            if isinstance(part, Say):
                return [{"content": part.text}]
            if isinstance(part, Think):
                return [{"additional_kwargs": {"reasoning_content": part.text}}]
            call = {"name": part.name, "args": "", "id": "call_0", "index": 0}
            rest = {"name": None, "args": part.json, "id": None, "index": 0}
            return [{"tool_call_chunks": [call]}, {"tool_call_chunks": [rest]}]

    yield create_agent(Model(), _tools(stage), **options)


@asynccontextmanager
async def _langgraph_that_keeps(stage: Stage) -> AsyncIterator[object]:
    from langgraph.checkpoint.memory import InMemorySaver

    async with langgraph(stage, checkpointer=InMemorySaver()) as graph:
        yield graph


# --- over the local HTTP API ---


@asynccontextmanager
async def _client(stage: Stage) -> AsyncIterator[Any]:
    """Return OpenAI's client of the local API. Who does not close it leaves sockets behind."""
    from openai import AsyncOpenAI

    async with (
        completions(stage) as url,
        AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as client,
    ):
        yield client


@asynccontextmanager
async def _openai(stage: Stage) -> AsyncIterator[object]:
    from netra_backend.agents.adapters.openai import OpenAIAgent

    async with _client(stage) as client:
        yield OpenAIAgent("fake", client)


@asynccontextmanager
async def _openai_agents(stage: Stage) -> AsyncIterator[object]:
    from agents import Agent, OpenAIChatCompletionsModel, function_tool, set_tracing_disabled

    set_tracing_disabled(True)
    async with _client(stage) as client:
        model = OpenAIChatCompletionsModel("fake", client)
        tools: Any = [function_tool(tool) for tool in _tools(stage)]
        yield Agent(name="agent", model=model, tools=tools)


@asynccontextmanager
async def _ag2(stage: Stage) -> AsyncIterator[object]:
    from ag2 import Agent
    from ag2.config.openai import OpenAIConfig

    async with _client(stage) as client:
        config = OpenAIConfig(
            "fake",
            api_key="none",
            base_url=str(client.base_url),
            http_client=client._client,
            streaming=True,
            max_retries=0,
        )
        agent = Agent("agent", config=config)
        for tool in _tools(stage):
            agent.tool(tool)
        yield agent


@asynccontextmanager
async def _agno(stage: Stage) -> AsyncIterator[object]:
    from agno.agent import Agent
    from agno.models.deepseek import DeepSeek
    from agno.models.openai.like import OpenAILike

    async with _client(stage) as client:
        model = OpenAILike(id="fake", async_client=client)
        reasons = stage.scenario is Scenario.REASONING
        thinker = DeepSeek("deepseek-reasoner", async_client=client) if reasons else None
        yield Agent(model=model, reasoning_model=thinker, tools=_tools(stage), telemetry=False)


@asynccontextmanager
async def _strands(stage: Stage) -> AsyncIterator[object]:
    from strands import Agent, tool
    from strands.models.openai import OpenAIModel

    async with _client(stage) as client:
        model = OpenAIModel(client=client, model_id="fake")
        yield Agent(
            model=model, tools=[tool(each) for each in _tools(stage)], callback_handler=None
        )


@asynccontextmanager
async def _adk(stage: Stage) -> AsyncIterator[object]:
    from google.adk.agents import LlmAgent
    from google.adk.models import BaseLlm, LlmResponse
    from google.genai.types import Content, FunctionCall, Part

    class Model(BaseLlm):
        """A fake model that streams, and repeats at the end what it has said, as models do."""

        async def generate_content_async(
            self, llm_request: Any, stream: bool = False
        ) -> AsyncIterator[Any]:
            parts = llm_request.contents[-1].parts or []
            said = []
            async for part in stage_parts(any(part.function_response for part in parts)):
                said.append(part)
                if stream and part.function_call is None:
                    yield LlmResponse(content=Content(role="model", parts=[part]), partial=True)
            yield LlmResponse(content=Content(role="model", parts=said), turn_complete=True)

    async def stage_parts(answered: bool) -> AsyncIterator[Any]:
        async for part in stage.parts(answered):
            if isinstance(part, Call):
                call = FunctionCall(id="call_0", name=part.name, args=part.arguments)
                yield Part(function_call=call)
            else:
                yield Part(text=part.text, thought=isinstance(part, Think) or None)

    yield LlmAgent(name="agent", model=Model(model="fake"), tools=_tools(stage))


@asynccontextmanager
async def _remote(stage: Stage) -> AsyncIterator[object]:
    encoder = EventEncoder()

    async def run(request: Request) -> StreamingResponse:
        given = RunAgentInput.model_validate_json(await request.body())
        return StreamingResponse(lines(given), media_type="text/event-stream")

    async def lines(given: RunAgentInput) -> AsyncIterator[str]:
        from ag_ui.core import RunFinishedEvent, RunStartedEvent

        ids = {"thread_id": given.thread_id, "run_id": given.run_id}
        yield encoder.encode(RunStartedEvent(**ids))
        async for event in _generate(stage, given):
            yield encoder.encode(event)
        yield encoder.encode(RunFinishedEvent(**ids))

    app = Starlette(routes=[Route("/agent", run, methods=["POST"])])
    async with serving(app, "none") as port:
        yield f"http://127.0.0.1:{port}/agent"


_NO_TOOLS = "its tools are the page's: one run is one completion"
_WHOLE_CALLS = {Scenario.CANCEL_CALL: "its AG-UI interface tells a call once it is whole"}

ADAPTERS = (
    Adapter("generator", _generator),
    Adapter("pydantic-ai", _pydantic_ai, ("pydantic_ai",)),
    Adapter("langgraph", langgraph, ("langgraph", "ag_ui_langgraph")),
    Adapter("langgraph-kept", _langgraph_that_keeps, ("langgraph", "ag_ui_langgraph")),
    Adapter(
        "openai",
        _openai,
        ("openai",),
        cannot={
            Scenario.TOOL: _NO_TOOLS,
            Scenario.CANCEL_TOOL: _NO_TOOLS,
            Scenario.ODD: _NO_TOOLS,
        },
        paged=frozenset({Scenario.TOOL}),
    ),
    Adapter("openai-agents", _openai_agents, ("agents",)),
    Adapter("ag2", _ag2, ("ag2", "openai"), cannot=_WHOLE_CALLS),
    Adapter("agno", _agno, ("agno", "openai"), cannot=_WHOLE_CALLS),
    Adapter("strands", _strands, ("strands", "ag_ui_strands", "openai"), cannot=_WHOLE_CALLS),
    Adapter(
        "adk",
        _adk,
        ("ag_ui_adk",),
        "; test_own_environment.py plays it at night",
        cannot={Scenario.CANCEL_CALL: "its models call a tool with all arguments at once"},
    ),
    Adapter(
        "remote",
        _remote,
        ("httpx",),
        cannot={Scenario.ODD: "what comes over HTTP is JSON"},
    ),
)


def shown(value: object) -> str:
    """Return a tool result's content as text, whatever shape it came in."""
    return value if isinstance(value, str) else json.dumps(value)
