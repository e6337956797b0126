"""Slices: however many compute, the loop turns in between."""

import asyncio
from collections.abc import Generator

import pytest

from netra_backend.agents import slices
from netra_backend.agents.slices import Slices

pytestmark = pytest.mark.anyio


async def test_of_many_one_takes_a_step_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE", 0.0)
    shared, steps, most = Slices(), 0, 0

    def counting() -> Generator[None, None, int]:
        nonlocal steps
        for _ in range(10):
            yield
            steps += 1
        return steps

    tasks = [asyncio.create_task(shared.spread(counting())) for _ in range(20)]
    while not all(task.done() for task in tasks):
        before = steps
        await asyncio.sleep(0)
        most = max(most, steps - before)
    assert (steps, most) == (200, 1)
    assert max(task.result() for task in tasks) == 200


async def test_within_a_slice_the_steps_follow_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE", 60.0)
    shared = Slices()
    await shared.turn()
    turned = False

    def turn() -> None:
        nonlocal turned
        turned = True

    asyncio.get_running_loop().call_soon(turn)
    await shared.spread(iter_of(100))
    assert not turned


def iter_of(steps: int) -> Generator[None, None, None]:
    for _ in range(steps):
        yield


async def test_who_is_cancelled_while_waiting_holds_nobody_up() -> None:
    shared = Slices()
    tasks = [asyncio.create_task(shared.turn()) for _ in range(5)]
    await asyncio.sleep(0)
    for gone in (tasks[0], tasks[2], tasks[4]):
        gone.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await shared.turn()


def test_it_goes_on_in_another_event_loop() -> None:
    shared = Slices()

    async def leave_one_waiting() -> None:
        waiting = asyncio.create_task(shared.turn())
        await asyncio.sleep(0)
        waiting.cancel()

    asyncio.run(leave_one_waiting())
    asyncio.run(shared.turn())
