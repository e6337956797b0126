"""A topic: the followers of one thread on this node, and what of it has not reached all of them.

Between a follower, its lane and its transport lie a dozen cache lines, and fetching them for a
thousand sockets costs a third of what the system takes for a small frame. So followers that have
everything so far, and whose sockets have nothing unsent, stand in ranks: of them the topic holds
nothing but descriptors, and serves them in volleys. Who cannot go on like this falls out, and is
served alone, until it catches up.
"""

from array import array
from collections.abc import Iterator
from typing import Protocol

from netra_backend.core.ids import ThreadKey
from netra_backend.core.positions import Position
from netra_backend.server.batch import Batch
from netra_backend.server.ring import SIZE
from netra_backend.server.volley import Volley

FEW = 8
"""Followers up to which a thread has no ranks: forming them costs more than it saves."""

SALVO = 65_536
"""Bytes from which on a salvo is long enough. What a socket does not take of one, we keep for it,
whatever its water mark: so it is as much, and one batch."""


class Follower(Protocol):
    """What a topic asks of a follower. No call may wait, raise, or add or remove followers."""

    @property
    def watches(self) -> bool:
        """Whether it is known that its user may see the thread, and it has not ended."""
        ...

    def deliver(self, batch: Batch) -> None:
        """Take the batch, or note that it was missed."""
        ...

    def thread_deleted(self) -> None:
        """The thread is gone."""
        ...

    def enlist(self, topic: "Topic") -> None:
        """Step into the ranks (`Topic.enlist`) if it has all until `Topic.last` and can."""
        ...

    def fall_out(self) -> None:
        """Leave the ranks (`Topic.dismiss`) if it stands there."""
        ...

    def owe(self, rest: bytes) -> None:
        """Fall out, and send what the system did not take of a write."""
        ...

    def cut_off(self) -> None:
        """Fall out, and end the connection: nobody knows what its socket took of a write."""
        ...


class Topic:
    """The followers of `thread`; those in the ranks are written to by `volley`."""

    __slots__ = (
        "_alone", "_batches", "_data", "_descriptors", "_left", "_members", "_next", "_places",
        "_salvo", "_since", "_upto", "_volley", "last", "thread", "turn",
    )  # fmt: skip

    def __init__(self, thread: ThreadKey, volley: Volley) -> None:
        self.thread = thread
        self._volley = volley
        self.turn = -1
        """The hub's turn in which it was last served."""
        self.last: Position | None = None
        """The last position of the salvo: of what is being delivered, or was before."""
        self._since: Position | None = None
        self._batches: list[Batch] = []
        self._salvo: list[Batch] = []
        self._data = b""
        self._alone: dict[Follower, None] = {}
        self._left: list[Follower] = []
        """Those alone whom the salvo has not reached."""
        self._places: dict[Follower, int] = {}
        self._members: list[Follower | None] = []
        self._descriptors = array("i")
        """The ranks; -1 where somebody has fallen out."""
        self._next = self._upto = 0
        """The ranks that the salvo has not reached; who has stepped in since has it already."""

    def __len__(self) -> int:
        return len(self._alone) + len(self._places)

    def __iter__(self) -> Iterator[Follower]:
        return iter([*self._alone, *self._places])

    @property
    def watchers(self) -> int:
        """How many followers watch; who stands in the ranks does."""
        return len(self._places) + sum(follower.watches for follower in self._alone)

    @property
    def ranked(self) -> int:
        """How many followers stand in the ranks."""
        return len(self._places)

    @property
    def is_waiting(self) -> bool:
        """Whether there is something to deliver."""
        return bool(self._salvo or self._batches)

    def add(self, follower: Follower) -> None:
        """Deliver to `follower` what is published from now on."""
        self._alone[follower] = None

    def remove(self, follower: Follower) -> None:
        """Deliver nothing more to `follower`. Idempotent."""
        if follower in self._places:
            follower.fall_out()
        self._alone.pop(follower, None)

    def hand(self, batch: Batch) -> bool:
        """Deliver `batch` to all at once if they are few and nothing waits; else return False."""
        if self._salvo or self._batches or self._places or len(self._alone) > FEW:
            return False
        for follower in self._alone:
            follower.deliver(batch)
        self.last = batch.last
        return True

    def publish(self, batch: Batch) -> None:
        """Deliver `batch` when it is served, in one salvo with what else there is then."""
        self._batches.append(batch)

    def serve(self, allowed: int, *, ranked: int = SIZE) -> int:
        """Serve at most so many followers, or `ranked` of the ranks; return how many were."""
        if len(self._batches) == 1:
            batch = self._batches.pop()
            if self.hand(batch):
                return len(self._alone)
            self._batches.append(batch)
        if not self._salvo:
            self._begin()
        served = self._fire(ranked)
        forms = len(self) > FEW
        while self._left and served < allowed:
            follower = self._left.pop()
            if follower not in self._alone:  # it has left the thread meanwhile
                continue
            for batch in self._salvo:
                follower.deliver(batch)
            if forms:
                follower.enlist(self)
            served += 1
        if not self._left and self._next == self._upto:
            self._salvo, self._data = [], b""
        return served

    # --- the ranks ------------------------------------------------------------------------------

    def enlist(self, follower: Follower, descriptor: int) -> None:
        """Let `follower`, which has all until `last`, stand in the ranks."""
        del self._alone[follower]
        self._places[follower] = len(self._members)
        self._members.append(follower)
        self._descriptors.append(descriptor)

    def position(self, follower: Follower) -> Position:
        """Return how far `follower`, which stands in the ranks, has got."""
        position = self._since if self._is_left(self._places[follower]) else self.last
        if position is None:
            raise AssertionError("nobody stands in the ranks before anything was delivered")
        return position

    def dismiss(self, follower: Follower) -> Position:
        """Serve `follower` alone from now on; return how far it has got."""
        position = self.position(follower)
        place = self._places.pop(follower)
        self._members[place], self._descriptors[place] = None, -1
        self._alone[follower] = None
        if self._is_left(place):
            self._left.append(follower)
        return position

    def _is_left(self, place: int) -> bool:
        return bool(self._salvo) and self._next <= place < self._upto

    def _begin(self) -> None:
        """Make one salvo of what was published, and leave what is too much for the next."""
        batches = self._batches[: _enough(self._batches)]
        del self._batches[: len(batches)]
        if not self._is_dense(batches):
            for follower in list(self._places):
                follower.fall_out()
        if len(self._places) < len(self._members):
            self._members = [member for member in self._members if member is not None]
            self._descriptors = array("i", [number for number in self._descriptors if number >= 0])
            self._places = {m: place for place, m in enumerate(self._members) if m is not None}
        self._next, self._upto = 0, len(self._members)
        self._left = list(self._alone)
        self._since, self.last = self.last, batches[-1].last
        self._salvo = batches
        self._data = b"".join([batch.prepared for batch in batches]) if self._upto else b""

    def _is_dense(self, batches: list[Batch]) -> bool:
        """Return whether each batch is the next one, and the first that of who has all."""
        position = self.last
        for batch in batches:
            if (
                position is None
                or batch.first != position.offset + 1
                or batch.last.epoch != position.epoch
                or batch.thread != self.thread
            ):
                return False
            position = batch.last
        return True

    def _fire(self, ranked: int) -> int:
        """Write the salvo to at most so many of the ranks; return to how many. The hot path.

        Where a signal's exception breaks it off, they are cut off, and come back for what they
        miss: some have it, some a part, and nobody knows who.
        """
        room = min(ranked, self._volley.room(len(self._data)))
        start, end = self._next, min(self._next + room, self._upto)
        if start == end:
            return 0
        members = self._members[start:end]
        try:
            self._next = end
            for place, sent in self._volley.write(self._descriptors[start:end], self._data):
                member = members[place]
                if member is not None:
                    member.owe(self._data[sent:])
        except BaseException:
            for member in members:
                if member is not None:
                    member.cut_off()
            raise
        return len(members)


def _enough(batches: list[Batch]) -> int:
    """Return how many of the batches make a salvo: one, or as many as have `SALVO` bytes."""
    size = 0
    for number, batch in enumerate(batches, 1):
        size += len(batch.prepared)
        if size >= SALVO:
            return number
    return len(batches)
