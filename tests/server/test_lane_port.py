"""Lanes, over real sockets: what is written arrives whole, in order, and not after the end."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from netra_backend.core.events import event_from_json
from netra_backend.core.ids import ThreadId, ThreadKey, UserId
from netra_backend.core.positions import Position
from netra_backend.core.resume import Piece
from netra_backend.errors import CLOSES, CloseCode
from netra_backend.server import direct_lane, send_lane
from netra_backend.server.batch import Batch
from netra_backend.server.direct_lane import DirectLane
from netra_backend.server.lane import Protocol
from netra_backend.server.lane_port import Lane, LaneClosed, turn
from netra_backend.server.send_lane import SendLane
from netra_backend.server.websocket import lane_for
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import ScriptedAgent, answer, endless
from tests.client import BOUND, client
from tests.live import live, serving

pytestmark = pytest.mark.anyio

KEY = ThreadKey(UserId("alice"), ThreadId("t"))
HIGH_WATER = 10_000

both = pytest.mark.parametrize(
    "ws", [Protocol, "websockets-sansio", "wsproto"], ids=["lane", "send", "wsproto"]
)


class Ends(NamedTuple):
    """Both ends of a socket: the server's lane, and the client."""

    lane: Lane
    socket: ClientConnection


@asynccontextmanager
async def ends(ws: Any, *, high_water: int = HIGH_WATER, **options: Any) -> AsyncIterator[Ends]:
    """Return both ends of a new socket; the server's application only opens its lane."""
    opened: asyncio.Future[Lane] = asyncio.get_running_loop().create_future()

    async def endpoint(websocket: WebSocket) -> None:
        await websocket.accept()
        lane = lane_for(websocket.scope, websocket.send, high_water=high_water)
        opened.set_result(lane)
        try:
            while (await websocket.receive())["type"] != "websocket.disconnect":
                pass
        finally:
            lane.abandon()

    app = Starlette(routes=[WebSocketRoute("/", endpoint)])
    compression = "deflate" if options.get("ws_per_message_deflate") else None
    async with (
        serving(app, ws, **options) as port,
        connect(f"ws://127.0.0.1:{port}", compression=compression, max_size=None) as socket,
    ):
        yield Ends(await asyncio.wait_for(opened, BOUND), socket)


def batch(*offsets: int, text: str = "x") -> Batch:
    pieces = []
    for offset in offsets:
        event = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": f"{text}{offset}"}
        data = event_from_json(json.dumps(event).encode())
        pieces.append(Piece(offset, Position(1, offset), data))
    return Batch(KEY, pieces)


async def received(socket: ClientConnection, count: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(BOUND):
        return [json.loads(await socket.recv()) for _ in range(count)]


async def closed(socket: ClientConnection) -> tuple[int | None, str | None]:
    """Return the code and reason with which the socket ends, reading what comes before."""
    async with asyncio.timeout(BOUND):
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            return socket.close_code, socket.close_reason


async def test_the_server_decides_which_lane_there_is() -> None:
    async with ends(Protocol) as (lane, _):
        assert isinstance(lane, DirectLane)
    async with ends("websockets-sansio") as (lane, _):
        assert isinstance(lane, SendLane)


@both
async def test_frames_arrive_whole_and_in_order(ws: Any) -> None:
    async with ends(ws, high_water=10_000_000) as (lane, socket):
        lane.send(b'{"type":"pong"}')
        for start in range(1, 200, 2):
            lane.write(batch(start, start + 1, text="ä💐" * 100))
        lane.send(b'{"type":"pong"}')
        frames = await received(socket, 202)

    assert frames[0] == frames[-1] == {"type": "pong"}
    assert [frame["id"] for frame in frames[1:-1]] == [f"1-{n}" for n in range(1, 201)]
    assert frames[1]["chunk"]["delta"] == "ä💐" * 100 + "1"


async def test_a_frame_is_compressed_where_that_was_agreed() -> None:
    async with ends(Protocol, ws_per_message_deflate=True) as (lane, socket):
        assert socket.protocol.extensions
        lane.write(batch(1, 2, text="x" * 1_000))
        lane.send(b'{"type":"pong"}')
        frames = await received(socket, 3)

    assert [frame.get("id") for frame in frames] == ["1-1", "1-2", None]
    assert frames[0]["chunk"]["delta"] == "x" * 1_000 + "1"


@both
async def test_a_lane_is_full_until_the_peer_has_read(ws: Any) -> None:
    async with ends(ws) as (lane, socket):
        assert not lane.full
        await lane.room()
        socket.transport.pause_reading()
        count = 0
        async with asyncio.timeout(BOUND):
            while not lane.full:
                count += 1
                lane.write(batch(count, text="x" * 50_000))
                await asyncio.sleep(0)
        assert lane.buffered > HIGH_WATER
        waiting = asyncio.ensure_future(lane.room())
        await asyncio.sleep(0)
        assert not waiting.done()

        socket.transport.resume_reading()
        assert [frame["id"] for frame in await received(socket, count)] == [
            f"1-{n}" for n in range(1, count + 1)
        ]
        await asyncio.wait_for(waiting, BOUND)
        assert not lane.full


@both
async def test_what_is_unsent_comes_before_the_close_frame(ws: Any) -> None:
    async with ends(ws, high_water=10_000_000) as (lane, socket):
        for number in range(1, 11):
            lane.write(batch(number, text="x" * 50_000))
        closing = asyncio.ensure_future(lane.close(CloseCode.RESTARTING))
        frames = await received(socket, 10)
        assert await closed(socket) == (1012, CLOSES[CloseCode.RESTARTING].reason)
        await asyncio.wait_for(closing, BOUND)

    assert frames[-1]["id"] == "1-10"


@both
async def test_nothing_follows_the_close_frame(ws: Any) -> None:
    async with ends(ws) as (lane, socket):
        await lane.close(CloseCode.BAD_FRAME)
        lane.send(b'{"type":"pong"}')
        lane.write(batch(1))
        await lane.close(CloseCode.INTERNAL)
        with pytest.raises(LaneClosed):
            await lane.room()
        assert await closed(socket) == (4400, "bad frame")


@both
async def test_a_peer_that_is_gone_is_noticed_and_harmless(ws: Any) -> None:
    async with ends(ws) as (lane, socket):
        socket.transport.abort()

        async def write_for_ever() -> None:
            while True:
                lane.write(batch(1))
                await lane.room()
                await asyncio.sleep(0)

        with pytest.raises(LaneClosed):
            await asyncio.wait_for(write_for_ever(), BOUND)
        lane.send(b"{}")
        lane.write(batch(2))
        await lane.close(CloseCode.RESTARTING)
        lane.abandon()
        lane.abandon()


@both
async def test_who_waits_for_room_learns_that_the_peer_has_gone(ws: Any) -> None:
    async with ends(ws) as (lane, socket):
        socket.transport.pause_reading()
        async with asyncio.timeout(BOUND):
            while not lane.full:
                lane.write(batch(1, text="x" * 50_000))
                await asyncio.sleep(0)
        waiting = [asyncio.ensure_future(lane.room()) for _ in range(3)]
        await asyncio.sleep(0)
        socket.transport.abort()
        outcomes = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), BOUND)

    assert [type(outcome) for outcome in outcomes] == [LaneClosed] * 3


async def fill(lane: Any) -> None:
    """Write until the lane is full."""
    async with asyncio.timeout(BOUND):
        while not lane.full:
            lane.write(batch(1, text="x" * 50_000))
            await asyncio.sleep(0)


@both
async def test_those_who_wait_for_room_have_it_one_after_the_other(ws: Any) -> None:
    """Who has had a turn waits behind all the others before the next."""
    order: list[str] = []

    async def use(lane: Any, name: str) -> None:
        for _ in range(3):
            async with turn(lane, BOUND):
                order.append(name)
                lane.write(batch(1, text="x" * 50_000))

    async with ends(ws) as (lane, socket):
        socket.transport.pause_reading()
        await fill(lane)
        using = [asyncio.ensure_future(use(lane, name)) for name in "abc"]
        await asyncio.sleep(0)
        assert order == []
        socket.transport.resume_reading()
        reading = asyncio.ensure_future(read_on(socket))
        await asyncio.wait_for(asyncio.gather(*using), BOUND)
        socket.transport.abort()
        await asyncio.wait_for(reading, BOUND)

    assert order == list("abcabcabc")


async def read_on(socket: Any) -> None:
    """Read until the end, whatever it is like."""
    with suppress(ConnectionClosed):
        async for _ in socket:
            pass


@both
async def test_patience_is_for_ones_own_turn_only(ws: Any) -> None:
    """Who waits behind others is not to blame when their turns take long."""
    async with ends(ws) as (lane, socket):
        entered = asyncio.Event()

        async def wait() -> None:
            async with turn(lane, 0.01):
                entered.set()

        async with turn(lane, BOUND):
            waiting = asyncio.ensure_future(wait())
            await asyncio.sleep(0.05)
            assert not waiting.done()
        await asyncio.wait_for(waiting, BOUND)
        assert entered.is_set()

        socket.transport.pause_reading()
        await fill(lane)
        with pytest.raises(TimeoutError):
            await wait()
        socket.transport.abort()
        with pytest.raises(LaneClosed):
            async with turn(lane, BOUND):
                raise AssertionError("the peer is gone")


@pytest.mark.parametrize("direct", [True, False], ids=["lane", "send"])
async def test_a_peer_that_never_reads_is_cut_off(
    tmp_path: Path, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It cannot take the close frame either: after `LINGER` its place is free."""
    monkeypatch.setattr(send_lane, "LINGER", 0.1)
    monkeypatch.setattr(direct_lane, "LINGER", 0.1)
    long = ScriptedAgent(answer(*["word " * 40_000] * 60))
    async with (
        live(
            {"long": long},
            tmp_path,
            direct=direct,
            store=MemoryStore(),
            behind_seconds=0.1,
            write_high_water=4_096,
        ) as server,
        client(server.socket_url, server.token()) as reader,
    ):
        await reader.run("t", "r")
        await reader.follow("t")
        await reader.until("RUN_FINISHED")
        headers = {"Authorization": f"Bearer {server.token()}"}
        socket = await connect(
            server.socket_url, subprotocols=["netra.v1"], additional_headers=headers
        )
        await socket.send(json.dumps({"type": "follow", "request": "r", "thread": "t"}))
        await socket.recv()
        socket.transport.pause_reading()
        async with asyncio.timeout(BOUND):
            while len(server.app.pool) > 1:  # noqa: ASYNC110 - the server's own state
                await asyncio.sleep(0.01)
        assert (await reader.command("ping"))["type"] == "pong"
        socket.transport.abort()
        await socket.wait_closed()


async def test_the_protocol_keeps_frames_out_of_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    async with (
        live({"agent": ScriptedAgent(endless())}, tmp_path, store=MemoryStore()) as server,
        client(server.socket_url, server.token()) as alice,
    ):
        caplog.clear()
        await alice.run("t", "r", "what people say")
        refused = await alice.command("cancel", run="a name that is none")
        assert refused["code"] == "bad_input"
        ours = [record for record in caplog.records if not record.name.startswith("websockets")]

    assert "uvicorn.error" not in {record.name for record in ours}
    assert not [record for record in ours if "what people say" in record.getMessage()]


async def test_a_message_over_the_size_of_the_parser_is_closed_with_our_reason() -> None:
    async with ends(Protocol, ws_max_size=100) as (_, socket):
        await socket.send("x" * 101)
        await socket.wait_closed()
        assert (socket.close_code, socket.close_reason) == (1009, "frame too big")
