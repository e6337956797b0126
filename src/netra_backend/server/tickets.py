"""Tickets: credentials for one request within 30 seconds, the only ones that may stand in a URL.

A browser cannot set headers on a WebSocket or an EventSource, and what stands in a URL ends up in
logs: so the page asks for a ticket with its real credential, and the ticket is used up at once.
"""

from collections.abc import Callable
from typing import Any

import jwt
from msgspec import Struct
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response

from netra_backend.core.credentials import Tickets
from netra_backend.core.ids import UserId, new_id
from netra_backend.errors import ErrorCode, Refused
from netra_backend.server.auth import Authenticator
from netra_backend.server.bearer import presents
from netra_backend.server.endpoints import Endpoint, answer
from netra_backend.server.tokens import LAST_SECOND
from netra_backend.server.user import User

SECONDS = 30
"""How long a ticket is good."""
PARAMETER = "ticket"
_AUDIENCE = "netra ticket"


class TicketView(Struct, frozen=True):
    """A ticket, and for how many seconds it is good."""

    ticket: str
    expires_in: int


class TicketAuth:
    """Takes tickets where they may stand, and asks `inner` about every other request.

    A socket that a ticket opened ends with the credential with which the ticket was asked for.
    `key` signs tickets; processes that share a store share it. `now` is the time in milliseconds
    since 1970.
    """

    def __init__(
        self, inner: Authenticator, store: Tickets, key: Callable[[], str], now: Callable[[], int]
    ) -> None:
        self._inner = inner
        self._store = store
        self._key = key
        self._now = now

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the operation for the table of endpoints."""
        return (
            Endpoint(
                "POST",
                "/auth/ticket",
                self.issue_ticket,
                "Issue a ticket: a credential for one socket or stream, as `?ticket=` in its URL.",
                result=TicketView,
                status=201,
            ),
        )

    async def issue_ticket(self, request: Request, user: User) -> Response:
        return answer(TicketView(self.issue(user), SECONDS), 201)

    def issue(self, user: User) -> str:
        """Return a ticket for `user`."""
        claims = {
            "sub": user.id,
            "aud": _AUDIENCE,
            "exp": min(self._now() // 1_000 + SECONDS, user.expires or LAST_SECOND),
            "jti": new_id("ticket"),
            "until": user.expires,
            "since": user.issued,
            "admin": user.admin,
        }
        return jwt.encode(claims, self._key(), algorithm="HS256")

    async def user(self, request: HTTPConnection) -> User:
        ticket = _ticket(request)
        return await (self._inner.user(request) if ticket is None else self._redeem(ticket))

    def known(self, request: HTTPConnection) -> User | None:
        return self._inner.known(request) if _ticket(request) is None else None

    async def verify(self, token: str) -> User:
        return await self._inner.verify(token)

    async def signs_in(self, request: HTTPConnection) -> str | None:
        return await self._inner.signs_in(request)

    async def _redeem(self, ticket: str) -> User:
        try:
            claims: dict[str, Any] = jwt.decode(
                ticket,
                self._key(),
                algorithms=["HS256"],
                audience=_AUDIENCE,
                options={"require": ["sub", "exp", "jti"]},
            )
        except (jwt.PyJWTError, RecursionError) as error:
            cause = str(error)
            raise Refused(
                ErrorCode.UNAUTHENTICATED, "the ticket is not valid", cause=cause
            ) from error
        if not await self._store.spend(claims["jti"], claims["exp"] * 1_000, self._now()):
            raise Refused(ErrorCode.UNAUTHENTICATED, "the ticket was used before")
        id = UserId(claims["sub"])
        admin = claims.get("admin") is True
        return User(id, claims["until"], claims.get("since", 0.0), admin=admin)


def _ticket(request: HTTPConnection) -> str | None:
    """Return the ticket of the request, or None.

    Raises Refused for two, or one beside a token: a proxy may have looked at the other.
    """
    if not request.scope["query_string"] or not _may_have_ticket(request):
        return None
    tickets = request.query_params.getlist(PARAMETER)
    if len(tickets) + (bool(tickets) and presents(request)) > 1:
        raise Refused(ErrorCode.UNAUTHENTICATED, "there is a ticket and another credential")
    return tickets[0] if tickets else None


def _may_have_ticket(request: HTTPConnection) -> bool:
    """A ticket opens a socket or reads a stream; it commands nothing."""
    return request.scope["type"] == "websocket" or request.scope.get("method") == "GET"
