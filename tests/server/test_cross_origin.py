"""Cross-origin answers: who may read them, and that they are errors like all others."""

from pathlib import Path

import httpx
import pytest

from netra_backend.config import Settings
from netra_backend.server.app import create_app
from netra_backend.stores.memory import MemoryStore
from tests.client import run_input
from tests.conftest import Lines
from tests.http import http
from tests.live import live
from tests.server.agents import echo
from tests.watched_store import WatchedStore

pytestmark = pytest.mark.anyio

ALLOWED, FOREIGN = "https://app.example", "https://evil.example"


async def test_pages_of_allowed_origins_may_read_the_answers_and_no_others(tmp_path: Path) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore(), allowed_origins=(ALLOWED,)) as server,
        http(server.url, server.token()) as browser,
    ):

        async def ask(origin: str) -> tuple[httpx.Response, httpx.Response]:
            asked = {
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization,content-type,last-event-id",
            }
            told = await browser.request("OPTIONS", "/agui/echo", headers=asked)
            body = run_input("t", "r")
            return told, await browser.post("/agui/echo", json=body, headers={"Origin": origin})

        told, answered = await ask(ALLOWED)
        assert (told.status_code, answered.status_code) == (200, 200)
        for response in (told, answered):
            assert response.headers["access-control-allow-origin"] == ALLOWED
            assert response.headers["access-control-allow-credentials"] == "true"
        told, answered = await ask(FOREIGN)
        assert (told.status_code, answered.status_code) == (403, 403)
        for response in (told, answered):
            assert "access-control-allow-origin" not in response.headers


@pytest.mark.parametrize(("origin", "method"), [(FOREIGN, "POST"), (ALLOWED, "TRACE")])
async def test_who_may_not_ask_is_refused_like_any_other(
    tmp_path: Path, log_lines: Lines, origin: str, method: str
) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore(), allowed_origins=(ALLOWED,)) as server,
        http(server.url, None) as browser,
    ):
        asked = {"Origin": origin, "Access-Control-Request-Method": method}
        told = await browser.request("OPTIONS", "/threads", headers=asked)
    error = told.json()["error"]
    (line,) = [line for line in log_lines() if line["message"] == "request refused"]
    assert (told.status_code, told.headers["vary"].split(",")[0]) == (403, "Origin")
    assert (error["code"], error["retry"]) == ("forbidden", False)
    assert error["correlation"] == told.headers["x-correlation-id"] == line["correlation"]
    assert (line["code"], line["why"]) == ("forbidden", error["message"])


async def test_a_page_of_an_allowed_origin_reads_of_our_own_faults_too(tmp_path: Path) -> None:
    store = WatchedStore(MemoryStore())
    store.failures["thread"] = RuntimeError("a fault")
    async with (
        live({"echo": echo}, tmp_path, store=store, allowed_origins=(ALLOWED,)) as server,
        http(server.url, server.token()) as browser,
    ):
        answered = await browser.get("/threads/t", headers={"Origin": ALLOWED})
    assert (answered.status_code, answered.json()["error"]["code"]) == (500, "internal")
    assert answered.headers["access-control-allow-origin"] == ALLOWED


async def test_it_reads_that_the_server_stops(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path, allowed_origins=(ALLOWED,))
    app = create_app({"echo": echo}, settings=settings, store=MemoryStore())
    await app.open()
    await app.close()
    through = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=through, base_url="http://a") as browser:
        answered = await browser.get("/threads", headers={"Origin": ALLOWED})
    assert answered.json()["error"]["code"] == "draining"
    assert answered.headers["access-control-allow-origin"] == ALLOWED
