"""The outbox: a run's events on their way into the log, in order, one append at a time.

Neighbouring deltas of one message are joined while they wait. The first delta of a message goes
at once, later ones once in a window (40 ms by default, the first rounded up to a slot of the
wheel); any other event takes everything before it along, at the end of the turn of the loop in
which it came. What was appended is published on the bus, in order.
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
from netra_backend.core.run import Lease
from netra_backend.errors import StoreFailed

MAX_WAITING = 256
"""Events that may wait before the agent has to."""

MAX_WAITING_LENGTH = 1_048_576
"""Characters of deltas, and bytes of other events, that may wait before the agent has to."""

MAX_PACED = 64
"""Messages whose last delta's time is kept; beyond it, those are forgotten that may send anyway."""

Subject = tuple[EventType, str]


class Outbox:
    """The way of one run's events into its thread's log.

    `put` never waits; `room` does when too much is waiting. After a failed append every later
    call raises that append's error. After `seal` nothing more is taken.
    """

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
        self._sent_at: dict[Subject, float] = {}
        self._appending: asyncio.Future[Position] | None = None
        self._batch: Sequence[Event] = ()
        self._at = 0
        self._wheel = wheel_of(self._loop)
        self._pushing = False
        self._slot: int | None = None
        """Where in the wheel it waits for the end of its window."""
        self._idle: asyncio.Future[None] | None = None
        self._error: BaseException | None = None
        self._sealed = False
        self.appended = 0
        """Events that are in the log."""

    def put(self, item: Delta | Event) -> None:
        """Take the next event. Raises the error of an append that failed."""
        if self._error is not None:
            raise self._error
        if self._sealed:
            return
        if isinstance(item, Event):
            self._length += len(item.data)
            self._waiting.append(item)
            self._push_soon()
            return
        subject = (item.type, item.id)
        self._length += len(item.text)
        if self._waiting:
            last = self._waiting[-1]
            if isinstance(last, _Joined) and last.subject == subject:
                last.texts.append(item.text)
                return
        self._waiting.append(_Joined(subject, [item.text]))
        self._pace(subject)

    async def room(self) -> None:
        """Return when there is room for more. Raises the error of an append that failed."""
        while not self.has_room and self._error is None and not self._sealed:
            await self._next_idle()
        if self._error is not None:
            raise self._error

    @property
    def has_room(self) -> bool:
        """Whether `room` would return at once."""
        return len(self._waiting) < MAX_WAITING and self._length < MAX_WAITING_LENGTH

    async def settled(self) -> None:
        """Return when all that was put is in the log. Raises the error of a failed append."""
        while (self._waiting or self._appending is not None) and self._error is None:
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

    def _pace(self, subject: Subject) -> None:
        """Send now if the message's last delta is a window ago, else when it will be."""
        due = self._sent_at.get(subject, 0.0) + self._window
        if due <= self._loop.time():
            self._push()
        elif self._slot is None and self._appending is None:
            self._slot = self._wheel.wait(due, self._waited)

    def _waited(self, slot: int, due: float) -> None:
        if slot == self._slot:
            self._push(due)

    def _push_soon(self) -> None:
        """Append what there is at the end of this turn: the agent may say more in it."""
        if not self._pushing and self._appending is None:
            self._pushing = True
            self._loop.call_soon(self._push_now)

    def _push_now(self) -> None:
        self._pushing = False
        if not self._sealed:
            self._push()

    def _push(self, sent_at: float | None = None) -> None:
        """Append what waits, unless an append is under way: that one's end comes back here."""
        self._slot = None
        if self._appending is not None or not self._waiting:
            return
        self._batch = batch = self._take_waiting(sent_at)
        self._at = at = self._now()
        appending = self._log.append(batch, writer=self._lease, at=at)
        if not isinstance(appending, asyncio.Future):
            appending = asyncio.ensure_future(appending)
        self._appending = appending
        appending.add_done_callback(self._done)

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
        if not self._waiting or self._sealed:
            return
        first = self._waiting[0]
        if len(self._waiting) == 1 and isinstance(first, _Joined):
            self._pace(first.subject)
        else:
            self._push()

    def _take_waiting(self, sent_at: float | None = None) -> list[Event]:
        waiting, self._waiting, self._length = self._waiting, [], 0
        if sent_at is None:
            sent_at = self._loop.time()
        if len(self._sent_at) > MAX_PACED:
            self._sent_at = {s: t for s, t in self._sent_at.items() if t + self._window > sent_at}
        batch: list[Event] = []
        for one in waiting:
            if isinstance(one, _Joined):
                self._sent_at[one.subject] = sent_at
                batch.append(delta_event(*one.subject, "".join(one.texts)))
            else:
                batch.append(one)
        return batch

    def _publish(self, batch: Sequence[Event], last: Position, at: int) -> None:
        count, run = len(batch), self._lease.run.id
        self.appended += count
        entries = [
            Entry(Position(last.epoch, offset), run, at, event)
            for offset, event in enumerate(batch, last.offset - count + 1)
        ]
        self._bus.publish(self._lease.thread, entries)

    async def _next_idle(self) -> None:
        if self._idle is None or self._idle.done():
            self._idle = self._loop.create_future()
        await asyncio.shield(self._idle)


class _Joined(Struct):
    """A delta that waits, with those that came after it."""

    subject: Subject
    texts: list[str]
