"""Limits: each is told in `ready.limits`, and met by a client as what was told."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from netra_backend.config import Settings
from netra_backend.server import endpoints
from netra_backend.server.http_protocol import HttpProtocol
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import ScriptedAgent, endless
from tests.client import Client, client, run_input
from tests.http import http
from tests.live import Live, live
from tests.server.agents import echo

pytestmark = pytest.mark.anyio

BOTH = pytest.mark.parametrize("direct", [True, False], ids=["lane", "send"])
CONSTANT = {"id_length": 128, "request_length": 64}
"""Limits that are part of the protocol: what is stored relies on them."""


@asynccontextmanager
async def place(
    tmp_path: Path, *, direct: bool = True, **limits: Any
) -> AsyncIterator[tuple[Live, Client, httpx.AsyncClient]]:
    agents = {"echo": echo, "endless": ScriptedAgent(endless())}
    async with (
        live(agents, tmp_path, store=MemoryStore(), direct=direct, **limits) as server,
        client(server.socket_url, server.token()) as alice,
        http(server.url, server.token()) as browser,
    ):
        yield server, alice, browser


async def test_every_limit_is_a_setting_and_is_told(tmp_path: Path) -> None:
    async with place(tmp_path) as (_, alice, _):
        told = alice.ready["limits"]
    settings = Settings()
    assert told == {name: CONSTANT.get(name, getattr(settings, name, None)) for name in told}
    other = dict.fromkeys(told.keys() - CONSTANT.keys(), 7)
    other["frame_bytes"] = 7_000
    async with place(tmp_path, **other) as (_, alice, _):
        assert alice.ready["limits"] == {**other, **CONSTANT}


async def test_no_limit_for_runs_is_told_by_leaving_it_out(tmp_path: Path) -> None:
    async with place(tmp_path, runs_per_user=None) as (_, alice, _):
        assert "runs_per_user" not in alice.ready["limits"]


@BOTH
async def test_frame_bytes(tmp_path: Path, direct: bool) -> None:
    async with place(tmp_path, direct=direct, frame_bytes=500) as (_, alice, browser):
        frame = json.dumps({"type": "ping", "request": "r"})
        await alice.socket.send(frame.ljust(500))
        assert (await alice.notice("pong"))["request"] == "r"
        await alice.socket.send(frame.ljust(501))
        assert await alice.closed() == 1009
        assert alice.socket.close_reason == "frame too big"
        assert (await browser.post("/threads", content=b"{}".ljust(500))).status_code == 201
        refused = await browser.post("/threads", content=b"{}".ljust(501))
        assert (refused.status_code, refused.json()["error"]["code"]) == (413, "too_big")


async def test_a_body_that_says_how_long_it_is_is_not_waited_for(tmp_path: Path) -> None:
    async with place(tmp_path, frame_bytes=500) as (server, _, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(post(server, b"Content-Length: 501"))
        assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
        writer.close()


async def test_a_body_comes_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoints, "BODY_SECONDS", 0.05)
    async with place(tmp_path) as (server, _, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(post(server, b"Content-Length: 2") + b"{")
        assert (await reader.readline()).startswith(b"HTTP/1.1 422 ")
        assert b"the body was not whole" in await reader.readuntil(b"}}")
        writer.close()


def post(server: Live, *fields: bytes) -> bytes:
    token = b"Authorization: Bearer " + server.token().encode()
    host = f"Host: 127.0.0.1:{server.port}".encode()
    return b"\r\n".join([b"POST /threads HTTP/1.1", host, token, *fields, b"\r\n"])


@BOTH
async def test_commands_per_second_and_command_burst(tmp_path: Path, direct: bool) -> None:
    """What comes too soon is refused, in its turn, and the rest is carried out."""
    limits = {"commands_per_second": 4, "command_burst": 5}
    async with place(tmp_path, direct=direct, **limits) as (_, alice, _):
        began = asyncio.get_running_loop().time()
        answers = await asyncio.gather(*(alice.command("ping") for _ in range(14)))
        seconds = asyncio.get_running_loop().time() - began
        kinds = [answer.get("code", answer["type"]) for answer in answers]
        assert kinds[:6] == ["pong"] * 5 + ["too_fast"]
        assert set(kinds) == {"pong", "too_fast"}
        assert kinds.count("pong") <= 5 + 4 * seconds + 1
        refused = next(answer for answer in answers if answer["type"] == "error")
        assert refused["retry"] is True
        assert refused["correlation"]
        await asyncio.sleep(0.3)  # as the client is told to: later
        assert (await alice.command("ping"))["type"] == "pong"


async def test_a_flood_of_what_cannot_be_read_is_refused_alike(tmp_path: Path) -> None:
    limits = {"commands_per_second": 20, "command_burst": 1, "bad_frames": 3}
    async with place(tmp_path, **limits) as (_, alice, _):
        for _ in range(20):
            await alice.socket.send("{")
        assert await alice.closed() == 4400
        codes = [notice.get("code") for notice in alice.notices[1:]]
        assert set(codes) == {"bad_frame", "too_fast"}


@pytest.mark.parametrize("path", ["/ws", "/ai-sdk/echo"])
async def test_the_other_dialects_have_it_too(tmp_path: Path, path: str) -> None:
    async with live(
        {"echo": echo}, tmp_path, store=MemoryStore(), commands_per_second=1, command_burst=1
    ) as server:
        headers = {"Authorization": f"Bearer {server.token()}"}
        url = server.socket_url.removesuffix("/ws") + path
        frames = {
            "/ws": {"type": "abort", "runId": "none"},
            "/ai-sdk/echo": {"type": "abort", "requestId": "q"},
        }
        async with connect(url, additional_headers=headers) as socket:
            for _ in range(2):
                await socket.send(json.dumps(frames[path]))
            first, second = [json.loads(await socket.recv()) for _ in range(2)]
    assert "more commands" not in json.dumps(first)
    assert "more commands" in json.dumps(second)


async def test_followed_threads(tmp_path: Path) -> None:
    async with place(tmp_path, followed_threads=2) as (_, alice, browser):
        for name in ("a", "b", "c"):
            await browser.post("/threads", json={"id": name})
        assert [(await alice.follow(name))["type"] for name in ("a", "b")] == ["followed"] * 2
        assert (await alice.follow("c"))["code"] == "too_many"
        assert (await alice.follow("a"))["type"] == "followed"
        await alice.command("unfollow", thread="b")
        assert (await alice.follow("c"))["type"] == "followed"


async def test_runs_per_user(tmp_path: Path) -> None:
    async with (
        place(tmp_path, runs_per_user=2) as (server, alice, browser),
        client(server.socket_url, server.token("bob")) as bob,
    ):
        for number in range(2):
            accepted = await alice.run(f"t{number}", f"r{number}", agent="endless")
            assert accepted["type"] == "accepted"
        assert (await alice.run("t2", "r2", agent="echo"))["code"] == "too_many"
        body = {"threadId": "t2", "runId": "r2", "messages": [], "tools": [], "context": []}
        refused = await browser.post("/agui/echo", json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many")
        assert (await bob.run("t", "r", agent="endless"))["type"] == "accepted"
        await alice.command("cancel", run="r0")
        assert (await alice.run("t2", "r2", agent="echo"))["type"] == "accepted"


async def test_queued_runs(tmp_path: Path) -> None:
    """Over a socket and over HTTP; what waits does so all the same."""
    async with place(tmp_path, when_busy="enqueue", queued_runs=2) as (_, alice, browser):
        assert (await alice.run("t", "r0", agent="endless"))["type"] == "accepted"
        for number in (1, 2):
            assert (await alice.run("t", f"r{number}", agent="echo"))["queued"] is True
        assert (await alice.run("t", "r3", agent="echo"))["code"] == "too_many"
        refused = await browser.post("/agui/echo", json=run_input("t", "r3"))
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many")
        await alice.follow("t")
        await alice.command("cancel", run="r0")
        await alice.until_frame(
            lambda f: f["chunk"]["type"] == "RUN_FINISHED" and f["chunk"]["runId"] == "r2"
        )


async def test_title_length(tmp_path: Path) -> None:
    async with place(tmp_path, title_length=5) as (_, _, browser):
        assert (await browser.post("/threads", json={"title": "12345"})).status_code == 201
        refused = await browser.post("/threads", json={"title": "123456"})
        assert (refused.status_code, refused.json()["error"]["where"]) == (422, "$.title")


async def test_id_length_and_request_length(tmp_path: Path) -> None:
    async with place(tmp_path) as (_, alice, browser):
        for length, status in ((128, 201), (129, 422)):
            created = await browser.post("/threads", json={"id": "x" * length})
            assert created.status_code == status
        for length, type in ((64, "pong"), (65, "error")):
            await alice.socket.send(json.dumps({"type": "ping", "request": "r" * length}))
            answered = await alice.notice(type)
        assert (answered["code"], answered["where"]) == ("bad_frame", "$.request")


async def test_connections_per_user(tmp_path: Path) -> None:
    async with place(tmp_path, connections_per_user=1) as (server, _, browser):
        headers = {"Authorization": f"Bearer {server.token()}"}
        async with connect(
            server.socket_url, subprotocols=["netra.v1"], additional_headers=headers
        ) as second:
            await second.wait_closed()
            assert second.close_code == 4429
        body = {"threadId": "t", "runId": "r", "messages": [], "tools": [], "context": []}
        refused = await browser.post("/agui/echo", json=body)
        assert (refused.status_code, refused.json()["error"]["code"]) == (429, "too_many")


async def test_head_bytes(tmp_path: Path) -> None:
    bounded = {"http": HttpProtocol, "h11_max_incomplete_event_size": 2_000}
    async with live({"echo": echo}, tmp_path, store=MemoryStore(), uvicorn=bounded) as server:
        token = {"Authorization": f"Bearer {server.token()}"}
        async with http(server.url, server.token()) as browser:
            fits = await browser.get("/threads", headers={"X-Padding": "x" * 1_000})
            assert fits.status_code == 200
            refused = await browser.get("/threads", headers={"X-Padding": "x" * 100_000})
        error = refused.json()["error"]
        assert (refused.status_code, error["code"], error["retry"]) == (431, "head_too_big", False)
        assert error["correlation"] == refused.headers["x-correlation-id"]
        padded = {**token, "X-Padding": "x" * 100_000}
        with pytest.raises(InvalidStatus) as handshake:
            await connect(server.socket_url, subprotocols=["netra.v1"], additional_headers=padded)
        assert handshake.value.response.status_code == 431
