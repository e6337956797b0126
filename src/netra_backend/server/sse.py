"""Runs as server-sent events: HTTP answers that stream a run.

``id:`` lines are positions, and ``Last-Event-ID`` continues after one. Leaving does not cancel the
run. A stream counts in the pool like a socket, and breaks off when its credential ends: the client
resumes with a new one. Source: WHATWG HTML section 9.2.
"""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Sequence
from contextlib import ExitStack, aclosing
from functools import partial
from typing import Self

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from netra_backend import jsonlog
from netra_backend.core.events import Event
from netra_backend.core.ids import ThreadKey, UserId, name_for, new_id
from netra_backend.core.positions import Position
from netra_backend.core.run import Run
from netra_backend.errors import CLOSES, CloseCode, ErrorCode, Refused
from netra_backend.server.address import address_of
from netra_backend.server.agui_versions import Speak, as_is
from netra_backend.server.follower import Gone, ThreadFollower
from netra_backend.server.house import House
from netra_backend.server.lane_port import LINGER
from netra_backend.server.outlet import outlet_of
from netra_backend.server.pool import error_code
from netra_backend.server.request_log import note
from netra_backend.server.run_history import before, position_in
from netra_backend.server.sse_lane import UNREAD, SseLane, StreamBroken
from netra_backend.server.user import User, at_expiry

log = jsonlog.get_logger(__name__)

_HEADERS = {"X-Accel-Buffering": "no"}


class RunStream:
    """One answer that streams a run, up to its terminal event: a member of the pool.

    It enters the pool before the run starts, so that no run starts whose client is then refused.
    Use it as a context manager, which raises Refused where there is no room. It leaves the pool at
    the end of the block or, where the block made an answer, when the client has gone.
    """

    state = "OPEN"
    silent_since = None

    def __init__(self, house: House, request: Request, user: User, *, speak: Speak = as_is) -> None:
        self.id = new_id("conn")
        self._request = request
        self._house = house
        self._user = user
        self._address = address_of(request, house.settings.trusted_proxies)
        self._follower: ThreadFollower | None = None
        outlet = outlet_of(request.scope)
        self._lane = SseLane(outlet, high_water=house.settings.write_high_water, speak=speak)
        self._place = ExitStack()

    async def __aenter__(self) -> Self:
        house = self._house
        with await house.seating.reserve(self.user, self._address) as seat:
            code = seat.enter(self)
        if code is not None:
            why = CLOSES[code].meaning if code is CloseCode.TOO_MANY else ""
            raise Refused(error_code(code), why, pool=repr(house.pool))
        self._place.callback(house.pool.remove, self)
        expiry = at_expiry(self._user, lambda: self._lane.break_off("the credential has expired"))
        if expiry is not None:
            self._place.callback(expiry.cancel)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._place.close()

    @property
    def user(self) -> UserId:
        """Whose it is."""
        return self._user.id

    @property
    def buffered(self) -> int:
        """Bytes that are unsent."""
        return self._lane.buffered

    @property
    def following(self) -> Iterable[ThreadFollower]:
        """What it follows."""
        return () if self._follower is None else (self._follower,)

    @property
    def credential(self) -> User:
        """Who that is, and with what the stream was asked for."""
        return self._user

    def dismiss(self, code: CloseCode) -> None:
        """Break off."""
        self._lane.break_off(CLOSES[code].reason)

    async def drain(self, retry_after_ms: int) -> None:
        """Break off, because the server restarts.

        Where the end of the run is written, `LINGER` seconds later: a client that reads gets it.
        """
        why = "the server restarts"
        if self._lane.complete:
            asyncio.get_running_loop().call_later(LINGER, self._lane.break_off, why)
        else:
            self._lane.break_off(why)

    def whole(self, run: Run) -> Response:
        """Return the run from its first event on."""
        self._note(run)
        return self._answer(run.thread, before(run))

    async def after(self, run: Run, text: str, *, where: str) -> Response:
        """Return what comes after the position that `text` spells, which came in `where`.

        204 if the run ended there. Raises FrameError if it spells none, Refused if it is not in
        this run's history.
        """
        self._note(run)
        position = await position_in(self._house.store, run, text, where=where)
        if run.ended is not None and position >= run.ended:
            return Response(status_code=204)
        return self._answer(run.thread, position)

    async def joined(self, run: Run) -> Response:
        """Return the prelude of the run as it stands, and what comes after that.

        Raises Refused if it was deleted meanwhile.
        """
        self._note(run)
        upto = run.ended.offset if run.ended is not None else None
        prelude = await self._house.runner.conversations.begin(run.thread, upto, run.key.id)
        if prelude.run != run.key.id:  # it ended meanwhile and another one began, or it was deleted
            found = await self._house.store.run(run.key)
            if found is None:
                raise Refused(ErrorCode.NOT_FOUND)
            ended_since = run.ended is None and found.ended is not None
            return await self.joined(found) if ended_since else self.whole(found)
        position = Position(prelude.epoch, prelude.offset)
        return self._answer(run.thread, position, prelude.events)

    def _note(self, run: Run) -> None:
        """Join this request to the lines of the run, which have a correlation of their own."""
        note(self._request, run=run.key.id, run_correlation=run.correlation)

    def empty(self) -> Response:
        """Return a stream without events."""
        self._lane.abandon()
        return self._response(self._lane.parts())

    def _answer(self, thread: ThreadKey, after: Position, begins: Sequence[Event] = ()) -> Response:
        if self._request.method == "HEAD":  # whose answer has no events, and waits for none
            return self.empty()
        return self._response(self._parts(thread, after, begins))

    def _response(self, parts: AsyncGenerator[bytes]) -> Response:
        patience = self._house.settings.behind_seconds
        return _EventStream(parts, self._lane, patience, self._place.pop_all())

    async def _parts(
        self, thread: ThreadKey, after: Position, begins: Sequence[Event]
    ) -> AsyncGenerator[bytes]:
        """Yield the prelude, then the thread's events after the position, up to a terminal one."""
        follower = self._follower = ThreadFollower(
            self._house.store,
            self._lane,
            thread,
            sight=self._house.access.sight(self.user, thread, name_for(self.user, thread)),
            patience=self._house.settings.behind_seconds,
            failed=self._lane.fail,
            gone=self._gone,
        )
        self._house.hub.add(thread, follower)
        follower.start(after, partial(self._lane.begin, begins, after))
        del begins  # it may be long, and the stream too
        try:
            async for part in self._lane.parts():
                yield part
        finally:
            self._house.hub.remove(thread, follower)
            follower.end()
            self._follower = None  # it knows this: nothing is left to the collector

    def _gone(self, why: Gone) -> None:
        if why is Gone.DELETED:
            self._lane.abandon()
        else:
            self._lane.break_off("the thread is shared with the user no more")


class _EventStream(StreamingResponse):
    """The response: its place is free when the client has gone, even before the first event.

    A client may take `patience` seconds for each part. When the lane is broken off, nothing is
    waited for any more, whoever it is that does not come to an end.
    """

    def __init__(
        self, parts: AsyncGenerator[bytes], lane: "SseLane", patience: float, place: ExitStack
    ) -> None:
        super().__init__(parts, media_type="text/event-stream", headers=_HEADERS)
        self._parts = parts
        self._lane = lane
        self._patience = patience
        self._place = place

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        with self._place:
            try:
                await super().__call__(scope, receive, send)
            except StreamBroken as ended:
                log.info("stream ended early", extra={"why": str(ended), "path": scope["path"]})
                self._lane.outlet.break_off()

    async def stream_response(self, send: Send) -> None:
        async def send_in_time(message: Message) -> None:
            try:
                async with asyncio.timeout(self._patience):
                    await send(message)
                    await self._lane.outlet.drained()
            except TimeoutError:
                self._lane.break_off(UNREAD)

        async with aclosing(self._parts), self._lane.unbroken():
            await super().stream_response(send_in_time)
