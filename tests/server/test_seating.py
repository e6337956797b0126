"""Seating: connections and runs count among all workers, and every seat comes back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from netra_backend.core.nodes import Seat
from netra_backend.server.metrics import TURNED_AWAY
from netra_backend.testing.scripted_agent import ScriptedAgent, endless
from tests.client import Client, client, run_input
from tests.eventually import until
from tests.http import http, sse_stream
from tests.live import Live, live
from tests.server.agents import echo
from tests.stores.workers import Workers

pytestmark = pytest.mark.anyio

UPGRADE = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: netra.v1\r\nAuthorization: Bearer %s\r\n\r\n"
)

BOTH = pytest.mark.parametrize("direct", [True, False], ids=["lane", "send"])


class Pair(NamedTuple):
    """Two workers of one keeper."""

    one: Live
    two: Live
    workers: Workers

    @property
    def seats(self) -> int:
        return len(self.workers.keeper.seats)


@asynccontextmanager
async def pair(tmp_path: Path, *, direct: bool = True, **settings: Any) -> AsyncIterator[Pair]:
    workers = Workers()
    agents = {"echo": echo, "endless": ScriptedAgent(endless())}
    async with AsyncExitStack() as stack:
        servers = [
            await stack.enter_async_context(
                live(agents, tmp_path, nodes=await workers.worker(), direct=direct, **settings)
            )
            for _ in range(2)
        ]
        there = Pair(servers[0], servers[1], workers)
        yield there
        for server in servers:
            await server.app.end_runs()
            await server.app.drain(0)
        await until(lambda: there.seats == 0)


def joined(server: Live, user: str = "alice", **options: Any) -> Any:
    return client(server.socket_url, server.token(user), **options)


async def refused(server: Live, user: str = "alice", **options: Any) -> int | None:
    """Return the code that a connection is closed with, having heard nothing."""
    headers = {"Authorization": f"Bearer {server.token(user)}"}
    async with connect(
        server.socket_url,
        subprotocols=["netra.v1"],
        additional_headers=headers,  # type: ignore[list-item]
        **options,
    ) as socket:
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        return socket.close_code


@BOTH
@pytest.mark.parametrize(
    ("limit", "code", "status"),
    [
        ("connections", 1013, 503),
        ("connections_per_user", 4429, 429),
        ("connections_per_address", 4429, 429),
    ],
)
async def test_connections_count_on_all_workers(
    tmp_path: Path, direct: bool, limit: str, code: int, status: int
) -> None:
    label = {"connections": "all", "connections_per_user": "user"}.get(limit, "address")
    before = TURNED_AWAY.labels(label)._value.get()
    async with pair(tmp_path, direct=direct, **{limit: 2}) as there:
        async with joined(there.one), joined(there.two):
            for server in (there.one, there.two):
                assert await refused(server) == code
                async with http(server.url, server.token()) as browser:
                    answered = await browser.post("/agui/echo", json=run_input("t", "r"))
                    assert answered.status_code == status
        await until(lambda: there.seats == 0)
        async with joined(there.two), joined(there.two):
            assert await refused(there.one) == code
    assert TURNED_AWAY.labels(label)._value.get() - before == 5


async def test_a_stream_has_a_seat_until_it_ends(tmp_path: Path) -> None:
    async with (
        pair(tmp_path, connections_per_user=1) as there,
        http(there.one.url, there.one.token()) as browser,
    ):
        async with browser.stream("POST", "/agui/endless", json=run_input("t", "r")) as stream:
            events = sse_stream(stream)
            await anext(events)
            assert await refused(there.two) == 4429
        await until(lambda: kinds(there) == {"runs of user"})
        async with joined(there.two):
            pass


def kinds(there: Pair) -> set[str]:
    return {kind for kind, _ in there.workers.keeper.seats._taken}


async def test_who_is_refused_or_leaves_before_the_answer_keeps_no_seat(tmp_path: Path) -> None:
    async with pair(tmp_path, connections_per_user=1) as there, joined(there.one, "bob"):
        before = there.seats
        for _ in range(3):
            assert await refused(there.two, "bob") == 4429
        for _ in range(20):
            _, writer = await asyncio.open_connection("127.0.0.1", there.two.port)
            writer.write((UPGRADE % there.two.token("carol")).encode())
            await writer.drain()
            writer.transport.abort()
        await until(lambda: there.seats == before)
        async with joined(there.one, "carol"):
            pass


@BOTH
async def test_the_most_silent_on_another_worker_makes_room(tmp_path: Path, direct: bool) -> None:
    async with (
        pair(tmp_path, direct=direct, connections_per_user=2, when_full="replace") as there,
        joined(there.one) as silent,
        joined(there.one) as talking,
    ):
        assert (await talking.command("ping"))["type"] == "pong"
        async with joined(there.two) as third:
            assert await silent.closed() == 4409
            assert (await third.command("ping"))["type"] == "pong"
            async with joined(there.two) as fourth:  # who is here makes room before others
                assert await third.closed() == 4409
                assert (await fourth.command("ping"))["type"] == "pong"
                assert (await talking.command("ping"))["type"] == "pong"


async def test_nothing_is_closed_for_who_finds_no_room_all_the_same(tmp_path: Path) -> None:
    limits = {"connections_per_user": 1, "connections_per_address": 1, "connections": 2}
    home, away = ({"local_addr": (f"127.0.0.{number}", 0)} for number in (2, 3))
    async with (
        pair(tmp_path, when_full="replace", **limits) as there,
        joined(there.one, **home) as first,
        joined(there.two, "bob", **away),
    ):
        for server in (there.one, there.two):
            assert await refused(server, **away) == 1013, "its address is full too"
        assert (await first.command("ping"))["type"] == "pong"
        async with joined(there.one, **home):
            assert await first.closed() == 4409, "its seat is one of all, and of the address"


async def test_where_nobody_can_make_room_who_comes_is_refused(tmp_path: Path) -> None:
    async with (
        pair(tmp_path, connections_per_user=1, when_full="replace") as there,
        http(there.one.url, there.one.token()) as browser,
        browser.stream("POST", "/agui/endless", json=run_input("t", "r")) as stream,
    ):
        events = sse_stream(stream)
        await anext(events)
        assert await refused(there.two) == 4429
        assert await refused(there.one) == 4429


async def test_runs_count_on_all_workers(tmp_path: Path) -> None:
    async with (
        pair(tmp_path, runs_per_user=2) as there,
        joined(there.one) as one,
        joined(there.two) as two,
        joined(there.two, "bob") as bob,
    ):
        for number, here in enumerate((one, two)):
            assert (await start(here, number))["type"] == "accepted"
        for here in (one, two):
            assert (await start(here, 7))["code"] == "too_many"
        assert (await start(bob, 0))["type"] == "accepted"
        await one.command("cancel", run="r1")
        await until(lambda: there.workers.keeper.seats._taken["runs of user", "alice"] == 1)
        assert (await start(one, 2))["type"] == "accepted"


async def start(here: Client, number: int) -> dict[str, Any]:
    return await here.run(f"t{number}", f"r{number}", agent="endless")


async def test_seats_of_a_worker_that_is_gone_are_free(tmp_path: Path) -> None:
    async with pair(tmp_path, connections_per_user=1) as there, joined(there.one):
        line = next(iter(there.workers.keeper._lines))
        assert await refused(there.two) == 4429
        line.cut()
        await until(lambda: there.seats == 0)
        async with joined(there.two):
            assert there.seats == 2
            assert there.workers.keeper.seats.most(Seat("user", "alice", 1), but=line) is not None
