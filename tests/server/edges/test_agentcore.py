"""AgentCore's contract: invocations, pings, and sessions that do not see each other."""

import asyncio
import signal
from pathlib import Path

import httpx
import pytest
from websockets.asyncio.client import connect

from netra_backend.errors import StoreFailed
from netra_backend.server.auth import SESSION_HEADER
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer
from tests.client import BOUND, run_input
from tests.http import http, sse_chunks, sse_events
from tests.live import ServerProcess, live
from tests.server.agents import echo
from tests.watched_store import WatchedStore

pytestmark = pytest.mark.anyio

SESSION = "0123456789-0123456789-0123456789-abc"
CONTAINER = {"agentcore": True, "auth": "agentcore"}


def caller(url: str, session: str | None = SESSION) -> httpx.AsyncClient:
    return http(url, None, headers={SESSION_HEADER: session} if session else {})


async def test_an_invocation_is_a_run_and_sessions_are_users(tmp_path: Path) -> None:
    async with (
        live({"agent": echo, "other": echo}, tmp_path, store=MemoryStore(), **CONTAINER) as server,
        caller(server.url) as one,
        caller(server.url, SESSION + "d") as two,
        caller(server.url, None) as nobody,
        caller(server.url, "no id") as strange,
    ):
        ran = await one.post("/invocations", json=run_input("t", "r", "hello there"))
        again = await one.post("/invocations", json=run_input("t", "r", "hello there"))
        seen = [(await who.get("/threads")).json() for who in (one, two)]
        refused = [await who.post("/invocations", json={}) for who in (nobody, strange)]

    assert ran.headers["content-type"].startswith("text/event-stream")
    said = "".join(chunk.get("delta", "") for chunk in sse_chunks(ran.text))
    assert said == "hello there "
    assert sse_events(again.text)[-1] == sse_events(ran.text)[-1], "it starts once"
    assert [len(listed["threads"]) for listed in seen] == [1, 0]
    assert [answered.status_code for answered in refused] == [401, 401]
    assert SESSION_HEADER in refused[0].json()["error"]["message"]


async def test_a_prompt_goes_on_with_the_thread_of_the_session(tmp_path: Path) -> None:
    async with (
        live({"agent": echo}, tmp_path, store=MemoryStore(), **CONTAINER) as server,
        caller(server.url) as one,
    ):
        for prompt in ("first", "second"):
            ran = await one.post("/invocations", json={"prompt": prompt})
            deltas = "".join(chunk.get("delta", "") for chunk in sse_chunks(ran.text))
            assert deltas == f"{prompt} "
        messages = (await one.get("/threads/main/messages")).json()["messages"]
        for body in (b"{", b"[]", b'{"prompt": 1}', b"{}"):
            wrong = await one.post("/invocations", content=body)
            assert wrong.status_code in (400, 422), body

    assert [message["role"] for message in messages] == ["user", "assistant"] * 2


async def test_a_ping_says_whether_a_run_is_active_and_needs_no_session(tmp_path: Path) -> None:
    gate = Gate()
    store = WatchedStore(MemoryStore())
    agents = {"agent": ScriptedAgent(answer("x", gate))}
    async with (
        live(agents, tmp_path, store=store, **CONTAINER) as server,
        caller(server.url) as one,
        caller(server.url, None) as runtime,
    ):
        assert (await runtime.get("/ping")).json() == {"status": "Healthy"}
        running = asyncio.ensure_future(one.post("/invocations", json=run_input("t", "r")))
        await asyncio.wait_for(gate.reached(), BOUND)
        assert (await runtime.get("/ping")).json() == {"status": "HealthyBusy"}
        gate.open()
        await running
        async with asyncio.timeout(BOUND):
            while (await runtime.get("/ping")).json() != {"status": "Healthy"}:  # noqa: ASYNC110
                await asyncio.sleep(0)
        store.failures["probe"] = StoreFailed("the disk is full")
        assert (await runtime.get("/ping")).status_code == 503
        store.failures.clear()
        await server.app.end_runs()
        assert (await runtime.get("/ping")).status_code == 503


async def test_without_the_flag_there_is_no_container(tmp_path: Path) -> None:
    async with (
        live({"agent": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token(), headers={SESSION_HEADER: SESSION}) as browser,
    ):
        answers = [await browser.get("/ping"), await browser.post("/invocations", json={})]
    assert [answered.status_code for answered in answers] == [404, 404]


async def test_the_command_is_a_container(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", ("docs", "--agentcore"))
    server.start()
    try:
        await server.wait_ready()
        async with caller(server.url) as one:
            assert (await one.get("/ping")).json() == {"status": "Healthy"}
            ran = await one.post("/invocations", json=run_input("t", "r", "How do I serve?"))
            assert sse_chunks(ran.text)[-1]["type"] == "RUN_FINISHED"
        headers = {SESSION_HEADER: SESSION}
        async with connect(
            server.socket_url, subprotocols=["netra.v1"], additional_headers=headers
        ) as socket:
            assert SESSION in str(await socket.recv())
        assert f"http://0.0.0.0:{server.port}" in server.log_file.read_text()
    finally:
        assert server.stop(signal.SIGTERM) == 0
