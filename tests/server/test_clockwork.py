"""The clockwork: one timer for many, nobody early, nobody forgotten, and a breath in between."""

import asyncio
from collections.abc import Callable
from itertools import pairwise
from typing import cast

import pytest
from uvicorn.server import ServerState

from netra_backend.config import Settings
from netra_backend.server import clockwork
from netra_backend.server.clockwork import TOGETHER, Clockwork, Pings, Sweep, Turns, shared
from tests.client import BOUND

pytestmark = pytest.mark.anyio


async def test_what_one_turn_wants_done_is_done_at_its_end_in_order() -> None:
    turns = Turns(asyncio.get_running_loop())
    done: list[str] = []
    turns.at_end(lambda: done.append("a"))
    turns.at_end(lambda: turns.at_end(lambda: done.append("of the next")))
    turns.at_end(lambda: done.append("b"))
    assert done == []
    await asyncio.sleep(0)
    assert done == ["a", "b"]
    await asyncio.sleep(0)
    assert done == ["a", "b", "of the next"]


async def test_a_turn_does_not_let_more_wait_than_go_together() -> None:
    turns = Turns(asyncio.get_running_loop())
    done: list[int] = []
    for number in range(2 * TOGETHER + 1):
        turns.at_end(lambda number=number: done.append(number))
    assert done == [*range(2 * TOGETHER)]
    await asyncio.sleep(0)
    assert done == [*range(2 * TOGETHER + 1)]


async def test_who_begins_at_the_same_moment_is_served_in_portions_and_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clockwork, "STEP", 10)
    turns = Turns(asyncio.get_running_loop())
    begun: list[int] = []
    counts = [0]
    for number in range(35):
        turns.begin(lambda number=number: begun.append(number))  # type: ignore[misc]
    async with asyncio.timeout(BOUND):
        while len(begun) < 35:
            counts.append(len(begun))
            await asyncio.sleep(0)
    counts.append(len(begun))

    assert begun == list(range(35))
    assert counts[1] == 10
    assert max(after - before for before, after in pairwise(counts)) <= 10
    turns.begin(lambda: begun.append(-1))
    assert begun[-1] == -1


async def test_each_member_is_served_once_in_the_order_of_their_coming() -> None:
    served: list[str] = []
    loop = asyncio.get_running_loop()
    sweep: Sweep[str] = Sweep(loop, 0.02, served.append)
    began = loop.time()
    for name in "abcd":
        sweep.add(name)
    sweep.remove("b")
    sweep.remove("nobody")
    sweep.add("a")
    assert ("c" in sweep, "b" in sweep, len(sweep)) == (True, False, 3)
    async with asyncio.timeout(BOUND):
        while len(served) < 3:  # noqa: ASYNC110 - the sweep's own time
            await asyncio.sleep(0.001)
    assert loop.time() - began >= 0.02
    await asyncio.sleep(0.05)

    assert served == ["c", "d", "a"]
    assert len(sweep) == 0


async def test_who_leaves_is_told_how_long_it_was_in() -> None:
    loop = asyncio.get_running_loop()
    sweep: Sweep[str] = Sweep(loop, 60.0, lambda _: None)
    before = loop.time()
    sweep.add("a")
    await asyncio.sleep(0.01)
    seconds = sweep.remove("a")
    assert seconds is not None
    assert 0.01 <= seconds <= loop.time() - before
    assert sweep.remove("a") is None


async def test_the_time_of_each_answer_is_told() -> None:
    class One:
        pinged = 0

        def ping(self) -> None:
            self.pinged += 1

        def unanswered(self) -> None:
            raise AssertionError("it answers")

    told: list[float] = []
    one = One()
    pings = Pings(asyncio.get_running_loop(), 0.01, 60.0, told.append)
    pings.keep(one)
    assert told == []  # it is new, and was asked nothing yet
    for number in range(1, 4):
        async with asyncio.timeout(BOUND):
            while one.pinged < number:  # noqa: ASYNC110 - the sweep's own time
                await asyncio.sleep(0.001)
        pings.keep(one)
    pings.forget(one)
    assert len(told) == 3
    assert all(0 <= seconds < BOUND for seconds in told)


async def test_a_member_may_come_again_and_others_may_go_while_it_is_served() -> None:
    served: list[str] = []

    def act(name: str) -> None:
        served.append(name)
        sweep.remove("z")
        if len(served) < 3:
            sweep.add(name)

    sweep: Sweep[str] = Sweep(asyncio.get_running_loop(), 0.005, act)
    sweep.add("a")
    async with asyncio.timeout(BOUND):
        while len(served) < 3:  # noqa: ASYNC110 - the sweep's own time
            await asyncio.sleep(0.001)

    assert served == ["a"] * 3


async def test_many_who_are_due_together_are_served_in_slices(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(clockwork, "SLICE", 1e-9)
    monkeypatch.setattr(clockwork, "STEP", 10)
    per_turn: list[int] = [0]
    sweep: Sweep[int] = Sweep(asyncio.get_running_loop(), 0.001, lambda _: count())

    def count() -> None:
        per_turn[-1] += 1

    for member in range(35):
        sweep.add(member)
    async with asyncio.timeout(BOUND):
        while sum(per_turn) < 35:
            per_turn.append(0)
            await asyncio.sleep(0)

    assert max(per_turn) <= 10


class Clock:
    """A loop with nothing but a clock, which stands at the next call."""

    def __init__(self) -> None:
        self.now = 0.0
        self.calls: list[asyncio.TimerHandle] = []

    def time(self) -> float:
        return self.now

    def call_later(self, wait: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        loop = asyncio.get_running_loop()
        self.calls.append(asyncio.TimerHandle(self.now + wait, act, (), loop))
        return self.calls[-1]

    def run_until(self, end: float) -> None:
        while due := [call for call in self.calls if call.when() <= end]:
            call = min(due, key=asyncio.TimerHandle.when)
            self.calls.remove(call)
            self.now = call.when()
            if not call.cancelled():
                call._run()
        self.now = end


async def test_who_does_not_answer_is_dead_within_both_times_and_half_a_second() -> None:
    clock, seconds = Clock(), Settings().ping_seconds
    pings = Pings(cast(asyncio.AbstractEventLoop, clock), seconds, seconds)
    kept: dict[object, float] = {}
    died: list[float] = []

    class Silent:
        def ping(self) -> None:
            """Nobody answers."""

        def unanswered(self) -> None:
            died.append(clock.now - kept[self])

    for number in range(5_000):
        clock.run_until(number * 0.007)
        member = Silent()
        kept[member] = clock.now
        pings.keep(member)
    clock.run_until(200.0)
    assert len(died) == 5_000
    assert min(died) >= 2 * seconds
    assert max(died) <= 2 * seconds + 0.25  # the rest is for a loop that is busy


async def test_what_is_shared_is_made_once_for_a_server() -> None:
    one, other, loop = ServerState(), ServerState(), asyncio.get_running_loop()

    assert shared(one, Turns, loop) is shared(one, Turns, loop)
    assert shared(one, Turns, loop) is not shared(other, Turns, loop)
    assert isinstance(shared(one, Clockwork, None, None).writes, Turns)
