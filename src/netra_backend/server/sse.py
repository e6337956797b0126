"""``POST /agui/{agent}``: a run as server-sent events, what AG-UI's HttpAgent speaks.

Idempotent by run id: a second request for the run attaches to it. ``id:`` lines are positions,
and ``Last-Event-ID`` continues after one. Leaving does not cancel the run. A stream counts in the
pool like a socket, and breaks off when its credential ends: the client resumes with a new one.
Source: WHATWG HTML section 9.2, AG-UI 1.0 transports.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator
from contextlib import ExitStack

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from netra_backend.core.codec import decode_input
from netra_backend.core.events import TERMINAL
from netra_backend.core.ids import RunId, RunKey, UserId, parse_id
from netra_backend.core.positions import Position, parse_position
from netra_backend.core.run import Run
from netra_backend.errors import CloseCode, ErrorCode, Refused
from netra_backend.server.batch import Batch
from netra_backend.server.connection import House
from netra_backend.server.endpoints import Endpoint, read_body
from netra_backend.server.follower import ThreadFollower
from netra_backend.server.lane import LaneClosed
from netra_backend.server.user import User, at_expiry

log = logging.getLogger(__name__)

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that proxies keep the stream open."""

_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

_REFUSALS = {
    CloseCode.TOO_MANY: Refused(ErrorCode.TOO_MANY, "the user's connections are all in use"),
    CloseCode.OVERLOADED: Refused(ErrorCode.OVERLOADED),
}
"""What HTTP answers where a socket would be closed with the code."""


class AguiRoute:
    """Runs over HTTP."""

    def __init__(self, house: House) -> None:
        self._house = house

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the operation for the table of endpoints."""
        return (
            Endpoint(
                "POST",
                "/agui/{agent}",
                self.run_agent,
                "Start a run, or attach to it, and stream its events (AG-UI over SSE).",
                body={"type": "object", "description": "AG-UI RunAgentInput"},
                result={"type": "string", "description": "`id:` and `data:` lines"},
                media_type="text/event-stream",
                header={"Last-Event-ID": "a position; the events after it are sent"},
                empty={204: "The run has ended, and there is nothing after Last-Event-ID."},
                errors=(
                    ErrorCode.BAD_INPUT,
                    ErrorCode.UNKNOWN_AGENT,
                    ErrorCode.NOT_FOUND,
                    ErrorCode.THREAD_BUSY,
                    ErrorCode.RUN_CONFLICT,
                    ErrorCode.ALREADY_DECIDED,
                    ErrorCode.TOO_BIG,
                    ErrorCode.TOO_MANY,
                    ErrorCode.OVERLOADED,
                    ErrorCode.DRAINING,
                ),
            ),
        )

    async def run_agent(self, request: Request, user: User) -> Response:
        given = decode_input(await read_body(request, self._house.settings), where="$")
        parse_id("threadId", given.thread_id)
        parse_id("runId", given.run_id)
        seen = await self._seen(request, RunKey(user.id, RunId(given.run_id)))
        lane = SseLane(high_water=self._house.settings.write_high_water)
        # Admitted before the run starts: a run whose client is then refused would be lost on it.
        with self._admit(user, lane) as place:
            accepted = await self._house.runner.start(
                user.id, given, agent=request.path_params["agent"]
            )
            run = accepted.run
            after = await self._after(seen, run)
            if run.ended is not None and after >= run.ended:
                return Response(status_code=204)
            return _EventStream(self._stream(run, after, user.id, lane), place.pop_all())

    def _admit(self, user: User, lane: "SseLane") -> ExitStack:
        """Return the stream's place in the pool, left by closing it. Raises Refused."""
        code = self._house.pool.refusal(user.id)
        if code is not None:
            log.warning("stream refused", extra={"code": int(code), "pool": repr(self._house.pool)})
            raise _REFUSALS[code]
        member = _Member(user.id, lane)
        self._house.pool.add(member)
        place = ExitStack()
        place.callback(self._house.pool.remove, member)
        expiry = at_expiry(user, lambda: lane.break_off("the credential has expired"))
        if expiry is not None:
            place.callback(expiry.cancel)
        return place

    async def _seen(self, request: Request, run: RunKey) -> Position | None:
        """Return Last-Event-ID, if any. Whoever has seen a run does not start it."""
        text = request.headers.get("last-event-id")
        if text is None:
            return None
        seen = parse_position(text, where="Last-Event-ID")
        if await self._house.store.run(run) is None:
            raise Refused(ErrorCode.NOT_FOUND, "there is no such run to continue")
        return seen

    async def _after(self, after: Position | None, run: Run) -> Position:
        """Return the position to continue after: what was seen, or just before the run."""
        before_run = Position(run.started.epoch, run.started.offset - 1)
        if after is None:
            return before_run
        thread = await self._house.store.thread(run.thread)
        head = thread.head if thread is not None else before_run
        one_history = before_run.epoch == after.epoch == head.epoch
        if not (one_history and before_run <= after <= head):
            raise Refused(ErrorCode.NOT_FOUND, "Last-Event-ID is not in this run's history")
        return after

    async def _stream(
        self, run: Run, after: Position, user: UserId, lane: "SseLane"
    ) -> AsyncIterator[bytes]:
        """Yield the run's events after the position, up to its terminal event."""
        follower = ThreadFollower(
            self._house.store,
            lane,
            run.thread,
            after,
            user=user,
            patience=self._house.settings.behind_seconds,
            failed=lane.fail,
            deleted=lane.abandon,
        )
        self._house.hub.add(run.thread, follower)
        try:
            async for part in lane.parts():
                yield part
        finally:
            self._house.hub.remove(run.thread, follower)
            follower.end()


class StreamBroken(Exception):
    """The events were not sent to their end; the text says why. The client can resume."""


class _Member:
    """A stream as the pool sees it."""

    def __init__(self, user: UserId, lane: "SseLane") -> None:
        self.user = user
        self._lane = lane

    async def drain(self, retry_after_ms: int) -> None:
        self._lane.break_off("the server restarts")


class _EventStream(StreamingResponse):
    """The response: its place is free when the client has gone, even before the first event."""

    def __init__(self, parts: AsyncIterator[bytes], place: ExitStack) -> None:
        super().__init__(parts, media_type="text/event-stream", headers=_HEADERS)
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._place:
            await super().__call__(scope, receive, send)


class SseLane:
    """The lane of one HTTP response: events as ``id:`` and ``data:`` lines.

    It ends after a run's terminal event. What waits to be taken is bounded as in any lane.
    """

    def __init__(self, *, high_water: int) -> None:
        self.queue = asyncio.Lock()
        self._high_water = high_water
        self._pending: deque[bytes] = deque()
        self._unsent = 0
        self._complete = False
        self._broken: str | None = None
        self._written = asyncio.Event()
        self._taken = asyncio.Event()

    @property
    def full(self) -> bool:
        return self._unsent > self._high_water and not self._complete

    @property
    def buffered(self) -> int:
        return self._unsent

    def write(self, batch: Batch) -> None:
        for piece in batch.pieces:
            if not self._complete:
                self._put(b"id: %b\ndata: %b\n\n" % (str(piece.last).encode(), piece.event.data))
                self._complete = piece.event.type in TERMINAL

    def send(self, payload: bytes) -> None:
        if not self._complete:
            self._put(b"data: %b\n\n" % payload)

    async def room(self) -> None:
        while self.full:
            self._taken.clear()
            await self._taken.wait()
        if self._complete:
            raise LaneClosed

    async def close(self, code: CloseCode) -> None:
        self.abandon()

    def fail(self, error: Exception) -> None:
        """Break off because the follower cannot go on: nobody reads, or the log fails."""
        if isinstance(error, TimeoutError):
            self.break_off("the client does not read")
        else:
            log.error("the log cannot be read", exc_info=error)
            self.break_off("the log cannot be read")

    def break_off(self, why: str) -> None:
        """End the answer as one that is not complete, so that the client resumes."""
        if not self._complete:
            self._broken = why
            self.abandon()

    def abandon(self) -> None:
        self._complete = True
        self._written.set()
        self._taken.set()

    async def parts(self) -> AsyncIterator[bytes]:
        """Yield what is written, as it comes, until the lane is complete and empty."""
        while True:
            while self._pending:
                part = b"".join(self._pending)
                self._pending.clear()
                self._unsent = 0
                self._taken.set()
                yield part
            if self._broken is not None:
                raise StreamBroken(self._broken)
            if self._complete:
                return
            self._written.clear()
            try:
                async with asyncio.timeout(HEARTBEAT):
                    await self._written.wait()
            except TimeoutError:
                yield b": still here\n\n"

    def _put(self, part: bytes) -> None:
        self._pending.append(part)
        self._unsent += len(part)
        self._written.set()
