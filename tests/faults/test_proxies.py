"""Behind nginx, haproxy and Caddy with TLS: idle sockets stay, a reload and a stop lose nothing."""

import asyncio
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.typing import Origin

from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer
from tests.checker import judge
from tests.client import run_input
from tests.conftest import Tell
from tests.faults.busy_agent import write_busy_agent
from tests.faults.proxies import PAGES_TIMEOUT, PROXIES, TIMEOUT, Nginx, Proxy, behind
from tests.http import http
from tests.live import BOUND, ServerProcess, live
from tests.person import Person, read_logs
from tests.server.agents import echo

pytestmark = [pytest.mark.anyio, pytest.mark.slow]

EACH = pytest.mark.parametrize("kind", PROXIES, ids=lambda kind: kind.program)
PATIENT = {"ws_ping_timeout": BOUND}
"""On a busy machine a pong may take longer than the half second between two pings."""
CLIENTS = 20


@EACH
async def test_an_idle_connection_outlives_the_proxys_timeout(
    tmp_path: Path, kind: type[Proxy]
) -> None:
    async with (
        live(
            {"echo": echo}, tmp_path, store=MemoryStore(), ping_seconds=0.5, uvicorn=PATIENT
        ) as server,
        behind(kind, server, tmp_path) as proxy,
        Person(proxy, "idle") as idle,
        Person(server, "other") as other,
    ):
        await idle.client.run("t", "first")
        await idle.settle("t")
        with pytest.raises(TimeoutError):
            await idle.client.closed(3 * TIMEOUT)
        await other.client.run("t", "second")
        await other.settle("t")
        await idle.settle("t")
        tapes = [*idle.settled(), *other.settled()]
        verdict = judge(tapes, await read_logs(server, [("alice", "t")]))
        assert verdict, verdict
        assert len(idle.tapes) == 1


@pytest.mark.parametrize("kind", [k for k in PROXIES if k.cuts_idle], ids=lambda k: k.program)
async def test_without_pings_the_proxy_cuts_it(tmp_path: Path, kind: type[Proxy]) -> None:
    """The timeout is there, so that to outlive it says something."""
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore(), ping_seconds=3_000) as server,
        behind(kind, server, tmp_path) as proxy,
        Person(proxy, "idle") as idle,
    ):
        assert await idle.client.closed() == 1006
        await idle.leave()


@EACH
async def test_a_reload_ends_no_connection(tmp_path: Path, kind: type[Proxy]) -> None:
    async with (
        live(
            {"echo": echo}, tmp_path, store=MemoryStore(), ping_seconds=0.5, uvicorn=PATIENT
        ) as server,
        behind(kind, server, tmp_path) as proxy,
        Person(proxy, "before") as before,
    ):
        assert isinstance(proxy, Proxy)
        await before.client.run("t", "first")
        await before.settle("t")
        await proxy.reload()
        async with Person(proxy, "after") as after:
            await after.client.run("t", "second")
            await after.settle("t")
            await before.settle("t")
            tapes = [*before.settled(), *after.settled()]
            verdict = judge(tapes, await read_logs(proxy, [("alice", "t")]))
        assert verdict, verdict
        assert len(before.tapes) == 1


@EACH
async def test_server_sent_events_are_not_held_back(tmp_path: Path, kind: type[Proxy]) -> None:
    gate = Gate()
    agents = {"waits": ScriptedAgent(answer("so ", gate, "it is"))}
    async with (
        live(agents, tmp_path, store=MemoryStore()) as server,
        behind(kind, server, tmp_path) as proxy,
        http(proxy.url, proxy.token()) as browser,
        asyncio.timeout(BOUND),
        browser.stream("POST", "/agui/waits", json=run_input("t", "r")) as stream,
    ):
        lines = stream.aiter_lines()
        while "so " not in await anext(lines):
            pass
        gate.open()
        while "RUN_FINISHED" not in await anext(lines):
            pass


@EACH
async def test_a_page_comes_with_tls_and_its_requests_are_the_servers_own(
    tmp_path: Path, kind: type[Proxy]
) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore(), allowed_hosts=("127.0.0.1",)) as server,
        behind(kind, server, tmp_path) as proxy,
        http(proxy.url, proxy.token()) as browser,
    ):
        assert isinstance(proxy, Proxy)
        moved = await browser.get(f"http://127.0.0.1:{proxy.plain_port}/health/live")
        assert moved.status_code in (301, 302, 308)
        assert moved.headers["location"].startswith("https://127.0.0.1")
        for origin, status in ((proxy.url, 404), ("https://elsewhere.example", 403)):
            renamed = await browser.patch(
                "/threads/t", json={"title": "T"}, headers={"Origin": origin}
            )
            assert renamed.status_code == status
        token = {"Authorization": f"Bearer {proxy.token()}"}
        async with connect(proxy.socket_url, origin=Origin(proxy.url), additional_headers=token):
            pass


@EACH
async def test_a_client_cannot_say_where_it_comes_from(tmp_path: Path, kind: type[Proxy]) -> None:
    settings = {"trusted_proxies": 1, "admins": ("alice",)}
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore(), **settings) as server,
        behind(kind, server, tmp_path) as proxy,
        http(proxy.url, proxy.token(), headers={"X-Forwarded-For": "127.0.0.9"}) as browser,
    ):
        headers = {"Authorization": f"Bearer {proxy.token()}", "X-Forwarded-For": "127.0.0.9"}
        async with connect(proxy.socket_url, additional_headers=headers):
            (shown,) = (await browser.get("/connections")).json()["connections"]
        assert shown["address"] == "127.0.0.1"


@pytest.mark.parametrize(
    "kind",
    [None, Nginx, *(pytest.param(k, marks=pytest.mark.nightly) for k in PROXIES if k is not Nginx)],
    ids=lambda kind: kind.program if kind else "no proxy",
)
async def test_all_are_told_when_the_server_stops_and_go_on_where_they_were(
    tmp_path: Path, kind: type[Proxy] | None, tell: Tell
) -> None:
    server = ServerProcess(tmp_path / "data", (write_busy_agent(tmp_path),), cwd=tmp_path)
    names = [("alice", f"t{n}") for n in range(4)]
    server.start()
    try:
        await server.wait_ready()
        async with (
            behind(kind, server, tmp_path, idle=PAGES_TIMEOUT) as place,
            AsyncExitStack() as stack,
        ):
            first = await stack.enter_async_context(Person(place, "alice 0"))
            for _, thread in names:
                await first.client.run(thread, f"r-{thread}", "go on")
                await first.follow(thread)
            people = [first]
            for number in range(1, CLIENTS):
                people.append(await stack.enter_async_context(Person(place, f"alice {number}")))
                for _, thread in names:
                    await people[-1].follow(thread)
            assert await asyncio.to_thread(server.stop, signal.SIGTERM) == 0
            codes = [await person.client.closed() for person in people]
            told = [[f for f in p.client.notices if f["type"] == "draining"] for p in people]
            assert codes == [1012] * CLIENTS
            assert [len(frames) for frames in told] == [1] * CLIENTS
            server.start()
            await server.wait_ready()
            for person in people:
                await person.leave()
                await person.connect()
                for _, thread in names:
                    await person.settle(thread)
            logs = await read_logs(place, names)
            tapes = [tape for person in people for tape in person.settled()]
    finally:
        server.stop(signal.SIGKILL)
    verdict = judge(tapes, logs)
    assert verdict, verdict
    tell(
        f"{CLIENTS} clients, {kind.program if kind else 'no proxy'}: codes {set(codes)},"
        f" {verdict.events} events judged on {len(tapes)} connections"
    )
