"""Administration over HTTP: seeing what users have open, and ending it."""

import logging

from starlette.requests import Request
from starlette.responses import Response

from netra_backend.core.ids import UserId, parse_id
from netra_backend.errors import CloseCode, ErrorCode, FrameError, Refused
from netra_backend.server.clock import now
from netra_backend.server.endpoints import Endpoint, answer, limit_of
from netra_backend.server.follower import ThreadFollower
from netra_backend.server.house import House
from netra_backend.server.pool import Member, Place
from netra_backend.server.user import User
from netra_backend.server.views import ConnectionPage, ConnectionView, FollowedView
from netra_backend.server.withdrawals import Withdrawals

log = logging.getLogger(__name__)


class AdministrationApi:
    """The operations of administrators; `Settings.admins` and `User.admin` say who that is."""

    def __init__(self, house: House, withdrawals: Withdrawals) -> None:
        self._house = house
        self._withdrawals = withdrawals

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the operations for the table of endpoints."""
        return (
            Endpoint(
                "GET",
                "/connections",
                self.list_connections,
                "The live connections of this process, the oldest first. For administrators.",
                result=ConnectionPage,
                query={
                    "limit": "1 to 1000, default 100",
                    "after": "`next` of the page before",
                    "user": "those of this user",
                },
                errors=(ErrorCode.BAD_INPUT,),
            ),
            Endpoint(
                "DELETE",
                "/connections/{connection}",
                self.close_connection,
                "Close a connection of this process with 1001. For administrators.",
                status=204,
                errors=(ErrorCode.BAD_INPUT, ErrorCode.NOT_FOUND),
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
        limit = limit_of(request, default=100, most=1_000)
        of_user = request.query_params.get("user")
        members = [m for m in self._house.pool if of_user in (None, m.user)]
        after = _cursor(request.query_params.get("after"))
        pool = self._house.pool
        found = sorted(((m, pool.place(m)) for m in members), key=lambda one: _order(*one))
        rest = [(member, place) for member, place in found if _order(member, place) > after]
        views = [await self._view(member, place) for member, place in rest[:limit]]
        following = f"{views[-1].since}-{views[-1].id}" if len(rest) > limit else None
        return answer(ConnectionPage(views, len(self._house.pool), following))

    async def close_connection(self, request: Request, user: User) -> Response:
        check_admin(user)
        member = self._house.pool.find(parse_id("connection", request.path_params["connection"]))
        if member is None:
            raise Refused(ErrorCode.NOT_FOUND)
        log.warning("closed by an administrator", extra={"closed": member.id})
        member.dismiss(CloseCode.GOING_AWAY)
        return Response(status_code=204)

    async def revoke_sessions(self, request: Request, user: User) -> Response:
        revoked = UserId(parse_id("user", request.path_params["user"]))
        if revoked != user.id:
            check_admin(user)
        await self._withdrawals.revoke(revoked, now())
        return Response(status_code=204)

    async def _view(self, member: Member, place: Place) -> ConnectionView:
        """Return what administrators see of a member, which may leave meanwhile."""
        return ConnectionView(
            id=member.id,
            user=member.user,
            kind=type(member).__name__,
            state=member.state,
            address=place.address,
            since=place.since,
            seconds=(now() - place.since) / 1_000,
            buffered=member.buffered,
            threads=[await self._followed(follower) for follower in list(member.following)],
        )

    async def _followed(self, follower: ThreadFollower) -> FollowedView:
        thread = await self._house.store.thread(follower.thread)
        position = follower.position
        known = thread is not None and thread.head.epoch == position.epoch
        return FollowedView(
            owner=follower.thread.owner,
            thread=follower.thread.id,
            position=str(position),
            state=follower.state.name,
            lag=thread.head.offset - position.offset if known and thread is not None else None,
        )


def _order(member: Member, place: Place) -> tuple[int, str]:
    """Return what connections are listed by."""
    return place.since, member.id


def _cursor(text: str | None) -> tuple[int, str]:
    """Return what ``next`` of a page spells: after which time and id to begin."""
    if text is None:
        return (-1, "")
    since, _, id = text.partition("-")
    if not (since.isascii() and since.isdigit() and len(since) <= 15):
        raise FrameError(
            "after is not the `next` of a page", code=ErrorCode.BAD_INPUT, where="$.after"
        )
    return int(since), parse_id("after", id)


def check_admin(user: User) -> None:
    """Raise Refused (``forbidden``) unless the user is an administrator."""
    if not user.admin:
        raise Refused(ErrorCode.FORBIDDEN, "this is for administrators")
