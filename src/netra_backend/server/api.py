"""The HTTP API: threads, their messages and events, and runs."""

from starlette.requests import Request
from starlette.responses import Response

from netra_backend.agents.interrupts import expired
from netra_backend.core.ids import (
    RunId,
    ThreadId,
    ThreadKey,
    ThreadName,
    full_name,
    new_id,
    parse_id,
    parse_thread,
    thread_key,
)
from netra_backend.core.pages import is_full
from netra_backend.core.ports import Thread
from netra_backend.core.positions import parse_position
from netra_backend.core.roles import Role
from netra_backend.core.run import Run
from netra_backend.errors import ErrorCode, FrameError, Refused
from netra_backend.server.clock import now
from netra_backend.server.endpoints import (
    Endpoint,
    answer,
    cursor_of,
    decode_body,
    limit_of,
    read_body,
)
from netra_backend.server.house import House
from netra_backend.server.page_turns import PageTurns
from netra_backend.server.user import User
from netra_backend.server.views import (
    CancelledView,
    EventPage,
    MessagePage,
    NewThread,
    RunView,
    ThreadChange,
    ThreadPage,
    ThreadView,
    event_view,
    queued_view,
    run_view,
    thread_view,
)

_MOST_OPEN = 100
"""Interrupts of one thread that are looked at for whether they have expired: the newest ones."""

SOONER = "fewer where they have 1 MiB"
"""What is said of the limit of every page."""

_IN_THREAD = {"thread": "the thread it is in, if somebody else started it"}


class Api:
    """The operations on threads and runs."""

    def __init__(self, house: House, turns: PageTurns) -> None:
        self._house = house
        self._turns = turns

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the operations as the table that routes and OpenAPI are made from."""
        missing = (ErrorCode.NOT_FOUND, ErrorCode.BAD_INPUT)
        turns = self._turns
        return (
            Endpoint(
                "GET",
                "/threads",
                turns.of(self.list_threads),
                "The user's threads, and those shared with them, last updated first.",
                result=ThreadPage,
                query={
                    "limit": f"1 to 100, default 30; {SOONER}",
                    "before": "`next` of the page before",
                },
                errors=(ErrorCode.BAD_INPUT, ErrorCode.TOO_MANY),
            ),
            Endpoint(
                "POST",
                "/threads",
                self.create_thread,
                "Create a thread, or return the one with this id.",
                body=NewThread,
                result=ThreadView,
                status=201,
                errors=(ErrorCode.BAD_INPUT, ErrorCode.TOO_BIG),
            ),
            Endpoint(
                "GET",
                "/threads/{thread}",
                self.read_thread,
                "One thread.",
                result=ThreadView,
                errors=missing,
            ),
            Endpoint(
                "PATCH",
                "/threads/{thread}",
                self.rename_thread,
                "Rename a thread.",
                body=ThreadChange,
                result=ThreadView,
                errors=(*missing, ErrorCode.TOO_BIG),
            ),
            Endpoint(
                "DELETE",
                "/threads/{thread}",
                self.delete_thread,
                "Delete a thread, its events and its runs; what runs in it is cancelled.",
                status=204,
                errors=missing,
            ),
            Endpoint(
                "GET",
                "/threads/{thread}/messages",
                turns.of(self.list_messages),
                "The conversation as AG-UI messages: what its events add up to.",
                result=MessagePage,
                query={
                    "limit": f"1 to 1000, default 200; {SOONER}",
                    "before": "`next` of the page before",
                },
                errors=(*missing, ErrorCode.TOO_MANY),
            ),
            Endpoint(
                "GET",
                "/threads/{thread}/events",
                turns.of(self.list_events),
                "The thread's log.",
                result=EventPage,
                query={"limit": f"1 to 1000, default 500; {SOONER}", "after": "a position"},
                errors=(*missing, ErrorCode.TOO_MANY),
            ),
            Endpoint(
                "GET",
                "/runs/{run}",
                self.read_run,
                "One run.",
                result=RunView,
                query=_IN_THREAD,
                errors=missing,
            ),
            Endpoint(
                "POST",
                "/runs/{run}/cancel",
                self.cancel_run,
                "End a run.",
                result=CancelledView,
                query=_IN_THREAD,
                errors=missing,
            ),
        )

    async def list_threads(self, request: Request, user: User) -> Response:
        limit = limit_of(request, default=30, most=100)
        before = _before(request, user)
        threads = await self._house.store.threads(user.id, limit + 1, before)
        views = [await self._seen(thread, user) for thread in threads[:limit]]
        shown = [view for view in views if view is not None]
        more = len(threads) > limit or is_full(threads, Thread.size)
        last = threads[:limit][-1] if more else None
        following = f"{last.updated_at}-{full_name(last.key)}" if last is not None else None
        return answer(ThreadPage(shown, following))

    async def create_thread(self, request: Request, user: User) -> Response:
        body = await read_body(request, self._house.settings)
        new = decode_body(body or b"{}", NewThread)
        id = parse_id("id", new.id) if new.id is not None else new_id("thread")
        key = ThreadKey(user.id, ThreadId(id))
        thread = await self._house.store.open_thread(key, self._title(new.title), now())
        return answer(await self._view(thread, user), 201)

    async def read_thread(self, request: Request, user: User) -> Response:
        return answer(await self._view(await self._thread(request, user), user))

    async def rename_thread(self, request: Request, user: User) -> Response:
        body = await read_body(request, self._house.settings)
        change = decode_body(body, ThreadChange)
        title = self._title(change.title)
        key = await self._house.access.thread(user.id, thread_of(request), Role.OWNER)
        if not await self._house.store.rename_thread(key, title):
            raise Refused(ErrorCode.NOT_FOUND)
        return answer(await self._view(await self._thread(request, user), user))

    async def delete_thread(self, request: Request, user: User) -> Response:
        key = await self._house.access.thread(user.id, thread_of(request), Role.OWNER)
        if not await self._house.runner.delete_thread(key):
            raise Refused(ErrorCode.NOT_FOUND)
        return Response(status_code=204)

    async def list_messages(self, request: Request, user: User) -> Response:
        limit = limit_of(request, default=200, most=1_000)
        thread = await self._thread(request, user)
        before = request.query_params.get("before")
        page = await self._house.runner.conversations.page(thread.key, limit, before)
        await self._house.access.check(user.id, thread.key, Role.READ)  # folding takes time
        if page is not None and page.position.epoch == 0:  # deleted meanwhile
            raise Refused(ErrorCode.NOT_FOUND)
        if page is None:
            raise FrameError(
                "before is no message of this thread",
                code=ErrorCode.BAD_INPUT,
                where="$.before",
            )
        return answer(MessagePage(page.messages, str(page.position), page.following))

    async def list_events(self, request: Request, user: User) -> Response:
        limit = limit_of(request, default=500, most=1_000)
        thread = thread_key(user.id, thread_of(request))
        text = request.query_params.get("after")
        after = parse_position(text) if text is not None else None
        backlog = await self._house.store.backlog(thread, user.id, after, limit)
        if backlog is None:
            raise Refused(ErrorCode.NOT_FOUND)
        if after is not None and after.epoch != backlog.head.epoch:
            raise FrameError(
                "after is not in this thread's history",
                code=ErrorCode.BAD_INPUT,
                where="$.after",
            )
        page = backlog.entries
        last = page[-1].position if page else backlog.head
        following = str(last) if last < backlog.head else None
        return answer(EventPage([event_view(entry) for entry in page], following))

    async def read_run(self, request: Request, user: User) -> Response:
        id, thread = _run_of(request)
        run = await self._house.access.run(user.id, id, Role.READ, thread)
        if run is None:
            raise Refused(ErrorCode.NOT_FOUND)
        view = run_view(run, user.id) if isinstance(run, Run) else queued_view(run, user.id)
        return answer(view)

    async def cancel_run(self, request: Request, user: User) -> Response:
        id, thread = _run_of(request)
        key = await self._house.access.cancels(user.id, id, thread)
        position = await self._house.runner.cancel(key)
        return answer(CancelledView(key.id, str(position)))

    def _title(self, text: str) -> str:
        return _title(text, self._house.settings.title_length)

    async def _thread(self, request: Request, user: User) -> Thread:
        key = await self._house.access.thread(user.id, thread_of(request), Role.READ)
        thread = await self._house.store.thread(key)
        if thread is None:
            raise Refused(ErrorCode.NOT_FOUND)
        return thread

    async def _view(self, thread: Thread, user: User) -> ThreadView:
        view = await self._seen(thread, user)
        if view is None:
            raise Refused(ErrorCode.NOT_FOUND)
        return view

    async def _seen(self, thread: Thread, user: User) -> ThreadView | None:
        """Return what the user sees of the thread; None if it is shared with them no more."""
        run = await self._house.store.last_run(thread.key)
        questions = await self._questions(thread)
        role = await self._house.access.role(user.id, thread.key)  # last: all before is theirs
        return None if role is None else thread_view(thread, run, questions, user.id, role)

    async def _questions(self, thread: Thread) -> int:
        """Return how many interrupts can still be answered."""
        if thread.undecided == 0:
            return 0
        asked = await self._house.store.asked(thread.key, _MOST_OPEN)
        late = sum(one.decided_by is None and expired(one, now()) for one in asked)
        return max(0, thread.undecided - late)


def thread_of(request: Request) -> ThreadName:
    """Return the thread that the path names. Raises FrameError."""
    return parse_thread("thread", request.path_params["thread"])


def _run_of(request: Request) -> tuple[RunId, ThreadName | None]:
    """Return the run that the path names, and the thread that the query does."""
    text = request.query_params.get("thread")
    thread = parse_thread("thread", text) if text is not None else None
    return RunId(parse_id("run", request.path_params["run"])), thread


def _title(text: str, limit: int) -> str:
    title = " ".join(text.split())
    if not 1 <= len(title) <= limit:
        raise FrameError(
            f"a title has 1 to {limit} characters",
            code=ErrorCode.BAD_INPUT,
            where="$.title",
        )
    return title


def _before(request: Request, user: User) -> tuple[int, ThreadKey] | None:
    """Return the time and the thread behind which a page begins; None for the first page."""
    cursor = cursor_of(request, "before")
    if cursor is None:
        return None
    updated_at, name = cursor
    return updated_at, thread_key(user.id, parse_thread("before", name))
