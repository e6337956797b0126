"""TanStack AI's own client under Node, over ``webSocket()`` and ``fetchServerSentEvents()``."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from ag_ui.core import BaseEvent, RunAgentInput

from netra_backend.agents.base import Reasoning, Text, ToolCall, question_of
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer
from tests.cable import cable
from tests.client import read_log
from tests.e2e.node_client import node_client
from tests.http import http
from tests.live import Live, live

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]
both = pytest.mark.parametrize("by", ["socket", pytest.param("sse", marks=pytest.mark.nightly)])


async def thinker(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Think, look at the weather, and answer; or fail, if the question says so."""
    thought, call, said = Reasoning(), ToolCall("weather"), Text()
    for event in (*thought.start(), *thought.add("hm"), *thought.end()):
        yield event
    for event in (*call.whole({"city": "Oslo"}), *call.result("rain"), *said.start()):
        yield event
    if question_of(given) == "fail":
        raise RuntimeError("a secret of the server")
    for event in (*said.add("take "), *said.add("a coat"), *said.end()):
        yield event


async def messages_of(server: Live, thread: str) -> list[dict[str, Any]]:
    async with http(server.url, server.token()) as browser:
        return list((await browser.get(f"/threads/{thread}/messages")).json()["messages"])


async def status_of(server: Live, run: str) -> str:
    async with http(server.url, server.token()) as browser:
        return str((await browser.get(f"/runs/{run}")).json()["status"])


@both
async def test_a_conversation_with_reasoning_and_tools(
    tmp_path: Path, folder: Path, by: str
) -> None:
    async with (
        live({"agent": thinker}, tmp_path / "data", store=SqliteStore(tmp_path)) as server,
        node_client(folder, "tanstack", server.url, server.token()) as node,
    ):
        for _ in range(2):
            told = await node.call("ask", by=by, thread="t", text="how is it?")
            assert told["error"] is None
            assert (told["text"], told["deltas"], told["reasoning"]) == ("take a coat",) * 2 + (
                "hm",
            )
            (call,) = told["calls"]
            assert call == {"name": "weather", "arguments": {"city": "Oslo"}, "result": "rain"}
        failed = await node.call("ask", by=by, thread="t", text="fail")
        messages = await messages_of(server, "t")

    assert "RUN_ERROR" in failed["types"]
    assert "The agent failed. " in failed["error"]
    assert "secret" not in str(failed)
    # What the client sends of earlier turns, in pieces and with ids of its own, is not news.
    turn = ["user", "reasoning", "assistant", "tool", "assistant"]
    assert [message["role"] for message in messages][:10] == turn * 2


@both
async def test_a_cut_in_the_middle_loses_and_doubles_nothing(
    tmp_path: Path, folder: Path, by: str
) -> None:
    """The chat comes back by itself, and meanwhile a second tab joins from the start."""
    first, second = Gate(), Gate()
    words = [f"{number} " for number in range(200)]
    agent = ScriptedAgent(answer(*words[:50], first, *words[50:120], second, *words[120:]))
    async with (
        live({"agent": agent}, tmp_path / "data", store=SqliteStore(tmp_path)) as server,
        cable(server.port) as laid,
        node_client(folder, "tanstack", laid.url, server.token()) as node,
    ):
        asked = node.begin("ask", by=by, thread="t", text="count")
        assert await asked.event() == "text"
        await laid.pull()
        first.open()
        await asyncio.wait_for(second.reached(), 20)
        await laid.plug()
        run = agent.inputs[0].run_id
        joined = node.begin("join", by=by, run=run)
        assert await joined.event() == "text"
        if by == "sse":  # a socket that only joins does not come back: the client says so
            await laid.pull()
            await laid.plug()
        second.open()
        told, tab = await asked.result(), await joined.result()
        log = await read_log(server.url, server.token(), "t")
        status = await status_of(server, run)

    assert told["error"] is None
    assert told["text"] == told["deltas"] == "".join(words)
    assert tab["deltas"] == "".join(words)
    assert tab["types"][-1] == "RUN_FINISHED"
    assert (told["run"], status) == (run, "finished")
    assert log is not None
    assert [entry["chunk"]["type"] for entry in log].count("RUN_STARTED") == len(agent.inputs) == 1


async def test_stop_cancels_the_run_over_a_socket(tmp_path: Path, folder: Path) -> None:
    gate = Gate()
    agent = ScriptedAgent(answer("half ", gate, "whole"))
    async with (
        live({"agent": agent}, tmp_path / "data", store=SqliteStore(tmp_path)) as server,
        node_client(folder, "tanstack", server.url, server.token()) as node,
    ):
        asked = node.begin("ask", by="socket", thread="t", text="go")
        await asked.event()
        await node.call("stop", by="socket", thread="t")
        await asyncio.wait_for(agent.stopped(), 20)
        told = await asked.result()
        status = await ended(server, agent.inputs[0].run_id)

    assert (told["error"], told["text"]) == (None, "half ")
    assert status == "cancelled"


@both
async def test_a_run_that_somebody_else_stops_ends_in_the_words_of_ag_ui_0(
    tmp_path: Path, folder: Path, by: str
) -> None:
    agent = ScriptedAgent(answer("half ", Gate()))
    async with (
        live({"agent": agent}, tmp_path / "data", store=SqliteStore(tmp_path)) as server,
        node_client(folder, "tanstack", server.url, server.token()) as node,
        http(server.url, server.token()) as browser,
    ):
        asked = node.begin("ask", by=by, thread="t", text="go")
        await asked.event()
        run = agent.inputs[0].run_id
        joined = node.begin("join", by=by, run=run)
        await joined.event()
        await browser.post(f"/runs/{run}/cancel")
        told, tab = await asked.result(), await joined.result()

    assert (told["text"], told["types"][-1]) == ("half ", "RUN_ERROR")
    assert "cancelled" in told["error"]
    assert tab["types"][-1] == "RUN_ERROR"


async def test_stop_leaves_the_run_to_go_on_over_sse(tmp_path: Path, folder: Path) -> None:
    gate = Gate()
    agent = ScriptedAgent(answer("half ", gate, "whole"))
    async with (
        live({"agent": agent}, tmp_path / "data", store=SqliteStore(tmp_path)) as server,
        node_client(folder, "tanstack", server.url, server.token()) as node,
    ):
        asked = node.begin("ask", by="sse", thread="t", text="go")
        await asked.event()
        await node.call("stop", by="sse", thread="t")
        await asked.result()
        gate.open()
        status = await ended(server, agent.inputs[0].run_id)

    assert status == "finished"


@both
async def test_a_thread_that_is_busy_is_an_error_at_once(
    tmp_path: Path, folder: Path, by: str
) -> None:
    gate = Gate()
    agent = ScriptedAgent(answer("half ", gate))
    async with (
        live({"agent": agent}, tmp_path / "data", store=SqliteStore(tmp_path)) as server,
        node_client(folder, "tanstack", server.url, server.token()) as node,
        node_client(folder, "tanstack", server.url, server.token()) as other,
    ):
        asked = node.begin("ask", by=by, thread="t", text="go")
        await asked.event()
        refused = await other.call("ask", by=by, thread="t", text="me too")
        gate.open()
        told = await asked.result()

    assert refused["error"] is not None
    assert ("409" if by == "sse" else "Another run is active") in refused["error"]
    assert (told["error"], told["text"]) == (None, "half ")


async def ended(server: Live, run: str) -> str:
    """Return the run's status once it is not running any more."""
    async with asyncio.timeout(20):
        while (status := await status_of(server, run)) == "running":  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    return status
