"""``/ws`` of an AgentCore container: one run a socket, AG-UI's events without an envelope."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from netra_backend.server.auth import SESSION_HEADER
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer, endless
from tests.client import run_input
from tests.eventually import until
from tests.http import http, sse_chunks
from tests.legality import illegal
from tests.live import Live, live
from tests.server.agents import echo

pytestmark = pytest.mark.anyio

SESSION = "0123456789-0123456789-0123456789-abc"
HEADERS = {SESSION_HEADER: SESSION}


@asynccontextmanager
async def container(tmp_path: Path, agent: object) -> AsyncIterator[Live]:
    store = MemoryStore()
    async with live(
        {"agent": agent}, tmp_path, store=store, agentcore=True, auth="agentcore"
    ) as server:
        yield server


@asynccontextmanager
async def caller(server: Live, query: str = "", **options: Any) -> AsyncIterator[ClientConnection]:
    url = f"{server.socket_url}{query}"
    async with connect(url, additional_headers=HEADERS, **options) as socket:
        yield socket


async def heard(socket: ClientConnection) -> tuple[list[dict[str, Any]], int | None]:
    """Return the events up to the close, and its code."""
    events = []
    try:
        while True:
            text = await socket.recv()
            assert isinstance(text, str)
            assert text.startswith("data: ")
            assert text.endswith("\n\n")
            events.append(json.loads(text.removeprefix("data: ")))
    except ConnectionClosed:
        return events, socket.close_code


@pytest.mark.parametrize("body", [run_input("main", "r", "hello there"), {"prompt": "hello there"}])
async def test_a_run_streams_its_events_and_closes(tmp_path: Path, body: dict[str, Any]) -> None:
    async with container(tmp_path, echo) as server, http(server.url, None, headers=HEADERS) as one:
        async with caller(server) as socket:
            await socket.send(json.dumps(body))
            events, code = await heard(socket)
        run = events[0]["runId"]
        again = await one.post("/invocations", json=run_input("main", run, "hello there"))

    assert code == 1000
    assert "".join(event.get("delta", "") for event in events) == "hello there "
    assert illegal(events) == []
    streamed = sse_chunks(again.text)
    assert [events[0], events[-1]] == [streamed[0], streamed[-1]], "it is the same run"


async def test_leaving_stops_nothing_and_the_same_run_is_attached_to(tmp_path: Path) -> None:
    gate = Gate()
    agent = ScriptedAgent(answer("half ", gate, "whole"))
    async with container(tmp_path, agent) as server:
        async with caller(server) as socket:
            await socket.send(json.dumps(run_input("t", "r")))
            assert "RUN_STARTED" in str(await socket.recv())
        async with caller(server) as socket:
            await socket.send(json.dumps(run_input("t", "r")))
            gate.open()
            events, code = await heard(socket)
        await until(lambda: not len(server.app.pool))

    assert (code, len(agent.inputs)) == (1000, 1)
    assert "".join(event.get("delta", "") for event in events) == "half whole"


@pytest.mark.parametrize(
    ("sent", "code", "closed"),
    [
        ("{", "bad_frame", 4400),
        ("[]", "bad_frame", 4400),
        ('{"threadId":"t"}', "bad_input", 4400),
        ('{"threadId":"a b","runId":"r","messages":[]}', "bad_input", 4400),
    ],
)
async def test_what_cannot_be_read_is_told_before_the_close(
    tmp_path: Path, sent: str, code: str, closed: int
) -> None:
    async with container(tmp_path, echo) as server, caller(server) as socket:
        await socket.send(sent)
        assert await heard_error(socket) == (code, closed)


async def heard_error(socket: ClientConnection) -> tuple[str, int | None]:
    events, closed = await heard(socket)
    assert events[-1]["type"] == "RUN_ERROR"
    assert events[-1]["message"]
    return events[-1]["code"], closed


async def test_a_run_that_is_refused_and_a_second_one_on_a_socket(tmp_path: Path) -> None:
    async with (
        container(tmp_path, ScriptedAgent(endless())) as server,
        caller(server) as first,
        caller(server) as second,
        http(server.url, None, headers=HEADERS) as one,
    ):
        await first.send(json.dumps(run_input("t", "r")))
        await first.recv()
        await second.send(json.dumps(run_input("t", "r2")))
        assert await heard_error(second) == ("thread_busy", 1000)
        await first.send(json.dumps(run_input("t", "r3")))
        assert (await heard_error(first))[1] == 4400  # and the run's events end before
        assert (await one.get("/runs/r")).json()["status"] == "running"


@pytest.mark.parametrize(("version", "last"), [(None, "RUN_ERROR"), ("1.0", "RUN_FINISHED")])
async def test_a_cancelled_run_ends_in_the_clients_version(
    tmp_path: Path, version: str | None, last: str
) -> None:
    said = {} if version is None else {"protocolVersion": version}
    async with (
        container(tmp_path, ScriptedAgent(endless())) as server,
        caller(server) as socket,
        http(server.url, None, headers=HEADERS) as one,
    ):
        await socket.send(json.dumps({**run_input("t", "r"), **said}))
        await socket.recv()
        await one.post("/runs/r/cancel")
        events, code = await heard(socket)

    assert (events[-1]["type"], code) == (last, 1000)


async def test_a_browser_that_brings_its_token_to_agentcore_gets_the_name_back(
    tmp_path: Path,
) -> None:
    offered = ["base64UrlBearerAuthorization.dG9rZW4", "base64UrlBearerAuthorization"]
    async with (
        container(tmp_path, echo) as server,
        caller(server, subprotocols=offered) as socket,
    ):
        assert socket.subprotocol == "base64UrlBearerAuthorization"
        await socket.send('{"prompt":"hello"}')
        assert (await heard(socket))[1] == 1000


async def test_tanstacks_client_which_names_its_run_has_its_envelope(tmp_path: Path) -> None:
    async with container(tmp_path, echo) as server, caller(server, "?runId=r") as socket:
        await socket.send(json.dumps(run_input("t", "r")))
        assert set(json.loads(await socket.recv())) == {"id", "thread", "chunk"}


async def test_without_a_session_there_is_no_socket(tmp_path: Path) -> None:
    async with container(tmp_path, echo) as server:
        with pytest.raises(InvalidStatus, match="401"):
            await connect(server.socket_url)
