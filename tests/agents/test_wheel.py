"""The wheel: nobody is early, all of a slot come together, and it turns again."""

import asyncio
import gc
import weakref

import pytest

from netra_backend.agents.wheel import SLOTS, wheel_of

pytestmark = pytest.mark.anyio


async def test_waits_of_a_slot_end_in_one_turn_and_none_is_early() -> None:
    loop = asyncio.get_running_loop()
    wheel = wheel_of(loop, 0.05 * SLOTS)
    assert wheel_of(loop, 0.05 * SLOTS) is wheel
    assert wheel_of(loop, 0.04) is not wheel
    ended: list[tuple[str, float, int, float]] = []
    done = loop.create_future()
    start = (loop.time() // 0.05 + 2) * 0.05
    for name, until in (("b", start + 0.011), ("c", start + 0.049), ("a", start - 0.001)):
        wheel.wait(until, lambda slot, due, name=name: ended.append((name, loop.time(), slot, due)))
    last = wheel.wait(start + 0.06, lambda slot, due: done.set_result(slot))

    assert await asyncio.wait_for(done, 60) == last
    assert [name for name, *_ in ended] == ["a", "b", "c"]
    assert ended[1][2] == ended[2][2] == last - 1
    assert ended[1][1] >= start + 0.049 - 0.002  # timers may be a millisecond early
    assert all(due >= slot * 0.05 for _, _, slot, due in ended)


async def test_a_time_on_the_edge_of_a_slot_is_in_it() -> None:
    """A float is not: a window after a slot would else be a slot longer."""
    window = 0.040
    wheel = wheel_of(asyncio.get_running_loop(), window)
    for first in range(1_000_000, 1_001_000):
        due = first * (window / SLOTS) + window
        assert wheel.wait(due, lambda slot, due: None) == first + SLOTS


@pytest.mark.parametrize("pending", [False, True])
def test_a_loop_that_has_ended_is_let_go(pending: bool) -> None:
    """With it what still waited: a test run, or a notebook, makes many loops."""

    def ended() -> "weakref.ref[asyncio.AbstractEventLoop]":
        loop = asyncio.new_event_loop()
        wheel = wheel_of(loop, 0.04)
        if pending:
            wheel.wait(loop.time() + 60, lambda slot, due, wheel=wheel: None)
        loop.close()
        return weakref.ref(loop)

    known = ended()
    gc.collect()
    assert known() is None
