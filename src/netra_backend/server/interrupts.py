"""Interrupts over HTTP: what the runs of a thread have asked, and the answers to it."""

import msgspec
from msgspec import Raw
from starlette.requests import Request
from starlette.responses import Response

from netra_backend.agents.interrupts import expired
from netra_backend.core.pages import is_full
from netra_backend.core.ports import Answer, Interrupt
from netra_backend.core.roles import Role
from netra_backend.core.session import parse_decision
from netra_backend.errors import ErrorCode, FrameError, Refused
from netra_backend.server.api import SOONER, thread_of
from netra_backend.server.clock import now
from netra_backend.server.endpoints import Endpoint, answer, decode_body, limit_of, read_body
from netra_backend.server.house import House
from netra_backend.server.page_turns import PageTurns
from netra_backend.server.user import User
from netra_backend.server.views import DecidedView, InterruptPage, NewAnswer, interrupt_view

STATUSES = frozenset({"open", "expired", "resolved", "cancelled"})


class InterruptsApi:
    """The operations on interrupts."""

    def __init__(self, house: House, turns: PageTurns) -> None:
        self._house = house
        self._turns = turns

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the operations for the table of endpoints."""
        return (
            Endpoint(
                "GET",
                "/threads/{thread}/interrupts",
                self._turns.of(self.list_interrupts),
                "What the runs of the thread have asked, the newest last.",
                result=InterruptPage,
                query={
                    "limit": f"1 to 1000, default 100: the newest ones; {SOONER}",
                    "before": "`next` of the page before",
                    "status": "`open`, `expired`, `resolved` or `cancelled`: these of them",
                },
                errors=(ErrorCode.NOT_FOUND, ErrorCode.BAD_INPUT, ErrorCode.TOO_MANY),
            ),
            Endpoint(
                "POST",
                "/threads/{thread}/interrupts",
                self.decide_interrupt,
                "Answer an interrupt. The first answer counts; later ones learn who decided what.",
                body=NewAnswer,
                result=DecidedView,
                errors=(
                    ErrorCode.NOT_FOUND,
                    ErrorCode.BAD_INPUT,
                    ErrorCode.BAD_ANSWER,
                    ErrorCode.EXPIRED,
                    ErrorCode.CHANGED,
                    ErrorCode.TOO_BIG,
                ),
            ),
        )

    async def list_interrupts(self, request: Request, user: User) -> Response:
        limit = limit_of(request, default=100, most=1_000)
        wanted = request.query_params.get("status")
        if wanted is not None and wanted not in STATUSES:
            raise FrameError(
                f"status is one of {', '.join(sorted(STATUSES))}",
                code=ErrorCode.BAD_INPUT,
                where="$.status",
            )
        thread = await self._house.access.thread(user.id, thread_of(request), Role.READ)
        if await self._house.store.thread(thread) is None:
            raise Refused(ErrorCode.NOT_FOUND)
        before = request.query_params.get("before")
        if before is not None and await self._house.store.interrupt(thread, before) is None:
            raise FrameError(
                "before is no interrupt of this thread",
                code=ErrorCode.BAD_INPUT,
                where="$.before",
            )
        asked = await self._house.store.asked(thread, limit + 1, before)
        more = len(asked) > limit or is_full(asked, Interrupt.size)
        asked = asked[-limit:]
        await self._house.access.check(user.id, thread, Role.READ)  # or removed meanwhile
        views = [interrupt_view(one, expired=expired(one, now())) for one in asked]
        shown = [view for view in views if wanted in (None, view.status)]
        return answer(InterruptPage(shown, asked[0].id if more else None))

    async def decide_interrupt(self, request: Request, user: User) -> Response:
        given = decode_body(await read_body(request, self._house.settings), NewAnswer)
        parse_decision(given.status)
        thread = await self._house.access.thread(user.id, thread_of(request), Role.DECIDE)
        decided = await self._house.runner.interrupts.decide(
            thread,
            Answer(given.interrupt, given.status, msgspec.json.encode(given.payload)),
            user.id,
            given.digest,
        )
        interrupt = decided.decision.interrupt
        return answer(
            DecidedView(
                interrupt=interrupt.id,
                by=interrupt.decided_by or "",
                won=decided.decision.won,
                status=interrupt.status or "",
                payload=Raw(interrupt.answer or b"null"),
                run=decided.run,
            )
        )
