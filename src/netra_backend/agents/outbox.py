"""The outbox: a run's events on their way into the log, in order, one append at a time.

Deltas of one message are joined while they wait. The first delta of a message goes at once, and so
does one that comes a window (40 ms by default) after the last that went, of whatever message. Else
a delta waits for a window, rounded down to a slot of the wheel, and takes along what came in it: so
a message of 30 deltas a second is 15 events and not 25, as it would be if the window began when the
last one went, and no delta waits longer. Any other event goes at the end of the turn of the loop in
which it came. Whatever goes takes along what waits before it. What was appended is published on the
bus, in order.

The order that is kept: an event that is no plain delta has before it in the log what the agent
yielded before it, and nothing else; and the text of each message is in its order. Between two such
events, deltas of different messages have no order, because no fold can tell it: each is joined to
the first that waits of its message, in that one's place, unless that would become longer than what
any client takes. A text and a reasoning message of one id are one message to the fold, so there,
what came in between ends the joining.
"""

import asyncio
from collections.abc import Callable, Sequence

from ag_ui.core import EventType
from msgspec import Struct

from netra_backend.agents.ingest import Delta
from netra_backend.agents.wheel import wheel_of
from netra_backend.core.events import Entry, Event, delta_event
from netra_backend.core.ports import Bus, End, Log
from netra_backend.core.positions import Position
from netra_backend.core.resume import MAX_MERGED_LENGTH
from netra_backend.core.run import Lease
from netra_backend.errors import StoreFailed

MAX_WAITING = 256
"""Events that may wait before the agent has to."""

MAX_WAITING_LENGTH = 1_048_576
"""Characters of deltas, and bytes of other events, that may wait before the agent has to."""

MAX_PACED = 4_096
"""Messages of which it is known that they have begun; beyond it all are forgotten, and the next
delta of each goes at once."""

Subject = tuple[EventType, str]


class Outbox:
    """The way of one run's events into its thread's log.

    `put` never waits; `room` does when too much is waiting. After a failed append every later
    call raises that append's error. After `seal` nothing more is taken.
    """

    __slots__ = (
        "_appending", "_at", "_batch", "_begun", "_bus", "_error", "_idle", "_lease", "_length",
        "_log", "_loop", "_now", "_pushing", "_quiet_from", "_sealed", "_since", "_slot",
        "_waiting", "_wheel", "_window", "taken",
    )  # fmt: skip

    def __init__(
        self, log: Log, bus: Bus, lease: Lease, *, now: Callable[[], int], window: float
    ) -> None:
        self._log = log
        self._bus = bus
        self._lease = lease
        self._now = now
        self._window = window
        self._loop = asyncio.get_running_loop()
        self._waiting: list[Event | _Joined] = []
        self._length = 0
        self._begun: set[Subject] = set()
        """The messages whose first delta has gone."""
        self._since = 0.0
        """When the first delta came that waits for an append to end."""
        self._quiet_from = 0.0
        """From when on a delta goes at once, because for a window none has gone."""
        self._appending: asyncio.Future[Position] | None = None
        self._batch: Sequence[Event] = ()
        self._at = 0
        self._wheel = wheel_of(self._loop, window)
        self._pushing = False
        self._slot: int | None = None
        """Where in the wheel it waits for the end of its window."""
        self._idle: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self._sealed = False
        self.taken = 0
        """Events that are in the log, on the way into it, or wait to be."""

    def put(self, item: Delta | Event) -> None:
        """Take the next event. Raises the error of an append that failed."""
        if self._error is not None:
            raise self._error
        if self._sealed:
            return
        if isinstance(item, Event):
            self._length += len(item.data)
            self._waiting.append(item)
            self.taken += 1
            self._push_soon()
            return
        self._length += len(item.text)
        joined = self._joinable(item.id)
        if joined is not None and joined.take(item):
            return
        room = MAX_MERGED_LENGTH - len(item.id) - len(item.text)
        joined = _Joined((item.type, item.id), [item.text], room)
        self._waiting.append(joined)
        self.taken += 1
        if self._appending is not None:
            if len(self._waiting) == 1:
                self._since = self._loop.time()
            return  # its end comes back to what waits
        if joined.subject in self._begun:
            self._pace(self._loop.time())
        else:
            self._push()

    def _joinable(self, id: str) -> "_Joined | None":
        """Return what waits last of a message behind the last event that is no delta."""
        for waiting in reversed(self._waiting):  # few: as many as messages that come side by side
            if isinstance(waiting, Event):
                break
            if waiting.subject[1] == id:
                return waiting
        return None

    async def room(self) -> None:
        """Return when there is room for more. Raises the error of an append that failed.

        What waits goes at once: who is too fast would else wait for a window, too.
        """
        while self._appends and not self.has_room:
            self._push()
            await self._next_idle()
        if self._error is not None:
            raise self._error

    @property
    def has_room(self) -> bool:
        """Whether `room` would return at once."""
        return len(self._waiting) < MAX_WAITING and self._length < MAX_WAITING_LENGTH

    @property
    def _appends(self) -> bool:
        return self._error is None and not self._sealed

    async def settled(self) -> None:
        """Return when all that was put is in the log. Raises the error of a failed append.

        What a sealed one still has is not waited for: it goes with the end.
        """
        while self._appends and (self._waiting or self._appending is not None):
            self._push()
            await self._next_idle()
        if self._error is not None:
            raise self._error

    def seal(self) -> None:
        """Take nothing more; what waits goes with the end."""
        self._sealed = True

    async def finish(self, events: Sequence[Event], end: End | None) -> Position:
        """Append what waits and then `events` with `end`; return the last position.

        Everything goes in one append, so that a run's end is whole or not there.
        """
        self.seal()
        while self._appending is not None:
            await self._next_idle()
        if self._error is not None:
            raise self._error
        self._slot = None
        batch = [*self._take_waiting(), *events]
        at = self._now()
        position = await self._log.append(batch, writer=self._lease, at=at, end=end)
        self._publish(batch, position, at)
        return position

    def _pace(self, since: float) -> None:
        """Send deltas that wait since then a window later, or now if none had gone for so long.

        Where the wheel is late it is still waited for: who goes alone needs a commit of its own.
        """
        if self._slot is not None:
            return
        if since >= self._quiet_from:
            self._push()
        else:
            self._slot = self._wheel.wait(since + self._window, self._waited)

    def _waited(self, slot: int) -> None:
        if slot == self._slot:
            self._push()

    def _push_soon(self) -> None:
        """Append what there is at the end of this turn: the agent may say more in it."""
        if not self._pushing and self._appending is None:
            self._pushing = True
            self._loop.call_soon(self._push_now)

    def _push_now(self) -> None:
        self._pushing = False
        self._push()

    def _push(self) -> None:
        """Append what waits, unless an append is under way: that one's end comes back here.

        Once it is sealed, only `finish` appends.
        """
        self._slot = None
        if self._appending is not None or not self._waiting or self._sealed:
            return
        self._batch = batch = self._take_waiting()
        self._at = at = self._now()
        appending = self._log.append(batch, writer=self._lease, at=at)
        if not isinstance(appending, asyncio.Future):
            appending = asyncio.ensure_future(appending)
        self._appending = appending
        getattr(appending, "at_once", appending.add_done_callback)(self._done)

    def _done(self, done: asyncio.Future[Position]) -> None:
        self._appending = None
        batch, self._batch = self._batch, ()
        try:
            if done.cancelled():
                self._error = StoreFailed("the append was cancelled")
            elif (error := done.exception()) is not None:
                self._error = error
            else:
                self._publish(batch, done.result(), self._at)
                self._continue()
        finally:
            if self._idle is not None and not self._idle.done():
                self._idle.set_result(None)

    def _continue(self) -> None:
        """Go on with what has come in the meantime."""
        for waiting in self._waiting:
            if isinstance(waiting, Event) or waiting.subject not in self._begun:
                self._push()
                return
        if self._waiting:
            self._pace(self._since)

    def _take_waiting(self) -> list[Event]:
        waiting, self._waiting, self._length = self._waiting, [], 0
        if len(self._begun) > MAX_PACED:
            self._begun.clear()
        batch: list[Event] = []
        for one in waiting:
            if isinstance(one, Event):
                batch.append(one)
                continue
            self._begun.add(one.subject)
            self._quiet_from = self._loop.time() + self._window
            batch.append(delta_event(*one.subject, "".join(one.texts)))
        return batch

    def _publish(self, batch: Sequence[Event], last: Position, at: int) -> None:
        run = self._lease.run.id
        entries = [Entry(last, run, at, batch[-1])]
        if len(batch) > 1:  # of 1,000 runs that stream, nearly each batch is one event
            first = last.offset - len(batch) + 1
            entries[:0] = [
                Entry(Position(last.epoch, offset), run, at, event)
                for offset, event in enumerate(batch[:-1], first)
            ]
        self._bus.publish(self._lease.thread, entries)

    async def _next_idle(self) -> None:
        if self._idle is None or self._idle.done():
            self._idle = self._loop.create_future()
        await asyncio.shield(self._idle)


class _Joined(Struct):
    """A delta that waits, with those of its message that came after it.

    With `room` more characters it is still a frame for any client, however JSON spells them.
    """

    subject: Subject
    texts: list[str]
    room: int

    def take(self, delta: Delta) -> bool:
        """Join a delta of the same id to it, if it is of the same kind and fits; else say False."""
        length = len(delta.text)
        if delta.type is not self.subject[0] or length > self.room:
            return False
        self.texts.append(delta.text)
        self.room -= length
        return True
