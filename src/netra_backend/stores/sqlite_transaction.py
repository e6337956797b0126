"""The transaction of a SQLite store: what came since the last commit, durable or undone as one."""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any

from netra_backend.core.run import IllegalMove
from netra_backend.errors import NetraError
from netra_backend.stores.sqlite_tail import Tail

REFUSALS = (NetraError, IllegalMove, ValueError, OverflowError)
"""What one operation raises without harm to the others of its transaction."""

SCRUB_SECONDS = 0.2
"""How long after one try to empty the write-ahead log the next one is due."""

_SCRUB_WAIT = 0.02
"""Seconds that such a try waits for those who read: a backup, or `netra check`, may read for
minutes, and who appends waits as long."""


class Transaction:
    """What one connection, the only one that writes, has done since the last commit.

    An operation checks before it writes: one that raises `REFUSALS` has changed nothing, and the
    transaction goes on. After any other error the caller rolls back with `abandon`. `undone` is
    called when what was done may not count any more.
    """

    def __init__(self, connection: sqlite3.Connection, undone: Callable[[], None]) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._undone = undone
        self.tail = Tail(connection)
        self.entries: list[Any] = []
        """What was appended, as `Tail.write` takes it: it waits until something has to see it, or
        `commit`."""
        self._syncs = True
        """Whether what is committed is synced, as `open_writer` has it."""
        self.scrub_due = False
        """Something was deleted, and the write-ahead log may still hold it."""
        self._scrub_at = 0.0

    def commit(self) -> None:
        """Make everything since the last commit durable, or raise sqlite3.Error."""
        if not self._syncs:
            self._sync(True)
        if not self.tail.fits(self.entries):
            self._begin()
        self._write_entries()  # outside a transaction, one statement is one transaction
        if self._connection.in_transaction:
            self._execute("COMMIT")

    def abandon(self) -> None:
        """Undo everything since the last commit and forget what was remembered of it."""
        self.forget()
        if self._connection.in_transaction:
            self._execute("ROLLBACK")

    @contextmanager
    def operation(self) -> Iterator[None]:
        """Let what is inside see every entry, and be undone alone if it is refused midway."""
        self.settle()
        self._execute("SAVEPOINT operation")
        try:
            yield
        except (NetraError, IllegalMove):
            self._execute("RELEASE operation")
            raise
        except (ValueError, OverflowError):  # a text or number that SQLite cannot keep
            self._execute("ROLLBACK TO operation")
            self._execute("RELEASE operation")
            self.forget()
            raise
        self._execute("RELEASE operation")

    def settle(self) -> None:
        """Put the entries that wait where everything sees them."""
        self._begin()
        self._write_entries()
        self.tail.index_much()

    def forget(self) -> None:
        """Forget the entries that wait, and what is known of the tail."""
        self.entries.clear()
        self.tail.forget()
        self._undone()

    # --- what nobody waits for ----------------------------------------------------------------

    @property
    def is_due(self) -> bool:
        """Whether there is something to `tidy` in a quiet moment. Any thread may ask."""
        return self.tail.is_due

    @property
    def is_overdue(self) -> bool:
        """Whether it is time to `scrub`, or too much to `tidy` to wait for such a moment."""
        return self._may_scrub() or self.tail.is_overdue

    def tidy(self) -> None:
        """Put entries that are committed nearer to their place, or raise sqlite3.Error.

        What a power cut takes of it is done again, so it is not synced: the next commit is.
        """
        if not self.tail.is_due:
            return
        self._sync(False)
        try:
            self._begin()
            self.tail.tidy()
            self._execute("COMMIT")
        except BaseException:
            self.abandon()
            raise
        finally:
            self._sync(True)

    def scrub(self) -> None:
        """Empty the write-ahead log if something was deleted; try again later if it is in use."""
        if not self._may_scrub():
            return
        (usual,) = self._execute("PRAGMA busy_timeout").fetchone()
        self._execute(f"PRAGMA busy_timeout = {_SCRUB_WAIT * 1000:.0f}")
        busy = True
        try:
            busy, _, _ = self._execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        finally:
            self.scrub_due = bool(busy)
            self._scrub_at = monotonic() + SCRUB_SECONDS if busy else 0.0
            self._execute(f"PRAGMA busy_timeout = {usual}")

    def _may_scrub(self) -> bool:
        return self.scrub_due and monotonic() >= self._scrub_at

    def rescue(self) -> None:
        """Copy what is committed into the database's file: the write-ahead log may be deleted."""
        self._execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()

    def take_pages(self) -> int:
        """Return about how many pages were written since this was asked last."""
        return self.tail.take_pages()

    def _sync(self, syncs: bool) -> None:
        self._syncs = False  # until it is known: no commit is acknowledged before
        self._execute(f"PRAGMA synchronous = {'FULL' if syncs else 'NORMAL'}")
        self._syncs = syncs

    def _begin(self) -> None:
        if not self._connection.in_transaction:
            self._execute("BEGIN IMMEDIATE")

    def _write_entries(self) -> None:
        self.tail.write(self.entries)
        self.entries.clear()
