"""Conversations: the folds of threads' logs, without reading each log from its beginning."""

from collections import OrderedDict
from typing import Protocol

from msgspec import Struct

from netra_backend.core.events import Event
from netra_backend.core.fold import Conversation
from netra_backend.core.ids import ThreadKey
from netra_backend.core.ports import Log, Threads
from netra_backend.core.prelude import prelude

READ_LIMIT = 1_000
"""Entries read at once while a thread is folded; between two reads the loop breathes."""

KEPT_AFTER = 500
"""Entries folded beyond what is kept that make it worth keeping more: they take some 2 ms."""

BUDGET = 67_108_864
"""Bytes of events that are kept for all threads together."""


class LogOfThreads(Log, Threads, Protocol):
    """What is folded."""


class _Kept(Struct, frozen=True):
    """The prelude of a thread's log up to an offset: applying it is the fold so far."""

    epoch: int
    offset: int
    events: list[Event]

    @property
    def size(self) -> int:
        """Its bytes."""
        return sum(len(event.data) for event in self.events)


class Conversations:
    """The conversation of every thread, as of now.

    Of long threads the prelude is kept, least recently used ones go first; it rebuilds the
    conversation by the law of ``core/prelude``, in time that grows with the messages and not
    with the deltas they came in. So every caller has a conversation of its own to go on with.
    """

    def __init__(self, store: LogOfThreads, *, budget: int = BUDGET) -> None:
        self._store = store
        self._budget = budget
        self._kept: OrderedDict[ThreadKey, _Kept] = OrderedDict()
        self._size = 0

    def __repr__(self) -> str:
        return f"<Conversations {len(self._kept)} threads kept, {self._size} bytes>"

    async def fold(self, thread: ThreadKey, upto: int | None = None) -> tuple[Conversation, int]:
        """Return the fold of the thread's log, and the offset it reaches (at most `upto`).

        Empty and 0 if there is no such thread. Raises EventError if the log is illegal,
        StoreFailed if it cannot be read.
        """
        found = await self._store.thread(thread)
        if found is None:
            return Conversation(), 0
        epoch = found.head.epoch
        conversation, kept_offset = self._begin(thread, epoch, upto)
        offset = kept_offset
        while upto is None or offset < upto:
            limit = READ_LIMIT if upto is None else min(READ_LIMIT, upto - offset)
            entries = await self._store.read(thread, offset, limit)
            if entries and entries[0].position.epoch != epoch:
                return await self.fold(thread, upto)  # deleted and created anew meanwhile
            for entry in entries:
                conversation.apply(entry.event)
            if not entries:
                break
            offset = entries[-1].position.offset
        if offset - kept_offset >= KEPT_AFTER:
            self._keep(thread, _Kept(epoch, offset, prelude(thread.id, conversation)))
        return conversation, offset

    def forget(self, thread: ThreadKey) -> None:
        """Keep nothing of a thread that was deleted. Idempotent."""
        kept = self._kept.pop(thread, None)
        self._size -= kept.size if kept is not None else 0

    def _begin(self, thread: ThreadKey, epoch: int, upto: int | None) -> tuple[Conversation, int]:
        """Return the conversation as far as it is kept, and the offset it reaches."""
        conversation = Conversation()
        kept = self._kept.get(thread)
        if kept is None or kept.epoch != epoch or (upto is not None and kept.offset > upto):
            return conversation, 0
        self._kept.move_to_end(thread)
        for event in kept.events:
            conversation.apply(event)
        return conversation, kept.offset

    def _keep(self, thread: ThreadKey, kept: _Kept) -> None:
        self.forget(thread)
        self._size += kept.size
        self._kept[thread] = kept
        while self._size > self._budget:
            _, gone = self._kept.popitem(last=False)
            self._size -= gone.size
