"""CopilotKit's runtime over HTTP: agents, runs, threads shown again, and stops."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer, endless
from tests.client import BOUND, client, run_input
from tests.http import http, sse_chunks
from tests.live import live
from tests.server.agents import echo

pytestmark = pytest.mark.anyio


async def connect(browser: httpx.AsyncClient, thread: str = "t") -> list[dict[str, Any]]:
    path = "/copilotkit/agent/agent/connect"
    answered = await browser.post(path, json=run_input(thread, "made-up"))
    assert answered.status_code == 200
    assert answered.headers["content-type"].startswith("text/event-stream")
    return sse_chunks(answered.text)


async def test_the_agents_are_listed_in_their_order(tmp_path: Path) -> None:
    async with (
        live({"first": echo, "second": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
    ):
        info = (await browser.get("/copilotkit/info")).json()

    assert list(info["agents"]) == ["first", "second"]
    assert info["mode"] == "sse"
    assert info["agents"]["first"]["name"] == "first"
    assert {"description", "className"} <= set(info["agents"]["first"])


async def test_a_thread_is_shown_as_it_stands_and_then_live(tmp_path: Path) -> None:
    gate = Gate()
    agent = ScriptedAgent(answer("half ", gate, "whole"))
    async with (
        live({"agent": agent}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
        http(server.url, server.token("bob")) as bob,
        client(server.socket_url, server.token()) as alice,
    ):
        assert await connect(browser) == [], "nobody has begun it"
        await alice.run("t", "r", "hello")
        await asyncio.wait_for(gate.reached(), BOUND)
        await alice.follow("t")
        await alice.until("TEXT_MESSAGE_CONTENT")
        joining = asyncio.ensure_future(connect(browser))
        assert await connect(bob) == [], "foreign and unknown look the same"
        gate.open()
        live_chunks = await asyncio.wait_for(joining, BOUND)
        later = await connect(browser)

    assert [chunk["type"] for chunk in live_chunks[:2]] == ["RUN_STARTED", "MESSAGES_SNAPSHOT"]
    assert live_chunks[-1]["type"] == "RUN_FINISHED"
    assert [chunk["type"] for chunk in later] == [
        "RUN_STARTED",
        "MESSAGES_SNAPSHOT",
        "RUN_FINISHED",
    ]
    assert later[1]["messages"][-1]["content"] == "half whole"


async def test_a_stop_ends_the_run_that_is_meant_and_no_other(tmp_path: Path) -> None:
    async with (
        live({"agent": ScriptedAgent(endless())}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
        http(server.url, server.token("bob")) as bob,
        client(server.socket_url, server.token()) as alice,
    ):

        async def stop(who: httpx.AsyncClient, thread: str, **body: str) -> bool:
            path = f"/copilotkit/agent/agent/stop/{thread}"
            return bool((await who.post(path, json=body)).json()["stopped"])

        await alice.run("t", "r1")
        await alice.run("u", "r2")
        assert not await stop(bob, "t")
        assert not await stop(bob, "t", runId="r1")
        assert not await stop(browser, "t", runId="r2"), "a run of another thread"
        assert not await stop(browser, "none")
        assert await stop(browser, "t", runId="r1")
        assert not await stop(browser, "t", runId="r1"), "it has ended"
        assert not await stop(browser, "t")
        told = await browser.post("/copilotkit/agent/agent/run", json=run_input("t", "r1"))
        await browser.post("/copilotkit/agent/agent/stop/u")
        states = [(await browser.get(f"/runs/{run}")).json()["status"] for run in ("r1", "r2")]

    assert states == ["cancelled", "cancelled"]
    last = sse_chunks(told.text)[-1]
    assert (last["type"], last.get("outcome")) == ("RUN_FINISHED", None)
