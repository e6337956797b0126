"""The tables of a SQLite store, and how older ones become them.

``PRAGMA user_version`` counts the migrations that a file has been through. One that was released
is never edited: what should be different is a further migration.

An entry's id is ``thread << 32 | offset``: the table itself is then the index by thread and
offset, and the newest entry of a thread is the last of its range.
"""

# ruff: noqa: S608 - only constants are put into SQL, every value is a parameter.

import sqlite3
from pathlib import Path

from netra_backend.errors import StoreFailed
from netra_backend.stores.sqlite_files import failure, naming

NOW = "CAST((julianday('now') - 2440587.5) * 86400000 AS INTEGER)"
"""SQL for the milliseconds since 1970. Epochs start there, so that a file that is made anew, or
restored, gives none that its predecessor gave: no store makes a thousand threads a second for
as long as it lives."""

MIGRATIONS = (
    f"""
    CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
    INSERT INTO counters VALUES ('epoch', {NOW}), ('opening', 0), ('probe', 0);

    CREATE TABLE threads (
        id INTEGER PRIMARY KEY,
        owner TEXT NOT NULL,
        name TEXT NOT NULL,
        title TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        UNIQUE (owner, name)
    );
    CREATE INDEX newest_threads ON threads (owner, updated_at, name);

    -- holder and expires_at are null when the run has ended: there is no lease any more.
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,
        owner TEXT NOT NULL,
        name TEXT NOT NULL,
        thread INTEGER NOT NULL REFERENCES threads (id),
        agent TEXT NOT NULL,
        status TEXT NOT NULL,
        correlation TEXT NOT NULL,
        started INTEGER NOT NULL,
        ended INTEGER,
        holder TEXT,
        fence INTEGER NOT NULL,
        expires_at INTEGER,
        UNIQUE (owner, name)
    );
    CREATE INDEX runs_of_thread ON runs (thread);
    CREATE UNIQUE INDEX active_runs ON runs (thread) WHERE holder IS NOT NULL;

    CREATE TABLE entries (
        id INTEGER PRIMARY KEY,
        run INTEGER NOT NULL,
        at INTEGER NOT NULL,
        type TEXT NOT NULL,
        data BLOB NOT NULL
    );

    -- Entries that are not in their place yet, in the order of their arrival: see sqlite_tail.
    CREATE TABLE tail (
        seq INTEGER PRIMARY KEY,
        id INTEGER NOT NULL UNIQUE,
        run INTEGER NOT NULL,
        at INTEGER NOT NULL,
        type TEXT NOT NULL,
        data BLOB NOT NULL
    );

    CREATE TABLE interrupts (
        id INTEGER PRIMARY KEY,
        thread INTEGER NOT NULL REFERENCES threads (id),
        name TEXT NOT NULL,
        run INTEGER NOT NULL REFERENCES runs (id),
        agent TEXT NOT NULL,
        question BLOB NOT NULL,
        decided_by TEXT,
        status TEXT,
        answer BLOB,
        resumed_by TEXT,
        UNIQUE (thread, name)
    );
    CREATE INDEX interrupts_of_run ON interrupts (run);
    CREATE INDEX undelivered_interrupts ON interrupts (id)
        WHERE decided_by IS NOT NULL AND resumed_by IS NULL;
    """,
    """
    CREATE TABLE spent_tickets (
        id TEXT PRIMARY KEY,
        expires_at INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX expired_tickets ON spent_tickets (expires_at);
    """,
    """
    CREATE TABLE queued_runs (
        id INTEGER PRIMARY KEY,
        owner TEXT NOT NULL,
        name TEXT NOT NULL,
        thread INTEGER NOT NULL REFERENCES threads (id),
        agent TEXT NOT NULL,
        input BLOB NOT NULL,
        at INTEGER NOT NULL,
        cancelled INTEGER NOT NULL DEFAULT 0,
        UNIQUE (owner, name)
    );
    CREATE INDEX queue_of_thread ON queued_runs (thread);
    """,
    """
    CREATE TABLE members (
        thread INTEGER NOT NULL REFERENCES threads (id),
        user TEXT NOT NULL,
        role TEXT NOT NULL,
        PRIMARY KEY (thread, user)
    ) WITHOUT ROWID;
    CREATE INDEX threads_of_member ON members (user, thread);

    -- A run belongs to who started it. So its name has to be unique in its thread as well.
    CREATE UNIQUE INDEX run_names ON runs (thread, name);
    DROP INDEX runs_of_thread;
    CREATE UNIQUE INDEX queued_names ON queued_runs (thread, name);
    DROP INDEX queue_of_thread;
    """,
    """
    CREATE TABLE revocations (
        user TEXT PRIMARY KEY,
        at INTEGER NOT NULL
    ) WITHOUT ROWID;
    INSERT INTO counters VALUES ('withdrawal', 0);
    """,
    """
    -- The tail's index does not follow each commit any more: see sqlite_tail.
    ALTER TABLE tail RENAME TO old_tail;
    CREATE TABLE tail (
        seq INTEGER PRIMARY KEY,
        id INTEGER NOT NULL,
        run INTEGER NOT NULL,
        at INTEGER NOT NULL,
        type TEXT NOT NULL,
        data BLOB NOT NULL
    );
    INSERT INTO tail SELECT * FROM old_tail;
    DROP TABLE old_tail;
    CREATE TABLE tail_index (id INTEGER PRIMARY KEY, seq INTEGER NOT NULL);
    -- What a move had copied already is in its place, and only waits to be deleted.
    INSERT INTO tail_index SELECT id, seq FROM tail
        WHERE NOT EXISTS (SELECT 1 FROM entries WHERE entries.id = tail.id);
    INSERT INTO counters SELECT 'indexed', coalesce(max(seq), 0) FROM tail;
    """,
    """
    -- A list of threads says of each what is undecided, however much was asked in it before.
    CREATE INDEX undecided_interrupts ON interrupts (thread) WHERE decided_by IS NULL;
    """,
)


def migrate(
    connection: sqlite3.Connection, file: Path, migrations: tuple[str, ...] = MIGRATIONS
) -> None:
    """Bring the database to the newest version, each step in a transaction of its own.

    Raises StoreFailed naming `file`: it cannot be read, it is newer than this release, or a step
    failed, and then the file is as the step before left it. The last two name the versions.
    """
    with naming(file):
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(migrations):
        raise StoreFailed(
            f"{file} has version {version}, written by a newer release of Netra; "
            f"this one knows versions up to {len(migrations)}"
        )
    try:
        for number, migration in enumerate(migrations[version:], version + 1):
            version = number
            connection.executescript(
                f"BEGIN IMMEDIATE; {migration}; PRAGMA user_version = {number}; COMMIT;"
            )
    except sqlite3.Error as error:
        connection.rollback()
        raise StoreFailed(f"{failure(file, error)}, at version {version}") from error
