"""The watch of the loop: one pair of lines for what holds it up, with where that stands."""

import asyncio
import copy
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from netra_backend import jsonlog
from netra_backend.cli import loop_watch
from netra_backend.cli.loop_watch import LoopWatch
from netra_backend.server.metrics import REGISTRY
from tests.conftest import Lines

pytestmark = pytest.mark.anyio

LIMIT = 0.2


@asynccontextmanager
async def watched(limit: float) -> AsyncIterator[None]:
    """Watch the loop inside; what the watch still has to say behind it is said here."""
    watch = LoopWatch(limit)
    with watch:
        yield
    await asyncio.to_thread(watch._thread.join)


def hold_up() -> None:
    time.sleep(2 * LIMIT)


def counted() -> float:
    return REGISTRY.get_sample_value("netra_loop_blocked_seconds_count") or 0.0


async def test_what_holds_the_loop_up_is_told_with_its_place_and_its_time(
    log_lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_watch, "PAUSE", 3_600.0)
    before = counted()
    with jsonlog.bind(worker=3):
        async with watched(LIMIT):
            while counted() < before + 2:  # the second is counted, and no line
                await asyncio.sleep(LIMIT / 2)
                hold_up()
    lines = [line for line in log_lines() if "event loop" in line["message"]]
    assert [line["message"] for line in lines] == [
        "the event loop is blocked",
        "the event loop was blocked",
    ]
    assert {(line["level"], line["worker"]) for line in lines} == {("WARNING", 3)}
    assert "in hold_up" in lines[0]["at"][-1]
    assert __file__ in lines[0]["at"][-1]
    assert lines[1]["seconds"] >= LIMIT


async def test_the_users_own_code_is_told_however_deep_in_a_library_it_is_held_up(
    log_lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop_watch, "PAUSE", 0.0)  # a busy machine may hold the loop up, too

    def told() -> list[dict[str, Any]]:
        return [line for line in log_lines() if line["message"] == "the event loop is blocked"]

    def is_right(line: dict[str, Any]) -> bool:
        mine, *library = line["at"]
        return (
            line["task"] == "run r1"
            and mine.startswith(f"{__file__}:")
            and mine.endswith(" in mine")
            and [copy.__file__ in call for call in library] == [True] * loop_watch.FRAMES
        )

    async def mine() -> None:
        width = 200_000
        for _ in range(8):
            await asyncio.sleep(LIMIT / 2)
            value: list[Any] = [0] * width
            for _ in range(loop_watch.FRAMES):
                value = [value]
            copy.deepcopy(value)
            if any(map(is_right, told())):
                return
            width *= 2

    async with watched(LIMIT):
        await asyncio.create_task(mine(), name="run r1")
    assert any(map(is_right, told())), told()


async def test_a_loop_that_waits_is_not_blocked(log_lines: Lines) -> None:
    before = counted()
    async with watched(60.0):
        await asyncio.sleep(0.01)
    assert counted() == before
    assert not [line for line in log_lines() if "event loop" in line["message"]]
