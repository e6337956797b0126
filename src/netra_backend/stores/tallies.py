"""Tallies: what each of those who count has counted, and what those had who are gone.

A sum that left out who is gone, or does not answer just now, would fall and rise again. To a
monitoring system that is a restart, after which everything was counted anew.
"""

from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

from netra_backend.core.samples import Family, lasting, summed

H = TypeVar("H", bound=Hashable)


class Tallies(Generic[H]):
    """The newest figures of each holder; of one that leaves, those that last are kept."""

    def __init__(self) -> None:
        self._newest: dict[H, Sequence[Family]] = {}
        self._gone: list[Family] = []

    def note(self, holder: H, families: Sequence[Family]) -> None:
        """Keep what the holder has counted until now, instead of what it told before."""
        self._newest[holder] = families

    def leave(self, holder: H) -> None:
        """Count what the holder told last for good, but for what ends with it. Idempotent."""
        self._gone = summed([self._gone, lasting(self._newest.pop(holder, ()))])

    def total(self) -> list[Family]:
        """Return the sum of what all have told."""
        return summed([*self._newest.values(), self._gone])
