"""Tallies: the sum never falls but by what ends with its holder."""

from collections.abc import Iterable

from hypothesis import given
from hypothesis import strategies as st

from netra_backend.core.samples import Family, Sample
from netra_backend.stores.tallies import Tallies


def told(counted: float, there: float) -> list[Family]:
    return [
        Family("c", "counter", "counted", [Sample("c_total", (), counted)]),
        Family("g", "gauge", "open", [Sample("g", (), there)]),
    ]


def values(families: Iterable[Family]) -> dict[str, float]:
    return {sample.name: sample.value for family in families for sample in family.samples}


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2), st.integers(0, 5))))
def test_counters_stay_and_gauges_go_with_their_holder(
    steps: list[tuple[bool, int, int]],
) -> None:
    tallies = Tallies[int]()
    ever, had, opened = 0, {0: 0, 1: 0, 2: 0}, {0: 0, 1: 0, 2: 0}
    for leaves, holder, number in steps:
        if leaves:
            tallies.leave(holder)
            had[holder] = opened[holder] = 0  # a new process counts from nothing
        else:
            had[holder] += number
            ever += number
            opened[holder] = number
            tallies.note(holder, told(had[holder], number))
        total = values(tallies.total())
        assert total.get("c_total", 0) == ever
        assert total.get("g", 0) == sum(opened.values())


def test_who_told_nothing_leaves_nothing() -> None:
    tallies = Tallies[str]()
    tallies.leave("nobody")
    assert tallies.total() == []
