"""The pool: the live connections of this node, sockets and event streams, and their limits.

Every decision is synchronous and there is no lock: nothing can be re-entered, and a dead socket
always leaves, because its own task removes it in a ``finally``.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Protocol

from netra_backend.core.ids import UserId
from netra_backend.errors import CloseCode
from netra_backend.server.metrics import CONNECTIONS
from netra_backend.server.user import User


class Member(Protocol):
    """What the pool asks of a connection."""

    @property
    def user(self) -> UserId:
        """Whose it is."""
        ...

    @property
    def credential(self) -> User:
        """Who that is, and with what it was opened or renewed."""
        ...

    def dismiss(self, code: CloseCode) -> None:
        """End soon, with the code where there is one to send."""
        ...

    async def drain(self, retry_after_ms: int) -> None:
        """Say goodbye, because the server restarts, and end."""
        ...


class Pool:
    """The live connections: at most `limit` in all and `per_user` of one user."""

    def __init__(self, *, limit: int, per_user: int) -> None:
        self._limit = limit
        self._per_user = per_user
        self._members: dict[Member, None] = {}
        self._of_user: Counter[UserId] = Counter()

    def __repr__(self) -> str:
        users = len(self._of_user)
        return f"<Pool {len(self._members)} of {self._limit} connections, {users} users>"

    def __len__(self) -> int:
        return len(self._members)

    def __iter__(self) -> Iterator[Member]:
        return iter(list(self._members))

    def refusal(self, user: UserId) -> CloseCode | None:
        """Return the code with which a further connection of `user` is refused, or None."""
        if len(self._members) >= self._limit:
            return CloseCode.OVERLOADED
        if self._of_user.get(user, 0) >= self._per_user:
            return CloseCode.TOO_MANY
        return None

    def add(self, member: Member) -> None:
        """Count a connection. The caller has asked `refusal` in the same turn of the loop."""
        self._members[member] = None
        self._of_user[member.user] += 1
        CONNECTIONS.set(len(self._members))

    def remove(self, member: Member) -> None:
        """Count it no more. Idempotent."""
        if member not in self._members:
            return
        del self._members[member]
        self._of_user[member.user] -= 1
        if not self._of_user[member.user]:
            del self._of_user[member.user]
        CONNECTIONS.set(len(self._members))
