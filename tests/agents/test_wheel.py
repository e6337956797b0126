"""The wheel: nobody is late, all of a slot come together, and it turns again."""

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any, cast

import pytest

from netra_backend.agents.wheel import Wheel, wheel_of

pytestmark = pytest.mark.anyio


class Timers:
    """The timers of a loop, which the test lets go off."""

    def __init__(self) -> None:
        self.set: list[tuple[float, Callable[..., None], tuple[Any, ...]]] = []

    def call_at(self, when: float, act: Callable[..., None], *arguments: Any) -> None:
        self.set.append((when, act, arguments))


def test_waits_of_a_slot_end_with_one_timer_and_none_is_late() -> None:
    timers = Timers()
    wheel = Wheel(cast(asyncio.AbstractEventLoop, timers), 0.05)
    ended: list[tuple[str, int]] = []
    slots = {
        name: wheel.wait(until, lambda slot, name=name: ended.append((name, slot)))
        for name, until in (("b", 1.051), ("c", 1.099), ("a", 1.049))
    }
    assert slots == {"b": 21, "c": 21, "a": 20}
    assert [when for when, *_ in timers.set] == pytest.approx([1.05, 1.0])
    for _, act, arguments in timers.set:
        act(*arguments)
    assert ended == [("b", 21), ("c", 21), ("a", 20)]
    assert wheel.wait(1.06, lambda slot: None) == 21
    assert len(timers.set) == 3, "it turns again"


async def test_those_with_one_window_share_a_wheel() -> None:
    loop = asyncio.get_running_loop()
    wheel = wheel_of(loop, 0.05)
    assert wheel_of(loop, 0.05) is wheel
    assert wheel_of(loop, 0.04) is not wheel


async def test_who_waits_for_what_is_over_comes_in_the_next_turn() -> None:
    loop = asyncio.get_running_loop()
    done = loop.create_future()
    wheel_of(loop, 0.04).wait(loop.time() - 1, done.set_result)
    assert not done.done()
    await asyncio.wait_for(done, 60)


@pytest.mark.parametrize("pending", [False, True])
def test_a_loop_that_has_ended_is_let_go(pending: bool) -> None:
    """With it what still waited: a test run, or a notebook, makes many loops."""

    def ended() -> "weakref.ref[asyncio.AbstractEventLoop]":
        loop = asyncio.new_event_loop()
        wheel = wheel_of(loop, 0.04)
        if pending:
            wheel.wait(loop.time() + 60, lambda slot, wheel=wheel: None)
        loop.close()
        return weakref.ref(loop)

    known = ended()
    gc.collect()
    assert known() is None
