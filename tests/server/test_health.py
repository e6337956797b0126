"""Health and metrics: what a supervisor is told."""

from pathlib import Path

import httpx
import pytest

from netra_backend.errors import StoreFailed
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.scripted_agent import ScriptedAgent, answer
from tests.client import client
from tests.http import http
from tests.live import live
from tests.server.agents import echo
from tests.watched_store import WatchedStore

pytestmark = pytest.mark.anyio


async def test_a_server_that_can_serve_says_so_to_everyone(tmp_path: Path) -> None:
    async with (
        live(
            {"echo": echo}, tmp_path, store=SqliteStore(tmp_path), auth="jwt", jwt_secret="k" * 32
        ) as server,
        http(server.url, None) as supervisor,
    ):
        alive = await supervisor.get("/health/live")
        ready = await supervisor.get("/health/ready", headers={"Host": "10.0.0.1"})

    assert (alive.status_code, alive.json()) == (200, {"status": "live"})
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


async def test_a_store_that_does_not_answer_is_not_ready_and_says_why(tmp_path: Path) -> None:
    store = WatchedStore(MemoryStore())
    async with (
        live({"echo": echo}, tmp_path, store=store) as server,
        http(server.url, None) as supervisor,
    ):
        store.failures["probe"] = StoreFailed("disk full")
        unready = await supervisor.get("/health/ready")
        alive = await supervisor.get("/health/live")
        store.failures.clear()
        ready = await supervisor.get("/health/ready")

    error = unready.json()["error"]
    assert unready.status_code == 503
    assert (error["code"], error["message"], error["retry"]) == ("store_failed", "disk full", True)
    assert unready.headers["retry-after"] == "1"
    assert alive.status_code == 200
    assert ready.status_code == 200


async def test_a_server_that_stops_is_not_ready(tmp_path: Path) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, None) as supervisor,
    ):
        await server.app.close()
        unready = await supervisor.get("/health/ready")

    assert unready.status_code == 503
    assert unready.json()["error"]["code"] == "draining"


async def test_metrics_count_what_happens(tmp_path: Path) -> None:
    async with (
        live({"agent": ScriptedAgent(answer("x"))}, tmp_path, store=MemoryStore()) as server,
        http(server.url, None) as monitor,
    ):
        before = await samples(monitor)
        async with client(server.socket_url, server.token()) as alice:
            await alice.command("ping")
            await alice.command("cancel", run="nothing")
            during = await samples(monitor)
        await server.app.drain(0)
        after = await samples(monitor)

    def grown(name: str) -> float:
        return during.get(name, 0.0) - before.get(name, 0.0)

    assert grown("netra_frames_received_total") == 2
    assert grown('netra_refusals_total{code="not_found"}') == 1
    assert (before["netra_connections"], during["netra_connections"]) == (0, 1)
    assert after["netra_connections"] == 0
    assert after["netra_leaks_total"] == 0


async def samples(monitor: httpx.AsyncClient) -> dict[str, float]:
    """Return the metrics as their text format says them."""
    answered = await monitor.get("/metrics")
    assert answered.headers["content-type"].startswith("text/plain; version=")
    lines = [line for line in answered.text.splitlines() if line and line[0] != "#"]
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines}
