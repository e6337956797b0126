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
from tests.contract.stage import Call, Say, Scenario, Stage, Think, odd, weather
from tests.live import serving

Playing = Callable[[Stage], AbstractAsyncContextManager[object]]


@dataclass(frozen=True)
class Adapter:
    """One way in: how to make its agent, the modules it needs, and what it cannot do, and why."""

    name: str
    playing: Playing
    needs: tuple[str, ...] = ()
    cannot: Mapping[Scenario, str] = field(default_factory=dict)

    def missing(self, scenario: Scenario) -> str | None:
        """Return why the scenario cannot be played, or None."""
        for module in self.needs:
            if importlib.util.find_spec(module) is None:
                return f"{self.name}: {module} is not installed"
        return self.cannot.get(scenario)


def _tools(stage: Stage) -> list[Callable[..., Any]]:
    async def linger() -> str:
        """Wait for ever."""
        return await stage.linger()

    return [weather, odd, linger]


# --- an async generator ---


async def _generate(stage: Stage, input: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Play the stage as an agent would that is written for AG-UI."""
    tools = {tool.__name__: tool for tool in _tools(stage)}
    answered, open_, call = isinstance(input.messages[-1], ToolMessage), None, None
    while True:
        async for part in stage.parts(answered):
            if isinstance(part, Call):
                call = ToolCall(part.name)
                for event in call.whole(part.arguments):
                    yield event
                given = tools[part.name](**part.arguments)
                result = await given if part.name == "linger" else given
                (event,) = call.result(str(result))
                event.metadata = {"value": result}  # type: ignore[attr-defined]
                yield event
                continue
            kind = Text if isinstance(part, Say) else Reasoning
            if not isinstance(open_, kind):
                for event in open_.end() if open_ else ():
                    yield event
                open_ = kind()
                for event in open_.start():
                    yield event
            for event in open_.add(part.text):
                yield event
        if call is None or answered:
            break
        answered = True
    for event in open_.end() if open_ else ():
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
        answered = any(isinstance(part, ToolReturnPart) for part in messages[-1].parts)
        async for part in stage.parts(answered):
            if isinstance(part, Say):
                yield part.text
            elif isinstance(part, Think):
                yield {0: DeltaThinkingPart(content=part.text)}
            else:
                yield {0: DeltaToolCall(part.name, part.json, tool_call_id="call_0")}

    yield Agent(FunctionModel(stream_function=stream), tools=_tools(stage))


# --- LangGraph ---


@asynccontextmanager
async def _langgraph(stage: Stage) -> AsyncIterator[object]:
    from langchain.agents import create_agent
    from langchain_core.language_models import BaseChatModel
    from langchain_core.messages import AIMessageChunk
    from langchain_core.messages import ToolMessage as LangChainResult
    from langchain_core.outputs import ChatGenerationChunk

    class Model(BaseChatModel):
        """A fake chat model that streams."""

        @property
        def _llm_type(self) -> str:
            return "fake"

        def bind_tools(self, tools: Any, **_: Any) -> "Model":
            return self

        def _generate(self, *_: Any, **__: Any) -> Any:
            raise NotImplementedError

        async def _astream(self, messages: Any, *_: Any, **__: Any) -> AsyncIterator[Any]:
            async for part in stage.parts(isinstance(messages[-1], LangChainResult)):
                for fields in self._chunks(part, len(messages)):
                    yield ChatGenerationChunk(message=AIMessageChunk(**{"content": "", **fields}))

        def _chunks(self, part: Say | Think | Call, turn: int) -> list[dict[str, Any]]:
            if isinstance(part, Say):
                return [{"content": part.text}]
            if isinstance(part, Think):
                return [{"additional_kwargs": {"reasoning_content": part.text}}]
            call = {"name": part.name, "args": "", "id": f"call_{turn}", "index": 0}
            rest = {"name": None, "args": part.json, "id": None, "index": 0}
            return [{"tool_call_chunks": [call]}, {"tool_call_chunks": [rest]}]

    yield create_agent(Model(), _tools(stage))


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
    from agno.models.openai.like import OpenAILike

    async with _client(stage) as client:
        model = OpenAILike(id="fake", async_client=client)
        yield Agent(model=model, tools=_tools(stage), telemetry=False)


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


_NO_TOOLS = "its tools are the client's: one run is one completion"

ADAPTERS = (
    Adapter("generator", _generator),
    Adapter("pydantic-ai", _pydantic_ai, ("pydantic_ai",)),
    Adapter("langgraph", _langgraph, ("langgraph", "ag_ui_langgraph")),
    Adapter(
        "openai",
        _openai,
        ("openai",),
        {
            Scenario.TOOL: _NO_TOOLS,
            Scenario.CANCEL_TOOL: _NO_TOOLS,
            Scenario.ODD: _NO_TOOLS,
        },
    ),
    Adapter("openai-agents", _openai_agents, ("agents",)),
    Adapter("ag2", _ag2, ("ag2", "openai")),
    Adapter(
        "agno",
        _agno,
        ("agno", "openai"),
        {Scenario.REASONING: "its AG-UI interface passes on agno's own reasoning, not the model's"},
    ),
    Adapter("strands", _strands, ("strands", "ag_ui_strands", "openai")),
    Adapter(
        "remote",
        _remote,
        ("httpx",),
        {Scenario.ODD: "what comes over HTTP is JSON"},
    ),
)


def shown(value: object) -> str:
    """Return a tool result's content as text, whatever shape it came in."""
    return value if isinstance(value, str) else json.dumps(value)
