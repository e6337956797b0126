"""The inspection of a SQLite store: reads its file, and never writes it.

A file that a server has open has its write-ahead log beside it: it is read as the server's own
readers do, a thread in a transaction, so that the log can be emptied in between. One without such a
log is read as immutable, for which SQLite makes no file beside it; should somebody begin to write
it meanwhile, the inspection ends with StoreFailed: what it has found may mean nothing.
"""

# ruff: noqa: S608 - only constants are put into SQL, every value is a parameter.

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec import Struct

from netra_backend.core.audit import (
    Audit,
    EntryRecord,
    Finding,
    InterruptRecord,
    RunRecord,
    ThreadRecord,
)
from netra_backend.errors import StoreFailed
from netra_backend.stores.sqlite_files import DATABASE, failure, naming
from netra_backend.stores.sqlite_queries import HEAD, OFFSETS
from netra_backend.stores.sqlite_schema import MIGRATIONS, migrate
from netra_backend.stores.sqlite_tail import INDEXED, entries_in

MAX_PROBLEMS = 100
"""Findings of SQLite's own, and of each question about the whole file, that are told."""

_BUSY_SECONDS = 5.0
"""How long to wait for another connection, such as one that recovers the write-ahead log."""

_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_FORMAT})

_NEXT_THREAD = """SELECT id, owner || ',' || name, epoch FROM threads WHERE id > ?
    ORDER BY id LIMIT 1"""

_HEAD = f"SELECT {HEAD} FROM threads t WHERE t.id = ?"

_RUNS = """SELECT id, name, status, started, ended, holder IS NOT NULL FROM runs
    WHERE thread = ? ORDER BY id"""

_INTERRUPTS = "SELECT name, run FROM interrupts WHERE thread = ? ORDER BY id"

_SPAN = f"BETWEEN :thread << 32 AND (:thread << 32) + {OFFSETS}"

_ENTRIES = f"SELECT id & {OFFSETS}, run, type, data FROM ({entries_in(_SPAN)}) ORDER BY id"

_QUESTIONS = (
    # Each jump to the next thread is a look into the table's own index.
    (
        """WITH RECURSIVE of_thread(id) AS (
            SELECT min(id) >> 32 FROM entries
            UNION ALL
            SELECT (SELECT min(id) >> 32 FROM entries WHERE id >= (of_thread.id + 1) << 32)
            FROM of_thread WHERE of_thread.id IS NOT NULL
        )
        SELECT id FROM of_thread WHERE id NOT NULL AND id NOT IN (SELECT id FROM threads)
        UNION
        SELECT id >> 32 FROM tail WHERE id >> 32 NOT IN (SELECT id FROM threads)""",
        "there are entries of thread number {0}, which there is not",
    ),
    (
        f"""SELECT i.id >> 32, i.id & {OFFSETS} FROM tail_index i LEFT JOIN tail t ON t.seq = i.seq
        WHERE t.id IS NOT i.id""",
        "the index of the tail has an entry in a wrong place: number {1} of thread number {0}",
    ),
    (
        f"""SELECT i.id >> 32, i.id & {OFFSETS} FROM tail_index i WHERE i.seq > {INDEXED}""",
        "the index of the tail has an entry too early: number {1} of thread number {0}",
    ),
    (
        f"""SELECT t.id >> 32, t.id & {OFFSETS} FROM tail t WHERE t.seq <= {INDEXED}
        AND NOT EXISTS (SELECT 1 FROM tail_index i WHERE i.id = t.id)
        AND NOT EXISTS (SELECT 1 FROM entries e WHERE e.id = t.id)""",
        "the index of the tail lacks an entry: number {1} of thread number {0}",
    ),
    (
        """SELECT value FROM counters WHERE name = 'epoch'
        AND value < (SELECT max(epoch) FROM threads)""",
        "the counter of epochs is {0}, and a thread has a later one, which may be given again",
    ),
    (
        """SELECT column1 FROM (VALUES ('epoch'), ('opening'), ('probe'), ('withdrawal'),
        ('indexed')) WHERE column1 NOT IN (SELECT name FROM counters)""",
        "the counter {0!r} is missing",
    ),
)
"""What is asked of the file as a whole: rows that there should not be, and what they mean."""


class Inspected(Struct):
    """The thread ``OWNER,ID`` that was looked at: what there is, is open, and is wrong in it."""

    thread: str
    entries: int = 0
    runs: int = 0
    open_runs: list[str] = []
    findings: list[Finding] = []


@contextmanager
def inspection(directory: Path) -> Iterator["Inspection"]:
    """Open the database in `directory` to be looked at; nothing in there is changed.

    Raises StoreFailed, naming the file: there is none, it is no database of ours or of another
    version, it cannot be read, or was written while it was read as one that nobody writes.
    """
    file = directory / DATABASE
    try:
        before = file.stat()
    except OSError as error:
        raise StoreFailed(f"{file}: {error.strerror}") from error
    log = file.with_name(f"{file.name}-wal")
    is_quiet = not log.exists()
    way = "immutable=1" if is_quiet else "mode=ro"
    with naming(file):
        connection = sqlite3.connect(
            f"{file.resolve().as_uri()}?{way}",
            uri=True,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
        )
    with closing(connection):
        connection.text_factory = lambda text: text.decode("utf-8", "replace")
        yield Inspection(connection, file)
    after = file.stat()
    if is_quiet and (
        log.exists() or (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size)
    ):
        raise StoreFailed(f"{file} was written while it was checked: check it again")


class Inspection:
    """A database that is looked at. Every method raises StoreFailed if it cannot be read."""

    def __init__(self, connection: sqlite3.Connection, file: Path) -> None:
        self._connection = connection
        self.file = file
        try:
            self.version = self._known_version()
            self._missing = self._missing_parts()
        except Damaged as damage:
            raise StoreFailed(f"{file}: {damage}") from damage

    def _known_version(self) -> int:
        """Return the version of the database. Raises StoreFailed unless it is this release's."""
        known = len(MIGRATIONS)
        version = int(self._all("PRAGMA user_version")[0][0])
        if version == 0:
            raise StoreFailed(f"{self.file} is no database of Netra")
        if version > known:
            raise StoreFailed(
                f"{self.file} has version {version}, written by a newer release of Netra; "
                f"this one knows versions up to {known}"
            )
        if version < known:
            raise StoreFailed(
                f"{self.file} has version {version}, and this release checks version {known}: "
                "check it with the release that wrote it, or start `netra serve` on it once"
            )
        return version

    def _missing_parts(self) -> list[tuple[str, str]]:
        """Return the tables and indices that are not there, as their kind and name."""
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as model:
            migrate(model, self.file)
            expected = model.execute(_SCHEMA).fetchall()
        there = set(self._all(_SCHEMA))
        return [row for row in expected if row not in there]

    @property
    def _has_tables(self) -> bool:
        return all(kind != "table" for kind, _ in self._missing)

    def file_findings(self) -> Iterator[Finding]:
        """Yield what is wrong with the file as a whole; without a table nothing more is asked."""
        for kind, name in self._missing:
            yield Finding(f"the {kind} {name} is missing")
        yield from self._told(self._integrity())
        if self._has_tables:
            yield from self._told(self._agreement())

    def _integrity(self) -> Iterator[str]:
        """Yield what SQLite itself finds wrong: pages, rows, and indices that lack some."""
        for (text,) in self._rows(f"PRAGMA integrity_check({MAX_PROBLEMS})"):
            if text != "ok":
                yield f"SQLite: {' '.join(str(text).split())}"

    def _agreement(self) -> Iterator[str]:
        """Yield where the tables contradict each other."""
        for table, row, parent, _ in islice(self._rows("PRAGMA foreign_key_check"), MAX_PROBLEMS):
            yield f"row {row} of {table} refers to one of {parent} that there is not"
        for question, meaning in _QUESTIONS:
            for values in self._rows(f"{question} LIMIT {MAX_PROBLEMS}"):
                yield meaning.format(*values)

    @staticmethod
    def _told(found: Iterator[str]) -> Iterator[Finding]:
        """Yield what was found, and last where the file could be read no further."""
        try:
            for what in found:
                yield Finding(what)
        except Damaged as damage:
            yield Finding(f"SQLite: {damage}")

    def thread_count(self) -> int:
        """Return how many threads there are, for a measure of progress."""
        try:
            return int(self._all("SELECT count(*) FROM threads")[0][0]) if self._has_tables else 0
        except Damaged:
            return 0

    def threads(self) -> Iterator[Inspected | Finding]:
        """Look at one thread after another; a Finding is one that could not even be found."""
        if not self._has_tables:
            return
        last = -1
        while True:
            self._connection.execute("BEGIN")
            try:
                found = self._all(_NEXT_THREAD, last)
                if not found:
                    return
                last, name, epoch = found[0]
                yield self._look(last, name, epoch)
            except Damaged as damage:
                yield Finding(f"the threads after number {last} cannot be read: {damage}")
                return
            finally:
                self._connection.execute("ROLLBACK")

    def _look(self, thread: int, name: str, epoch: int) -> Inspected:
        seen = Inspected(name)
        try:
            ((head,),) = self._all(_HEAD, thread)
            runs = [RunRecord(*row) for row in self._all(_RUNS, thread)]
            interrupts = [InterruptRecord(*row) for row in self._all(_INTERRUPTS, thread)]
            audit = Audit(ThreadRecord(name, epoch, head), runs, interrupts)
            seen.runs, seen.open_runs = len(runs), audit.open_runs
            for offset, run, type, data in self._rows(_ENTRIES, {"thread": thread}):
                seen.entries += 1
                raw = data if isinstance(data, bytes) else str(data).encode()
                seen.findings += audit.take(EntryRecord(offset, run, str(type), raw))
            seen.findings += audit.close()
        except Damaged as damage:
            seen.findings.append(Finding(f"the rest cannot be read: {damage}", name))
        return seen

    def _all(self, query: str, *values: int) -> Sequence[Any]:
        return list(self._rows(query, values))

    def _rows(self, query: str, values: Sequence[int] | Mapping[str, int] = ()) -> Iterator[Any]:
        """Yield the rows. Raises Damaged where the file is, StoreFailed for all else."""
        try:
            yield from self._connection.execute(query, values)
        except UnicodeDecodeError as error:  # sqlite3 could not even say what is wrong
            raise Damaged("the database schema is no text") from error
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            if code in _DAMAGE:
                raise Damaged(str(error)) from error
            raise failure(self.file, error) from error


_SCHEMA = "SELECT type, name FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'"


class Damaged(Exception):
    """SQLite found its file damaged where it had to read: that is a finding, too."""
