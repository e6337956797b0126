"""Runs as server-sent events: HTTP answers that stream a run, and their lane.

``id:`` lines are positions, and ``Last-Event-ID`` continues after one. Leaving does not cancel the
run. A stream counts in the pool like a socket, and breaks off when its credential ends: the client
resumes with a new one. Source: WHATWG HTML section 9.2.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterable, Sequence
from contextlib import ExitStack, aclosing, asynccontextmanager
from functools import partial
from typing import Self

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from netra_backend.core.events import TERMINAL, Event
from netra_backend.core.ids import ThreadKey, UserId, name_for, new_id
from netra_backend.core.positions import Position
from netra_backend.core.run import Run
from netra_backend.errors import CLOSES, CloseCode, ErrorCode, Refused
from netra_backend.server.address import address_of
from netra_backend.server.batch import Batch
from netra_backend.server.clock import now
from netra_backend.server.direct_lane import LINGER
from netra_backend.server.follower import Gone, ThreadFollower
from netra_backend.server.house import House
from netra_backend.server.lane import LaneClosed
from netra_backend.server.outlet import Outlet, outlet_of
from netra_backend.server.pool import Admission
from netra_backend.server.request_log import note
from netra_backend.server.run_history import before, position_in
from netra_backend.server.user import User, at_expiry

log = logging.getLogger(__name__)

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that proxies keep the stream open."""

UNREAD = "the client does not read"
"""Why a stream is broken off whose client takes nothing."""

_HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}

_REFUSALS = {
    CloseCode.TOO_MANY: (
        ErrorCode.TOO_MANY,
        "the connections of the user, or of the address, are all in use",
    ),
    CloseCode.OVERLOADED: (ErrorCode.OVERLOADED, ""),
}
"""What HTTP answers where a socket would be closed with the code."""


Speak = Callable[[Event], Event]
"""How an event is said to a client that does not know all of AG-UI 1.0."""


def as_is(event: Event) -> Event:
    """Return the event: the client knows it."""
    return event


class RunStream:
    """One answer that streams a run, up to its terminal event: a member of the pool.

    Admitted before the run starts: a run whose client is then refused would be lost on it. Use it
    as a context manager, which raises Refused where there is no room: it leaves the pool at the end
    of the block or, where the block made an answer, when the client has gone.
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
        house, user = self._house, self._user
        full = await house.seating.take(user.id, self._address)
        with ExitStack() as seat:
            if full is None:
                seat.callback(house.seating.give, user.id, self._address)
            self._enter(full)
            seat.pop_all()  # from here on it is the pool's
        self._place.callback(house.pool.remove, self)
        expiry = at_expiry(user, lambda: self._lane.break_off("the credential has expired"))
        if expiry is not None:
            self._place.callback(expiry.cancel)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._place.close()

    def _enter(self, full: CloseCode | None) -> None:
        """Enter the pool, unless all nodes together are `full`. Raises Refused."""
        house = self._house
        if house.authenticator.is_revoked(self._user):
            raise Refused(ErrorCode.UNAUTHENTICATED)  # while the request was read
        admission = Admission(full) if full else house.pool.admit(self, self._address, now())
        code = admission.refused
        if code is not None:
            raise Refused(*_REFUSALS[code], pool=repr(house.pool))
        if admission.instead is not None:
            admission.instead.dismiss(CloseCode.REPLACED)

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
        """Break off, because the server restarts; a client that reads gets the end of its run."""
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
        """Return the prelude of the run as it stands, and what comes after that."""
        self._note(run)
        upto = run.ended.offset if run.ended is not None else None
        begun = await self._house.runner.conversations.begin(run.thread, upto, run.key.id)
        if begun.run != run.key.id:  # it ended meanwhile, and another one began
            run = await self._house.store.run(run.key) or run
            return await self.joined(run) if run.ended is not None else self.whole(run)
        position = Position(run.started.epoch, begun.offset)
        return self._answer(run.thread, position, begun.events)

    def _note(self, run: Run) -> None:
        """Join this request to the lines of the run, which have a correlation of their own."""
        note(self._request, run=run.key.id, run_correlation=run.correlation)

    def empty(self) -> Response:
        """Return a stream without events."""
        self._lane.abandon()
        return self._response(self._lane.parts())

    def _answer(self, thread: ThreadKey, after: Position, begins: Sequence[Event] = ()) -> Response:
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

    def _gone(self, why: Gone) -> None:
        if why is Gone.DELETED:
            self._lane.abandon()
        else:
            self._lane.break_off("the thread is shared with the user no more")


class StreamBroken(Exception):
    """The events were not sent to their end; the text says why. The client can resume."""


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


class SseLane:
    """The lane of one HTTP response: events as ``id:`` and ``data:`` lines.

    It ends after a run's terminal event. What waits to be taken is bounded as in any lane: a part
    counts until the `outlet` has room for the next one.
    """

    joins = True

    def __init__(self, outlet: Outlet, *, high_water: int, speak: Speak = as_is) -> None:
        self._speak = speak
        self.queue = asyncio.Lock()
        self.outlet = outlet
        self._high_water = high_water
        self._pending: deque[bytes] = deque()
        self._waiting = 0
        self._leaving = 0
        self._complete = False
        self._over = False
        self._broken: str | None = None
        self._until: asyncio.Timeout | None = None
        self._written = asyncio.Event()
        self._taken = asyncio.Event()
        outlet.limit(high_water)

    @property
    def full(self) -> bool:
        """Whether it takes nothing now; nothing more at all, but a client has still to be told."""
        if self._complete:
            return not self._over
        return self._waiting + self._leaving > self._high_water

    @property
    def buffered(self) -> int:
        return self._waiting + self.outlet.buffered

    @property
    def complete(self) -> bool:
        """Whether all was written that its client will be told."""
        return self._complete

    def begin(self, events: Sequence[Event], position: Position) -> None:
        """Send a prelude. Only its last event has an id: to go on after half of one is no use."""
        for event in events[:-1]:
            self.send(event.data)
        for event in events[-1:]:
            self._put_event(event, position)

    def write(self, batch: Batch) -> None:
        for piece in batch.pieces:
            if not self._complete:
                self._put_event(piece.event, piece.last)

    def send(self, payload: bytes) -> None:
        if not self._complete:
            self._put(b"data: %b\n\n" % payload)

    async def room(self) -> None:
        while self.full:
            self._taken.clear()
            await self._taken.wait()
        if self._over:
            raise LaneClosed

    async def close(self, code: CloseCode) -> None:
        self.abandon()

    def fail(self, error: Exception) -> None:
        """Break off because the follower cannot go on: nobody reads, or the log fails."""
        if isinstance(error, TimeoutError):
            self.break_off(UNREAD)
        else:
            log.error("the log cannot be read", exc_info=error)
            self.break_off("the log cannot be read")

    def break_off(self, why: str) -> None:
        """End the answer as one that is not complete, so that the client resumes.

        What is pending is not sent. Nothing happens when all was.
        """
        if not self._over:
            self._broken = why
            self._pending.clear()
            self._waiting = 0
            self.abandon()
            self._end()
            if self._until is not None:
                self._until.reschedule(asyncio.get_running_loop().time())

    def abandon(self) -> None:
        self._complete = True
        self._written.set()

    def _end(self) -> None:
        """Nothing more is sent: let go who waits for room."""
        self._over = True
        self._taken.set()

    @asynccontextmanager
    async def unbroken(self) -> AsyncIterator[None]:
        """Enter to send; leave with StreamBroken at once, whatever is waited for, if that comes."""
        try:
            async with asyncio.timeout(None) as self._until:
                yield
        except TimeoutError as error:
            if self._broken is None:
                raise
            raise StreamBroken(self._broken) from error
        finally:
            self._until = None
            self._end()

    async def parts(self) -> AsyncGenerator[bytes]:
        """Yield what is written, as it comes, until the lane is complete and empty."""
        while True:
            while self._pending:
                part = b"".join(self._pending)
                self._pending.clear()
                self._waiting, self._leaving = 0, len(part)
                yield part
                self._leaving = 0
                self._taken.set()
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

    def _put_event(self, event: Event, position: Position) -> None:
        said = self._speak(event)
        self._put(b"id: %b\ndata: %b\n\n" % (str(position).encode(), said.data))
        self._complete = self._complete or event.type in TERMINAL

    def _put(self, part: bytes) -> None:
        self._pending.append(part)
        self._waiting += len(part)
        self._written.set()
