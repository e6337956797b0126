"""Health: what a supervisor is told."""

import asyncio
import shutil
from pathlib import Path

import pytest

from netra_backend.errors import StoreFailed
from netra_backend.server import health
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from tests.conftest import Lines
from tests.eventually import until
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
    tmp_path: Path, log_lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "SHARED", 0.0)
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
    tmp_path: Path, is_replaced: bool, log_lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it writes is lost, though no write fails."""
    monkeypatch.setattr(health, "SHARED", 0.0)
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


class Probed(MemoryStore):
    """A store that counts how often it is asked whether it answers, and does when it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.probes = 0
        self.works = True
        self.may = asyncio.Event()

    async def probe(self) -> None:
        self.probes += 1
        await self.may.wait()
        if not self.works:
            raise StoreFailed("locked")


@pytest.mark.parametrize("works", [True, False])
async def test_many_who_ask_cost_the_store_one_call_and_the_log_one_traceback(
    tmp_path: Path, log_lines: Lines, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    """A stranger asks as often as they like, also while the store does not answer at all."""
    monkeypatch.setattr(health, "SHARED", 3_600.0)
    store = Probed()
    store.works = works
    async with (
        live({"echo": echo}, tmp_path, store=store) as server,
        http(server.url, None) as stranger,
    ):
        asked = [asyncio.create_task(stranger.get("/health/ready")) for _ in range(40)]
        await until(lambda: store.probes > 0)
        store.may.set()
        answers = [*await asyncio.gather(*asked), await stranger.get("/health/ready")]
        assert {answer.status_code for answer in answers} == {200 if works else 503}
        assert store.probes == 1
        monkeypatch.setattr(health, "SHARED", 0.0)
        store.works = True
        assert (await stranger.get("/health/ready")).status_code == 200
        assert store.probes == 2
    errors = [line for line in log_lines() if line["level"] == "ERROR"]
    assert [line["exception"]["message"] for line in errors] == ["locked"] * (not works)


async def test_a_store_that_says_nothing_is_not_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is still asked once only, and counts again as soon as it answers."""
    monkeypatch.setattr(health, "ANSWERS", 0.05)
    store = Probed()
    async with (
        live({"echo": echo}, tmp_path, store=store) as server,
        http(server.url, None) as supervisor,
    ):
        for _ in range(2):
            unready = await supervisor.get("/health/ready")
            assert (unready.status_code, unready.json()["error"]["code"]) == (503, "store_failed")
        assert store.probes == 1
        store.may.set()
        monkeypatch.setattr(health, "ANSWERS", 60.0)
        assert (await supervisor.get("/health/ready")).status_code == 200
