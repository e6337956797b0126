"""The lease clock: when leases count that ran out in a time in which nobody could renew them."""

from collections.abc import Iterator
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as some

from netra_backend.agents.lease_clock import LeaseClock

LEASE = 15_000
THIRD = LEASE // 3
BEGAN = 1_000_000


def steady(clock: LeaseClock, since: int, until: int) -> None:
    """Let renewals be taken at each third of a lease."""
    for now in range(since, until + 1, THIRD):
        clock.renewed(now, now + 10)


def a_clock() -> LeaseClock:
    """Return a clock that has run for a lease: it counts up to `BEGAN`."""
    clock = LeaseClock(LEASE, BEGAN - LEASE - 10)
    steady(clock, BEGAN - LEASE - 10, BEGAN - 10)
    return clock


def test_it_goes_with_the_renewals() -> None:
    clock = a_clock()
    assert clock.upto == BEGAN
    steady(clock, BEGAN, BEGAN + 10 * THIRD)
    assert clock.upto == BEGAN + 10 * THIRD + 10


def test_one_that_begins_counts_nothing_for_a_lease() -> None:
    """It may begin just after a time in which nobody could renew: it cannot know."""
    clock = LeaseClock(LEASE, BEGAN)
    steady(clock, BEGAN, BEGAN + 2 * THIRD)
    assert clock.upto == 0
    steady(clock, BEGAN + LEASE, BEGAN + LEASE)
    assert clock.upto == BEGAN + LEASE + 10


@pytest.mark.parametrize("gap", [LEASE // 2 + 1_000, 2 * LEASE, 86_400_000])
def test_after_a_gap_it_stands_still_for_a_lease(gap: int) -> None:
    clock = a_clock()
    steady(clock, BEGAN, BEGAN + THIRD)
    before, woken = clock.upto, BEGAN + THIRD + gap
    steady(clock, woken, woken + 2 * THIRD)
    assert clock.upto == before
    steady(clock, woken + LEASE, woken + LEASE)
    assert clock.upto == woken + LEASE + 10


def test_renewals_are_due_at_each_third_of_a_lease() -> None:
    clock = LeaseClock(LEASE, BEGAN)
    assert not clock.is_due(BEGAN + THIRD - 1)
    assert clock.is_due(BEGAN + THIRD)
    clock.renewed(BEGAN + THIRD, BEGAN + THIRD + 10)
    assert not clock.is_due(BEGAN + THIRD + 10)


def test_a_renewal_that_is_answered_late_is_a_gap() -> None:
    """The store, or the machine, stood still between the question and the answer."""
    clock = a_clock()
    clock.renewed(BEGAN + THIRD, BEGAN + 3 * LEASE)
    assert clock.upto == BEGAN


def test_it_follows_a_clock_that_is_set_back() -> None:
    """Else leases of the new time, which are good, would have run out in the old one."""
    clock = a_clock()
    back = BEGAN - 86_400_000
    assert clock.is_due(back)
    steady(clock, back, back + 2 * THIRD)
    assert clock.upto == 0
    steady(clock, back + LEASE, back + LEASE + THIRD)
    assert clock.upto == back + LEASE + THIRD + 10


@pytest.mark.parametrize("asked", [BEGAN - 86_400_000, BEGAN + THIRD])
@pytest.mark.parametrize("answered", [BEGAN - 86_399_000, BEGAN + THIRD + 10])
def test_it_counts_nothing_that_was_asked_or_answered_in_another_time(
    asked: int, answered: int
) -> None:
    clock = a_clock()
    clock.renewed(asked, answered)
    assert clock.upto == (answered if BEGAN < asked < answered else 0)


def test_one_that_is_set_back_just_after_a_gap_ends_no_patience() -> None:
    """As by a machine that slept, and learns the time a little later."""
    clock = a_clock()
    woken = BEGAN + 10 * LEASE
    clock.renewed(woken, woken + 10)
    back = woken - 4 * LEASE
    steady(clock, back, back + 2 * THIRD)
    assert clock.upto == 0
    steady(clock, back + LEASE, back + LEASE + THIRD)
    assert clock.upto == back + LEASE + THIRD + 10


class Times:
    """Times in which the store stands still, or the whole machine; beyond the last, none does."""

    def __init__(self, chance: Random) -> None:
        self._chance = chance
        self._still: list[tuple[int, int, bool]] = []
        self.end = BEGAN
        for _ in range(chance.randint(1, 5)):
            begins = self.end + chance.choice((1, THIRD - 1, THIRD, chance.randint(1, 2 * LEASE)))
            lasts = chance.choice(
                (THIRD, LEASE // 2, 2 * THIRD, 3 * LEASE, chance.randint(1, LEASE))
            )
            self.end = begins + lasts
            self._still.append((begins, self.end, chance.random() < 0.5))

    def awake(self, now: int) -> int:
        """Return when a process goes on."""
        return next((end for begin, end, all_ in self._still if all_ and begin <= now < end), now)

    def taken(self, asked: int) -> int:
        """Return when the store takes what it is asked."""
        return next((end for begin, end, _ in self._still if begin <= asked < end), asked)

    def renewals(self, due: int) -> Iterator[tuple[int, int]]:
        """Yield when a node asks for its renewals, as the runner does, and has its answers.

        The first of them is due at the given time.
        """
        while due < self.end + 3 * LEASE:
            asked = self.awake(due)
            answered = self.awake(self.taken(asked) + self._chance.choice((0, 5, 100)))
            yield asked, answered
            due = max(asked + THIRD, answered + 1)

    def clock(self) -> tuple[LeaseClock, Iterator[tuple[int, int]]]:
        """Return the clock of a node that begins at some time, and the renewals it has then."""
        began = self.awake(self._chance.randint(BEGAN, self.end))
        return LeaseClock(LEASE, began), self.renewals(began)


@given(some.randoms(use_true_random=False))
def test_a_lease_that_is_renewed_whenever_it_can_be_never_counts(chance: Random) -> None:
    times = Times(chance)
    others = list(times.renewals(BEGAN - chance.randint(1, THIRD)))
    clock, renewals = times.clock()
    for asked, answered in renewals:
        clock.renewed(asked, answered)
        before = (times.taken(asked), asked)
        taken = [at for at, _ in others if (times.taken(at), at) < before]
        assert not taken or taken[-1] + LEASE > clock.upto


@given(some.randoms(use_true_random=False))
def test_one_that_is_renewed_no_more_counts_in_the_end(chance: Random) -> None:
    times = Times(chance)
    clock, renewals = times.clock()
    for asked, answered in renewals:
        clock.renewed(asked, answered)
    assert clock.upto > times.end
