"""Members over HTTP: with whom a thread is shared, and as what."""

from starlette.requests import Request
from starlette.responses import Response

from netra_backend import jsonlog
from netra_backend.core.ids import UserId, parse_id
from netra_backend.core.roles import Role
from netra_backend.errors import ErrorCode, FrameError, Refused
from netra_backend.server.api import thread_of
from netra_backend.server.endpoints import Endpoint, answer, decode_body, read_body
from netra_backend.server.house import House
from netra_backend.server.user import User
from netra_backend.server.views import Invitation, MemberList, MemberView

log = jsonlog.get_logger(__name__)


class MembersApi:
    """The operations on a thread's members. Only the owner invites; whoever is in may leave."""

    def __init__(self, house: House) -> None:
        self._house = house

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the operations for the table of endpoints."""
        missing = (ErrorCode.NOT_FOUND, ErrorCode.BAD_INPUT)
        return (
            Endpoint(
                "GET",
                "/threads/{thread}/members",
                self.list_members,
                "Who may see the thread, and as what.",
                result=MemberList,
                errors=missing,
            ),
            Endpoint(
                "PUT",
                "/threads/{thread}/members/{user}",
                self.set_member,
                "Share the thread with a user, or give a member another role.",
                body=Invitation,
                result=MemberView,
                errors=(*missing, ErrorCode.TOO_BIG, ErrorCode.TOO_MANY),
            ),
            Endpoint(
                "DELETE",
                "/threads/{thread}/members/{user}",
                self.remove_member,
                "Share the thread with a user no more; what they follow of it ends. A member may "
                "remove themselves.",
                status=204,
                errors=missing,
            ),
        )

    async def list_members(self, request: Request, user: User) -> Response:
        thread = await self._house.access.thread(user.id, thread_of(request), Role.READ)
        if await self._house.store.thread(thread) is None:
            raise Refused(ErrorCode.NOT_FOUND)
        members = await self._house.store.members(thread)
        await self._house.access.check(user.id, thread, Role.READ)  # or removed meanwhile
        views = [MemberView(member.user, member.role) for member in members]
        return answer(MemberList([MemberView(thread.owner, Role.OWNER), *views]))

    async def set_member(self, request: Request, user: User) -> Response:
        given = decode_body(await read_body(request, self._house.settings), Invitation)
        member, role = _member(request), Role(given.role)
        thread = await self._house.access.thread(user.id, thread_of(request), Role.OWNER)
        if member == thread.owner:
            raise FrameError("the owner is no member", code=ErrorCode.BAD_INPUT, where="$.user")
        limit = self._house.settings.thread_members
        if not await self._house.store.set_member(thread, member, role, limit):
            raise Refused(ErrorCode.NOT_FOUND)
        with jsonlog.bind(thread=thread.id):
            log.info("shared", extra={"member": member, "role": role})
        return answer(MemberView(member, role))

    async def remove_member(self, request: Request, user: User) -> Response:
        member = _member(request)
        needs = Role.READ if member == user.id else Role.OWNER
        thread = await self._house.access.thread(user.id, thread_of(request), needs)
        if not await self._house.store.remove_member(thread, member):
            raise Refused(ErrorCode.NOT_FOUND)
        self._house.access.withdraw(thread, member)
        with jsonlog.bind(thread=thread.id):
            log.info("shared no more", extra={"member": member})
        return Response(status_code=204)


def _member(request: Request) -> UserId:
    return UserId(parse_id("user", request.path_params["user"]))
