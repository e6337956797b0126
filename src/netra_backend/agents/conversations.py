"""Conversations: the folds of threads' logs, without reading each log from its beginning."""

from collections import OrderedDict
from collections.abc import Generator, Sequence
from contextlib import nullcontext
from itertools import chain
from typing import Protocol
from weakref import WeakValueDictionary

from msgspec import Raw, Struct

from netra_backend.agents.slices import Slices
from netra_backend.agents.turnstile import Turnstile
from netra_backend.core.events import Entry
from netra_backend.core.fold import Conversation
from netra_backend.core.ids import RunId, ThreadKey
from netra_backend.core.pages import READ_BYTES
from netra_backend.core.ports import Log, Threads
from netra_backend.core.positions import Position
from netra_backend.core.prelude import (
    NO_PRELUDE,
    Prelude,
    message_id,
    snapshot_of,
    taking_up,
    telling,
)

READ_LIMIT = 250
"""Entries read at once while a thread is folded: the reading thread has the interpreter so long."""

KEPT_AFTER = 500
"""Entries folded beyond what is kept that make it worth keeping more: they take some 2 ms."""

LONG = 65_536
"""Bytes of a prelude from which on it is sent to one after the other."""

BUDGET = 67_108_864
"""Bytes of events that are kept for all threads together."""


class LogOfThreads(Log, Threads, Protocol):
    """What is folded."""


class Page(Struct, frozen=True):
    """Some of a thread's messages as AG-UI ``Message`` objects."""

    messages: list[Raw]
    position: Position
    """How far the log was folded; 0-0 if there is no such thread."""
    following: str | None
    """The id of the first one, if there are others before it."""


class Conversations:
    """The conversation of every thread, as of now.

    Of long threads the prelude is kept, least recently used ones go first; it rebuilds the
    conversation by the law of ``core/prelude``, in time that grows with the messages and not
    with the deltas they came in. So every caller has a conversation of its own to go on with.

    All of it is done in slices, and where many want the same long thread, the first one reads it
    for all. What no slice divides: one event or message, the reading of `READ_LIMIT` entries, and
    finding where the messages of a prelude begin and end, which copies its bytes or looks at each.
    """

    def __init__(self, store: LogOfThreads, *, budget: int = BUDGET) -> None:
        self._store = store
        self._budget = budget
        self._kept: OrderedDict[ThreadKey, Prelude] = OrderedDict()
        self._size = 0
        self._forgotten = 0  # how often
        self._slices = Slices()
        self._turnstiles: WeakValueDictionary[tuple[ThreadKey, bool], Turnstile] = (
            WeakValueDictionary()
        )

    def __repr__(self) -> str:
        return f"<Conversations {len(self._kept)} threads kept, {self._size} bytes>"

    async def fold(self, thread: ThreadKey, upto: int | None = None) -> tuple[Conversation, int]:
        """Return the fold of the thread's log, and the offset it reaches (at most `upto`).

        Empty and 0 if there is no such thread. Raises EventError if the log is illegal,
        StoreFailed if it cannot be read.
        """
        while (found := await self._store.thread(thread)) is not None:
            near = self._is_near(thread, found.head, upto)
            old = self._is_old(thread, found.head.epoch, upto)
            async with nullcontext() if near else self._turnstile(thread, old).alone(upto):
                folded = await self._fold(thread, found.head, upto)
            if folded is not None:
                return folded
        return Conversation(), 0

    async def begin(
        self,
        thread: ThreadKey,
        upto: int | None = None,
        run: RunId | None = None,
        *,
        exact: bool = False,
    ) -> Prelude:
        """Return with what someone joins the thread: the prelude of its fold up to an offset.

        The offset is `upto` at most. `run` is the run that the caller takes for the newest of that
        fold: a prelude that is kept of another run is not used, but one that is made now may be of
        another, too. Unless it has to be `exact`, fewer than `KEPT_AFTER` of the newest entries may
        be missing: the caller reads them from the log. Raises as `fold`.

        After a prelude of `LONG` bytes the caller goes on in a slice of its own, because sending it
        takes time.
        """
        prelude = await self._begin(thread, upto, run, exact=exact)
        if prelude.size >= LONG:
            await self._slices.turn()
        return prelude

    async def _begin(
        self, thread: ThreadKey, upto: int | None, run: RunId | None, *, exact: bool
    ) -> Prelude:
        while (found := await self._store.thread(thread)) is not None:
            head = found.head
            if (kept := self._enough(thread, head, upto, run, exact=exact)) is not None:
                return kept
            old = self._is_old(thread, head.epoch, upto)
            async with self._turnstile(thread, old).alone(upto):
                if (kept := self._enough(thread, head, upto, run, exact=exact)) is not None:
                    return kept
                if old != self._is_old(thread, head.epoch, upto):
                    continue  # it became old while others read on: it would hold them up here
                folded = await self._fold(thread, head, upto)
                prelude = folded and await self._tell(thread, head.epoch, *folded)
                if prelude is not None:
                    return prelude
        return NO_PRELUDE

    def _enough(
        self, thread: ThreadKey, head: Position, upto: int | None, run: RunId | None, *, exact: bool
    ) -> Prelude | None:
        """Return what is kept, if that is what `begin` returns."""
        kept = self._find(thread, head.epoch, upto)
        near = kept.offset == head.offset or (not exact and self._is_near(thread, head, upto))
        return kept if kept.epoch and near and run in (None, kept.run) else None

    async def page(self, thread: ThreadKey, limit: int, before: str | None = None) -> Page | None:
        """Return the last messages of the thread as of now, or the last `before` one of them.

        They are up to `limit`, and no more than the one that makes them `READ_BYTES`.
        None if `before` is no message of the thread. Raises as `fold`.
        """
        prelude = await self.begin(thread, exact=True)
        messages = list(chain.from_iterable(map(snapshot_of, prelude.events)))
        if before is not None:
            end = await self._slices.spread(_place(messages, before))
            if end is None:
                return None
            messages = messages[:end]
        page = _last(messages, limit)
        following = message_id(page[0]) if len(messages) > len(page) else None
        return Page(page, Position(prelude.epoch, prelude.offset), following)

    def forget(self, thread: ThreadKey) -> None:
        """Keep nothing of a thread that was deleted, nor what is being folded. Idempotent."""
        self._forgotten += 1
        self._drop(thread)
        if (turnstile := self._turnstiles.get((thread, True))) is not None:
            turnstile.told = NO_PRELUDE

    def _drop(self, thread: ThreadKey) -> None:
        kept = self._kept.pop(thread, None)
        self._size -= kept.size if kept is not None else 0

    def _turnstile(self, thread: ThreadKey, old: bool) -> Turnstile:
        """Return what lets one of those who read the thread go on: the others find it kept.

        Those who read an old part of it have one of their own, and hold up nobody else.
        """
        return self._turnstiles.setdefault((thread, old), Turnstile())

    def _is_old(self, thread: ThreadKey, epoch: int, upto: int | None) -> bool:
        """Return whether what is kept goes further."""
        kept = self._kept.get(thread, NO_PRELUDE)
        return upto is not None and kept.epoch == epoch and kept.offset > upto

    def _is_near(self, thread: ThreadKey, head: Position, upto: int | None) -> bool:
        """Return whether little is to be read beyond what is kept."""
        end = head.offset if upto is None else min(upto, head.offset)
        return end - self._find(thread, head.epoch, upto).offset < KEPT_AFTER

    async def _fold(
        self, thread: ThreadKey, head: Position, upto: int | None
    ) -> tuple[Conversation, int] | None:
        """Return the fold and its offset; None if the thread is gone, or another one now."""
        kept = self._find(thread, head.epoch, upto)
        conversation = await self._slices.spread(taking_up(kept.events))
        offset = kept.offset
        while upto is None or offset < upto:
            limit = READ_LIMIT if upto is None else min(READ_LIMIT, upto - offset)
            entries = await self._store.read(thread, offset, limit)
            if not entries and offset >= head.offset:
                break
            if not entries or entries[0].position.epoch != head.epoch:
                return None  # deleted meanwhile, and perhaps created anew
            await self._slices.spread(_applying(conversation, entries))
            offset = entries[-1].position.offset
        if offset - kept.offset >= KEPT_AFTER:
            told = await self._tell(thread, head.epoch, conversation, offset)
            return None if told is None else (conversation, offset)
        return conversation, offset

    async def _tell(
        self, thread: ThreadKey, epoch: int, conversation: Conversation, offset: int
    ) -> Prelude | None:
        """Return the prelude, as it is kept or made anew; of a long thread it is kept then.

        None if it would be kept and the thread was deleted meanwhile.
        """
        run = None if conversation.run_id is None else RunId(conversation.run_id)
        kept = self._find(thread, epoch, offset)
        if (kept.epoch, kept.offset, kept.run) == (epoch, offset, run):
            return kept
        events = await self._slices.spread(telling(thread.id, conversation))
        prelude = Prelude(epoch, offset, run, events)
        if offset >= KEPT_AFTER:
            if not await self._is_there(thread, epoch):
                return None
            self._keep(thread, prelude)
        return prelude

    async def _is_there(self, thread: ThreadKey, epoch: int) -> bool:
        """Return whether the thread is still of this epoch, and to be forgotten later if at all."""
        while True:
            forgotten = self._forgotten
            found = await self._store.thread(thread)
            if forgotten == self._forgotten:  # else the answer may be from before a deletion
                return found is not None and found.head.epoch == epoch

    def _find(self, thread: ThreadKey, epoch: int, upto: int | None) -> Prelude:
        """Return what is kept and may be gone on with."""
        kept = self._kept.get(thread, NO_PRELUDE)
        if self._is_old(thread, epoch, upto):
            turnstile = self._turnstiles.get((thread, True))
            kept = turnstile.told if turnstile is not None else NO_PRELUDE
        elif kept.epoch == epoch:
            self._kept.move_to_end(thread)
        fits = kept.epoch == epoch and (upto is None or kept.offset <= upto)
        return kept if fits else NO_PRELUDE

    def _keep(self, thread: ThreadKey, prelude: Prelude) -> None:
        """Keep it; while others wait for it, if what is kept goes further: of an older run."""
        kept = self._kept.get(thread, NO_PRELUDE)
        if (kept.epoch, kept.offset) > (prelude.epoch, prelude.offset):
            if (turnstile := self._turnstiles.get((thread, True))) is not None:
                turnstile.told = prelude
            return
        self._drop(thread)
        self._size += prelude.size
        self._kept[thread] = prelude
        while self._size > self._budget:
            _, gone = self._kept.popitem(last=False)
            self._size -= gone.size


def _applying(conversation: Conversation, entries: Sequence[Entry]) -> Generator[None, None, None]:
    for entry in entries:
        conversation.apply(entry.event)
        yield


def _place(messages: Sequence[Raw], id: str) -> Generator[None, None, int | None]:
    """Return at which place the first message with this id is, in steps; None if there is none."""
    for place, message in enumerate(messages):
        if message_id(message) == id:
            return place
        yield
    return None


def _last(messages: list[Raw], limit: int) -> list[Raw]:
    """Return the last messages, up to `limit` and the one with which they have `READ_BYTES`."""
    size = 0
    for count, message in enumerate(reversed(messages[-limit:]), start=1):
        size += len(message)
        if size >= READ_BYTES:
            return messages[-count:]
    return messages[-limit:]
