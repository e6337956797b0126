"""What a SQLite store reads, as functions of a connection.

Python gives up the interpreter's lock around each row it takes from SQLite. Beside a busy event
loop it may wait 5 ms (``sys.getswitchinterval``) to get it back, so what can be many rows is
folded into one by SQLite: 5,000 entries were measured at 15 ms instead of 3.4 s.
"""

# ruff: noqa: S608 - only constants are put into SQL, every value is a parameter.

import sqlite3
from collections.abc import Sequence
from itertools import accumulate, pairwise
from typing import Any

import msgspec
from ag_ui.core import EventType

from netra_backend.core.events import Entry, Event
from netra_backend.core.frames import RunState
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId
from netra_backend.core.pages import READ_BYTES, bounded
from netra_backend.core.ports import Thread
from netra_backend.core.positions import MAX_NUMBER, Position
from netra_backend.core.resume import Backlog
from netra_backend.core.roles import Role, role_of
from netra_backend.core.run import Run, RunStatus
from netra_backend.errors import ErrorCode, Refused
from netra_backend.stores.sqlite_tail import INDEXED, entries_in

OFFSETS = (1 << 32) - 1
"""The part of an entry's id that is its offset, and the largest offset."""

_PLACE = f"BETWEEN t.id << 32 AND (t.id << 32) + {OFFSETS}"


def _head_after(loose: str) -> str:
    return f"""(SELECT coalesce({loose}, (SELECT max(id) FROM tail_index WHERE id {_PLACE}),
        (SELECT max(id) FROM entries WHERE id {_PLACE}), 0) & {OFFSETS})"""


HEAD = _head_after(f"(SELECT max(id) FROM tail WHERE seq > {INDEXED} AND id {_PLACE})")
"""SQL for the offset of the newest entry of thread ``t``."""

_UNDECIDED = "(SELECT count(*) FROM interrupts i WHERE i.thread = t.id AND i.decided_by IS NULL)"

_THREAD = f"""SELECT owner, name, title, created_at, updated_at, epoch, {HEAD}, {_UNDECIDED}
    FROM threads t"""

_HEAD_AND_BUSY = f"""SELECT t.id, t.epoch, {HEAD},
    EXISTS (SELECT 1 FROM runs WHERE thread = t.id AND holder IS NOT NULL)
    FROM threads t WHERE owner = ? AND name = ?"""

_RUN = """SELECT r.owner, r.name, t.owner, t.name, r.agent, r.status, r.correlation, t.epoch,
    r.started, r.ended FROM runs r JOIN threads t ON t.id = r.thread"""

_SPAN = "BETWEEN (SELECT first FROM t) AND (SELECT last FROM t)"

# Of the thread in t, which says where to begin. Scalar subqueries, not joins: so SQLite reads the
# tables in their order and stops at the limit.
_ENTRIES_OF_T = f"""(SELECT epoch FROM t), json_group_array(id & {OFFSETS}),
        json_group_array((SELECT name FROM runs WHERE runs.id = run)), json_group_array(at),
        json_group_array(type), json_group_array(length(data)),
        CAST(group_concat(CAST(data AS TEXT), '') AS BLOB)
    FROM (
        {entries_in(_SPAN)}
        ORDER BY id LIMIT :limit
    )"""

_ENTRIES = f"""WITH t AS MATERIALIZED (
        SELECT epoch, (id << 32) + :first AS first, (id << 32) + {OFFSETS} AS last
        FROM threads t WHERE owner = :owner AND name = :name
    )
    SELECT {_ENTRIES_OF_T}"""

# In another epoch `first` is null, and nothing is between null and anything.
_BACKLOG = f"""WITH t AS MATERIALIZED (
        SELECT id, epoch, {HEAD} AS head, m.role,
            CASE WHEN coalesce(:epoch, epoch) = epoch THEN (id << 32) + :first END AS first,
            (id << 32) + {OFFSETS} AS last
        FROM threads t LEFT JOIN members m ON m.thread = t.id AND m.user = :user
        WHERE t.owner = :owner AND t.name = :name AND (:own OR m.role IS NOT NULL)
    ),
    r AS MATERIALIZED (
        SELECT name, status FROM runs WHERE thread = (SELECT id FROM t) ORDER BY id DESC LIMIT 1
    )
    SELECT (SELECT role FROM t), (SELECT head FROM t), (SELECT name FROM r), (SELECT status FROM r),
        {_ENTRIES_OF_T}"""

_PLACED = "(t.updated_at, t.name, t.owner) < (:updated_at, :name, :owner)"

# Two lists that are merged, so that SQLite takes the own threads in the order of their index. What
# is loose is looked through once for all of them.
_PAGE = f"""WITH page AS MATERIALIZED (
        SELECT t.* FROM threads t WHERE t.owner = :user AND {_PLACED}
        UNION ALL
        SELECT t.* FROM members m JOIN threads t ON t.id = m.thread
        WHERE m.user = :user AND t.owner <> :user AND {_PLACED}
        ORDER BY updated_at DESC, name DESC, owner DESC LIMIT :limit
    ),
    loose AS MATERIALIZED (
        SELECT id >> 32 AS thread, max(id) AS last FROM tail
        WHERE seq > {INDEXED} AND id >> 32 IN (SELECT id FROM page) GROUP BY thread
    )
    SELECT json_group_array(
        json_array(owner, name, title, created_at, updated_at, epoch, head, undecided)
    )
    FROM (SELECT t.*, {_head_after("(SELECT last FROM loose WHERE thread = t.id)")} AS head,
        {_UNDECIDED} AS undecided FROM page t)"""

_numbers = msgspec.json.Decoder(list[int]).decode
_names = msgspec.json.Decoder(list[RunId]).decode
_types = msgspec.json.Decoder(list[EventType]).decode
_page = msgspec.json.Decoder(list[tuple[UserId, ThreadId, str, int, int, int, int, int]]).decode

_BEFORE_ALL = (MAX_NUMBER, ThreadKey(UserId(""), ThreadId("")))
"""A place in the list of threads that is before every thread: no clock gets there."""


FIRST_ENTRIES = 16
"""Entries of the first statement of a read: their size says how many the next ones may take."""


def read_entries(
    connection: sqlite3.Connection, thread: ThreadKey, after: int, limit: int
) -> Sequence[Entry]:
    """Return entries of the thread with offsets greater than `after`: see `Log.read`."""
    asked = min(limit, FIRST_ENTRIES)
    return _go_on(connection, thread, _read(connection, thread, after, asked), limit)


def _go_on(
    connection: sqlite3.Connection, thread: ThreadKey, entries: Sequence[Entry], limit: int
) -> Sequence[Entry]:
    """Return the first entries, and those that follow, up to `limit` and `READ_BYTES`.

    A log only grows, so several statements are as good as one; a thread of another epoch is not
    this one.
    """
    got, asked = list(entries), min(limit, FIRST_ENTRIES)
    while got and len(entries) == asked and len(got) < limit:
        size = sum(len(entry.event.data) for entry in got)
        if size >= READ_BYTES:
            break
        asked = min(limit - len(got), 1 + (READ_BYTES - size) * len(got) // size)
        entries = _read(connection, thread, got[-1].position.offset, asked)
        if entries and entries[0].position.epoch != got[0].position.epoch:
            break
        got += entries
    return bounded(got, Entry.size)


def _read(
    connection: sqlite3.Connection, thread: ThreadKey, after: int, limit: int
) -> Sequence[Entry]:
    row = connection.execute(
        _ENTRIES,
        {
            "owner": thread.owner, "name": thread.id, "first": min(after, OFFSETS) + 1,
            "limit": limit,
        },
    ).fetchone()  # fmt: skip
    return _entries(row)


def find_backlog(
    connection: sqlite3.Connection,
    thread: ThreadKey,
    user: UserId,
    after: Position | None,
    limit: int,
) -> Backlog | None:
    """Return what the user needs to go on after the position, or None: see `Log.backlog`.

    One statement, but for entries that follow the first few and are not newer than the head.
    """
    own = role_of(user, thread.owner, None) is not None
    role, head, run, status, *entries = connection.execute(
        _BACKLOG,
        {
            "owner": thread.owner, "name": thread.id, "user": user, "own": own,
            "limit": min(limit, FIRST_ENTRIES),
            "epoch": after.epoch if after is not None else None,
            "first": min(after.offset, OFFSETS) + 1 if after is not None else 1,
        },
    ).fetchone()  # fmt: skip
    epoch = entries[0]
    standing = role_of(user, thread.owner, Role(role) if role is not None else None)
    if epoch is None or standing is None:
        return None
    state = RunState(run, status) if run is not None else None
    first = _entries(entries)
    upto = min(limit, head - first[0].position.offset + 1) if first else 0
    return Backlog(standing, Position(epoch, head), state, _go_on(connection, thread, first, upto))


def _entries(row: Sequence[Any]) -> Sequence[Entry]:
    """Return what was selected as `_ENTRIES_OF_T`."""
    epoch, offsets, runs, times, types, lengths, data = row
    if data is None:
        return []
    ends = accumulate(_numbers(lengths), initial=0)
    return [
        Entry(Position(epoch, offset), run, at, Event(kind, data[start:end]))
        for offset, run, at, kind, (start, end) in zip(
            _numbers(offsets), _names(runs), _numbers(times), _types(types), pairwise(ends),
            strict=True,
        )
    ]  # fmt: skip


def find_thread(connection: sqlite3.Connection, key: ThreadKey) -> Thread | None:
    """Return the thread, or None."""
    row = connection.execute(f"{_THREAD} WHERE owner = ? AND name = ?", key).fetchone()
    if row is None:
        return None
    return _thread(*row)


def find_place(connection: sqlite3.Connection, key: ThreadKey) -> tuple[int, int, int, bool]:
    """Return the thread's id, its epoch and last offset, and whether a run in it is active.

    Raises Refused (NOT_FOUND).
    """
    row = connection.execute(_HEAD_AND_BUSY, key).fetchone()
    if row is None:
        raise Refused(ErrorCode.NOT_FOUND)
    thread, epoch, head, busy = row
    return thread, epoch, head, bool(busy)


def list_threads(
    connection: sqlite3.Connection,
    user: UserId,
    limit: int,
    before: tuple[int, ThreadKey] | None,
) -> Sequence[Thread]:
    """Return one page of the threads that the user owns or is a member of."""
    updated_at, key = before or _BEFORE_ALL
    (page,) = connection.execute(
        _PAGE,
        {
            "user": user,
            "updated_at": updated_at,
            "name": key.id,
            "owner": key.owner,
            "limit": limit,
        },
    ).fetchone()
    return bounded([_thread(*row) for row in _page(page)], Thread.size)


def _thread(
    owner: UserId,
    name: ThreadId,
    title: str,
    created_at: int,
    updated_at: int,
    epoch: int,
    head: int,
    undecided: int,
) -> Thread:
    key = ThreadKey(owner, name)
    return Thread(key, title, created_at, updated_at, Position(epoch, head), undecided)


def find_run(connection: sqlite3.Connection, key: RunKey) -> Run | None:
    """Return the run, or None."""
    row = connection.execute(f"{_RUN} WHERE r.owner = ? AND r.name = ?", key).fetchone()
    return _run(row) if row is not None else None


def find_run_in(connection: sqlite3.Connection, thread: ThreadKey, id: RunId) -> Run | None:
    """Return the run of this name in the thread, or None."""
    row = connection.execute(
        f"{_RUN} WHERE t.owner = ? AND t.name = ? AND r.name = ?", (*thread, id)
    ).fetchone()
    return _run(row) if row is not None else None


def find_namesake(connection: sqlite3.Connection, key: RunKey, thread: ThreadKey) -> Run | None:
    """Return the run that has the key, else the one of its name in the thread, or None."""
    return find_run(connection, key) or find_run_in(connection, thread, key.id)


def find_last_run(connection: sqlite3.Connection, thread: ThreadKey) -> Run | None:
    """Return the newest run of the thread, or None."""
    row = connection.execute(
        f"{_RUN} WHERE t.owner = ? AND t.name = ? ORDER BY r.id DESC LIMIT 1", thread
    ).fetchone()
    return _run(row) if row is not None else None


def list_orphans(connection: sqlite3.Connection, now: int, dead_fence: int) -> Sequence[Run]:
    """Return the runs whose lease has expired or has a fence up to `dead_fence`, oldest first."""
    rows = connection.execute(
        f"{_RUN} WHERE r.holder IS NOT NULL AND (r.expires_at <= ? OR r.fence <= ?) ORDER BY r.id",
        (now, dead_fence),
    )
    return [_run(row) for row in rows.fetchall()]


def _run(row: Any) -> Run:
    user, name, owner, thread, agent, status, correlation, epoch, started, ended = row
    return Run(
        key=RunKey(user, name),
        thread=ThreadKey(owner, thread),
        agent=agent,
        status=RunStatus(status),
        correlation=correlation,
        started=Position(epoch, started),
        ended=Position(epoch, ended) if ended is not None else None,
    )
