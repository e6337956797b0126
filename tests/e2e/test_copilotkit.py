"""CopilotKit's core 1.75 under Node, with the server as its runtime."""

import asyncio
from pathlib import Path

import pytest

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
from tests.e2e.node_client import node_client
from tests.http import http
from tests.live import live

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]


async def test_a_conversation_a_failure_and_a_page_that_is_loaded_anew(
    tmp_path: Path, folder: Path
) -> None:
    thinks = ScriptedAgent(
        reasoning("hm"),
        tool_call("weather", '{"city":"Oslo"}', result="rain"),
        answer("take ", "a coat"),
    )
    agents = {
        "agent": thinks,
        "broken": ScriptedAgent(failure("half", error=RuntimeError("a secret of the server"))),
    }
    async with (
        live(agents, tmp_path / "data", store=SqliteStore(tmp_path)) as server,
        node_client(folder, "copilotkit", server.url, server.token()) as node,
        http(server.url, server.token()) as browser,
    ):
        info = await node.call("info")
        empty = await node.call("connect", thread="t")
        told = [await node.call("ask", thread="t", text=text) for text in ("one", "two")]
        again = await node.call("connect", thread="t", tab="second")
        failed = await node.call("ask", thread="f", text="go", agent="broken")
        messages = (await browser.get("/threads/t/messages")).json()["messages"]

    assert sorted(info["agents"]) == ["agent", "broken"]
    assert info["version"]
    assert (empty["error"], empty["types"]) == (None, [])
    for turn in (*told, again):
        assert turn["error"] is None
        assert (turn["text"], turn["reasoning"]) == ("take a coat", "hm")
        (call,) = turn["calls"]
        assert call == {"name": "weather", "arguments": {"city": "Oslo"}, "result": "rain"}
    assert told[1]["deltas"] == "take a coat"
    assert again["types"] == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]
    assert [m["role"] for m in messages] == [
        "user",
        "reasoning",
        "assistant",
        "tool",
        "assistant",
    ] * 2
    assert "The agent failed. " in failed["error"]
    assert "secret" not in str(failed)


@pytest.mark.nightly
async def test_a_cut_and_a_reload_in_the_middle_of_a_run(tmp_path: Path, folder: Path) -> None:
    gate = Gate()
    words = [f"{number} " for number in range(100)]
    agent = ScriptedAgent(answer(*words[:30], gate, *words[30:]))
    async with (
        live({"agent": agent}, tmp_path / "data", store=SqliteStore(tmp_path)) as server,
        cable(server.port) as laid,
        node_client(folder, "copilotkit", laid.url, server.token()) as node,
    ):
        asked = node.begin("ask", thread="t", text="count")
        assert await asked.event() == "text"
        await asyncio.wait_for(gate.reached(), 20)
        await laid.pull()
        cut = await asked.result()
        await laid.plug()
        again = node.begin("connect", thread="t", tab="second")
        gate.open()
        told = await again.result()

    assert cut["error"] is not None, "the page says that it was cut"
    assert told["error"] is None
    assert told["text"] == "".join(words)
    assert told["types"][:2] == ["RUN_STARTED", "MESSAGES_SNAPSHOT"]
    assert told["types"][-1] == "RUN_FINISHED"
    assert len(agent.inputs) == 1


async def test_stop_ends_the_run_and_is_no_error(tmp_path: Path, folder: Path) -> None:
    agent = ScriptedAgent(answer("half ", Gate()))
    async with (
        live({"agent": agent}, tmp_path / "data", store=SqliteStore(tmp_path)) as server,
        node_client(folder, "copilotkit", server.url, server.token()) as node,
        http(server.url, server.token()) as browser,
    ):
        asked = node.begin("ask", thread="t", text="go")
        assert await asked.event() == "text"
        await node.call("stop", thread="t")
        told = await asked.result()
        again = await node.call("connect", thread="t", tab="second")
        status = (await browser.get(f"/runs/{told['run']}")).json()["status"]

    assert status == "cancelled"
    for page in (told, again):
        assert (page["error"], page["text"]) == (None, "half ")
        assert page["types"][-1] == "RUN_FINISHED"
