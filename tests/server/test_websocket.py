"""The WebSocket route, over real sockets, on both lanes."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ag_ui.core import (
    BaseEvent,
    RunAgentInput,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
)
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode

from netra_backend.server.handshake import HttpProtocol
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer
from tests.client import BOUND, client, run_input
from tests.http import http
from tests.live import live, token

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


both_lanes = pytest.mark.parametrize("direct", [True, False], ids=["lane", "send"])


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


async def test_the_address_of_the_socket_is_no_page(tmp_path: Path) -> None:
    async with (
        live({"hello": hello}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
    ):
        answered = await browser.get("/ws")
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"ws://127.0.0.1:{server.port}/elsewhere"):
                pass

    assert answered.status_code == 404
    assert answered.json()["error"]["code"] == "not_found"
    assert refused.value.response.status_code in (403, 404)
