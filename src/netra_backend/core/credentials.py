"""What a store promises about credentials: which are used up, and which were taken away.

Part of `core.ports.Store`; what is said there of concurrency and times holds here.
"""

from collections.abc import Awaitable, Mapping
from typing import Protocol

from netra_backend.core.ids import UserId


class Tickets(Protocol):
    """Tickets that are used up: credentials that are good for one request."""

    def spend(self, ticket: str, expires_at: int, now: int) -> Awaitable[bool]:
        """Use the ticket up; return whether nobody had before: one compare-and-set.

        Of any number of concurrent calls, in all processes that share the store, exactly one
        gets True. What was spent may be forgotten once `expires_at` has passed. StoreFailed as in
        `core.ports.Log.append`.
        """
        ...


class Revocations(Protocol):
    """Users whose credentials were taken away."""

    def revoke(self, user: UserId, at: int) -> Awaitable[None]:
        """Note that what was issued to the user until `at` is good no more.

        Of several times the latest counts. A withdrawal.
        """
        ...

    def revocations(self) -> Awaitable[Mapping[UserId, int]]:
        """Return until when what was issued to whom is good no more."""
        ...

    def withdrawals(self) -> Awaitable[int]:
        """Return a number that is greater after each withdrawal, in whichever process it was.

        So who keeps something open looks at the rest only when this has changed.
        """
        ...
