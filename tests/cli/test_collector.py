"""The collector: dead cycles are found in the end, but not while the server has much to do."""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import suppress
from itertools import count
from weakref import WeakSet

import pytest

from netra_backend.cli import collector
from netra_backend.cli.collector import calm, collect_in_peace
from tests.client import BOUND
from tests.eventually import until

pytestmark = pytest.mark.anyio


class Link:
    """Half of a cycle."""

    other: "Link"

    def __init__(self) -> None:
        ALIVE.add(self)


ALIVE: WeakSet[Link] = WeakSet()
"""The links that the collector has not found."""


@pytest.fixture(autouse=True)
def dead() -> Iterator[None]:
    """Calm the collector, and leave it ten cycles that died old."""
    before = gc.get_threshold()
    calm()
    kept = [(Link(), Link()) for _ in range(10)]
    for one, two in kept:
        one.other, two.other = two, one
    gc.collect(1)
    kept.clear()
    del one, two
    gc.collect(1)
    assert len(ALIVE) == 20
    yield
    gc.set_threshold(*before)
    gc.collect()


async def collecting(
    patch: pytest.MonkeyPatch, *, grown: int, overgrown: int, load: float, swollen: int = 0
) -> bool:
    """Return whether the cycles are found within some periods.

    The process grows by so many bytes with every look.
    """
    sizes = count(1 << 20, swollen or 1)
    patch.setattr(collector, "_resident", lambda: next(sizes))
    patch.setattr(collector, "PERIOD", 0.001)
    patch.setattr(collector, "GROWN", grown)
    patch.setattr(collector, "OVERGROWN", overgrown)
    looks = count()
    running = asyncio.create_task(collect_in_peace(lambda: next(looks) * load))
    await asyncio.sleep(0)
    gc.collect(1)  # so something has survived since it looked first
    async with asyncio.timeout(BOUND):
        await until(lambda: not ALIVE or next(looks) > 100)
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
    return not ALIVE


MUCH = 1 << 40


@pytest.mark.parametrize(
    ("grown", "overgrown", "load", "found"),
    [
        (0, MUCH, 0.0, True),
        (0, MUCH, 1.0, False),
        (0, 0, 1.0, True),
        (MUCH, MUCH, 0.0, False),
    ],
    ids=["idle", "busy", "busy, and too many have survived", "few have survived"],
)
async def test_all_is_looked_at_in_peace(
    grown: int, overgrown: int, load: float, found: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    got = await collecting(monkeypatch, grown=grown, overgrown=overgrown, load=load)
    assert got == found


async def test_a_process_that_grows_is_looked_at_however_busy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = collector.AT_LEAST + 1
    assert await collecting(monkeypatch, grown=MUCH, overgrown=MUCH, load=1.0, swollen=step)


def test_its_memory_is_that_of_the_process() -> None:
    before = collector._resident()
    kept = bytearray(b"x" * (32 << 20))
    assert collector._resident() - before > len(kept) // 2


def test_what_start_up_made_is_never_looked_at() -> None:
    assert gc.get_freeze_count() > 10_000
    assert gc.get_threshold()[2] == collector.NEVER
