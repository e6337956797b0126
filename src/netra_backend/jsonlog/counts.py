"""How many records did not get through, by level, for as long as the process lives."""

import threading
from typing import NamedTuple


class Counters(NamedTuple):
    """Totals since the start of the process, by the name of the level."""

    dropped: dict[str, int]
    """Records lost: the stream did not take them in time, or failed."""
    suppressed: dict[str, int]
    """Records left out because `configure` was asked to thin them out."""


class Tally:
    """A number for each level. A signal may count while this thread does."""

    __slots__ = ("_lock", "numbers")

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self.numbers: dict[str, int] = {}

    def add(self, level: str, number: int = 1) -> None:
        """Count records of a level."""
        with self._lock:
            self.numbers[level] = self.numbers.get(level, 0) + number

    def add_all(self, numbers: dict[str, int]) -> None:
        """Count records of several levels."""
        for level, number in numbers.items():
            self.add(level, number)

    def take(self) -> dict[str, int]:
        """Return the numbers, and begin again from 0."""
        with self._lock:
            taken, self.numbers = self.numbers, {}
            return taken


DROPPED, SUPPRESSED = Tally(), Tally()


def counters() -> Counters:
    """Return how many records were dropped and suppressed, by level, since the process began."""
    return Counters(dict(DROPPED.numbers), dict(SUPPRESSED.numbers))
