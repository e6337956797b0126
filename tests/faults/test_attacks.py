"""Attacks on the lane: each costs its own socket only, and each gets through without our bounds.

Every test runs twice: against what `netra serve` runs, and against uvicorn's own classes, or with
the bound taken away, where it must be seen that the attack works.
"""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from websockets.frames import Frame, Opcode

from netra_backend.server import deadlines, direct_lane, parsing
from netra_backend.server.http_protocol import HttpProtocol
from netra_backend.server.lane import Protocol
from tests.client import BOUND
from tests.eventually import until
from tests.live import serving

pytestmark = pytest.mark.anyio

UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PING = Frame(Opcode.PING, b"p" * 125).serialize(mask=True)
PONG = Frame(Opcode.PONG, b"p" * 125).serialize(mask=True)
UVICORNS = {"http": "httptools", "ws": "websockets-sansio"}
OURS: dict[str, Any] = {"http": HttpProtocol, "ws": Protocol}

both = pytest.mark.parametrize("bounded", [True, False], ids=["bounded", "unbounded"])

sockets: list[WebSocket] = []


async def endpoint(app: WebSocket) -> None:
    """Echo texts; send megabytes to who asks for them."""
    await app.accept()
    sockets.append(app)
    try:
        while True:
            text = await app.receive_text()
            await app.send_text("x" * 8_000_000 if text == "much" else text)
    except WebSocketDisconnect:
        pass


APP = Starlette(routes=[WebSocketRoute("/", endpoint)])


@asynccontextmanager
async def attacked(bounded: bool, **options: Any) -> AsyncIterator[int]:
    """Run a server with our bounds, or with uvicorn's own; return its port."""
    classes = OURS if bounded else UVICORNS
    ws = classes["ws"]
    async with serving(APP, ws, http=classes["http"], send_buffer=65_536, **options) as port:
        yield port


@asynccontextmanager
async def attacker(
    port: int, *, upgrade: bool = True
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Connect, and shake hands if asked."""
    plain = socket.create_connection(("127.0.0.1", port))
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
    reader, writer = await asyncio.open_connection(sock=plain)
    try:
        if upgrade:
            writer.write(UPGRADE)
            assert b" 101 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), BOUND)
        yield reader, writer
    finally:
        writer.transport.abort()


async def is_cut_off(reader: asyncio.StreamReader, seconds: float) -> bool:
    """Return whether the server ends the connection in that time."""
    try:
        async with asyncio.timeout(seconds):
            while await reader.read(65_536):
                pass
    except TimeoutError:
        return False
    except ConnectionError:
        pass
    return True


@both
@pytest.mark.parametrize("trickle", [False, True], ids=["silent", "byte by byte"])
async def test_a_head_that_does_not_come_is_not_awaited(
    bounded: bool, trickle: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "SECONDS", 0.2)
    async with attacked(bounded) as port, attacker(port, upgrade=False) as (reader, writer):

        async def dribble() -> None:
            for byte in UPGRADE * 1_000:
                writer.write(bytes([byte]))
                await asyncio.sleep(0.05)

        dribbling = asyncio.ensure_future(dribble() if trickle else asyncio.sleep(0))
        assert await is_cut_off(reader, BOUND if bounded else 2.0) == bounded
        dribbling.cancel()


@both
async def test_a_head_without_end_is_cut_off(bounded: bool) -> None:
    async with attacked(bounded) as port, attacker(port, upgrade=False) as (reader, writer):
        writer.write(UPGRADE[:-2])
        try:
            for number in range(200):
                writer.write(b"X-Header-%d: %b\r\n" % (number, b"x" * 2_000))
                await writer.drain()
        except ConnectionError:
            assert bounded
        assert await is_cut_off(reader, BOUND if bounded else 2.0) == bounded


@both
async def test_a_message_of_countless_fragments_is_refused(bounded: bool) -> None:
    fragments = Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True)
    fragments += Frame(Opcode.CONT, b"", fin=False).serialize(mask=True) * 5_000
    async with attacked(bounded) as port, attacker(port) as (reader, writer):
        writer.write(fragments)
        if bounded:
            answer = await asyncio.wait_for(reader.read(), BOUND)
            assert answer[2:4] == (1009).to_bytes(2, "big")
        else:
            writer.write(Frame(Opcode.PING, b"there?").serialize(mask=True))
            answer = await asyncio.wait_for(reader.readuntil(b"there?"), BOUND)
            assert answer[0] == 0x80 | Opcode.PONG


@both
async def test_a_message_whose_fragments_are_too_big_together_is_refused(bounded: bool) -> None:
    part = b"x" * 100
    fragments = Frame(Opcode.TEXT, part, fin=False).serialize(mask=True)
    fragments += Frame(Opcode.CONT, part, fin=False).serialize(mask=True) * 100
    limit = 5_000 if bounded else 1_000_000
    async with (
        serving(APP, Protocol, http=HttpProtocol, ws_max_size=limit) as port,
        attacker(port) as (reader, writer),
    ):
        writer.write(fragments + Frame(Opcode.CONT, b"end").serialize(mask=True))
        if bounded:
            answer = await asyncio.wait_for(reader.read(), BOUND)
            assert answer[2:4] == (1009).to_bytes(2, "big")
        else:
            assert await asyncio.wait_for(reader.readuntil(b"end"), BOUND)


def unsent() -> int:
    """Return how many bytes wait in the process for the newest socket."""
    protocol = sockets[-1]._receive.__self__  # type: ignore[attr-defined]
    transport = protocol._transport if isinstance(protocol, Protocol) else protocol.transport
    return int(transport.get_write_buffer_size())


@pytest.mark.parametrize(
    "bounded", [True, pytest.param(False, marks=pytest.mark.nightly)], ids=["bounded", "unbounded"]
)
async def test_who_does_not_read_is_not_read(bounded: bool) -> None:
    """A flood of pings whose answers are not taken: nothing grows, and the flood stands still."""
    async with attacked(bounded) as port, attacker(port) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(Frame(Opcode.TEXT, b"much").serialize(mask=True))
        await until(lambda: unsent() > 4_000_000)
        full = unsent()
        sent = 0
        try:
            while sent < 64_000_000:
                writer.write(PING * 4_000)
                async with asyncio.timeout(1.0):
                    await writer.drain()
                sent += len(PING) * 4_000
        except TimeoutError:
            pass
        grown = unsent() - full
        assert (grown < 100_000) == bounded, grown
        assert sent < 32_000_000 or not bounded, sent


@both
@pytest.mark.parametrize("frame", [PING, PONG], ids=["pings", "pongs"])
async def test_a_flood_of_control_frames_is_taken_in_slices(
    bounded: bool, frame: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What one turn of the event loop does for one peer is bounded, however much has come."""
    bound = parsing.READ_SLICE // len(frame) + 1
    if not bounded:
        monkeypatch.setattr(parsing, "READ_SLICE", 1 << 30)
    most = 0
    take = direct_lane.DirectLane._take

    def counting(lane: Any, conn: Any) -> None:
        nonlocal most
        most = max(most, len(conn.events))
        take(lane, conn)

    monkeypatch.setattr(direct_lane.DirectLane, "_take", counting)
    async with (
        serving(APP, Protocol, http=HttpProtocol) as port,
        attacker(port) as (reader, writer),
    ):
        taken = asyncio.ensure_future(is_cut_off(reader, BOUND))
        for _ in range(20):
            writer.write(frame * 2_000)
            await asyncio.wait_for(writer.drain(), BOUND)
        await until(lambda: most > 0)
        writer.transport.abort()
        await taken

    assert (most <= bound) == bounded, most
