"""Measuring: asks all workers what they have measured, once for all who want to know just then.

Anybody may ask a server for its metrics, and as often as they like.
"""

import asyncio
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import msgpack

from netra_backend.core.samples import Family, Sample, summed
from netra_backend.stores.tallies import Tallies

PAUSE = 0.25
"""Seconds between two rounds of questions at least; who asks in between waits, with all others."""


class Worker(Hashable, Protocol):
    """Who can be asked, by the process id of a worker."""

    worker: int


W = TypeVar("W", bound=Worker)
Told = Callable[[list[Family]], None]

_families = msgpack.Decoder(list[Family])


class Measuring(Generic[W]):
    """What workers have measured, and those that were before them.

    `ask` asks all that serve, and calls with their answers, None of who has none. `there` returns
    who is there, `own` what this process adds.
    """

    def __init__(
        self,
        ask: Callable[[Callable[[Mapping[W, bytes | None]], None]], None],
        there: Callable[[], Iterable[W]],
        own: Callable[[], Sequence[Family]],
    ) -> None:
        self._ask = ask
        self._there = there
        self._own = own
        self._tallies: Tallies[W] = Tallies()
        self._waiting: list[Told] = []
        self._next = 0.0

    def want(self, told: Told) -> None:
        """Call `told` with the sum, of figures that are no older than this call."""
        self._waiting.append(told)
        if len(self._waiting) == 1:
            loop = asyncio.get_running_loop()
            loop.call_at(max(loop.time(), self._next), self._begin)

    def leave(self, worker: W) -> None:
        """Keep what the worker told last, for it is gone."""
        self._tallies.leave(worker)

    def _begin(self) -> None:
        self._next = asyncio.get_running_loop().time() + PAUSE
        waiting, self._waiting = self._waiting, []

        def done(said: Mapping[W, bytes | None]) -> None:
            total = self._total(said)
            for told in waiting:
                told(total)

        self._ask(done)

    def _total(self, said: Mapping[W, bytes | None]) -> list[Family]:
        there = list(self._there())
        for worker, answer in said.items():
            if answer is not None and worker in there:
                self._tallies.note(worker, _families.decode(answer))
        total = summed([self._tallies.total(), self._own()])
        return [*total, _up({**dict.fromkeys(there), **said})]


def _up(said: Mapping[W, bytes | None]) -> Family:
    """Return the gauge that says which workers have answered."""
    samples = [
        Sample("netra_worker_up", (("worker", str(one.worker)),), float(answer is not None))
        for one, answer in said.items()
    ]
    meaning = "Whether the worker has answered; the last figures of one that has not count."
    return Family("netra_worker_up", "gauge", meaning, samples)
