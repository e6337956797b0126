"""The tail: where entries wait, in the order of their arrival, for their place in their thread.

A thousand threads that append side by side have a thousand places in the ``entries`` table, and
an entry there costs a page of 4 KiB in the write-ahead log and another in the database. So
entries are first written one after the other into the ``tail`` table, and moved a few pages at a
time once there are many. Measured with a thousand threads: a third of the bytes written, and 7 us
of CPU for an entry instead of 12.

The move copies entries in the order of their ids up to a mark, then deletes up to the mark. So of
each thread a first part is in ``entries``, and what is in the tail beyond that part is the rest:
a reader needs no more than that. A move that was cut off is begun again, and what was copied
before is left as it is.
"""

# ruff: noqa: S608 - only constants are put into SQL, every value is a parameter.

import sqlite3
from dataclasses import dataclass
from typing import Any

LENGTH = 16_384
"""Entries in the tail from which on a move begins."""

_SLICE = 1024
"""Entries that are copied or deleted with one commit, at least."""

_COLUMNS = 5
_BATCH = 1024
"""Entries that one INSERT takes at most: 5,120 of SQLite's 32,766 variables."""


def _insert(rows: int) -> str:
    """Return the INSERT of `rows` entries, of which those with a null id are left out.

    A statement per entry would give up the interpreter's lock per entry, and beside a busy event
    loop wait up to 5 ms each time to get it back. Padding keeps the prepared statements few.
    ROLLBACK, unlike the default, needs no copy of each page to undo the statement alone.
    """
    values = ",".join(["(?,?,?,?,?)"] * rows)
    return (
        "INSERT OR ROLLBACK INTO tail (id, run, at, type, data)"
        f" SELECT * FROM (VALUES {values}) WHERE column1 IS NOT NULL"
    )


_INSERTS = {1 << power: _insert(1 << power) for power in range(_BATCH.bit_length())}

_ENDS = "SELECT (SELECT min(seq) FROM tail), (SELECT max(seq) FROM tail)"

_NEXT = """SELECT count(*), max(id) FROM
    (SELECT id FROM tail WHERE id > ? AND seq <= ? ORDER BY id LIMIT ?)"""

_COPY = """INSERT OR IGNORE INTO entries SELECT id, run, at, type, data FROM tail
    WHERE id > ? AND id <= ? AND seq <= ? ORDER BY id"""


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
        self._execute = connection.execute
        self.forget()

    def forget(self) -> None:
        """Forget what is known of the table, after a rollback: it is looked at again."""
        self._move: _Move | None = None
        self._length = LENGTH
        self._arrived = 0

    @property
    def is_due(self) -> bool:
        """Whether there is something to move."""
        return self._move is not None or self._length >= LENGTH

    def fits(self, rows: list[Any]) -> bool:
        """Return whether `write` needs one statement at most, which needs no transaction."""
        return len(rows) <= _BATCH * _COLUMNS

    def write(self, rows: list[Any]) -> None:
        """Write entries, given as ``id, run, at, type, data, id, run, …``."""
        size = _BATCH * _COLUMNS
        for start in range(0, len(rows), size):
            batch = rows[start : start + size]
            count = len(batch) // _COLUMNS
            padded = 1 << (count - 1).bit_length()
            batch.extend([None] * ((padded - count) * _COLUMNS))
            self._execute(_INSERTS[padded], batch)
            self._length += count
            self._arrived += count

    def move(self) -> None:
        """Copy or delete a slice if there is something to move, more of it if much arrives."""
        if self._move is None:
            self._move, self._arrived = self._begin(LENGTH), 0
        size, self._arrived = max(_SLICE, 4 * self._arrived), 0
        if self._move is not None:
            self._advance(self._move, size)

    def clear(self) -> None:
        """Move everything, so that nothing of a thread is anywhere but in its place."""
        self._move = self._begin(1)
        while self._move is not None:
            self._advance(self._move, self._length)

    def _begin(self, length: int) -> _Move | None:
        """Return the move of all that is there now, or None if that is less than `length`."""
        first, last = self._execute(_ENDS).fetchone()
        self._length = last - first + 1 if first is not None else 0
        return _Move(last, first - 1) if self._length >= length else None

    def _advance(self, move: _Move, size: int) -> None:
        if not move.is_copied:
            count, last = self._execute(_NEXT, (move.copied, move.mark, size)).fetchone()
            if count:
                self._execute(_COPY, (move.copied, last, move.mark))
                move.copied = last
            move.is_copied = count < size
            return
        first, move.deleted = move.deleted, min(move.deleted + size, move.mark)
        self._execute("DELETE FROM tail WHERE seq <= ?", (move.deleted,))
        self._length -= move.deleted - first
        if move.deleted == move.mark:
            self._move = None
