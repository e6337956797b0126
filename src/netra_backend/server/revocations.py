"""Revocations: credentials that are good no more, although they have not expired."""

from collections.abc import Callable, Mapping

from msgspec.structs import replace
from starlette.requests import HTTPConnection

from netra_backend.core.credentials import Revocations
from netra_backend.core.ids import UserId
from netra_backend.errors import ErrorCode, Refused
from netra_backend.server.auth import Authenticator
from netra_backend.server.user import User


class UnrevokedAuth:
    """Asks `inner` who sends a request, and refuses what was revoked.

    What is revoked is kept here, so that no request waits for it: `load` reads it anew. `now` is
    the time in milliseconds since 1970. `admins` are administrators whatever `inner` says.
    """

    def __init__(
        self,
        inner: Authenticator,
        store: Revocations,
        now: Callable[[], int],
        admins: tuple[str, ...],
    ) -> None:
        self._inner = inner
        self._store = store
        self._now = now
        self._admins = frozenset(admins)
        self._revoked: Mapping[UserId, int] = {}

    async def load(self) -> None:
        """Learn what has been revoked, in this process or another."""
        self._revoked = await self._store.revocations()

    def is_revoked(self, user: User) -> bool:
        """Return whether what was issued to the user then is good no more."""
        until = self._revoked.get(user.id)
        return until is not None and (user.issued or 0.0) * 1_000 <= until

    async def user(self, request: HTTPConnection) -> User:
        return self._checked(await self._inner.user(request))

    def known(self, request: HTTPConnection) -> User | None:
        user = self._inner.known(request)
        return None if user is None else self._checked(user)

    async def verify(self, token: str) -> User:
        return self._checked(await self._inner.verify(token))

    async def signs_in(self, request: HTTPConnection) -> str | None:
        return await self._inner.signs_in(request)

    def _checked(self, user: User) -> User:
        """Return the user with what is known of them here. Raises Refused."""
        if user.issued is None:
            user = replace(user, issued=self._now() / 1_000)
        if self.is_revoked(user):
            raise Refused(ErrorCode.UNAUTHENTICATED, "the credential was revoked")
        return user if user.id not in self._admins else replace(user, admin=True)
