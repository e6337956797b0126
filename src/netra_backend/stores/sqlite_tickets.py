"""The tickets that were used up, in a SQLite store."""

import sqlite3


def spend(connection: sqlite3.Connection, ticket: str, expires_at: int, now: int) -> bool:
    """Note that the ticket is used, within the caller's transaction; see `Tickets.spend`."""
    connection.execute("DELETE FROM spent_tickets WHERE expires_at <= ?", (now,))
    spent = connection.execute(
        "INSERT OR IGNORE INTO spent_tickets VALUES (?, ?)", (ticket, expires_at)
    )
    return spent.rowcount == 1
