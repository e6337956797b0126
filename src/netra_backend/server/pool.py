"""The pool: the live connections of this node, sockets and event streams, and their limits.

Every decision is synchronous, takes no time that grows with the members of others, and returns
what to close. There is no lock: nothing can be re-entered, and a dead socket always leaves, because
its own task removes it in a ``finally``.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Protocol, TypeVar

from msgspec import Struct

from netra_backend.config import WhenFull
from netra_backend.core.ids import UserId
from netra_backend.errors import CloseCode, ErrorCode
from netra_backend.server.follower import ThreadFollower
from netra_backend.server.metrics import ADDRESSES, CONNECTIONS, TURNED_AWAY, USERS
from netra_backend.server.user import User

K = TypeVar("K", bound=Hashable)

ALL, OF_ADDRESS, OF_USER = "all", "address", "user"
"""The limits that a connection may meet, as the metric names them."""


class Member(Protocol):
    """What the pool asks of a connection."""

    id: str
    """Its id, as in the log."""

    @property
    def user(self) -> UserId:
        """Whose it is."""
        ...

    @property
    def credential(self) -> User:
        """Who that is, and with what it was opened or renewed."""
        ...

    @property
    def state(self) -> str:
        """The name of the state that it is in."""
        ...

    @property
    def buffered(self) -> int:
        """Bytes that are unsent."""
        ...

    @property
    def following(self) -> Iterable[ThreadFollower]:
        """What it follows."""
        ...

    @property
    def silent_since(self) -> float | None:
        """When its client last said something, on the loop's clock; None while it is at work."""
        ...

    def dismiss(self, code: CloseCode) -> None:
        """End soon, with the code where there is one to send."""
        ...

    async def drain(self, retry_after_ms: int) -> None:
        """Say goodbye, because the server restarts, and end."""
        ...


class Place(Struct, frozen=True):
    """Where a member connects from, and since when, in milliseconds since 1970."""

    address: str
    since: int


class Admission(Struct, frozen=True):
    """Whether a connection was let in: if not, the code to close it with.

    `instead` is a member that has to be dismissed, with ``REPLACED``, for the one that was let in.
    """

    refused: CloseCode | None = None
    instead: Member | None = None


_LET_IN = Admission()


class Pool:
    """The live connections: at most `limit` in all, and so many of one user and one address.

    `when_full` says what becomes of the connection with which a user would have too many.
    """

    def __init__(
        self,
        *,
        limit: int,
        per_user: int,
        per_address: int | None = None,
        when_full: WhenFull = WhenFull.REFUSE,
    ) -> None:
        self._limit = limit
        self._per_user = per_user
        self._per_address = per_address
        self._when_full = when_full
        self._members: dict[Member, Place] = {}
        self._leaving: set[Member] = set()
        self._of_user: dict[UserId, dict[Member, None]] = {}
        self._of_address: dict[str, dict[Member, None]] = {}
        self._is_closed = False
        self.left: Callable[[UserId, str], None] = lambda user, address: None
        """Called when a member counts no more, with its user and its address."""

    def __repr__(self) -> str:
        return (
            f"<Pool {len(self._members)} of {self._limit} connections, {len(self._of_user)} users,"
            f" {len(self._of_address)} addresses>"
        )

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._members))

    @property
    def is_closed(self) -> bool:
        """Whether nobody is let in any more."""
        return self._is_closed

    def close(self) -> None:
        """Let nobody in any more: those who are in are told that the server restarts."""
        self._is_closed = True

    def open(self) -> None:
        """Let in again who comes: a pool begins so."""
        self._is_closed = False

    def place(self, member: Member) -> Place:
        """Return where the member, which is in, connects from and since when."""
        return self._members[member]

    def find(self, id: str) -> Member | None:
        """Return the member with this id, or None."""
        return next((member for member in self._members if member.id == id), None)

    def has_room(self, user: UserId, address: str) -> bool:
        """Return whether a connection would be let in, with no other one dismissed for it."""
        return (
            not self._is_closed
            and len(self._members) - len(self._leaving) < self._limit
            and len(self._of_user.get(user, ())) < self._per_user
            and (
                self._per_address is None
                or len(self._of_address.get(address, ())) < self._per_address
            )
        )

    def admit(self, member: Member, address: str, now: int) -> Admission:
        """Let the connection in and count it, or say why not."""
        admission = self._decide(member, address)
        if admission.refused is None:
            if admission.instead is not None:
                self._retire(admission.instead)
            self.take_in(member, address, now)
        return admission

    def take_in(self, member: Member, address: str, now: int) -> None:
        """Count a connection for which `has_room` says in this turn of the loop that there is."""
        self._members[member] = Place(address, now)
        self._of_user.setdefault(member.user, {})[member] = None
        self._of_address.setdefault(address, {})[member] = None

    def retire(self, user: UserId, at: str | None = None) -> Member | None:
        """Count the user's most silent member no more, and return it: it has to be dismissed.

        None if there is none, or if it connects from another address than `at`.
        """
        member = _most_silent(self._of_user.get(user, ()))
        if member is None or at not in (None, self._members[member].address):
            return None
        self._retire(member)
        return member

    def remove(self, member: Member) -> None:
        """Count it no more. Idempotent."""
        if member not in self._members:
            return
        if member in self._leaving:
            self._leaving.discard(member)
        else:
            self._leave_count(member)
        del self._members[member]

    def _decide(self, member: Member, address: str) -> Admission:
        if self.has_room(member.user, address):
            return _LET_IN
        if self._is_closed:
            return Admission(CloseCode.RESTARTING)
        theirs = self._of_user.get(member.user, {})
        beside = self._of_address.get(address, {})
        instead: Member | None = None
        if len(theirs) >= self._per_user and self._when_full is WhenFull.REPLACE:
            instead = _most_silent(theirs)
        freed = 0 if instead is None else 1
        if len(self._members) - len(self._leaving) - freed >= self._limit:
            return Admission(turned_away(ALL))
        if self._per_address is not None and len(beside) - (instead in beside) >= self._per_address:
            return Admission(turned_away(OF_ADDRESS))
        if len(theirs) - freed >= self._per_user:
            return Admission(turned_away(OF_USER))
        return Admission(instead=instead)

    def _retire(self, member: Member) -> None:
        """Let another connection have the member's place, while it is being dismissed."""
        TURNED_AWAY.labels("replaced").inc()
        self._leave_count(member)
        self._leaving.add(member)

    def _leave_count(self, member: Member) -> None:
        """Take the member out of what is limited for its user and its address."""
        address = self._members[member].address
        _drop(self._of_user, member.user, member)
        _drop(self._of_address, address, member)
        self.left(member.user, address)

    def measure(self) -> None:
        """Have the metrics show how many there are; to be called before they are read.

        A gauge takes as long as all other counting here, and so is not set for each connection.
        """
        CONNECTIONS.set(len(self._members))
        USERS.set(len(self._of_user))
        ADDRESSES.set(len(self._of_address))


def turned_away(limit: str) -> CloseCode:
    """Count a connection for which this limit leaves no room; return the code to close it with."""
    TURNED_AWAY.labels(limit).inc()
    return CloseCode.OVERLOADED if limit == ALL else CloseCode.TOO_MANY


def error_code(code: CloseCode) -> ErrorCode:
    """Return what HTTP, and the log, call it that a connection is closed with the code at once."""
    return ErrorCode.DRAINING if code is CloseCode.RESTARTING else ErrorCode[code.name]


def _drop(counted: dict[K, dict[Member, None]], key: K, member: Member) -> None:
    """Count the member no more under the key."""
    members = counted[key]
    del members[member]
    if not members:
        del counted[key]


def _most_silent(members: Iterable[Member]) -> Member | None:
    """Return the one whose client has said nothing for longest, of those that are not at work."""
    idle = [(since, member) for member in members if (since := member.silent_since) is not None]
    return min(idle, key=lambda pair: pair[0])[1] if idle else None
