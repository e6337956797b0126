"""The WebSocket route, over real sockets, on both lanes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from ag_ui.core import (
    BaseEvent,
    RunAgentInput,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
)
from starlette.requests import HTTPConnection
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from netra_backend.core.ids import UserId
from netra_backend.errors import StoreFailed
from netra_backend.server.http_protocol import HttpProtocol
from netra_backend.server.lane import Protocol
from netra_backend.server.metrics import REGISTRY
from netra_backend.server.seating import Seating
from netra_backend.server.user import User
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer
from tests.client import BOUND, client, run_input
from tests.collector import alive, no_collector
from tests.conftest import Lines
from tests.eventually import until
from tests.http import http
from tests.live import Live, live, token
from tests.server.agents import echo
from tests.server.handshake import refusal_of
from tests.server.lanes import both_lanes

SECRET = "s3cret-of-the-issuer-0123456789abcdef"

pytestmark = pytest.mark.anyio


async def hello(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Answer with one message of three deltas."""
    id = f"answer-{given.run_id}"
    yield TextMessageStartEvent(message_id=id, role="assistant")
    for delta in ("Hel", "lo, ", given.messages[-1].content):
        yield TextMessageContentEvent(message_id=id, delta=str(delta))
    yield TextMessageEndEvent(message_id=id)


@pytest.mark.parametrize("direct", [True, False], ids=["lane", "send"])
async def test_a_run_is_delivered_whole(tmp_path: Path, direct: bool) -> None:
    async with (
        live({"hello": hello}, tmp_path, store=MemoryStore(), direct=direct) as server,
        client(server.socket_url, server.token()) as alice,
    ):
        assert alice.ready["agents"] == ["hello"]
        accepted = await alice.run("t1", "r1", "world")
        assert accepted["type"] == "accepted"
        followed = await alice.follow("t1")
        assert followed["resume"] == "replay"
        finished = await alice.until("RUN_FINISHED")
        assert finished["chunk"]["outcome"] == {"type": "success"}
        text = "".join(f["chunk"].get("delta", "") for f in alice.events)
        assert text == "Hello, world"


@both_lanes
async def test_a_client_need_not_wait_for_ready_and_may_send_bytes(
    tmp_path: Path, direct: bool
) -> None:
    headers = {"Authorization": f"Bearer {token(tmp_path, 'alice')}"}
    async with (
        live({"hello": hello}, tmp_path, store=MemoryStore(), direct=direct) as server,
        connect(server.socket_url, subprotocols=["netra.v1"], additional_headers=headers) as socket,
    ):
        await socket.send(b'{"type":"ping","request":"bytes"}')
        await socket.send('{"type":"ping","request":"text"}')
        async with asyncio.timeout(BOUND):
            got = [json.loads(await socket.recv()) for _ in range(3)]

    assert [frame["type"] for frame in got] == ["ready", "pong", "pong"]
    assert [frame.get("request") for frame in got] == [None, "bytes", "text"]


async def test_a_ping_in_the_segment_of_the_handshake_gets_its_pong(tmp_path: Path) -> None:
    head = (
        "GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
        "Sec-WebSocket-Protocol: netra.v1\r\n"
        f"Authorization: Bearer {token(tmp_path, 'alice')}\r\n\r\n"
    )
    ping = Frame(Opcode.TEXT, b'{"type":"ping","request":"early"}').serialize(mask=True)
    options = {"http": HttpProtocol}
    async with (
        live({"hello": hello}, tmp_path, store=MemoryStore(), uvicorn=options) as server,
        asyncio.timeout(BOUND),
    ):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(head.encode() + ping)
        assert b" 101 " in await reader.readuntil(b"\r\n\r\n")
        got = await reader.readuntil(b"early")
        assert got.index(b'"ready"') < got.index(b'"pong"')
        writer.close()


@both_lanes
async def test_a_client_that_vanishes_leaves_nothing_behind(tmp_path: Path, direct: bool) -> None:
    agent = ScriptedAgent(answer("a", Gate()))
    async with live({"agent": agent}, tmp_path, store=MemoryStore(), direct=direct) as server:
        hub = server.app._house.hub
        for number in range(5):
            headers = {"Authorization": f"Bearer {server.token()}"}
            socket = await connect(
                server.socket_url, subprotocols=["netra.v1"], additional_headers=headers
            )
            run = {"type": "run", "request": "a", "input": run_input(f"t{number}", f"r{number}")}
            await socket.send(json.dumps(run))
            for name in (f"t{number}", "t0"):
                await socket.send(json.dumps({"type": "follow", "request": "b", "thread": name}))
            async with asyncio.timeout(BOUND):
                while "TEXT_MESSAGE_CONTENT" not in str(await socket.recv()):
                    pass
            socket.transport.abort()
            await socket.wait_closed()
        async with asyncio.timeout(BOUND):
            while len(server.app.pool) or hub.followers:  # noqa: ASYNC110 - the server's own state
                await asyncio.sleep(0)
        async with http(server.url, server.token()) as browser:
            runs = [(await browser.get(f"/runs/r{number}")).json() for number in range(5)]

    assert [run["status"] for run in runs] == ["running"] * 5


async def test_nothing_of_a_refused_client_is_left_to_the_collector(tmp_path: Path) -> None:
    """A hundred objects of each were, and who floods us with bad tokens made it look for them."""
    async with live({"echo": echo}, tmp_path) as server:
        with no_collector():
            before = alive((Protocol, WebSocket))
            for bad in ("a word", "a.b.c"):
                headers = {"Authorization": f"Bearer {bad}"}
                with pytest.raises(InvalidStatus, match="401"):
                    await connect(server.socket_url, additional_headers=headers)
            await until(lambda: not alive((Protocol, WebSocket), before), bound=5)


async def test_the_address_of_the_socket_is_no_page(tmp_path: Path) -> None:
    async with (
        live({"hello": hello}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
    ):
        answered = await browser.get("/ws")
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws://127.0.0.1:{server.port}/elsewhere"):
                pass

    assert (answered.status_code, answered.headers["upgrade"]) == (426, "websocket")
    assert answered.json()["error"]["code"] == "upgrade_required"
    assert refused.value.response.status_code in (403, 404)


async def test_the_log_says_how_a_socket_ended(tmp_path: Path, log_lines: Lines) -> None:
    """By the client, without a word, by a broken protocol, and by us: each with code and time."""
    before = closes()
    async with live(
        {"hello": hello},
        tmp_path,
        store=MemoryStore(),
        ping_seconds=0.2,
        uvicorn={"ws_max_size": 2_000},
    ) as server:

        def ended() -> list[dict[str, Any]]:
            return [line for line in log_lines() if line["message"] == "disconnected"]

        async with opened(server) as socket:
            await socket.close(4321, "I have to go")
        await until(lambda: len(ended()) == 1)
        async with opened(server) as socket:
            socket.transport.abort()
        await until(lambda: len(ended()) == 2)
        async with opened(server) as socket:
            await socket.send("x" * 1_000_000)
            await socket.wait_closed()
        await until(lambda: len(ended()) == 3)
        async with opened(server) as socket:
            socket.transport.pause_reading()
            await until(lambda: len(ended()) == 4)
            socket.transport.abort()
        async with opened(server) as socket:
            await server.app.drain(0)
            await until(lambda: len(ended()) == 5)
    lines = ended()
    assert [(line["code"], line["reason"]) for line in lines[:2]] == [
        (4321, "I have to go"),
        (1006, ""),
    ]
    assert [line["code"] for line in lines[2:]] == [1009, 4408, 1012]
    states = [(line["client_state"], line["application_state"]) for line in lines]
    assert states == [("DISCONNECTED", "CONNECTED")] * 4 + [("DISCONNECTED", "DISCONNECTED")]
    assert all(0 <= line["seconds"] < BOUND and line["client"] == "127.0.0.1" for line in lines)
    after = closes()
    grown = {code: after[code] - before.get(code, 0) for code in ("1009", "4408", "1012")}
    assert grown == {"1009": 1, "4408": 1, "1012": 1}
    (closing,) = [line for line in log_lines() if line["message"] == "closing"]
    known = ("connection", "user", "correlation")
    assert [closing[name] for name in known] == [lines[-1][name] for name in known]


@both_lanes
async def test_a_socket_that_the_pool_refuses_is_counted_once(tmp_path: Path, direct: bool) -> None:
    async with live(
        {"hello": hello}, tmp_path, store=MemoryStore(), direct=direct, connections=1
    ) as server:
        before = closes().get("1013", 0)
        async with opened(server):
            with pytest.raises(ConnectionClosed):
                async with opened(server):
                    pass
        assert closes()["1013"] - before == 1


@both_lanes
@pytest.mark.parametrize("fails", ["the ticket", "the seat"])
async def test_a_store_that_fails_at_the_handshake_is_answered_and_told(
    tmp_path: Path, direct: bool, fails: str, log_lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(*given: object) -> None:
        raise StoreFailed("disk full")

    store = MemoryStore()
    async with (
        live({"hello": hello}, tmp_path, store=store, direct=direct) as server,
        http(server.url, server.token()) as browser,
    ):
        ticket = (await browser.post("/auth/ticket")).json()["ticket"]
        where = (store, "spend") if fails == "the ticket" else (Seating, "reserve")
        monkeypatch.setattr(*where, failing)
        response = await refusal_of(f"{server.socket_url}?ticket={ticket}", ["netra.v1"])
    assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
    error = json.loads(response.body or b"")["error"]
    assert (error["code"], error["retry"]) == ("store_failed", True)
    lines = [line for line in log_lines() if line.get("correlation") == error["correlation"]]
    (failed,) = [line for line in lines if line["message"] == "the store failed"]
    assert failed["exception"]["type"].endswith("StoreFailed")
    assert [line["code"] for line in lines if line["message"] == "handshake refused"] == [
        "store_failed"
    ]


@both_lanes
@pytest.mark.parametrize("known", [True, False])
async def test_who_leaves_before_the_handshake_is_answered_is_no_error(
    tmp_path: Path, direct: bool, known: bool, log_lines: Lines
) -> None:
    here, decided = asyncio.Event(), asyncio.Event()

    async def late(request: HTTPConnection) -> User | None:
        assert isinstance(request, WebSocket)
        assert (await request.receive())["type"] == "websocket.connect"
        here.set()
        assert (await request.receive())["type"] == "websocket.disconnect"
        decided.set()
        return User(UserId("alice")) if known else None

    async with (
        asyncio.timeout(BOUND),
        live(
            {"hello": hello}, tmp_path, store=MemoryStore(), direct=direct, authenticate=late
        ) as server,
    ):
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            b"GET /ws HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
            b"Sec-WebSocket-Protocol: netra.v1\r\n\r\n"
        )
        await here.wait()
        writer.transport.abort()
        await decided.wait()
    assert [line for line in log_lines() if line["level"] == "ERROR"] == []


@asynccontextmanager
async def opened(server: Live) -> AsyncIterator[ClientConnection]:
    """Open a socket whose own limits and pings do not get in the way."""
    headers = {"Authorization": f"Bearer {server.token()}"}
    async with connect(
        server.socket_url,
        subprotocols=["netra.v1"],
        additional_headers=headers,
        ping_interval=None,
        close_timeout=0.1,
    ) as socket:
        await socket.recv()
        yield socket


def closes() -> dict[str, float]:
    """Return how many sockets were closed from our side, by code."""
    return {
        sample.labels["code"]: sample.value
        for metric in REGISTRY.collect()
        if metric.name == "netra_closes"
        for sample in metric.samples
        if sample.name.endswith("_total")
    }


@both_lanes
async def test_lines_about_a_socket_have_the_address_that_limits_count(
    tmp_path: Path, direct: bool, log_lines: Lines
) -> None:
    async with live(
        {"hello": hello},
        tmp_path,
        store=MemoryStore(),
        direct=direct,
        trusted_proxies=1,
        auth="jwt",
        jwt_secret=SECRET,
    ) as server:
        forwarded = {"X-Forwarded-For": "6.6.6.6, 203.0.113.9"}
        await refusal_of(server.socket_url, ["netra.v1"], **forwarded, Origin="http://evil.example")
        claims = {"sub": "alice", "exp": time.time() + 60}
        bearer = f"Bearer {jwt.encode(claims, SECRET, algorithm='HS256')}"
        headers = {"Authorization": bearer, **forwarded}
        async with connect(
            server.socket_url, subprotocols=["netra.v1"], additional_headers=headers
        ) as socket:
            await socket.recv()
        await until(lambda: not len(server.app.pool))
    said = ("handshake refused", "connected", "disconnected")
    told = [line for line in log_lines() if line["message"] in said]
    assert [line["message"] for line in told] == list(said)
    assert {line["client"] for line in told} == {"203.0.113.9"}
