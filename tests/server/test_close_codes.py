"""Every close code, provoked over real sockets by what a client can do."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import pytest
from websockets.asyncio.client import ClientConnection, connect

from netra_backend.errors import CLOSES, CloseCode
from netra_backend.server.metrics import REGISTRY
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import ScriptedAgent, answer
from tests.client import BOUND, client
from tests.conftest import Lines
from tests.eventually import until
from tests.http import http
from tests.live import Live, live
from tests.server.agents import echo
from tests.server.lanes import both_lanes
from tests.watched_store import WatchedStore

pytestmark = pytest.mark.anyio

SECRET = "s3cret-of-the-issuer-0123456789abcdef"

NOT_SENT_YET = {
    CloseCode.DONE: "the server only echoes a client's 1000; the dialect that closes with it is "
    "not part of netra.v1",
    CloseCode.FORBIDDEN: "who may not connect is refused before the handshake; nothing to resume "
    "is an answer of netra.v1, not a close",
}
"""Codes of the table that nothing a client does can make this server send, and why."""


class Closed(NamedTuple):
    """How a socket was closed, and the frames that came before."""

    code: int | None
    reason: str | None
    frames: list[dict[str, Any]]


async def closed(socket: ClientConnection) -> Closed:
    frames = []
    async with asyncio.timeout(BOUND):
        try:
            while True:
                frames.append(json.loads(await socket.recv()))
        except Exception:  # noqa: BLE001 - however it ends, its code is what is asked for
            await socket.wait_closed()
    return Closed(socket.close_code, socket.close_reason, frames)


def connected(server: Live, token: str | None = None, **options: Any) -> connect:
    headers = {"Authorization": f"Bearer {token or server.token()}"}
    return connect(
        server.socket_url,
        subprotocols=["netra.v1"],
        additional_headers=headers,
        max_size=None,
        **options,
    )


async def close_too_big(tmp_path: Path, direct: bool) -> Closed:
    async with (
        live({"echo": echo}, tmp_path, direct=direct, frame_bytes=100) as server,
        connected(server) as socket,
    ):
        await socket.send("x" * 101)
        return await closed(socket)


async def close_internal(tmp_path: Path, direct: bool) -> Closed:
    store = WatchedStore(MemoryStore())
    async with (
        live({"echo": echo}, tmp_path, store=store, direct=direct) as server,
        connected(server) as socket,
    ):
        store.failures["backlog"] = RuntimeError("a fault at /secret/path")
        await socket.send(json.dumps({"type": "follow", "request": "r", "thread": "t"}))
        ended = await closed(socket)
        assert "secret" not in json.dumps(ended)
        return ended


async def close_restarting(tmp_path: Path, direct: bool) -> Closed:
    async with (
        live({"echo": echo}, tmp_path, direct=direct) as server,
        connected(server) as socket,
    ):
        await socket.recv()
        await server.app.drain(250)
        ended = await closed(socket)
        assert ended.frames == [{"type": "draining", "retry_after_ms": 250}]
        return ended


async def close_overloaded(tmp_path: Path, direct: bool) -> Closed:
    async with live({"echo": echo}, tmp_path, direct=direct, connections=1) as server:
        async with connected(server) as first:
            await first.recv()
            async with connected(server, server.token("bob")) as second:
                ended = await closed(second)
            assert ended.frames == []
        await room_again(server)
        return ended


async def close_too_many(tmp_path: Path, direct: bool) -> Closed:
    async with live({"echo": echo}, tmp_path, direct=direct, connections_per_user=1) as server:
        async with connected(server) as first:
            await first.recv()
            async with connected(server, server.token("bob")) as other:
                assert json.loads(await other.recv())["user"] == "bob"
            async with connected(server) as second:
                ended = await closed(second)
            assert ended.frames == []
        await room_again(server)
        return ended


async def close_going_away(tmp_path: Path, direct: bool) -> Closed:
    async with (
        live({"echo": echo}, tmp_path, direct=direct, admins=("root",)) as server,
        connected(server) as socket,
        http(server.url, server.token("root")) as admin,
    ):
        id = json.loads(await socket.recv())["connection"]
        await admin.delete(f"/connections/{id}")
        return await closed(socket)


async def close_replaced(tmp_path: Path, direct: bool) -> Closed:
    limits = {"connections_per_user": 1, "when_full": "replace"}
    async with (
        live({"echo": echo}, tmp_path, direct=direct, **limits) as server,
        connected(server) as first,
    ):
        await first.recv()
        async with connected(server) as second:
            await second.recv()
            return await closed(first)


async def room_again(server: Live) -> None:
    """A connection that is gone is not counted any more."""
    await until(lambda: len(server.app.pool) == 0)
    async with connected(server) as later:
        assert json.loads(await later.recv())["type"] == "ready"


async def close_bad_frame(tmp_path: Path, direct: bool) -> Closed:
    async with (
        live({"echo": echo}, tmp_path, direct=direct, bad_frames=2) as server,
        connected(server) as socket,
    ):
        await socket.recv()
        await socket.send("?")
        await socket.send("?")
        ended = await closed(socket)
        assert [frame["code"] for frame in ended.frames] == ["bad_frame"] * 2
        return ended


async def close_unauthenticated(tmp_path: Path, direct: bool) -> Closed:
    token = jwt.encode({"sub": "alice", "exp": int(time.time()) + 3}, SECRET, algorithm="HS256")
    async with (
        live({"echo": echo}, tmp_path, direct=direct, auth="jwt", jwt_secret=SECRET) as server,
        connected(server, token) as socket,
    ):
        return await closed(socket)


async def close_wrong_user(tmp_path: Path, direct: bool) -> Closed:
    async with (
        live({"echo": echo}, tmp_path, direct=direct) as server,
        connected(server) as socket,
    ):
        await socket.recv()
        await socket.send(json.dumps({"type": "auth", "token": server.token("bob")}))
        ended = await closed(socket)
        assert [frame["code"] for frame in ended.frames] == ["forbidden"]
        return ended


async def close_too_slow(tmp_path: Path, direct: bool) -> Closed:
    """A client that does not read, and whose answers fill every buffer on the way."""
    long = ScriptedAgent(answer(*["word " * 40_000] * 60))
    async with (
        live(
            {"long": long},
            tmp_path,
            direct=direct,
            store=MemoryStore(),
            behind_seconds=0.2,
            write_high_water=4_096,
        ) as server,
        client(server.socket_url, server.token()) as reader,
        connected(server, max_queue=1) as socket,
    ):
        await reader.run("t", "r")
        await reader.follow("t")
        await reader.until("RUN_FINISHED")
        before = closes(CloseCode.TOO_SLOW)
        await socket.send(json.dumps({"type": "follow", "request": "r", "thread": "t"}))
        await until(lambda: closes(CloseCode.TOO_SLOW) > before)
        return await closed(socket)


def closes(code: CloseCode) -> float:
    """Return how many sockets were closed with this code, as the metrics say."""
    return REGISTRY.get_sample_value("netra_closes_total", {"code": str(int(code))}) or 0.0


CLOSED: dict[CloseCode, Callable[[Path, bool], Awaitable[Closed]]] = {
    CloseCode.GOING_AWAY: close_going_away,
    CloseCode.REPLACED: close_replaced,
    CloseCode.TOO_BIG: close_too_big,
    CloseCode.INTERNAL: close_internal,
    CloseCode.RESTARTING: close_restarting,
    CloseCode.OVERLOADED: close_overloaded,
    CloseCode.BAD_FRAME: close_bad_frame,
    CloseCode.UNAUTHENTICATED: close_unauthenticated,
    CloseCode.WRONG_USER: close_wrong_user,
    CloseCode.TOO_SLOW: close_too_slow,
    CloseCode.TOO_MANY: close_too_many,
}


def test_there_is_a_way_to_every_close_code_that_is_sent() -> None:
    assert set(CLOSED) | set(NOT_SENT_YET) == set(CloseCode)
    assert set(CLOSED) & set(NOT_SENT_YET) == set()


@both_lanes
@pytest.mark.parametrize("code", list(CLOSED), ids=lambda code: str(int(code)))
async def test_a_close_code_comes_with_its_reason(
    tmp_path: Path, code: CloseCode, direct: bool
) -> None:
    ended = await CLOSED[code](tmp_path, direct)

    assert (ended.code, ended.reason) == (int(code), CLOSES[code].reason)


async def test_a_client_that_says_goodbye_is_answered_with_its_own_code(tmp_path: Path) -> None:
    async with live({"echo": echo}, tmp_path, store=MemoryStore()) as server:
        for code in (1000, 1001, 4000):
            async with connected(server) as socket:
                await socket.close(code)
                assert socket.close_code == code


async def test_who_breaks_the_protocol_itself_is_told_by_its_own_codes(
    tmp_path: Path, log_lines: Lines
) -> None:
    """RFC 6455 section 7.4.1; nothing of it is a fault of ours in the log."""
    broken = {
        b"\x81\x02{}": 1002,  # not masked
        b"\x83\x80\0\0\0\0": 1002,  # a reserved opcode
        b"\xc1\x80\0\0\0\0": 1002,  # a reserved bit
        b"\x80\x80\0\0\0\0": 1002,  # a continuation of nothing
        b"\x89\xfe\x00\x7e\0\0\0\0" + b"x" * 126: 1002,  # a ping that is too long
        b"\x81\x81\0\0\0\0\xff": 1007,  # a text that is not UTF-8
        b"\x01\x81\0\0\0\0\xc3\x80\x81\0\0\0\0\x28": 1007,  # the same, in two fragments
    }
    async with live({"echo": echo}, tmp_path, store=MemoryStore()) as server:
        for frame, code in broken.items():
            async with connected(server) as socket:
                await socket.recv()
                socket.transport.write(frame)
                assert (await closed(socket)).code == code, frame
        await until(lambda: len(server.app.pool) == 0)

    assert [line for line in log_lines() if line["level"] not in ("INFO", "DEBUG")] == []
