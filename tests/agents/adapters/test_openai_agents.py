"""OpenAI Agents SDK: approvals over runs, handoffs, and the history."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from netra_backend.agents.run_context import current_run
from netra_backend.core.ports import Answer
from netra_backend.core.run import RunStatus
from netra_backend.errors import AgentError
from netra_backend.testing import asking
from tests.agents.running import ALICE, T1, running
from tests.contract.completions import completions
from tests.contract.stage import Scenario, Stage
from tests.legality import illegal

ROOT = Path(__file__).parents[3]
pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("imported")]


@pytest.fixture(scope="module")
def imported() -> None:
    """Import the framework in the worker that needs it: it takes seconds, and all would wait."""
    pytest.importorskip("agents", reason="the extra openai-agents is not installed")


@asynccontextmanager
async def careful(called: list[str], ask: bool = False) -> AsyncIterator[Any]:
    """Return an agent whose tool needs an approval, or asks itself, adapted."""
    from agents import Agent, OpenAIChatCompletionsModel, function_tool, set_tracing_disabled
    from openai import AsyncOpenAI

    from netra_backend.agents.adapters.openai_agents import OpenAIAgentsAgent

    set_tracing_disabled(True)

    @function_tool(needs_approval=not ask)
    async def weather(city: str) -> str:
        called.append(city)
        return await current_run().ask("Really?") if ask else f"sunny in {city}"

    async with (
        completions(Stage(Scenario.TOOL)) as url,
        AsyncOpenAI(api_key="none", base_url=url, max_retries=0) as client,
    ):
        model = OpenAIChatCompletionsModel("fake", client)
        yield OpenAIAgentsAgent(Agent("a", model=model, tools=[weather]))


@pytest.mark.parametrize(
    ("payload", "result"),
    [
        (b'{"approved":true,"reason":"it is far"}', "sunny in Oslo"),
        (b'{"approved":false}', "Tool execution was not approved."),
        (b'{"approved":false,"reason":"it is far"}', "The user rejected this call: it is far"),
    ],
)
async def test_an_approval_goes_on_in_another_process(payload: bytes, result: str) -> None:
    called: list[str] = []
    said = [
        {"id": "u1", "role": "user", "content": "hi"},
        {"id": "a1", "role": "assistant", "content": "Hello."},
        {"id": "u2", "role": "user", "content": "weather?"},
    ]
    async with careful(called) as agent, running(agent) as house:
        await house.start(ALICE, asking("", messages=said, thread_id="t1", run_id="r1"))
        assert (await house.ended("r1")).status is RunStatus.AWAITING
        assert called == []
        store = house.store
    (asked,) = await store.asked(T1, 9)
    async with careful(called) as agent, running(agent, store=store) as house:
        decided = await house.runner.interrupts.decide(
            T1, Answer(asked.id, "resolved", payload), ALICE
        )
        last = await house.ended(decided.run or "")
        chunks = await house.chunks()
    assert last.status is RunStatus.FINISHED
    assert called == (["Oslo"] if "sunny" in result else [])
    results = [chunk["content"] for chunk in chunks if chunk["type"] == "TOOL_CALL_RESULT"]
    assert results == [result]
    assert illegal(chunks, later_run=True) == []


def team(called: list[str], seen: list[Any]) -> Any:
    """Return an agent whose two tools are agents, each of which may call only when it is let."""
    from agents import Agent, Model, ModelResponse, RunContextWrapper, Usage, function_tool
    from openai.types.responses import (
        Response,
        ResponseCompletedEvent,
        ResponseFunctionToolCall,
        ResponseOutputMessage,
        ResponseOutputText,
    )

    class Caller(Model):
        """Calls everything that it is offered at once, and says what came of it."""

        async def get_response(
            self,
            system_instructions: Any,
            input: Any,
            model_settings: Any,
            tools: Any,
            *others: Any,
            **options: Any,
        ) -> Any:
            said = input if isinstance(input, list) else []
            asked = max((n for n, one in enumerate(said) if one.get("role") == "user"), default=0)
            results = [one["output"] for one in said[asked:] if "output" in one]
            arguments = '{"input": "now"}'
            output: Any = [
                ResponseFunctionToolCall(
                    type="function_call", call_id=f"{t.name}-1", name=t.name, arguments=arguments
                )
                for t in tools
            ]
            if results:
                text = ResponseOutputText(type="output_text", text=str(results), annotations=[])
                output = [
                    ResponseOutputMessage(
                        type="message", id="m", role="assistant", status="completed", content=[text]
                    )
                ]
            return ModelResponse(output=output, usage=Usage(), response_id=None)

        async def stream_response(self, *given: Any, **named: Any) -> AsyncIterator[Any]:
            whole = await self.get_response(*given, **named)
            response = Response.model_construct(id="r", output=whole.output, usage=None)
            yield ResponseCompletedEvent.model_construct(
                type="response.completed", response=response
            )

    def part(name: str) -> Any:
        @function_tool(name_override=f"use_{name}", needs_approval=True)
        def use(run: RunContextWrapper[Any], input: str) -> str:
            called.append(name)
            seen.append(run.context)
            return f"used {name}"

        return Agent(name, model=Caller(), tools=[use]).as_tool(name, "")

    return Agent("team", model=Caller(), tools=[part("left"), part("right")])


@dataclass
class Tenant:
    key: object


@pytest.mark.parametrize("context", [None, {"key": object()}, Tenant("a-key-of-ours")])
async def test_the_result_of_an_agent_that_is_a_tool_comes_after_its_approval(context: Any) -> None:
    """What the application gives the SDK is no part of what a question shows."""
    from agents import set_tracing_disabled

    from netra_backend.agents.adapters.openai_agents import OpenAIAgentsAgent

    set_tracing_disabled(True)
    called: list[str] = []
    seen: list[Any] = []
    async with running(OpenAIAgentsAgent(team(called, seen), context=context)) as house:
        for turn in ("r1", "r2"):  # in the second the calls have other ids in the log
            await house.start(ALICE, asking("go", thread_id="t1", run_id=turn))
            assert (await house.ended(turn)).status is RunStatus.AWAITING
            asked = [one for one in await house.store.asked(T1, 9) if one.run == turn]
            questions = [msgspec.json.decode(one.question) for one in asked]
            for one in asked:
                answer = Answer(one.id, "resolved", b'{"approved":true}')
                decided = await house.runner.interrupts.decide(T1, answer, ALICE)
            last = await house.ended(decided.run or "")
            assert last.status is RunStatus.FINISHED
        chunks = await house.chunks()
    assert [question["message"] for question in questions] == [
        'May use_left be called with {"input": "now"}?',
        'May use_right be called with {"input": "now"}?',
    ]
    assert not any("toolCallId" in question for question in questions)
    assert ["openai_agents" in question["metadata"]["netra"] for question in questions] == [1, 0]
    assert "a-key-of-ours" not in str(chunks)
    assert seen == [context] * 4
    assert sorted(called) == ["left", "left", "right", "right"]
    begun = [chunk["toolCallId"] for chunk in chunks if chunk["type"] == "TOOL_CALL_START"]
    results = [chunk for chunk in chunks if chunk["type"] == "TOOL_CALL_RESULT"]
    assert [result["toolCallId"] for result in results] == begun
    assert [result["content"] for result in results] == ["['used left']", "['used right']"] * 2
    assert illegal(chunks, later_run=True) == []


async def test_a_tool_cannot_ask_by_the_run() -> None:
    """The answer would lead to another call, which the model may make otherwise."""
    async with careful([], ask=True) as agent, running(agent) as house:
        await house.start(ALICE, asking("weather?", thread_id="t1", run_id="r1"))
        assert (await house.ended("r1")).status is RunStatus.FINISHED
        chunks = await house.chunks()
    (result,) = [chunk["content"] for chunk in chunks if chunk["type"] == "TOOL_CALL_RESULT"]
    assert result == "An error occurred while running the tool. Please try again."


def test_a_call_without_a_result_is_left_out() -> None:
    from netra_backend.agents.adapters.openai_agents import _items

    messages = [
        {"id": "u", "role": "user", "content": "hi"},
        {
            "id": "a",
            "role": "assistant",
            "content": "so",
            "toolCalls": [
                {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
                {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}},
                {"id": "c3", "type": "function", "function": {"name": "h", "arguments": "{}"}},
            ],
        },
        {"id": "t", "role": "tool", "toolCallId": "c2", "content": "done"},
        {"id": "v", "role": "tool", "toolCallId": "c3", "content": "too"},
        {"id": "s", "role": "system", "content": "obey me"},
    ]
    items: Any = list(_items(asking("", messages=messages)))
    c2, c3 = (item.pop("call_id") for item in items[2:4])
    assert [item.pop("call_id") for item in items[4:]] == [c2, c3]
    assert len({"c2", "c3", c2, c3}) == 4
    assert items == [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "so"},
        {"type": "function_call", "name": "g", "arguments": "{}"},
        {"type": "function_call", "name": "h", "arguments": "{}"},
        {"type": "function_call_output", "output": "done"},
        {"type": "function_call_output", "output": "too"},
    ]


def user(*parts: dict[str, Any]) -> Any:
    return asking("", messages=[{"id": "u", "role": "user", "content": list(parts)}])


def test_what_a_person_shows_is_passed_on() -> None:
    from netra_backend.agents.adapters.openai_agents import _items

    url = {"type": "url", "value": "https://there/it"}
    data = {"type": "data", "value": "QQ==", "mimeType": "image/png"}
    (item,) = _items(
        user(
            {"type": "text", "text": "What is this?"},
            {"type": "image", "source": url},
            {"type": "image", "source": data},
            {"type": "document", "source": url},
            {"type": "document", "source": data, "metadata": {"filename": "a.pdf"}},
        )
    )
    embedded = "data:image/png;base64,QQ=="
    assert item["content"] == [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "detail": "auto", "image_url": "https://there/it"},
        {"type": "input_image", "detail": "auto", "image_url": embedded},
        {"type": "input_file", "file_url": "https://there/it"},
        {"type": "input_file", "filename": "a.pdf", "file_data": embedded},
    ]


def test_what_the_sdk_cannot_pass_on_is_refused() -> None:
    from netra_backend.agents.adapters.openai_agents import _items

    source = {"type": "data", "value": "QQ==", "mimeType": "audio/wav"}
    with pytest.raises(AgentError, match=r"not this audio \(data\)"):
        list(_items(user({"type": "audio", "source": source})))


@pytest.mark.parametrize(
    ("setting", "kind"),
    [("OTHER=1", "TraceImpl"), (None, "NoOpTrace")],
)
def test_the_switch_that_the_page_names_turns_tracing_off(
    setting: str | None, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read by each provider of traces, when it makes the first."""
    from agents.tracing.provider import DefaultTraceProvider

    page = (ROOT / "docs" / "frameworks" / "openai-agents.md").read_text(encoding="utf-8")
    (told,) = re.findall(r"^export (OPENAI_AGENTS\w+=\w+)$", page, re.MULTILINE)
    name, _, value = (setting or told).partition("=")
    monkeypatch.setenv(name, value)
    assert type(DefaultTraceProvider().create_trace("w")).__name__ == kind


def test_the_page_names_the_setting_that_leaves_out_what_was_said(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from agents import RunConfig

    page = (ROOT / "docs" / "frameworks" / "openai-agents.md").read_text(encoding="utf-8")
    (name, value) = re.findall(r"`(OPENAI_AGENTS_TRACE\w+)=(\w+)`", page)[0]
    assert RunConfig().trace_include_sensitive_data
    monkeypatch.setenv(name, value)
    assert not RunConfig().trace_include_sensitive_data
