"""Measuring: however many ask, workers are asked now and then, and nobody gets old figures."""

import asyncio
from collections.abc import Callable, Mapping
from typing import NamedTuple

import pytest
from msgspec import msgpack

from netra_backend.core.samples import Family, Sample
from netra_backend.stores import measuring
from netra_backend.stores.measuring import Measuring
from tests.eventually import until

pytestmark = pytest.mark.anyio


class One(NamedTuple):
    """A worker."""

    worker: int


Done = Callable[[Mapping[One, bytes | None]], None]


class Asked:
    """Two workers, who are asked, and answer when they are told to."""

    def __init__(self) -> None:
        self.there = [One(1), One(2)]
        self.rounds: list[Done] = []
        self.measuring = Measuring(self.rounds.append, lambda: self.there, list)
        self.told: list[dict[str, float]] = []

    def want(self) -> None:
        self.measuring.want(lambda families: self.told.append(values(families)))

    def answer(self, **counted: int | None) -> None:
        """Answer the oldest question: so much was counted, None for no answer."""
        said = {
            One(int(name[1:])): None if number is None else figures(number)
            for name, number in counted.items()
        }
        self.rounds.pop(0)(said)


def figures(counted: int) -> bytes:
    return msgpack.encode([Family("c", "counter", "counted", [Sample("c", (), counted)])])


def values(families: list[Family]) -> dict[str, float]:
    return {
        "".join([sample.name, *(value for _, value in sample.labels)]): sample.value
        for family in families
        for sample in family.samples
    }


async def test_all_who_want_it_share_a_round_and_the_next_ones_wait_for_another() -> None:
    asked = Asked()
    for _ in range(3):
        asked.want()
    await until(lambda: asked.rounds)
    asked.want()  # this round may have begun to count before
    asked.want()
    asked.answer(w1=3, w2=4)
    both = {"netra_worker_up1": 1, "netra_worker_up2": 1}
    assert asked.told == [{"c": 7, **both}] * 3
    began = asyncio.get_running_loop().time()
    await until(lambda: asked.rounds)
    assert asyncio.get_running_loop().time() - began > measuring.PAUSE / 2
    asked.answer(w1=5, w2=4)
    assert asked.told[3:] == [{"c": 9, **both}] * 2
    assert not asked.rounds


async def test_who_is_gone_or_silent_counts_with_the_last_figures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(measuring, "PAUSE", 0.0)
    asked = Asked()

    async def told(**counted: int | None) -> dict[str, float]:
        asked.want()
        await until(lambda: asked.rounds)
        asked.answer(**counted)
        return asked.told[-1]

    await told(w1=3, w2=4)
    assert await told(w1=5, w2=None) == {"c": 9, "netra_worker_up1": 1, "netra_worker_up2": 0}
    asked.measuring.leave(asked.there.pop())
    asked.there.append(One(3))  # which is not asked yet
    assert await told(w1=6) == {"c": 10, "netra_worker_up1": 1, "netra_worker_up3": 0}
    late = await told(w1=6, w2=100)  # it has answered, and is gone: what it told before counts
    assert late == {"c": 10, "netra_worker_up1": 1, "netra_worker_up2": 1, "netra_worker_up3": 0}
