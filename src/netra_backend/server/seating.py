"""Seating: room for a connection among all nodes that share the store, before this one's pool.

The pool of a node decides at once, and knows its own members only. Where there are other nodes, a
connection first takes a seat among all of them; the pool gives it back when the connection leaves.
"""

from netra_backend.config import Settings, WhenFull
from netra_backend.core.ids import UserId
from netra_backend.core.nodes import Nodes, Seat
from netra_backend.errors import CloseCode
from netra_backend.server.pool import ALL, OF_ADDRESS, OF_USER, Pool, turned_away


class Seating:
    """Takes and gives the seats of the `pool`'s members; without `nodes` there is always one."""

    def __init__(self, settings: Settings, pool: Pool, nodes: Nodes | None = None) -> None:
        self._settings = settings
        self._pool = pool
        self._nodes = nodes
        if nodes is not None:
            pool.left = self.give
            nodes.let_make_room(lambda seat: self._replace(UserId(seat.of)))

    @property
    def waits(self) -> bool:
        """Whether others have to be asked for a seat."""
        return self._nodes is not None

    async def take(self, user: UserId, address: str) -> CloseCode | None:
        """Take a seat; return the code to close the connection with if none is left.

        Raises StoreFailed.
        """
        if self._nodes is None:
            return None
        seats = self._seats(user, address)
        full = await self._nodes.take(seats)
        kinds = {seat.kind for seat in full}
        if self._replaces and OF_USER in kinds:
            # Whose address is full too gains nothing by the end of a connection from another.
            at = address if OF_ADDRESS in kinds else None
            if self._replace(user, at) or (at is None and await self._nodes.make_room(seats[-1])):
                full = await self._nodes.take(seats)
        if not full:
            return None
        return turned_away(full[0].kind)

    def give(self, user: UserId, address: str) -> None:
        """Give a seat back."""
        if self._nodes is not None:
            self._nodes.give(self._seats(user, address))

    def _replace(self, user: UserId, at: str | None = None) -> bool:
        """Dismiss the most silent of the user's connections here; return whether there is one.

        With `at`, an address, it has to be one from there.
        """
        member = self._pool.retire(user, at)
        if member is not None:
            member.dismiss(CloseCode.REPLACED)
        return member is not None

    @property
    def _replaces(self) -> bool:
        return self._settings.when_full is WhenFull.REPLACE

    def _seats(self, user: UserId, address: str) -> list[Seat]:
        """Return what is limited, in the order in which a pool looks."""
        limits = (
            (ALL, "", self._settings.connections),
            (OF_ADDRESS, address, self._settings.connections_per_address),
            (OF_USER, user, self._settings.connections_per_user),
        )
        return [Seat(kind, of, limit) for kind, of, limit in limits if limit is not None]
