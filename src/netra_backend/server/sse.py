"""``POST /agui/{agent}``: a run as server-sent events, what AG-UI's HttpAgent speaks.

Idempotent by run id: a second request for the run attaches to it. ``id:`` lines are positions,
and ``Last-Event-ID`` continues after one. Leaving does not cancel the run. Source: WHATWG HTML
section 9.2, AG-UI 1.0 transports.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from netra_backend.core.codec import decode_input
from netra_backend.core.events import TERMINAL
from netra_backend.core.ids import UserId, parse_id
from netra_backend.core.positions import Position, parse_position
from netra_backend.core.run import Run
from netra_backend.errors import CloseCode, ErrorCode, Refused
from netra_backend.server.batch import Batch
from netra_backend.server.connection import House
from netra_backend.server.endpoints import Endpoint, read_body
from netra_backend.server.follower import ThreadFollower
from netra_backend.server.lane import LaneClosed

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that proxies keep the stream open."""

_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


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
                    ErrorCode.DRAINING,
                ),
            ),
        )

    async def run_agent(self, request: Request, user: UserId) -> Response:
        given = decode_input(await read_body(request, self._house.settings), where="$")
        parse_id("threadId", given.thread_id)
        parse_id("runId", given.run_id)
        accepted = await self._house.runner.start(user, given, agent=request.path_params["agent"])
        run = accepted.run
        after = await self._after(request, run)
        if run.ended is not None and after >= run.ended:
            return Response(status_code=204)
        return StreamingResponse(
            self._stream(run, after, user), media_type="text/event-stream", headers=_HEADERS
        )

    async def _after(self, request: Request, run: Run) -> Position:
        """Return the position to continue after: Last-Event-ID, or just before the run."""
        before_run = Position(run.started.epoch, run.started.offset - 1)
        text = request.headers.get("last-event-id")
        if text is None:
            return before_run
        after = parse_position(text, where="Last-Event-ID")
        thread = await self._house.store.thread(run.thread)
        head = thread.head if thread is not None else before_run
        one_history = before_run.epoch == after.epoch == head.epoch
        if not (one_history and before_run <= after <= head):
            raise Refused(ErrorCode.NOT_FOUND, "Last-Event-ID is not in this run's history")
        return after

    async def _stream(self, run: Run, after: Position, user: UserId) -> AsyncIterator[bytes]:
        """Yield the run's events after the position, up to its terminal event."""
        lane = SseLane(high_water=self._house.settings.write_high_water)
        follower = ThreadFollower(
            self._house.store,
            lane,
            run.thread,
            after,
            user=user,
            patience=self._house.settings.behind_seconds,
            failed=lane.break_off,
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
    """The events could not be sent to their end: the client did not read, or the log failed."""


class SseLane:
    """The lane of one HTTP response: events as ``id:`` and ``data:`` lines.

    It ends after a run's terminal event. What waits to be taken is bounded as in any lane.
    """

    def __init__(self, *, high_water: int) -> None:
        self._high_water = high_water
        self._pending: deque[bytes] = deque()
        self._unsent = 0
        self._complete = False
        self._broken: Exception | None = None
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

    def break_off(self, error: Exception) -> None:
        """End the answer as one that is not complete, so that the client resumes."""
        self._broken = error
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
                raise StreamBroken from self._broken
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
