"""The lane of one HTTP response that streams a run as server-sent events."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager

from netra_backend import jsonlog
from netra_backend.core.events import TERMINAL, Event
from netra_backend.core.positions import Position
from netra_backend.errors import CloseCode
from netra_backend.server.agui_versions import Speak, as_is
from netra_backend.server.batch import Batch
from netra_backend.server.lane_port import LaneClosed
from netra_backend.server.outlet import Outlet

log = jsonlog.get_logger(__name__)

HEARTBEAT = 15.0
"""Seconds of silence after which a comment is sent, so that proxies keep the stream open."""

UNREAD = "the client does not read"
"""Why a stream is broken off whose client takes nothing."""


class StreamBroken(Exception):
    """The events were not sent to their end; the text says why. The client can resume."""


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
        """Whether too much waits to be taken or, once the end is written, anything still does."""
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
