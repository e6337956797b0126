"""Seats: how many places are taken by each of those who share them."""

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

from netra_backend.core.nodes import Seat

Kind = tuple[str, str]
H = TypeVar("H", bound=Hashable)


class Seats(Generic[H]):
    """What each holder has taken; a holder that leaves gives everything back."""

    def __init__(self) -> None:
        self._taken: Counter[Kind] = Counter()
        self._of: dict[H, Counter[Kind]] = {}

    def __len__(self) -> int:
        return self._taken.total()

    def take(self, holder: H, seats: Sequence[Seat]) -> list[Seat]:
        """Take all of the seats, or none; return those of which none are left."""
        full = [seat for seat in seats if self._taken[seat.kind, seat.of] >= seat.limit]
        if not full:
            for seat in seats:
                self._count(holder, (seat.kind, seat.of), 1)
        return full

    def give(self, holder: H, seats: Sequence[Seat]) -> bool:
        """Give back those of the seats that the holder has; return whether all of one were taken.

        Then others may have been refused one.
        """
        were_all = False
        for seat in seats:
            kind = seat.kind, seat.of
            if kind in self._of.get(holder, ()):
                were_all = were_all or self._taken[kind] >= seat.limit
                self._count(holder, kind, -1)
        return were_all

    def leave(self, holder: H) -> None:
        """Give back all that the holder has. Idempotent."""
        for kind, number in list(self._of.get(holder, {}).items()):
            self._count(holder, kind, -number)

    def most(self, seat: Seat, *, but: H) -> H | None:
        """Return who has most of such seats, `but` for one; None if nobody else has any."""
        kind = seat.kind, seat.of
        others = {one: has[kind] for one, has in self._of.items() if one is not but and kind in has}
        return max(others, key=others.__getitem__, default=None)

    def _count(self, holder: H, kind: Kind, number: int) -> None:
        """Count so many more; who has none of a kind is forgotten, and who has none at all."""
        theirs = self._of.setdefault(holder, Counter())
        for counter in (self._taken, theirs):
            counter[kind] += number
            if not counter[kind]:
                del counter[kind]
        if not theirs:
            del self._of[holder]
