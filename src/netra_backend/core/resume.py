"""Resume: how a follower that comes back gets what it missed, as pure functions.

`answer` decides between the kinds of resume; `merge` shortens a backlog. A merge is exact:
``fold(merge(entries)) == fold(entries)``, and its pieces are dense: each begins where the one
before ended.
"""

from collections.abc import Iterable, Sequence

from ag_ui.core import EventType
from msgspec import Struct

from netra_backend.core.events import DELTAS, Entry, Event, body_of, delta_event, plain_delta
from netra_backend.core.frames import Resume
from netra_backend.core.positions import Position

MAX_MERGED_LENGTH = 65_536
"""Characters of a merged delta: a frame that any client can take."""


class Piece(Struct, frozen=True):
    """An event that stands for the entries from offset `first` to `last`, both included."""

    first: int
    last: Position
    event: Event


class GapError(Exception):
    """A backlog does not begin where it should, or has a hole: a fault of ours or the disk's."""


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


def merge(entries: Sequence[Entry], *, after: int) -> list[Piece]:
    """Return the entries as pieces, with neighbouring plain deltas of one message joined.

    Raises GapError if the entries are not dense from ``after + 1``.
    """
    joined: list[Piece] = []
    pending = _Pending()
    expected = after + 1
    for entry in entries:
        if entry.position.offset != expected:
            raise GapError(f"entry {entry.position} where offset {expected} should be")
        expected += 1
        if not pending.takes(entry):
            joined.extend(pending.flush())
            if not pending.takes(entry):
                joined.extend(pieces([entry]))
    joined.extend(pending.flush())
    return joined


class _Pending:
    """A run of neighbouring deltas of one subject that is being joined."""

    def __init__(self) -> None:
        self._subject: tuple[EventType, str] | None = None
        self._deltas: list[str] = []
        self._length = 0
        self._entries: list[Entry] = []

    def takes(self, entry: Entry) -> bool:
        """Take `entry` if it continues what is pending or begins it; say whether it did."""
        if entry.event.type not in DELTAS:
            return False
        plain = plain_delta(body_of(entry.event))
        if plain is None:
            return False
        subject, delta = (entry.event.type, plain[0]), plain[1]
        if self._entries and (
            subject != self._subject or self._length + len(delta) > MAX_MERGED_LENGTH
        ):
            return False
        self._subject = subject
        self._deltas.append(delta)
        self._length += len(delta)
        self._entries.append(entry)
        return True

    def flush(self) -> list[Piece]:
        """Return what is pending as at most one piece, and forget it."""
        entries, deltas, subject = self._entries, self._deltas, self._subject
        self._entries, self._deltas, self._length, self._subject = [], [], 0, None
        if len(entries) < 2 or subject is None:
            return pieces(entries)
        event = delta_event(*subject, "".join(deltas))
        return [Piece(entries[0].position.offset, entries[-1].position, event)]
