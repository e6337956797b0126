"""Health: what a supervisor is told."""

import shutil
from pathlib import Path

import pytest

from netra_backend.errors import StoreFailed
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from tests.conftest import Lines
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


async def test_a_store_that_does_not_answer_is_not_ready_and_only_the_log_says_why(
    tmp_path: Path, log_lines: Lines
) -> None:
    store = WatchedStore(MemoryStore())
    async with (
        live({"echo": echo}, tmp_path, store=store) as server,
        http(server.url, None) as supervisor,
    ):
        store.failures["probe"] = StoreFailed("/var/lib/netra.db: disk full")
        unready = await supervisor.get("/health/ready")
        alive = await supervisor.get("/health/live")
        store.failures.clear()
        ready = await supervisor.get("/health/ready")

    error = unready.json()["error"]
    assert unready.status_code == 503
    assert (error["code"], error["retry"]) == ("store_failed", True)
    assert "/var/lib" not in unready.text
    assert unready.headers["retry-after"] == "1"
    assert alive.status_code == 200
    assert ready.status_code == 200
    (line,) = [line for line in log_lines() if line["level"] == "ERROR"]
    assert line["correlation"] == error["correlation"]
    assert line["exception"]["message"] == "/var/lib/netra.db: disk full"


async def test_a_server_that_stops_is_not_ready(tmp_path: Path) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, None) as supervisor,
    ):
        await server.app.close()
        unready = await supervisor.get("/health/ready")

    assert unready.status_code == 503
    assert unready.json()["error"]["code"] == "draining"


@pytest.mark.parametrize("is_replaced", [False, True])
async def test_a_server_whose_data_directory_was_deleted_is_not_ready(
    tmp_path: Path, is_replaced: bool, log_lines: Lines
) -> None:
    """What it writes is lost, though no write fails."""
    data = tmp_path / "data"
    async with (
        live({"echo": echo}, data, store=SqliteStore(data)) as server,
        http(server.url, None) as supervisor,
    ):
        assert (await supervisor.get("/health/ready")).status_code == 200
        shutil.rmtree(data)
        if is_replaced:
            data.mkdir()
            (data / "netra.db").touch()
        assert (await supervisor.get("/health/ready")).status_code == 503
    (line,) = [line for line in log_lines() if line["message"] == "the store failed"]
    assert "netra.db is" in line["exception"]["message"]
