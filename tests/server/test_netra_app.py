"""The application as a whole: mounted, opened once, drained and closed."""

import asyncio
import itertools
import json
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import HTTPConnection
from starlette.routing import Mount
from starlette.testclient import TestClient
from starlette.types import ASGIApp
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response
from websockets.typing import Subprotocol

from netra_backend.config import Settings
from netra_backend.core.ids import UserId
from netra_backend.errors import StoreFailed
from netra_backend.server.app import create_app
from netra_backend.server.clockwork import STEP
from netra_backend.server.lane import Protocol
from netra_backend.server.netra_app import NetraApp
from netra_backend.server.user import User
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.scripted_agent import ScriptedAgent, endless
from tests.client import BOUND, client, run_input
from tests.conftest import Lines
from tests.http import http, sse_events
from tests.live import Live, live, serving, token
from tests.prefixed import PREFIX, WAYS, below
from tests.server.agents import echo
from tests.server.test_pool import One
from tests.watched_store import WatchedStore

pytestmark = pytest.mark.anyio

REMOTE = re.compile(r"(?:src|href)=[\"']?(?:https?:)?//|@import|url\(['\"]?(?:https?:)?//")
INLINE = re.compile(r"<script(?![^>]*\bsrc=)[^>]*>|<style|\son\w+=|\sstyle=|javascript:", re.I)


def netra(tmp_path: Path, **settings: Any) -> NetraApp:
    return create_app({"echo": echo}, settings=Settings(data_dir=tmp_path, **settings))


# --- headers ---------------------------------------------------------------------------------


async def test_every_answer_has_the_headers_that_guard_the_page(tmp_path: Path) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
    ):
        for path in ("/", "/page/app.js", "/docs", "/threads", "/openapi.json", "/nothing"):
            headers = (await browser.get(path)).headers
            policy = dict(
                part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
            )
            assert policy["default-src"] == "'none'"
            assert policy["script-src"] == "'self'"
            assert policy["style-src"] == "'self'"
            assert policy["connect-src"] == "'self'"
            assert policy["base-uri"] == policy["form-action"] == "'none'"
            assert policy["frame-ancestors"] == "'none'"
            assert not re.search(r"unsafe|\*|https?:", headers["content-security-policy"])
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["cross-origin-opener-policy"] == "same-origin"


async def test_the_page_needs_nothing_that_its_policy_forbids(tmp_path: Path) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, None) as browser,
    ):
        for path in ("/", "/docs"):
            page = (await browser.get(path)).text
            assert INLINE.search(page) is None
            assert REMOTE.search(page) is None
            assets = re.findall(r'(?:src|href)="([^"#]+)"', page)
            assert assets
            for asset in assets:
                got = await browser.get(f"/{asset.removeprefix('./').lstrip('/')}")
                assert got.status_code == 200, asset


async def test_each_answer_has_a_correlation_id_of_its_own(tmp_path: Path) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token(), headers={"X-Correlation-Id": "mine"}) as browser,
    ):
        got = [(await browser.get("/threads")).headers["x-correlation-id"] for _ in range(3)]

    assert len(set(got)) == 3
    assert all(re.fullmatch(r"[0-9a-f]{16}", one) for one in got)


# --- mounted ---------------------------------------------------------------------------------


@asynccontextmanager
async def mounted(tmp_path: Path, how: str) -> AsyncIterator[Live]:
    """Serve an application that has another route, and Netra mounted in it."""
    app = netra(tmp_path)
    lifespan = app.lifespan if how.endswith("with its lifespan") else None
    if how.startswith("FastAPI"):
        from fastapi import FastAPI

        outer: Any = FastAPI(lifespan=lifespan)

        @outer.get("/api/own")
        def own() -> dict[str, str]:
            return {"own": "yes"}

        outer.mount("/", app)
    else:
        outer = Starlette(routes=[Mount("/", app)], lifespan=lifespan)
    async with serving(outer, Protocol) as port:
        try:
            yield Live(app, tmp_path, port)
        finally:
            await app.drain(0)
            await app.close()


@pytest.mark.parametrize(
    "how",
    [
        f"{framework} {lifespan} its lifespan"
        for framework in ("FastAPI", "Starlette")
        for lifespan in ("with", "without")
    ],
)
async def test_it_works_mounted_in_another_application(tmp_path: Path, how: str) -> None:
    async with (
        mounted(tmp_path, how) as server,
        http(server.url, server.token()) as browser,
        client(server.socket_url, server.token()) as alice,
    ):
        await alice.run("t", "r", "one two")
        await alice.follow("t")
        await alice.until("RUN_FINISHED")
        again = await browser.post("/agui/echo", json=run_input("t", "r"))
        ready = await browser.get("/health/ready")
        missing = await browser.get("/nothing")
        if how.startswith("FastAPI"):
            assert (await browser.get("/api/own")).json() == {"own": "yes"}

    assert [event.chunk for event in sse_events(again.text)][-1]["type"] == "RUN_FINISHED"
    assert ready.status_code == 200
    assert missing.json()["error"]["code"] == "not_found"


@pytest.mark.parametrize("way", WAYS)
async def test_it_works_below_a_path(tmp_path: Path, way: str) -> None:
    app = netra(tmp_path)
    async with serving(below(app, way), Protocol) as port:
        url = f"http://127.0.0.1:{port}{PREFIX}"
        async with (
            http(url, token(tmp_path, "alice")) as browser,
            http(url, None) as visitor,
            client(f"ws://127.0.0.1:{port}{PREFIX}/ws", token(tmp_path, "alice")) as alice,
        ):
            await alice.run("t", "r")
            assert (await browser.get("/threads")).json()["threads"][0]["id"] == "t"
            assert (await browser.get("/openapi.json")).json()["servers"] == [{"url": "."}]
            again = await browser.post("/agui/echo", json=run_input("t", "r"))
            assert sse_events(again.text)[-1].chunk["type"] == "RUN_FINISHED"
            await visitor.get("/")
            (cookie,) = visitor.cookies.jar
            assert cookie.path == PREFIX
            assert (await visitor.get("/threads")).status_code == 200
            for page in ("", "docs", "docs/", "docs/protocol", "docs/rules/JS001"):
                shown = await visitor.get(f"/{page}")
                assets = re.findall(r'(?:src|href)="([^"#]+)"', shown.text)
                assert len(assets) > 4
                for asset in assets:
                    found = await visitor.get(str(shown.url.join(asset)))
                    assert found.status_code == 200, asset
                    assert found.url.path.startswith(PREFIX), asset
            await app.close()


async def test_many_first_requests_open_it_once(tmp_path: Path) -> None:
    store = WatchedStore(MemoryStore())
    app = create_app({"echo": echo}, settings=Settings(data_dir=tmp_path), store=store)
    outer = Starlette(routes=[Mount("/", app)])
    async with (
        serving(outer, Protocol) as port,
        http(f"http://127.0.0.1:{port}", token(tmp_path, "alice")) as browser,
    ):
        answers = await asyncio.gather(*(browser.get("/threads") for _ in range(20)))
        await app.close()

    assert {answered.status_code for answered in answers} == {200}
    assert store.calls.count("open") == 1


async def test_a_store_that_could_not_be_opened_is_tried_again(tmp_path: Path) -> None:
    store = WatchedStore(MemoryStore())
    app = create_app({"echo": echo}, settings=Settings(data_dir=tmp_path), store=store)
    outer = Starlette(routes=[Mount("/", app)])
    store.failures["open"] = StoreFailed("not yet at /secret/path")
    async with (
        serving(outer, Protocol) as port,
        http(f"http://127.0.0.1:{port}", token(tmp_path, "alice")) as browser,
    ):
        refused = await browser.get("/threads")
        store.failures.clear()
        served = await browser.get("/threads")
        await app.close()

    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "store_failed"
    assert "secret" not in refused.text
    assert refused.headers["x-correlation-id"] == refused.json()["error"]["correlation"]
    assert served.status_code == 200


# --- the end ---------------------------------------------------------------------------------


async def test_a_drained_server_tells_every_client_and_ends_every_run(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path)
    async with (
        live({"agent": ScriptedAgent(endless())}, tmp_path, store=store) as server,
        client(server.socket_url, server.token("alice")) as alice,
        client(server.socket_url, server.token("bob")) as bob,
    ):
        for user in (alice, bob):
            await user.run("t", "r")
            await user.follow("t")
            await user.until("TEXT_MESSAGE_CONTENT")
        await server.app.drain(750)
        for user in (alice, bob):
            told = await user.notice("draining")
            assert told["retry_after_ms"] in (750, 752)  # each has a slot of its own
            await asyncio.wait_for(user.socket.wait_closed(), BOUND)
            assert user.socket.close_code == 1012
        await asyncio.gather(*(server.app.close() for _ in range(3)))

    async with (
        live({"agent": ScriptedAgent(endless())}, tmp_path) as server,
        http(server.url, server.token()) as browser,
    ):
        events = (await browser.get("/threads/t/events", params={"limit": 1_000})).json()["events"]
        run = (await browser.get("/runs/r")).json()

    kinds = [event["chunk"]["type"] for event in events]
    assert kinds[-2:] == ["TEXT_MESSAGE_END", "RUN_ERROR"]
    assert events[-1]["chunk"]["code"] == "interrupted"
    assert run["status"] == "interrupted"


def asked(app: ASGIApp, path: str) -> Any:
    """Return what a test client of its own, with an event loop of its own, is answered."""
    with TestClient(app, base_url="http://localhost", client=("127.0.0.1", 1)) as browser:
        browser.get("/")
        run = run_input("t", f"run{path.count('/')}")
        events = browser.post("/agui/echo", json=run).text
        return events, browser.get(path)


def test_an_application_that_was_stopped_can_start_again(tmp_path: Path) -> None:
    from fastapi import FastAPI

    inner = netra(tmp_path)
    app = FastAPI(lifespan=inner.lifespan)
    app.mount("/", inner)
    for path in ("/threads", "/threads/t"):
        events, answer = asked(app, path)
        assert "RUN_FINISHED" in events
        assert answer.status_code == 200


def test_a_second_event_loop_is_told_what_is_wrong(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Without `with`, a TestClient has a new event loop for every request."""
    inner = netra(tmp_path)
    browser = TestClient(inner, base_url="http://localhost", client=("127.0.0.1", 1))
    assert browser.get("/health/ready").status_code == 200
    assert browser.get("/health/ready").status_code == 503
    assert "with TestClient(app)" in caplog.text


async def test_a_closed_application_says_that_the_server_is_stopping(tmp_path: Path) -> None:
    """It is no fault of the store that it is closed."""
    app = netra(tmp_path)
    async with (
        serving(Starlette(routes=[Mount("/", app)]), Protocol) as port,
        http(f"http://127.0.0.1:{port}", token(tmp_path, "alice")) as browser,
    ):
        assert (await browser.get("/threads")).status_code == 200
        await app.close()
        refused = await browser.get("/threads")

    assert refused.status_code == 503
    assert refused.json()["error"]["code"] == "draining"


async def test_each_client_is_told_a_time_of_its_own_to_come_back(tmp_path: Path) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore(), reconnects_per_second=4) as server,
        AsyncExitStack() as stack,
    ):
        clients = [
            await stack.enter_async_context(client(server.socket_url, server.token()))
            for _ in range(5)
        ]
        await server.app.drain(1_000)
        told = [(await each.notice("draining"))["retry_after_ms"] for each in clients]
        assert sorted(told) == [1_000, 1_250, 1_500, 1_750, 2_000]
        assert [await each.closed() for each in clients] == [1012] * 5


async def test_who_comes_when_all_were_told_to_go_is_not_let_in(
    tmp_path: Path, log_lines: Lines
) -> None:
    """A handshake may be under way when the others are told: it would be closed untold."""
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
        client(server.socket_url, server.token()) as alice,
    ):
        assert (await browser.post("/agui/echo", json=run_input("t", "r"))).status_code == 200
        await server.app.drain(0)
        assert await alice.closed() == 1012
        with pytest.raises(InvalidStatus) as late:
            await connect(
                server.socket_url,
                subprotocols=["netra.v1"],
                additional_headers={"Authorization": f"Bearer {server.token()}"},
            )
        joined = await browser.get("/agui/echo", params={"runId": "r"})
    told = [json.loads(late.value.response.body), joined.json()]
    assert [late.value.response.status_code, joined.status_code] == [503, 503]
    assert late.value.response.headers["retry-after"] == joined.headers["retry-after"] == "1"
    for body, refused in zip(told, ("handshake", "request"), strict=True):
        error = body["error"]
        assert (error["code"], error["retry"]) == ("draining", True)
        (line,) = [line for line in log_lines() if line["message"] == f"{refused} refused"]
        assert (line["correlation"], line["code"]) == (error["correlation"], "draining")


async def test_whose_handshake_is_under_way_when_all_are_told_to_go_is_told_too(
    tmp_path: Path,
) -> None:
    asked, known = asyncio.Event(), asyncio.Event()

    async def slow(request: HTTPConnection) -> User:
        asked.set()
        await known.wait()
        return User(UserId("alice"))

    store = MemoryStore()
    async with live({"echo": echo}, tmp_path, store=store, authenticate=slow) as server:
        late = asyncio.ensure_future(_refused(server.socket_url))
        await asked.wait()
        await server.app.drain(0)
        known.set()
        response = await late
    assert (response.status_code, json.loads(response.body)["error"]["code"]) == (503, "draining")


async def _refused(url: str) -> Response:
    """Return the answer that refuses a socket."""
    with pytest.raises(InvalidStatus) as refused:
        await connect(url, subprotocols=[Subprotocol("netra.v1")])
    return refused.value.response


async def test_only_a_lifespan_that_begins_anew_lets_in_again(tmp_path: Path) -> None:
    app = create_app({"echo": echo}, settings=Settings(data_dir=tmp_path), store=MemoryStore())
    await app.drain(0)
    await app.open()
    assert app.pool.is_closed
    async with app.lifespan():
        pass
    async with app.lifespan():
        assert not app.pool.is_closed


async def test_of_very_many_clients_some_are_told_in_each_turn(tmp_path: Path) -> None:
    app = netra(tmp_path)
    told: list[int] = []

    class Leaving(One):
        async def drain(self, retry_after_ms: int) -> None:
            told.append(retry_after_ms)

    for _ in range(4 * STEP):
        app.pool.admit(Leaving(UserId("alice")), "192.0.2.1", 1)
    counts = [0]
    draining = asyncio.create_task(app.drain(0))
    while not draining.done():
        await asyncio.sleep(0)
        counts.append(len(told))
    steps = [after - before for before, after in itertools.pairwise(counts)]
    assert (max(steps), len(told), len(set(told))) == (STEP, 4 * STEP, 4 * STEP)
    for member in app.pool:
        app.pool.remove(member)
