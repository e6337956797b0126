"""The questions that runs leave for people, in a SQLite store, and how each was decided."""

# ruff: noqa: S608 - only constants are put into SQL, every value is a parameter.

import sqlite3
from collections.abc import Sequence
from typing import Any

from netra_backend.core.ids import RunId, ThreadKey, UserId
from netra_backend.core.pages import READ_BYTES
from netra_backend.core.ports import Answer, Decision, Interrupt
from netra_backend.core.positions import MAX_NUMBER
from netra_backend.core.roles import Role
from netra_backend.stores.decisions import decided
from netra_backend.stores.sqlite_members import check_role
from netra_backend.stores.sqlite_queries import find_place

_INTERRUPT = """SELECT t.owner, t.name, i.name, r.name, r.owner, i.agent, i.question, i.decided_by,
    i.status, i.answer, i.resumed_by
    FROM interrupts i JOIN threads t ON t.id = i.thread JOIN runs r ON r.id = i.run"""


def leave(connection: sqlite3.Connection, thread: int, run: int, interrupt: Interrupt) -> None:
    """Keep what the run has asked in the thread, within the caller's transaction."""
    connection.execute(
        "INSERT OR REPLACE INTO interrupts (thread, name, run, agent, question)"
        " VALUES (?, ?, ?, ?, ?)",
        (thread, interrupt.id, run, interrupt.agent, interrupt.question),
    )


def keep_decision(connection: sqlite3.Connection, thread: int, interrupt: Interrupt) -> None:
    """Keep how the interrupt of the thread stands now, within the caller's transaction."""
    connection.execute(
        "UPDATE interrupts SET decided_by = ?, status = ?, answer = ?, resumed_by = ?"
        " WHERE thread = ? AND name = ?",
        (
            interrupt.decided_by, interrupt.status, interrupt.answer, interrupt.resumed_by,
            thread, interrupt.id,
        ),
    )  # fmt: skip


def decide(
    connection: sqlite3.Connection, thread: ThreadKey, answer: Answer, by: UserId, needs: Role
) -> Decision | None:
    """Decide the interrupt, within the caller's transaction; see `Runs.decide`."""
    interrupt = find_interrupt(connection, thread, answer.interrupt)
    if interrupt is None:
        return None
    check_role(connection, thread, by, needs)
    if interrupt.decided_by is not None:
        return Decision(interrupt, won=False)
    interrupt = decided(interrupt, answer, by)
    place, *_ = find_place(connection, thread)
    keep_decision(connection, place, interrupt)
    return Decision(interrupt, won=True)


def find_interrupt(
    connection: sqlite3.Connection, thread: ThreadKey, interrupt: str
) -> Interrupt | None:
    """Return the interrupt, or None."""
    row = connection.execute(
        f"{_INTERRUPT} WHERE t.owner = ? AND t.name = ? AND i.name = ?", (*thread, interrupt)
    ).fetchone()
    return _interrupt(row) if row is not None else None


def list_interrupts(
    connection: sqlite3.Connection, thread: ThreadKey, run: RunId
) -> Sequence[Interrupt]:
    """Return the interrupts that the run left, in its order."""
    rows = connection.execute(
        f"{_INTERRUPT} WHERE t.owner = ? AND t.name = ? AND r.name = ? ORDER BY i.id",
        (*thread, run),
    )
    return [_interrupt(row) for row in rows.fetchall()]


def list_asked(
    connection: sqlite3.Connection, thread: ThreadKey, limit: int, before: str | None
) -> Sequence[Interrupt]:
    """Return the newest interrupts of the thread, or those before one, in the order of asking."""
    rows = connection.execute(
        # What is long is not looked at before its turn: it would all be sorted, too.
        f"""WITH place AS MATERIALIZED (SELECT id AS thread,
                CASE WHEN :before IS NULL THEN {MAX_NUMBER} ELSE
                (SELECT id FROM interrupts i WHERE i.thread = t.id AND i.name = :before) END AS upto
            FROM threads t WHERE owner = :owner AND name = :name
        ),
        newest AS MATERIALIZED (
            SELECT i.id FROM place JOIN interrupts i ON i.thread = place.thread AND i.id < upto
            ORDER BY i.id DESC LIMIT :limit
        )
        {_INTERRUPT} WHERE i.id IN (SELECT id FROM newest) ORDER BY i.id DESC""",
        {"owner": thread.owner, "name": thread.id, "limit": limit, "before": before},
    )
    found: list[Interrupt] = []
    size = 0
    while size < READ_BYTES and (row := rows.fetchone()) is not None:
        found.append(_interrupt(row))
        size += found[-1].size()
    rows.close()
    return found[::-1]


def list_undelivered(connection: sqlite3.Connection) -> Sequence[Interrupt]:
    """Return the decided interrupts that no run has taken up."""
    rows = connection.execute(
        f"{_INTERRUPT} WHERE i.decided_by IS NOT NULL AND i.resumed_by IS NULL ORDER BY i.id"
    )
    return [_interrupt(row) for row in rows.fetchall()]


def _interrupt(row: Any) -> Interrupt:
    owner, thread, *fields = row
    return Interrupt(ThreadKey(owner, thread), *fields)
