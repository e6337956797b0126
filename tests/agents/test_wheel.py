"""The wheel: nobody is late, all of a slot come together, and it turns again."""

import asyncio
import gc
import weakref

import pytest

from netra_backend.agents.wheel import SLOTS, wheel_of

pytestmark = pytest.mark.anyio


async def test_waits_of_a_slot_end_in_one_turn_and_none_is_late() -> None:
    loop = asyncio.get_running_loop()
    wheel = wheel_of(loop, 0.05 * SLOTS)
    assert wheel_of(loop, 0.05 * SLOTS) is wheel
    assert wheel_of(loop, 0.04) is not wheel
    turns: list[int] = []
    ended: list[tuple[str, int, int]] = []
    done = loop.create_future()

    def turn() -> None:
        turns.append(len(turns))
        loop.call_soon(turn)

    turn()
    start = (loop.time() // 0.05 + 2) * 0.05
    for name, until in (("b", start + 0.051), ("c", start + 0.099), ("a", start + 0.049)):
        wheel.wait(until, lambda slot, name=name: ended.append((name, slot, len(turns))))
    last = wheel.wait(start + 0.149, done.set_result)
    assert loop.time() < start, "the test has begun before the first of its slots"

    assert await asyncio.wait_for(done, 60) == last
    assert [name for name, *_ in ended] == ["a", "b", "c"]
    assert [slot for _, slot, _ in ended] == [last - 2, last - 1, last - 1]
    assert ended[0][2] < ended[1][2] == ended[2][2]
    assert loop.time() >= last * 0.05 - 0.002  # timers may be a millisecond early


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
