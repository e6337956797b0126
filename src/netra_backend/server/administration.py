"""Administration over HTTP: seeing what users have open, and ending it."""

from starlette.requests import Request
from starlette.responses import Response

from netra_backend.core.ids import UserId, parse_id
from netra_backend.errors import ErrorCode, Refused
from netra_backend.server.api import SOONER
from netra_backend.server.clock import now
from netra_backend.server.endpoints import Endpoint, answer, cursor_of, limit_of
from netra_backend.server.roster import Roster, Wanted
from netra_backend.server.user import User
from netra_backend.server.views import ConnectionPage
from netra_backend.server.withdrawals import Withdrawals


class AdministrationApi:
    """The operations of administrators; `Settings.admins` and `User.admin` say who that is."""

    def __init__(self, roster: Roster, withdrawals: Withdrawals) -> None:
        self._roster = roster
        self._withdrawals = withdrawals

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the operations for the table of endpoints."""
        return (
            Endpoint(
                "GET",
                "/connections",
                self.list_connections,
                "The live connections of all workers, the oldest first. For administrators.",
                result=ConnectionPage,
                query={
                    "limit": f"1 to 1000, default 100; {SOONER}",
                    "after": "`next` of the page before",
                    "user": "those of this user",
                },
                errors=(ErrorCode.BAD_INPUT,),
            ),
            Endpoint(
                "DELETE",
                "/connections/{connection}",
                self.close_connection,
                "Close a connection, of whichever worker, with 1001. For administrators.",
                status=204,
                errors=(ErrorCode.BAD_INPUT, ErrorCode.NOT_FOUND, ErrorCode.OVERLOADED),
            ),
            Endpoint(
                "DELETE",
                "/users/{user}/sessions",
                self.revoke_sessions,
                "Revoke what was issued to a user until now, and close what they have open. For "
                "administrators, and for oneself.",
                status=204,
                errors=(ErrorCode.BAD_INPUT,),
            ),
        )

    async def list_connections(self, request: Request, user: User) -> Response:
        check_admin(user)
        wanted = Wanted(
            limit_of(request, default=100, most=1_000),
            _after(request),
            request.query_params.get("user"),
        )
        return answer(await self._roster.page(wanted))

    async def close_connection(self, request: Request, user: User) -> Response:
        check_admin(user)
        if not await self._roster.close(parse_id("connection", request.path_params["connection"])):
            raise Refused(ErrorCode.NOT_FOUND)
        return Response(status_code=204)

    async def revoke_sessions(self, request: Request, user: User) -> Response:
        revoked = UserId(parse_id("user", request.path_params["user"]))
        if revoked != user.id:
            check_admin(user)
        await self._withdrawals.revoke(revoked, now())
        return Response(status_code=204)


def _after(request: Request) -> tuple[int, str]:
    """Return the time and the connection behind which a page begins."""
    cursor = cursor_of(request, "after")
    if cursor is None:
        return (-1, "")
    since, id = cursor
    return since, parse_id("after", id)


def check_admin(user: User) -> None:
    """Raise Refused (``forbidden``) unless the user is an administrator."""
    if not user.admin:
        raise Refused(ErrorCode.FORBIDDEN, "this is for administrators")
