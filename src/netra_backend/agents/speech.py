"""Speech: what the agent of one run says, on its way to the outbox: legal, in order, not too much.

It says it in two ways: by what it yields, and through its `RunContext` in between.
"""

from contextlib import suppress
from typing import Protocol

from ag_ui.core import BaseEvent, EventType

from netra_backend.agents.ingest import Delta, Ingest, Whole
from netra_backend.agents.outbox import MAX_WAITING
from netra_backend.core.chunks import CHUNKS
from netra_backend.core.events import TERMINAL, Event
from netra_backend.errors import LimitReached


class Taker(Protocol):
    """Takes the events of a run: an `Outbox`, or the fold of an agent that is played."""

    taken: int
    """Events that it has."""

    def put(self, item: Delta | Event) -> None:
        """Take the next event."""

    @property
    def has_room(self) -> bool:
        """Whether it is not behind."""


class Speech:
    """The events of a run that may have `most` of them before its end."""

    __slots__ = ("_between", "_ingest", "_most", "_outbox")

    def __init__(self, ingest: Ingest, outbox: Taker, most: int) -> None:
        self._ingest = ingest
        self._outbox = outbox
        self._most = most
        self._between: tuple[BaseEvent, ...] = ()
        """What was said through the `RunContext`, and waits for the end of a message."""

    def take_plain(self, yielded: object) -> bool:
        """Take what the agent has `yielded` as `take` does if it is a plain delta: the hot path.

        Return False if it is anything else, or has to wait for what was said in between.
        """
        if self._between or (delta := self._ingest.take_plain(yielded)) is None:
            return False
        if delta.text:
            self._outbox.put(delta)
        if self._outbox.taken > self._most:
            self._check()
        return True

    def take(self, yielded: object, event: object) -> Whole | None:
        """Take what the agent has `yielded`, as `event`; return it where it is a terminal one.

        Raises EventError, and LimitReached with the event that is one too many.
        """
        if self._between:
            self.settle(yielded)
        terminal = self._take(event)
        if terminal is not None:
            self._check()  # of what was said in between
        return terminal

    def say(self, event: BaseEvent, urgent: bool) -> None:
        """Take what the agent says between what it yields.

        In the middle of a message that comes in chunks it waits, because it would end the message
        there. Of several states that wait only the newest is kept. What is not `urgent` is left out
        when the log is behind, or too much waits here. That the run has said too much is not raised
        here, since this may be called from another thread, but when the agent yields or ends.
        """
        if not (urgent or (self._outbox.has_room and len(self._between) < MAX_WAITING)):
            return
        if event.type is EventType.STATE_SNAPSHOT:  # it takes the place of one that waits
            self._between = tuple(one for one in self._between if one.type is not event.type)
        self._between += (event,)
        if self._ingest.idle:
            with suppress(LimitReached):
                self.settle()

    def settle(self, before: object = None) -> None:
        """Put out what waits, unless `before`, which comes next, continues a message in chunks.

        Raises LimitReached.
        """
        is_chunk = isinstance(before, BaseEvent) and before.type in CHUNKS
        if is_chunk and not self._ingest.idle:
            return
        between, self._between = self._between, ()
        for event in between:
            self._check()
            self._take(event)
        self._check()

    def _take(self, said: object) -> Whole | None:
        for item in self._ingest.take(said):
            if isinstance(item, Delta):
                self._outbox.put(item)
            elif item.body.type in TERMINAL:
                return item
            else:
                self._outbox.put(item.event)
            self._check()
        return None

    def _check(self) -> None:
        if self._outbox.taken > self._most:
            raise LimitReached("run_events", self._most)
