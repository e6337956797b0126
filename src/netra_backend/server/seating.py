"""Seating: how a connection gets room, among all nodes that share the store and in this one's pool.

The pool of a node decides at once, and knows its own members only. Where there are other nodes, a
connection first reserves a seat among all of them; the pool gives it back when the connection
leaves.
"""

from typing import Self

from netra_backend.config import Settings, WhenFull
from netra_backend.core.ids import UserId
from netra_backend.core.nodes import Nodes, Seat
from netra_backend.errors import CloseCode
from netra_backend.server.clock import now
from netra_backend.server.pool import ALL, OF_ADDRESS, OF_USER, Member, Pool, turned_away
from netra_backend.server.revocations import UnrevokedAuth


class Seating:
    """Takes and gives the seats of the `pool`'s members; without `nodes` there is always one."""

    def __init__(
        self, settings: Settings, pool: Pool, auth: UnrevokedAuth, nodes: Nodes | None = None
    ) -> None:
        self._settings = settings
        self._pool = pool
        self._auth = auth
        self._nodes = nodes
        if nodes is not None:
            pool.left = self.give
            nodes.let_make_room(lambda seat: self._replace(UserId(seat.of)))

    @property
    def waits(self) -> bool:
        """Whether others have to be asked for a seat."""
        return self._nodes is not None

    async def reserve(self, user: UserId, address: str) -> "Reservation":
        """Return a seat for a connection, or that there is none. Raises StoreFailed."""
        return Reservation(self, address, user, await self._take(user, address))

    def enter(self, member: Member, address: str) -> CloseCode | None:
        """Take the member into the pool; return the code to close it with if that cannot be."""
        if self._auth.is_revoked(member.credential):
            return CloseCode.UNAUTHENTICATED  # since it was asked who that is
        admission = self._pool.admit(member, address, now())
        if admission.instead is not None:
            admission.instead.dismiss(CloseCode.REPLACED)
        return admission.refused

    def give(self, user: UserId, address: str) -> None:
        """Give a seat back."""
        if self._nodes is not None:
            self._nodes.give(self._seats(user, address))

    async def _take(self, user: UserId, address: str) -> CloseCode | None:
        """Take a seat; return the code to close the connection with if none is left."""
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
        return turned_away(full[0].kind) if full else None

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


class Reservation:
    """The seat of a connection that comes, if there is one, until it has entered the pool.

    Use it as a context manager: at the end of the block the seat is given back, unless a member has
    it.
    """

    def __init__(
        self, seating: Seating, address: str, user: UserId, full: CloseCode | None
    ) -> None:
        self._seating = seating
        self._address = address
        self._user = user
        self._full = full
        self._is_ours = full is None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._is_ours:
            self._seating.give(self._user, self._address)

    def enter(self, member: Member) -> CloseCode | None:
        """Take the member into the pool; return the code to close it with if that cannot be."""
        code = self._full or self._seating.enter(member, self._address)
        if code is None:
            self._is_ours = False  # from here on it is the pool's
        return code
