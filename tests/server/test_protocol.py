"""The protocol class: all of ASGI still works for applications that know no lane."""

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from netra_backend.server.lane import Protocol
from netra_backend.server.protocol import EXTENSION
from tests.client import BOUND
from tests.live import serving

pytestmark = pytest.mark.anyio

seen: list[Any] = []


async def echo(websocket: WebSocket) -> None:
    offered = websocket.scope["extensions"][EXTENSION]["lane"]
    with pytest.raises(RuntimeError, match="before the handshake"):
        offered()
    await websocket.accept()
    assert offered() is offered()
    try:
        while True:
            message = await websocket.receive()
            if message.get("text") == "close":
                await websocket.close(4000, "as you wish")
                with pytest.raises((RuntimeError, WebSocketDisconnect)):
                    await websocket.send_text("late")
            elif message.get("text") is not None:
                await websocket.send_text(message["text"])
            elif message["type"] == "websocket.receive":
                await websocket.send_bytes(message["bytes"])
            else:
                seen.append(message)
                return
    except WebSocketDisconnect as ended:
        seen.append(ended)


async def refusing(websocket: WebSocket) -> None:
    await websocket.close()


async def leaving(websocket: WebSocket) -> None:
    await websocket.accept()


APP = Starlette(
    routes=[
        WebSocketRoute("/echo", echo),
        WebSocketRoute("/refusing", refusing),
        WebSocketRoute("/leaving", leaving),
    ]
)


async def test_messages_go_both_ways() -> None:
    async with (
        asyncio.timeout(BOUND),
        serving(APP, Protocol) as port,
        connect(f"ws://127.0.0.1:{port}/echo") as socket,
    ):
        for sent in ("text ä", b"\x00\xff", "", "x" * 200_000):
            await socket.send(sent)
            assert await socket.recv() == sent
        await socket.send([b"in", b"", b" parts"])
        assert await socket.recv() == b"in parts"
        await asyncio.wait_for(await socket.ping(), BOUND)


async def test_either_side_may_close() -> None:
    seen.clear()
    async with serving(APP, Protocol) as port, asyncio.timeout(BOUND):
        socket = await connect(f"ws://127.0.0.1:{port}/echo")
        await socket.close(4001, "enough")
        socket = await connect(f"ws://127.0.0.1:{port}/echo")
        await socket.send("close")
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (4000, "as you wish")
    assert [(message["code"], message["reason"]) for message in seen] == [
        (4001, "enough"),
        (4000, "as you wish"),
    ]


async def test_a_refusal_and_a_return_end_the_socket() -> None:
    async with serving(APP, Protocol) as port, asyncio.timeout(BOUND):
        with pytest.raises(InvalidStatus, match="403"):
            await connect(f"ws://127.0.0.1:{port}/refusing")
        socket = await connect(f"ws://127.0.0.1:{port}/leaving")
        with pytest.raises(ConnectionClosed):
            await socket.recv()
