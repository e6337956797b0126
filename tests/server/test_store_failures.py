"""Store failures: of one cause one traceback in a while, and none of another is hidden."""

from pathlib import Path
from typing import Any

import pytest

from netra_backend.errors import StoreFailed
from netra_backend.server.store_failures import BURST, CAUSES, PERIOD, StoreFailures
from netra_backend.stores.memory import MemoryStore
from tests.client import run_input
from tests.conftest import Lines
from tests.http import http
from tests.live import live
from tests.server.agents import echo
from tests.watched_store import WatchedStore

pytestmark = pytest.mark.anyio


def errors(lines: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [line for line in lines if line["level"] == "ERROR"]


async def test_of_one_cause_there_is_a_line_in_a_period(log_lines: Lines) -> None:
    now = 0.0
    failures = StoreFailures(lambda: now)
    for _ in range(100):
        failures.tell("the store failed", StoreFailed("the disk is full"))
    failures.tell("the store failed", StoreFailed("locked"))
    failures.tell("not open", StoreFailed("locked"))
    now = PERIOD
    failures.tell("the store failed", StoreFailed("the disk is full"))
    failures.tell("the store failed", StoreFailed("the disk is full"))
    told = [(line["exception"]["message"], line.get("left_out")) for line in errors(log_lines())]
    full = "the disk is full"
    assert told == [(full, None), ("locked", None), ("locked", None), (full, 99)]


async def test_causes_that_differ_each_time_are_bounded_too(log_lines: Lines) -> None:
    failures = StoreFailures(lambda: 0.0)
    for number in range(CAUSES * 4):
        failures.tell("the store failed", StoreFailed(f"row {number}"))
    assert len(errors(log_lines())) == BURST
    assert len(failures._causes) == CAUSES


async def test_a_full_disk_is_one_traceback_and_each_failed_request_has_its_line(
    tmp_path: Path, log_lines: Lines
) -> None:
    store = WatchedStore(MemoryStore())
    async with (
        live({"echo": echo}, tmp_path, store=store) as server,
        http(server.url, server.token()) as browser,
    ):
        store.failures["create_run"] = StoreFailed("the disk is full")
        for number in range(20):
            answer = await browser.post("/agui/echo", json=run_input("t", f"r{number}"))
            assert answer.status_code == 503
        store.failures.clear()
    lines = log_lines()
    assert len([line for line in lines if line["message"] == "the store failed"]) == 1
    refused = [line for line in lines if line["message"] == "request refused"]
    assert [line["code"] for line in refused] == ["store_failed"] * 20
