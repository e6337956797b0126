"""The embedded store: one SQLite database in a data directory that one process owns.

What an acknowledgement survives: the death of the process, and a power cut as far as the disk
keeps what ``fsync`` promised. Writes go through one thread, which commits together what arrived
during the commit before (`sqlite_writer`); reads go beside it (`sqlite_readers`), and so does the
copying from the write-ahead log into the database (`sqlite_checkpoints`).
"""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from pathlib import Path

from netra_backend.core.events import Entry, Event
from netra_backend.core.ids import RunId, RunKey, ThreadKey, UserId
from netra_backend.core.pages import check_page
from netra_backend.core.ports import (
    Answer,
    Created,
    Decision,
    End,
    Interrupt,
    Member,
    NewRun,
    Thread,
    checked_title,
)
from netra_backend.core.positions import Position
from netra_backend.core.queue import QueuedRun
from netra_backend.core.resume import Backlog
from netra_backend.core.roles import Role
from netra_backend.core.run import Lease, Run
from netra_backend.stores import sqlite_credentials as credentials
from netra_backend.stores import sqlite_interrupts as interrupts
from netra_backend.stores import sqlite_members as members
from netra_backend.stores import sqlite_queries as queries
from netra_backend.stores import sqlite_queue as queue
from netra_backend.stores.sqlite_checkpoints import SqliteCheckpoints
from netra_backend.stores.sqlite_files import (
    DATABASE,
    naming,
    open_writer,
    owned_directory,
)
from netra_backend.stores.sqlite_ledger import Ledger
from netra_backend.stores.sqlite_readers import SqliteReaders
from netra_backend.stores.sqlite_schema import migrate
from netra_backend.stores.sqlite_writer import SqliteWriter, WriterCounts

READERS = 2
"""Queries that are answered at once; one more waits for a thread."""


class SqliteStore:
    """A `Store` in ``netra.db`` in `directory`, with `READERS` threads that read.

    It belongs to the event loop that opens it. A lease of an earlier opening counts as expired:
    only one process has the directory open at a time, so its holder is gone. A text that UTF-8
    cannot spell is refused with ValueError.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._checkpoints = SqliteCheckpoints(directory / DATABASE)
        self._writer = SqliteWriter(directory / DATABASE, self._checkpoints.note)
        self._readers = SqliteReaders(directory / DATABASE)
        self._resources = ExitStack()
        self._dead_fence = 0

    @property
    def counts(self) -> WriterCounts:
        """What the writer has done since the store was made."""
        return self._writer.counts

    async def open(self) -> None:
        """Own the directory, made with mode 0700 if missing, and migrate its database.

        Raises StoreInUse naming the directory and the owner's process id; StoreFailed naming the
        file that cannot be used, or was written by a newer release.
        """
        await asyncio.to_thread(self._open, asyncio.get_running_loop())

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        with ExitStack() as resources:
            file = resources.enter_context(owned_directory(self._directory))
            connection = resources.enter_context(closing(open_writer(file)))
            with naming(file):
                migrate(connection, file)
                ledger = Ledger(connection)
            # A process may have been killed between a deletion and its scrub.
            ledger.transaction.scrub_due = True
            self._readers.start(READERS)
            resources.callback(self._readers.stop)
            self._checkpoints.start()
            resources.callback(self._checkpoints.stop)
            self._writer.start(ledger, loop)
            resources.callback(self._writer.stop)
            self._dead_fence = ledger.dead_fence
            self._resources = resources.pop_all()

    async def probe(self) -> None:
        """Commit a write that means nothing, to a file that is still there."""
        await self._writer.submit(Ledger.probe)

    async def close(self) -> None:
        """Finish what was accepted, then close the database and give the directory up."""
        self._writer.hand_over()
        resources, self._resources = self._resources, ExitStack()
        await asyncio.to_thread(resources.close)

    async def new_epochs(self) -> None:
        """Give every thread a new epoch: call it once after a backup was restored.

        What was written after the backup is lost, so a position from then must be answered with
        ``gap``, also when the thread has grown past it anew.
        """
        await self._writer.submit(Ledger.new_epochs)

    # --- log ----------------------------------------------------------------------------------

    def append(
        self, events: Sequence[Event], *, writer: Lease, at: int, end: End | None = None
    ) -> asyncio.Future[Position]:
        """Take `events` for the next commit; see `Log.append`."""
        if not events:
            raise ValueError("an append has at least one event")
        batch = tuple(events)
        if end is None:
            return self._writer.submit(Ledger.append, batch, writer, at)
        return self._writer.submit(Ledger.finish, batch, writer, at, end)

    async def read(self, thread: ThreadKey, after: int, limit: int) -> Sequence[Entry]:
        """Return entries; see `Log.read`."""
        check_page(limit, after=after)
        return await self._readers.run(lambda db: queries.read_entries(db, thread, after, limit))

    async def backlog(
        self, thread: ThreadKey, user: UserId, after: Position | None, limit: int
    ) -> Backlog | None:
        """Return what the user needs to go on after the position; see `Log.backlog`."""
        check_page(limit)
        return await self._readers.run(
            lambda db: queries.find_backlog(db, thread, user, after, limit)
        )

    # --- threads ------------------------------------------------------------------------------

    async def open_thread(self, key: ThreadKey, title: str, at: int) -> Thread:
        """Return the thread; see `Threads.open_thread`."""
        return await self._writer.submit(Ledger.open_thread, key, checked_title(title), at)

    async def thread(self, key: ThreadKey) -> Thread | None:
        """Return the thread, or None."""
        return await self._readers.run(lambda db: queries.find_thread(db, key))

    async def threads(
        self, user: UserId, limit: int, before: tuple[int, ThreadKey] | None = None
    ) -> Sequence[Thread]:
        """Return one page of the user's threads; see `Threads.threads`."""
        check_page(limit)
        return await self._readers.run(lambda db: queries.list_threads(db, user, limit, before))

    async def rename_thread(self, key: ThreadKey, title: str) -> bool:
        """Set the title; see `Threads.rename_thread`."""
        return await self._writer.submit(Ledger.rename_thread, key, checked_title(title))

    async def delete_thread(self, key: ThreadKey) -> bool:
        """Delete the thread; its bytes are overwritten and the write-ahead log emptied."""
        return await self._writer.submit(Ledger.delete_thread, key)

    # --- members ------------------------------------------------------------------------------

    async def set_member(self, thread: ThreadKey, user: UserId, role: Role, limit: int) -> bool:
        """Keep the role; see `Members.set_member`."""
        return await self._writer.submit(
            lambda ledger: ledger.apply(members.set_member, thread, user, role, limit)
        )

    async def remove_member(self, thread: ThreadKey, user: UserId) -> bool:
        """Forget the member; see `Members.remove_member`."""
        return await self._writer.submit(
            lambda ledger: ledger.apply(members.remove_member, thread, user)
        )

    async def members(self, thread: ThreadKey) -> Sequence[Member]:
        """Return the members by their names."""
        return await self._readers.run(lambda db: members.list_members(db, thread))

    async def role(self, thread: ThreadKey, user: UserId) -> Role | None:
        """Return the member's role, or None."""
        return await self._readers.run(lambda db: members.find_role(db, thread, user))

    # --- runs ---------------------------------------------------------------------------------

    async def create_run(self, new: NewRun, events: Sequence[Event]) -> Created:
        """Create the run; see `Runs.create_run`."""
        if not events:
            raise ValueError("a run has a first event")
        batch = tuple(events)
        return await self._writer.submit(Ledger.create_run, new, batch)

    async def run(self, key: RunKey) -> Run | None:
        """Return the run, or None."""
        return await self._readers.run(lambda db: queries.find_run(db, key))

    async def run_in(self, thread: ThreadKey, id: RunId) -> Run | None:
        """Return the run of this name in the thread, or None."""
        return await self._readers.run(lambda db: queries.find_run_in(db, thread, id))

    async def last_run(self, thread: ThreadKey) -> Run | None:
        """Return the thread's newest run, or None."""
        return await self._readers.run(lambda db: queries.find_last_run(db, thread))

    async def renew(self, leases: Sequence[Lease], expires_at: int) -> frozenset[RunKey]:
        """Extend leases; see `Runs.renew`."""
        batch = tuple(leases)
        return await self._writer.submit(Ledger.renew, batch, expires_at)

    async def orphans(self, now: int) -> Sequence[Run]:
        """Return the runs that nobody executes; see `Runs.orphans`."""
        return await self._readers.run(lambda db: queries.list_orphans(db, now, self._dead_fence))

    async def adopt(self, key: RunKey, holder: str, expires_at: int, now: int) -> Lease | None:
        """Take an orphan over; see `Runs.adopt`."""
        return await self._writer.submit(Ledger.adopt, key, holder, expires_at, now)

    # --- interrupts ---------------------------------------------------------------------------

    async def interrupt(self, thread: ThreadKey, interrupt: str) -> Interrupt | None:
        """Return the interrupt, or None."""
        return await self._readers.run(lambda db: interrupts.find_interrupt(db, thread, interrupt))

    async def interrupts(self, thread: ThreadKey, run: RunId) -> Sequence[Interrupt]:
        """Return the interrupts that `run` left."""
        return await self._readers.run(lambda db: interrupts.list_interrupts(db, thread, run))

    async def asked(
        self, thread: ThreadKey, limit: int, before: str | None = None
    ) -> Sequence[Interrupt]:
        """Return the newest interrupts of the thread."""
        check_page(limit)
        return await self._readers.run(lambda db: interrupts.list_asked(db, thread, limit, before))

    async def decide(
        self, thread: ThreadKey, answer: Answer, by: UserId, needs: Role
    ) -> Decision | None:
        """Decide the interrupt if nobody has; see `Runs.decide`."""
        return await self._writer.submit(
            lambda ledger: ledger.apply(interrupts.decide, thread, answer, by, needs)
        )

    async def undelivered(self) -> Sequence[Interrupt]:
        """Return decided interrupts that no run has taken up."""
        return await self._readers.run(interrupts.list_undelivered)

    # --- queue --------------------------------------------------------------------------------

    async def enqueue(self, new: QueuedRun, limit: int) -> QueuedRun:
        """Keep the run until its thread is free; see `Queue.enqueue`."""
        return await self._writer.submit(lambda ledger: ledger.apply(queue.enqueue, new, limit))

    async def queued_run(self, key: RunKey) -> QueuedRun | None:
        """Return the run if it waits, or None."""
        return await self._readers.run(lambda db: queue.find_queued(db, key))

    async def queued(self, thread: ThreadKey | None = None) -> Sequence[QueuedRun]:
        """Return what waits in the thread, or in all threads, the oldest first."""
        return await self._readers.run(lambda db: queue.list_queued(db, thread))

    async def cancel_queued(self, key: RunKey) -> bool:
        """Note that the run shall only end; see `Queue.cancel_queued`."""
        return await self._writer.submit(lambda ledger: ledger.apply(queue.cancel_queued, key))

    # --- credentials --------------------------------------------------------------------------

    async def revoke(self, user: UserId, at: int) -> None:
        """Note the revocation; see `Revocations.revoke`."""
        await self._writer.submit(lambda ledger: ledger.apply(credentials.revoke, user, at))

    async def revocations(self) -> Mapping[UserId, int]:
        """Return until when what was issued to whom is good no more."""
        return await self._readers.run(credentials.list_revocations)

    async def withdrawals(self) -> int:
        """Return the number of withdrawals."""
        return await self._readers.run(credentials.find_withdrawals)

    async def spend(self, ticket: str, expires_at: int, now: int) -> bool:
        """Use a ticket up; see `Tickets.spend`."""
        return await self._writer.submit(
            lambda ledger: ledger.apply(credentials.spend, ticket, expires_at, now)
        )
