"""The protocol class: all of ASGI still works for applications that know no lane."""

import asyncio
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.frames import Frame, Opcode

from netra_backend.server.http_protocol import HttpProtocol
from netra_backend.server.lane import EXTENSION, Protocol
from tests.client import BOUND
from tests.eventually import until
from tests.live import serving

pytestmark = pytest.mark.anyio

UPGRADE = (
    b"GET %b HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

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


decided: list[asyncio.Event] = []


async def slow(websocket: WebSocket) -> None:
    await decided[-1].wait()
    await websocket.accept(headers=[(b"x-slow", b"yes")])
    await websocket.send_text("welcome")
    await websocket.send_text(await websocket.receive_text())


async def failing(websocket: WebSocket) -> None:
    await websocket.accept()
    raise RuntimeError("on purpose")


async def forgetting(websocket: WebSocket) -> None:
    """Neither accept nor refuse."""


async def splitting(websocket: WebSocket) -> None:
    await websocket.accept(headers=[(b"x", b"a\r\nset-cookie: b")])


async def leaving(websocket: WebSocket) -> None:
    await websocket.accept()


APP = Starlette(
    routes=[
        WebSocketRoute("/echo", echo),
        WebSocketRoute("/refusing", refusing),
        WebSocketRoute("/leaving", leaving),
        WebSocketRoute("/slow", slow),
        WebSocketRoute("/failing", failing),
        WebSocketRoute("/forgetting", forgetting),
        WebSocketRoute("/splitting", splitting),
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


both = pytest.mark.parametrize("http", ["auto", HttpProtocol], ids=["uvicorn's", "ours"])


@both
async def test_what_comes_before_the_answer_is_kept_and_first_words_leave_with_it(
    http: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    early = Frame(Opcode.TEXT, b"early").serialize(mask=True)
    seen: list[Protocol] = []
    begin = Protocol.begin

    def noting(self: Protocol, path: str, fields: Any, early: bytes = b"", *rest: Any) -> None:
        seen.append(self)
        begin(self, path, fields, early, *rest)

    monkeypatch.setattr(Protocol, "begin", noting)
    decided.append(asyncio.Event())
    async with serving(APP, Protocol, http=http) as port, asyncio.timeout(BOUND):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(UPGRADE % b"/slow")
        await until(lambda: seen)
        for part in (early[:3], early[3:]):
            writer.write(part)
        await until(lambda: len(seen[0]._early) >= 3)
        decided[-1].set()
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"101 Switching Protocols" in head
        assert b"x-slow: yes" in head
        assert await reader.readexactly(9) == b"\x81\x07welcome"
        assert await reader.readexactly(7) == b"\x81\x05early"
        assert await reader.readexactly(4) == b"\x88\x02\x03\xe8"
        writer.close()


async def test_frames_in_the_segment_of_the_handshake_are_received() -> None:
    """RFC 6455 section 4.1 has a client wait for the answer; who does not loses nothing."""
    frames = b"".join(Frame(Opcode.TEXT, b"%d" % n).serialize(mask=True) for n in range(3))
    async with serving(APP, Protocol, http=HttpProtocol) as port, asyncio.timeout(BOUND):
        for cut in (0, 3, len(frames)):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(UPGRADE % b"/echo" + frames[:cut])
            await reader.readuntil(b"\r\n\r\n")
            writer.write(frames[cut:])
            assert await reader.readexactly(9) == b"\x81\x010\x81\x011\x81\x012"
            writer.close()


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (UPGRADE % b"/refusing", b"403"),
        ((UPGRADE % b"/echo").replace(b"Host: localhost\r\n", b""), b"400"),
    ],
    ids=["by the application", "by the protocol"],
)
async def test_frames_behind_a_refused_handshake_disturb_nothing(
    head: bytes, status: bytes
) -> None:
    async with serving(APP, Protocol, http=HttpProtocol) as port, asyncio.timeout(BOUND):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(head + Frame(Opcode.TEXT, b"early").serialize(mask=True))
        assert (await reader.read()).startswith(b"HTTP/1.1 %b " % status)
        writer.close()


@both
@pytest.mark.parametrize(
    ("path", "answer"),
    [
        (b"/refusing", b"HTTP/1.1 403 "),
        (b"/forgetting", b"HTTP/1.1 500 "),
        (b"/splitting", b"HTTP/1.1 500 "),
        (b"/failing", b"HTTP/1.1 101 "),
    ],
)
async def test_every_request_is_answered(path: bytes, answer: bytes, http: Any) -> None:
    async with serving(APP, Protocol, http=http) as port, asyncio.timeout(BOUND):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(UPGRADE % path)
        got = await reader.read()
        assert got.startswith(answer)
        assert (b"\r\nretry-after: 1\r\n" in got) == answer.endswith(b" 500 ")
        if path == b"/failing":
            assert got.endswith(b"\x88\x02\x03\xf3")  # 1011
        writer.close()
