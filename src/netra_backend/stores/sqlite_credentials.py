"""Credentials that are good no more, in a SQLite store: used tickets, and what was revoked."""

import sqlite3
from collections.abc import Mapping

from netra_backend.core.ids import UserId


def spend(connection: sqlite3.Connection, ticket: str, expires_at: int, now: int) -> bool:
    """Note that the ticket is used, within the caller's transaction; see `Tickets.spend`."""
    connection.execute("DELETE FROM spent_tickets WHERE expires_at <= ?", (now,))
    spent = connection.execute(
        "INSERT OR IGNORE INTO spent_tickets VALUES (?, ?)", (ticket, expires_at)
    )
    return spent.rowcount == 1


def revoke(connection: sqlite3.Connection, user: UserId, at: int) -> None:
    """Note the revocation, within the caller's transaction; see `Revocations.revoke`."""
    connection.execute(
        "INSERT INTO revocations VALUES (?, ?)"
        " ON CONFLICT (user) DO UPDATE SET at = max(at, excluded.at)",
        (user, at),
    )
    count_withdrawal(connection)


def count_withdrawal(connection: sqlite3.Connection) -> None:
    """Let everybody look again, within the caller's transaction."""
    connection.execute("UPDATE counters SET value = value + 1 WHERE name = 'withdrawal'")


def list_revocations(connection: sqlite3.Connection) -> Mapping[UserId, int]:
    """Return until when what was issued to whom is good no more."""
    return dict(connection.execute("SELECT user, at FROM revocations").fetchall())


def find_withdrawals(connection: sqlite3.Connection) -> int:
    """Return the number of withdrawals."""
    row = connection.execute("SELECT value FROM counters WHERE name = 'withdrawal'").fetchone()
    return int(row[0])
