"""Administration over HTTP: ending what users have open."""

from starlette.requests import Request
from starlette.responses import Response

from netra_backend.core.ids import UserId, parse_id
from netra_backend.errors import ErrorCode, Refused
from netra_backend.server.clock import now
from netra_backend.server.endpoints import Endpoint
from netra_backend.server.user import User
from netra_backend.server.withdrawals import Withdrawals


class AdministrationApi:
    """The operations of administrators; `Settings.admins` and `User.admin` say who that is."""

    def __init__(self, withdrawals: Withdrawals) -> None:
        self._withdrawals = withdrawals

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the operations for the table of endpoints."""
        return (
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

    async def revoke_sessions(self, request: Request, user: User) -> Response:
        revoked = UserId(parse_id("user", request.path_params["user"]))
        if revoked != user.id:
            check_admin(user)
        await self._withdrawals.revoke(revoked, now())
        return Response(status_code=204)


def check_admin(user: User) -> None:
    """Raise Refused (``forbidden``) unless the user is an administrator."""
    if not user.admin:
        raise Refused(ErrorCode.FORBIDDEN, "this is for administrators")
