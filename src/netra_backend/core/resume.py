"""Resume: how a follower that comes back gets what it missed, as pure functions.

`answer` decides between the kinds of resume; `merge` shortens a backlog. A merge is exact:
``fold(merge(entries)) == fold(entries)``, and its pieces are dense: each begins where the one
before ended.
"""

from collections.abc import Iterable, Sequence

from ag_ui.core import EventType
from msgspec import Struct

from netra_backend.core.events import Entry, Event, delta_event, plain_delta
from netra_backend.core.frames import Resume, RunState
from netra_backend.core.pages import is_full
from netra_backend.core.positions import Position
from netra_backend.core.roles import Role
from netra_backend.errors import StoreFailed

MAX_MERGED_LENGTH = 65_536
"""Characters of a merged delta: a frame that any client can take."""


def reaches_end(entries: Sequence[Entry], limit: int) -> bool:
    """Return whether a store that was asked for so many entries had no more."""
    return len(entries) < limit and not is_full(entries, Entry.size)


class Backlog(Struct, frozen=True):
    """What a store tells a user who goes on in a thread, of one moment.

    `role` is the user's, `head` the position of the newest entry, `run` the newest run, None
    before the first; `entries` are the next after the position that was asked about.
    """

    role: Role
    head: Position
    run: RunState | None
    entries: Sequence[Entry]


class Piece(Struct, frozen=True, gc=False):
    """An event that stands for the entries from offset `first` to `last`, both included."""

    first: int
    last: Position
    event: Event


def answer(after: Position | None, head: Position, *, replay_entries: int) -> Resume:
    """Return how to serve a follower that has everything up to `after`, in a log up to `head`.

    `after` of None means nothing yet. A position of another epoch, or beyond the head, is not in
    this history.
    """
    if after is None:
        after = Position(head.epoch, 0)
    if after.epoch != head.epoch or after.offset > head.offset:
        return Resume.GAP
    missed = head.offset - after.offset
    if missed == 0:
        return Resume.CAUGHT_UP
    return Resume.REPLAY if missed <= replay_entries else Resume.SNAPSHOT


def pieces(entries: Iterable[Entry]) -> list[Piece]:
    """Return the entries as pieces, one each: what is sent live."""
    return [Piece(entry.position.offset, entry.position, entry.event) for entry in entries]


def merge(entries: Sequence[Entry], *, after: int, join: bool = True) -> list[Piece]:
    """Return the entries as pieces, with neighbouring plain deltas of one message joined.

    Without `join`, one piece each: for clients that know entries only by their ids.

    Raises StoreFailed if the entries are not dense from ``after + 1`` in one epoch: the log has
    a hole.
    """
    joined: list[Piece] = []
    pending = _Pending()
    for offset, entry in enumerate(entries, start=after + 1):
        if entry.position != (entries[0].position.epoch, offset):
            raise StoreFailed(f"entry {entry.position} where offset {offset} should be")
        delta = _plain(entry) if join else None
        if delta is None or not pending.continues_with(delta):
            joined.extend(pending.flush())
        if delta is None:
            joined.extend(pieces([entry]))
        else:
            pending.take(delta)
    joined.extend(pending.flush())
    return joined


class _Delta(Struct, frozen=True):
    """A plain delta of the log: what it adds to, and what."""

    entry: Entry
    subject: tuple[EventType, str]
    text: str


def _plain(entry: Entry) -> _Delta | None:
    plain = plain_delta(entry.event)
    return _Delta(entry, (entry.event.type, plain[0]), plain[1]) if plain else None


class _Pending:
    """A run of neighbouring deltas of one subject that is being joined."""

    def __init__(self) -> None:
        self._deltas: list[_Delta] = []
        self._length = 0

    def continues_with(self, delta: _Delta) -> bool:
        """Return whether `delta` can be joined to what is pending."""
        if not self._deltas:
            return True
        fits = self._length + len(delta.text) <= MAX_MERGED_LENGTH
        return fits and delta.subject == self._deltas[0].subject

    def take(self, delta: _Delta) -> None:
        """Join `delta` to what is pending."""
        self._deltas.append(delta)
        self._length += len(delta.text)

    def flush(self) -> list[Piece]:
        """Return what is pending as at most one piece, and forget it."""
        deltas, self._deltas, self._length = self._deltas, [], 0
        if len(deltas) < 2:
            return pieces(delta.entry for delta in deltas)
        first, last = deltas[0], deltas[-1]
        event = delta_event(*first.subject, "".join(delta.text for delta in deltas))
        return [Piece(first.entry.position.offset, last.entry.position, event)]
