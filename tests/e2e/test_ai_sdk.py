"""The AI SDK's own chat (package ``ai`` 7) under Node, over its `WebSocketChatTransport`."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from ag_ui.core import (
    BaseEvent,
    Interrupt,
    RunAgentInput,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    ToolCallResultEvent,
)

from netra_backend.agents.base import Text, ToolCall
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.scripted_agent import (
    Gate,
    ScriptedAgent,
    answer,
    failure,
    reasoning,
    tool_call,
)
from tests.cable import cable
from tests.client import read_log
from tests.e2e.node_client import node_client
from tests.http import http
from tests.live import Live, live

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


async def messages_of(server: Live, thread: str = "t") -> list[dict[str, Any]]:
    async with http(server.url, server.token()) as browser:
        return list((await browser.get(f"/threads/{thread}/messages")).json()["messages"])


async def test_a_conversation_with_reasoning_and_tools(tmp_path: Path, folder: Path) -> None:
    agent = ScriptedAgent(
        reasoning("hm"),
        tool_call("weather", '{"city":', '"Oslo"}', result='{"sky":"rain"}'),
        answer("take ", "a coat"),
    )
    broken = ScriptedAgent(failure("half", error=RuntimeError("a secret of the server")))
    async with (
        live(
            {"agent": agent, "broken": broken}, tmp_path / "d", store=SqliteStore(tmp_path)
        ) as server,
        node_client(folder, "ai-sdk", server.url, server.token()) as node,
    ):
        turns = [await node.call("ask", thread="t", text=text, automatic=True) for text in "ab"]
        again = await node.call("regenerate", thread="t")
        failed = await node.call("ask", thread="f", text="go", agent="broken")
        tab = await node.call("resume", thread="t", tab="second")
        none = await node.call("resume", thread="new", tab="second")
        messages = await messages_of(server)

    for told in (*turns, again, tab):
        assert (told["error"], told["status"]) == (None, "ready")
        assert (told["text"], told["reasoning"]) == ("take a coat", "hm")
        (call,) = told["calls"]
        assert (call["name"], call["arguments"]) == ("weather", {"city": "Oslo"})
        assert (call["state"], call["result"]) == ("output-available", {"sky": "rain"})
        assert told["steps"] == 2, "the answer is a step after the tool's output"
    assert [role for role, _ in turns[1]["messages"]] == ["user", "assistant"] * 2
    assert tab["run"] == again["run"], "a message has the same id wherever it is shown"
    assert none["messages"] == []
    assert "The agent failed. " in failed["error"]
    assert "secret" not in str(failed)
    turn = ["reasoning", "assistant", "tool", "assistant"]
    assert [m["role"] for m in messages] == ["user", *turn, "user", *turn, *turn]
    assert len(agent.inputs) == 3, "a turn that is complete sends nothing by itself"


@pytest.mark.nightly
async def test_a_cut_in_the_middle_is_resumed_with_all_of_it(tmp_path: Path, folder: Path) -> None:
    gate = Gate()
    words = [f"{number} " for number in range(100)]
    agent = ScriptedAgent(reasoning("hm"), answer(*words[:30], gate, *words[30:]))
    async with (
        live({"agent": agent}, tmp_path / "data", store=SqliteStore(tmp_path)) as server,
        cable(server.port) as laid,
        node_client(folder, "ai-sdk", laid.url, server.token()) as node,
    ):
        asked = node.begin("ask", thread="t", text="count")
        assert await asked.event() == "text"
        await laid.pull()
        cut = await asked.result()
        await laid.plug()
        again = node.begin("resume", thread="t")
        other = node.begin("resume", thread="t", tab="second")
        gate.open()
        told, tab = await again.result(), await other.result()
        late = await node.call("resume", thread="t")
        log = await read_log(server.url, server.token(), "t")

    assert cut["status"] == "error"
    for page in (told, tab, late):
        assert (page["error"], page["text"], page["reasoning"]) == (None, "".join(words), "hm")
    assert [role for role, _ in late["messages"]] == ["user", "assistant"]
    assert log is not None
    assert [entry["chunk"]["type"] for entry in log].count("RUN_STARTED") == len(agent.inputs) == 1


async def test_stop_cancels_the_run(tmp_path: Path, folder: Path) -> None:
    agent = ScriptedAgent(answer("half ", Gate()))
    async with (
        live({"agent": agent}, tmp_path / "data", store=SqliteStore(tmp_path)) as server,
        node_client(folder, "ai-sdk", server.url, server.token()) as node,
        http(server.url, server.token()) as browser,
    ):
        asked = node.begin("ask", thread="t", text="go")
        await asked.event()
        await node.call("stop", thread="t")
        told = await asked.result()
        await asyncio.wait_for(agent.stopped(), 20)
        tab = await node.call("resume", thread="t", tab="second")
        status = (await browser.get(f"/runs/{agent.inputs[0].run_id}")).json()["status"]

    assert status == "cancelled"
    for page in (told, tab):
        assert (page["error"], page["status"], page["text"]) == (None, "ready", "half ")


async def prints(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Ask before the call is made; then say what was decided."""
    if not given.resume:
        call = ToolCall("print", id=f"call-{given.run_id}")
        for event in call.whole({"pages": 1}):
            yield event
        asked = Interrupt(
            id=f"ask-{given.run_id}", reason="tool_call", message="Print?", tool_call_id=call.id
        )
        yield RunFinishedEvent(
            thread_id=given.thread_id,
            run_id=given.run_id,
            outcome=RunFinishedInterruptOutcome(interrupts=[asked]),
        )
        return
    approved = (given.resume[0].payload or {})["approved"]
    call_id = given.resume[0].interrupt_id.replace("ask-", "call-")
    yield ToolCallResultEvent(
        message_id=f"result-{given.run_id}", tool_call_id=call_id, content="done", role="tool"
    )
    said = Text()
    for event in (*said.start(), *said.add(f"approved: {approved}"), *said.end()):
        yield event


async def test_a_question_about_a_call_is_its_approval_and_the_turn_goes_on(
    tmp_path: Path, folder: Path
) -> None:
    async with (
        live({"agent": prints}, tmp_path / "data", store=SqliteStore(tmp_path)) as server,
        node_client(folder, "ai-sdk", server.url, server.token()) as node,
    ):
        asked = await node.call("ask", thread="t", text="print it", automatic=True)
        (call,) = asked["calls"]
        assert (call["state"], call["arguments"]) == ("approval-requested", {"pages": 1})
        told = await node.call("approve", thread="t", id=call["approval"], approved=True)
        tab = await node.call("resume", thread="t", tab="second")

    for page in (told, tab):
        assert page["text"] == "approved: True"
        (done,) = page["calls"]
        assert (done["state"], done["result"]) == ("output-available", "done")
    assert told["messages"][-1][1] == asked["messages"][-1][1] == tab["messages"][-1][1]
    assert [role for role, _ in told["messages"]] == ["user", "assistant"]


async def calls_the_page(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Call a tool of the page, and say what it answered."""
    results = [message.content for message in given.messages if message.role == "tool"]
    if results:
        said = Text()
        for event in (*said.start(), *said.add(f"you are in {results[-1]}"), *said.end()):
            yield event
        return
    for event in ToolCall("locate", id="call-1").whole({}):
        yield event


async def test_what_a_tool_of_the_page_answers_is_taken_up(tmp_path: Path, folder: Path) -> None:
    async with (
        live({"agent": calls_the_page}, tmp_path / "data", store=SqliteStore(tmp_path)) as server,
        node_client(folder, "ai-sdk", server.url, server.token()) as node,
    ):
        asked = await node.call("ask", thread="t", text="where am I?", automatic=True)
        assert asked["calls"][0]["state"] == "input-available"
        told = await node.call("output", thread="t", tool="locate", call="call-1", output="Oslo")
        messages = await messages_of(server)

    assert told["text"] == "you are in Oslo"
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "assistant"]
