"""The runs that wait in a SQLite store until their thread is free."""

import sqlite3
from collections.abc import Sequence
from typing import Any

from netra_backend.core.ids import RunId, RunKey, ThreadKey
from netra_backend.core.queue import QueuedRun
from netra_backend.errors import ErrorCode, Refused
from netra_backend.stores.sqlite_queries import find_namesake

_QUEUED = """SELECT q.owner, q.name, t.owner, t.name, q.agent, q.input, q.at, q.cancelled
    FROM queued_runs q JOIN threads t ON t.id = q.thread"""


def enqueue(connection: sqlite3.Connection, new: QueuedRun, limit: int) -> QueuedRun:
    """Keep the run, within the caller's transaction; see `Queue.enqueue`."""
    known = find_queued(connection, new.key) or _find_in(connection, new)
    if known is not None:
        if known.thread != new.thread:
            raise Refused(ErrorCode.RUN_CONFLICT)
        return known
    row = connection.execute(
        "SELECT id, (SELECT count(*) FROM queued_runs WHERE thread = t.id) FROM threads t"
        " WHERE owner = ? AND name = ?",
        new.thread,
    ).fetchone()
    if row is None:
        raise Refused(ErrorCode.NOT_FOUND)
    thread, waiting = row
    if find_namesake(connection, new.key, new.thread) is not None:
        raise Refused(ErrorCode.RUN_CONFLICT)
    if waiting >= limit:
        raise Refused(ErrorCode.TOO_MANY, f"{limit} runs wait in the thread already")
    connection.execute(
        "INSERT INTO queued_runs (owner, name, thread, agent, input, at) VALUES (?, ?, ?, ?, ?, ?)",
        (*new.key, thread, new.agent, new.input, new.at),
    )
    return new


def cancel_queued(connection: sqlite3.Connection, key: RunKey) -> bool:
    """Mark the run, within the caller's transaction; see `Queue.cancel_queued`."""
    cursor = connection.execute(
        "UPDATE queued_runs SET cancelled = 1 WHERE owner = ? AND name = ?", key
    )
    return cursor.rowcount > 0


def is_cancelled(connection: sqlite3.Connection, thread: int, name: RunId) -> bool | None:
    """Return whether the run of this name that waits in the thread shall only end, None if none."""
    row = connection.execute(
        "SELECT cancelled FROM queued_runs WHERE thread = ? AND name = ?", (thread, name)
    ).fetchone()
    return bool(row[0]) if row is not None else None


def dequeue(connection: sqlite3.Connection, thread: int, name: RunId) -> None:
    """Forget the run, within the caller's transaction: it is being created."""
    connection.execute("DELETE FROM queued_runs WHERE thread = ? AND name = ?", (thread, name))


def find_queued(connection: sqlite3.Connection, key: RunKey) -> QueuedRun | None:
    """Return the run if it waits, or None."""
    row = connection.execute(f"{_QUEUED} WHERE q.owner = ? AND q.name = ?", key).fetchone()
    return _queued(row) if row is not None else None


def _find_in(connection: sqlite3.Connection, new: QueuedRun) -> QueuedRun | None:
    """Return the run of this name that somebody else has waiting in the thread, or None."""
    row = connection.execute(
        f"{_QUEUED} WHERE t.owner = ? AND t.name = ? AND q.name = ?", (*new.thread, new.key.id)
    ).fetchone()
    return _queued(row) if row is not None else None


def list_queued(connection: sqlite3.Connection, thread: ThreadKey | None) -> Sequence[QueuedRun]:
    """Return the runs that wait in the thread, or in all threads, the oldest first."""
    if thread is None:
        rows = connection.execute(f"{_QUEUED} ORDER BY q.id")
    else:
        rows = connection.execute(
            f"{_QUEUED} WHERE t.owner = ? AND t.name = ? ORDER BY q.id", thread
        )
    return [_queued(row) for row in rows.fetchall()]


def _queued(row: Any) -> QueuedRun:
    user, name, owner, thread, agent, given, at, cancelled = row
    key = RunKey(user, name)
    return QueuedRun(key, ThreadKey(owner, thread), agent, given, at, bool(cancelled))
