"""Answers: one line for each request over HTTP, which joins it to its user and its run."""

from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from netra_backend import Settings, create_app
from netra_backend.server import request_log
from netra_backend.server.request_log import Strangers
from netra_backend.stores.memory import MemoryStore
from tests.client import run_input
from tests.conftest import Lines
from tests.eventually import until
from tests.http import http
from tests.live import live
from tests.server.agents import echo

pytestmark = pytest.mark.anyio


async def test_a_request_is_joined_to_its_user_and_run(tmp_path: Path, log_lines: Lines) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
    ):
        streamed = await browser.post("/agui/echo?secret=canary", json=run_input("t", "r"))
        missing = await browser.get("/threads/none")
        run = (await browser.get("/runs/r")).json()
        ticket = (await browser.post("/auth/ticket")).json()["ticket"]
        await browser.get(f"/threads?ticket={ticket}")
        await until(lambda: len([x for x in log_lines() if x["message"] == "answered"]) == 5)
    lines = [line for line in log_lines() if line["message"] == "answered"]
    first, second = lines[:2]
    assert (first["method"], first["path"], first["status"]) == ("POST", "/agui/echo", 200)
    assert (first["user"], first["run"]) == ("alice", "r")
    assert first["correlation"] == streamed.headers["x-correlation-id"]
    assert first["run_correlation"] == run["correlation"] != first["correlation"]
    assert (second["status"], second["correlation"]) == (
        404,
        missing.json()["error"]["correlation"],
    )
    assert {line["client"] for line in lines} == {"127.0.0.1"}
    assert all(line["seconds"] >= 0 for line in lines)
    assert "canary" not in str(lines)
    assert ticket not in str(lines)


async def test_what_is_asked_all_the_time_is_told_at_debug(
    tmp_path: Path, log_lines: Lines
) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
    ):
        for path in ("/health/live", "/health/ready", "/metrics", "/threads"):
            await browser.get(path)
    lines = [line for line in log_lines() if line["message"] == "answered"]
    assert [line["level"] for line in lines] == ["DEBUG", "DEBUG", "DEBUG", "INFO"]


async def test_so_it_is_below_the_path_of_a_mount(tmp_path: Path, log_lines: Lines) -> None:
    settings = Settings(data_dir=tmp_path)
    netra = create_app(agents={"echo": echo}, store=MemoryStore(), settings=settings)
    app = Starlette(routes=[Mount("/netra", netra)])
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as browser:
        await browser.get("/netra/health/live")
        await browser.get("/netra/threads")
    lines = [line for line in log_lines() if line["message"] == "answered"]
    assert [(line["path"], line["level"]) for line in lines] == [
        ("/netra/health/live", "DEBUG"),
        ("/netra/threads", "INFO"),
    ]


async def test_a_flood_of_strangers_is_few_lines_and_hides_no_user(
    tmp_path: Path, log_lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "BURST", 5)
    monkeypatch.setattr(request_log, "RATE", 1)
    now = [0.0]
    monkeypatch.setattr(Strangers.__init__, "__defaults__", (lambda: now[0],))
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as alice,
        http(server.url, None) as stranger,
    ):
        for path in ("/threads", "/none", "/openapi.json") * 4:
            await stranger.get(path)
        await alice.get("/threads")
        now[0] = 1.0
        await stranger.get("/threads")
    lines = [line for line in log_lines() if line["message"] == "answered"]
    assert [line.get("user") for line in lines] == [None] * 5 + ["alice", None]
    assert [line.get("left_out") for line in lines] == [None] * 6 + [7]
