"""With whom the threads of a SQLite store are shared."""

import sqlite3
from collections.abc import Sequence

from netra_backend.core.ids import ThreadKey, UserId
from netra_backend.core.ports import Member
from netra_backend.core.roles import Role, role_of
from netra_backend.errors import ErrorCode, Refused
from netra_backend.stores.decisions import check
from netra_backend.stores.sqlite_credentials import count_withdrawal

_MEMBERS = """SELECT m.user, m.role FROM members m JOIN threads t ON t.id = m.thread
    WHERE t.owner = ? AND t.name = ?"""


def set_member(
    connection: sqlite3.Connection, thread: ThreadKey, user: UserId, role: Role, limit: int
) -> bool:
    """Keep the role, within the caller's transaction; see `Members.set_member`."""
    row = connection.execute(
        "SELECT id, (SELECT count(*) FROM members WHERE thread = t.id AND user <> ?) FROM threads t"
        " WHERE owner = ? AND name = ?",
        (user, *thread),
    ).fetchone()
    if row is None:
        return False
    found, others = row
    if others >= limit:
        raise Refused(ErrorCode.TOO_MANY, f"the thread has {limit} members already")
    connection.execute("INSERT OR REPLACE INTO members VALUES (?, ?, ?)", (found, user, role.value))
    return True


def remove_member(connection: sqlite3.Connection, thread: ThreadKey, user: UserId) -> bool:
    """Forget the member, within the caller's transaction; see `Members.remove_member`."""
    cursor = connection.execute(
        "DELETE FROM members WHERE user = ?"
        " AND thread = (SELECT id FROM threads WHERE owner = ? AND name = ?)",
        (user, *thread),
    )
    if cursor.rowcount:
        count_withdrawal(connection)
    return cursor.rowcount > 0


def list_members(connection: sqlite3.Connection, thread: ThreadKey) -> Sequence[Member]:
    """Return the thread's members by their names."""
    rows = connection.execute(f"{_MEMBERS} ORDER BY m.user", thread).fetchall()
    return [Member(user, Role(role)) for user, role in rows]


def find_role(connection: sqlite3.Connection, thread: ThreadKey, user: UserId) -> Role | None:
    """Return the member's role, or None."""
    row = connection.execute(f"{_MEMBERS} AND m.user = ?", (*thread, user)).fetchone()
    return Role(row[1]) if row is not None else None


def check_role(
    connection: sqlite3.Connection, thread: ThreadKey, user: UserId, needs: Role | None
) -> None:
    """Raise Refused (forbidden) unless the user has at least the role `needs` at this moment."""
    check(role_of(user, thread.owner, find_role(connection, thread, user)), needs)
