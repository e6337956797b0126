"""Seats: what each holder has taken, and that all of it comes back."""

import asyncio
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_backend.core.nodes import Seat
from netra_backend.stores import keeper
from netra_backend.stores.seats import Seats
from tests.eventually import until
from tests.stores.workers import Workers, settled

ALICE, BOB, ALL = Seat("user", "alice", 2), Seat("user", "bob", 2), Seat("all", "", 3)

STEPS = st.lists(
    st.tuples(
        st.sampled_from(["take", "give", "leave"]),
        st.integers(0, 2),
        st.sampled_from([(ALICE, ALL), (BOB, ALL), (ALICE,)]),
    )
)


@given(STEPS)
def test_no_more_than_the_limit_is_taken_and_who_leaves_has_nothing(
    steps: list[tuple[str, int, tuple[Seat, ...]]],
) -> None:
    seats = Seats[int]()
    had: dict[int, list[tuple[Seat, ...]]] = {0: [], 1: [], 2: []}
    for act, holder, wanted in steps:
        all_had = [seat for of in had.values() for taken in of for seat in taken]
        if act == "take":
            full = seats.take(holder, wanted)
            assert full == [seat for seat in wanted if all_had.count(seat) >= seat.limit]
            had[holder] += [] if full else [wanted]
        elif act == "give" and wanted in had[holder]:
            had[holder].remove(wanted)
            seats.give(holder, wanted)
        elif act == "leave":
            had[holder].clear()
            seats.leave(holder)
        assert len(seats) == sum(len(taken) for of in had.values() for taken in of)
        for seat in (ALICE, BOB, ALL):
            most = seats.most(seat, but=0)
            counts = {h: sum(seat in taken for taken in had[h]) for h in (1, 2)}
            assert (
                most is None
                if not any(counts.values())
                else counts[most or 0] == max(counts.values())
            )
    for holder in had:
        seats.leave(holder)
    assert (len(seats), seats._of, seats._taken) == (0, {}, {})


def test_nothing_is_given_back_that_was_not_taken() -> None:
    seats = Seats[str]()
    assert not seats.give("a", [ALICE])
    assert seats.take("a", [ALICE]) == []
    assert not seats.give("b", [ALICE, ALL])
    assert not seats.give("a", [ALICE, ALL])
    assert (len(seats), seats._of, seats._taken) == (0, {}, {})


def test_who_gives_a_seat_back_is_told_whether_it_was_the_last() -> None:
    seats = Seats[str]()
    for holder in ("a", "b"):
        assert seats.take(holder, [ALICE, ALL]) == []
    assert seats.give("a", [ALICE, ALL])
    assert not seats.give("b", [ALICE, ALL])


@pytest.mark.anyio
async def test_what_is_taken_for_who_waits_no_more_is_given_back() -> None:
    workers = Workers()
    one = await workers.worker()
    waiting = asyncio.ensure_future(one.take([ALICE]))
    await asyncio.sleep(0)
    waiting.cancel()
    await settled()
    assert waiting.cancelled()
    assert len(workers.keeper.seats) == 0
    assert await one.take([ALICE]) == []
    await one.close()
    await until(lambda: len(workers.keeper.seats) == 0)


@pytest.mark.anyio
async def test_what_is_taken_in_the_turn_in_which_its_caller_is_cancelled_is_given_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    workers = Workers()
    one = await workers.worker()
    waiting = asyncio.ensure_future(one.take([ALICE]))
    settle = one._line._settle

    def settle_and_cancel(message: Any) -> None:
        settle(message)
        waiting.cancel()

    monkeypatch.setattr(one._line, "_settle", settle_and_cancel)
    await settled()
    assert waiting.cancelled()
    assert len(workers.keeper.seats) == 0
    await one.close()


@pytest.mark.anyio
async def test_room_is_made_by_who_has_most(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeper, "STOP_SECONDS", 0.05)
    workers = Workers()
    one, two, three = [await workers.worker() for _ in range(3)]
    many = Seat("user", "alice", 9)
    assert await one.make_room(many) is False
    for worker, number in ((one, 3), (two, 1), (three, 2)):
        for _ in range(number):
            assert await worker.take([many]) == []
    asked: list[object] = []

    def gives(seat: Seat) -> bool:
        asked.append(seat)
        three.give([seat])
        return True

    three.let_make_room(gives)
    assert await one.make_room(many) is True
    assert (asked, len(workers.keeper.seats)) == ([many], 5)
    assert await two.make_room(many) is False, "who has most has none to give"
    one._line._transport.pause_reading()
    assert await two.make_room(many) is False, "who has most says nothing"
    one._line._transport.abort()
    for worker in (two, three):
        await worker.close()
    await settled()
