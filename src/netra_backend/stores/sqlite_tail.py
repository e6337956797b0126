"""The tail: where entries wait, in the order of their arrival, for their place in their thread.

A thousand threads that append side by side have a thousand places in the ``entries`` table, and
an entry there costs a whole page in the write-ahead log and another in the database. So
entries are first written one after the other into the ``tail`` table, and moved a few pages at a
time once there are many. Measured with a thousand threads: a third of the bytes written, and 7 us
of CPU for an entry instead of 12.

For the same reason the index of the tail, by thread and offset, does not follow each commit: it
gets what came since, sorted, once that is `LOOSE` entries, within a large commit, too, or those of
`STEP` writes, and there is a quiet moment. Who reads looks through what is not in it yet, which is
little where little is written. Measured with a thousand threads and 125 entries a commit: half of
the writes to the file, and a third less CPU for writing an entry and its place in the index.

The move copies entries in the order of their ids up to a mark, and takes what it copies out of the
index with the same commit; then it deletes up to the mark. So an entry is either in ``entries``, or
in the index, or loose; and of each thread what is in ``entries`` comes before what is in the index,
and that before what is loose. A move that was cut off is begun again.
"""

# ruff: noqa: S608 - only constants are put into SQL, every value is a parameter.

import sqlite3
from dataclasses import dataclass
from typing import Any

LENGTH = 16_384
"""Entries in the tail from which on a move begins."""

LOOSE = 1024
"""Entries that are not in the index from which on it follows: looking through them takes a reader
some 100 us."""

STEP = 32
"""Writes after which the index follows, however few entries they had."""

LATE = 4
"""How many times what makes a step due makes it overdue: until then it waits for a quiet moment."""

INDEXED = "(SELECT value FROM counters WHERE name = 'indexed')"
"""SQL for the number of the last entry of the tail that was put into its index: later ones are
loose."""

_SLICE = 256
"""Entries that are copied or deleted at once, at least: a move waits until so many are due. For
each slice a transaction is begun, and the same few pages are written. Measured with 300 threads and
30 entries a commit, against 64 after each commit: 9 us of CPU for an entry instead of 16, and 0.7
of the bytes."""

_REST = 8
"""Writes after which a move goes on, however few entries they had."""

_COPIES = 2
_DELETES = 8
"""Entries that are copied and deleted for each that arrives, if that is more: a move ends before
the tail is twice as long. A copy takes longer than a write, and who appends next waits for it; so
what comes meanwhile, and with it the next slice, grows. Measured with four copies instead of two,
for 1,000 entries a commit: 39 ms of CPU instead of 25 for one commit of ten."""

_PAGES_PER_TURN = 2
_CHANGES_PER_PAGE = 64
_BYTES_PER_PAGE = 6144
"""What makes a page of 8 KiB of the write-ahead log, of which SQLite does not tell how much there
is. Measured, of one entry a commit: 1.1 pages, and 2 told; of 100 of 200 B: 14 and 17; of one of
200 kB: 27 and 34; of 100 of 2 kB: 84 and 87. In a file of 4 KiB pages, as an older release made it,
twice as many are written: there the writer copies the more of them itself."""

_COLUMNS = 5
_BATCH = 1024
"""Entries that one INSERT takes at most: 5,120 of SQLite's 32,766 variables."""


def entries_in(span: str) -> str:
    """Return SQL for the entries of one thread whose ids are in the span, wherever they are.

    Unordered; a span is ``BETWEEN first AND last``.
    """
    return f"""SELECT id, run, at, type, data FROM entries WHERE id {span}
        UNION ALL
        SELECT i.id, run, at, type, data FROM tail_index i CROSS JOIN tail USING (seq)
        WHERE i.id {span}
        UNION ALL
        SELECT id, run, at, type, data FROM tail WHERE seq > {INDEXED} AND id {span}"""


def _insert(rows: int) -> str:
    """Return the INSERT of `rows` entries, of which those with the id 0 are left out.

    A statement per entry would give up the interpreter's lock per entry, and beside a busy event
    loop wait up to 5 ms each time to get it back. Padding keeps the prepared statements few.
    ROLLBACK, unlike the default, needs no copy of each page to undo the statement alone.
    """
    values = ",".join(["(?,?,?,?,?)"] * rows)
    return (
        "INSERT OR ROLLBACK INTO tail (id, run, at, type, data)"
        f" SELECT * FROM (VALUES {values}) WHERE column1 <> 0"
    )


_INSERTS = {1 << power: _insert(1 << power) for power in range(_BATCH.bit_length())}

_INDEX = f"INSERT INTO tail_index SELECT id, seq FROM tail WHERE seq > {INDEXED} ORDER BY id"

# The next entry gets the number after the last one: with an empty tail it begins anew.
_MARK = """UPDATE counters SET value = (SELECT coalesce(max(seq), 0) FROM tail)
    WHERE name = 'indexed'"""

_ENDS = "SELECT (SELECT min(seq) FROM tail), (SELECT max(seq) FROM tail)"

_NEXT = """SELECT count(*), max(id) FROM
    (SELECT id FROM tail_index WHERE id > ? AND seq <= ? ORDER BY id LIMIT ?)"""

_COPIED = "tail_index WHERE id > ? AND id <= ? AND seq <= ?"

_COPY = f"""INSERT INTO entries SELECT i.id, t.run, t.at, t.type, t.data
    FROM (SELECT id, seq FROM {_COPIED} ORDER BY id) i JOIN tail t ON t.seq = i.seq"""


@dataclass(slots=True)
class _Move:
    """A move under way: what is copied, and what is deleted of what is to be moved."""

    mark: int
    deleted: int
    copied: int = 0
    is_copied: bool = False


class Tail:
    """The tail and its moves. All methods work within the transaction that their caller began."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._changes = connection.total_changes
        self._bytes = 0.0
        """Of the entries that were written, copied and deleted since `take_pages`."""
        self._mean = 0.0
        """Bytes of an entry of the last write: those that a move finds are taken to be alike."""
        self.forget()

    def forget(self) -> None:
        """Forget what is known of the table, after a rollback: it is looked at again."""
        self._move: _Move | None = None
        self._length = LENGTH
        self._loose = LOOSE
        self._writes = 0
        """Writes since the index was brought up to date."""
        self._arrived = self._rested = 0
        """Entries that were written, and writes, since a move went on."""

    @property
    def is_due(self) -> bool:
        """Whether there is enough to `tidy`."""
        return self._waits_for(1)

    @property
    def is_overdue(self) -> bool:
        """Whether there is so much that it cannot wait for a quiet moment."""
        return self._waits_for(LATE)

    def _waits_for(self, times: int) -> bool:
        """Return whether so many times what is enough has come."""
        moves = self._move is not None or self._length >= LENGTH
        goes_on = self._arrived * _COPIES >= times * _SLICE or self._rested >= times * _REST
        return self._lags(times) or (moves and goes_on)

    def _lags(self, times: int = 1) -> bool:
        """Return whether the index should follow."""
        return self._loose >= times * LOOSE or self._writes >= times * STEP

    def fits(self, rows: list[Any]) -> bool:
        """Return whether `write` needs one statement at most, which needs no transaction."""
        return len(rows) <= _BATCH * _COLUMNS

    def write(self, rows: list[Any]) -> None:
        """Write entries, given as ``id, run, at, type, data, id, run, …``.

        Only int, str and bytearray: for a value of any other type, also bytes and None, sqlite3
        looks for an adapter, which takes longer than SQLite takes for an entry.
        """
        size = _BATCH * _COLUMNS
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            count = len(batch) // _COLUMNS
            written = sum(map(len, batch[_COLUMNS - 1 :: _COLUMNS]))
            self._bytes += written
            self._mean = written / count
            padded = 1 << (count - 1).bit_length()
            batch.extend([0] * ((padded - count) * _COLUMNS))
            self._execute(_INSERTS[padded], batch)
            self._length += count
            self._loose += count
            self._writes += 1
            self._arrived += count
        self._rested += 1

    def index_much(self) -> None:
        """Index what is loose if it is `LOOSE` entries: who reads next would look through them."""
        if self._loose >= LOOSE:
            self._index()

    def take_pages(self) -> int:
        """Return about how many pages the connection has written since this was asked last."""
        before, self._changes = self._changes, self._connection.total_changes
        changes = (self._changes - before) % 2**32  # SQLite counts with 32 bits
        size, self._bytes = self._bytes, 0.0
        return int(_PAGES_PER_TURN + changes / _CHANGES_PER_PAGE + size / _BYTES_PER_PAGE)

    def tidy(self) -> None:
        """Index what is loose if it is much, and move a slice; more of it if much arrives."""
        if self._lags():
            self._index()
        if self._move is None and self._length >= LENGTH:
            self._move, self._arrived = self._begin(LENGTH), 0
        arrived, self._arrived, self._rested = self._arrived, 0, 0
        if self._move is not None:
            self._advance(
                self._move, max(_SLICE, _COPIES * arrived), max(_SLICE, _DELETES * arrived)
            )

    def clear(self) -> None:
        """Move everything, so that nothing of a thread is anywhere but in its place."""
        self._move = self._begin(1)
        while self._move is not None:
            self._advance(self._move, self._length, self._length)

    def _index(self) -> None:
        """Put what is loose into the index, in the order of its pages."""
        self._execute(_INDEX)
        self._execute(_MARK)
        self._loose = self._writes = 0

    def _begin(self, length: int) -> _Move | None:
        """Return the move of all that is there now, or None if that is less than `length`."""
        first, last = self._execute(_ENDS).fetchone()
        self._length = last - first + 1 if first is not None else 0
        if self._length < length:
            return None
        self._index()
        return _Move(last, first - 1)

    def _advance(self, move: _Move, copies: int, deletes: int) -> None:
        """Copy so many entries, or delete so many once all are copied."""
        if not move.is_copied:
            count, last = self._execute(_NEXT, (move.copied, move.mark, copies)).fetchone()
            if count:
                copied = (move.copied, last, move.mark)
                self._execute(_COPY, copied)
                self._execute(f"DELETE FROM {_COPIED}", copied)
                move.copied = last
                self._bytes += count * self._mean
            move.is_copied = count < copies
            return
        first, move.deleted = move.deleted, min(move.deleted + deletes, move.mark)
        self._execute("DELETE FROM tail WHERE seq <= ?", (move.deleted,))
        self._length -= move.deleted - first
        self._bytes += (move.deleted - first) * self._mean
        if move.deleted == move.mark:
            self._move = None
            if not self._length:
                self._execute(_MARK)
