"""What a SQLite store writes, and the little it remembers so that an append reads nothing."""

# ruff: noqa: S608 - only constants are put into SQL, every value is a parameter.

import json
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Concatenate, ParamSpec, TypeVar

from netra_backend.core.events import Event
from netra_backend.core.ids import RunKey, ThreadKey
from netra_backend.core.ports import Created, End, Interrupt, NewRun, Thread
from netra_backend.core.positions import Position
from netra_backend.core.run import Lease, Run, RunStatus, move
from netra_backend.errors import ErrorCode, LeaseLost, Refused
from netra_backend.stores import sqlite_interrupts as interrupts
from netra_backend.stores import sqlite_queue as queue
from netra_backend.stores.decisions import resumption
from netra_backend.stores.sqlite_erasure import erase_thread, prepare_erasure
from netra_backend.stores.sqlite_members import check_role
from netra_backend.stores.sqlite_queries import (
    HEAD,
    find_namesake,
    find_place,
    find_thread,
)
from netra_backend.stores.sqlite_schema import NOW
from netra_backend.stores.sqlite_transaction import Transaction

P = ParamSpec("P")
T = TypeVar("T")


@dataclass(slots=True)
class _Held:
    """A live lease: the keys of its run and thread, its fence, and the thread's last offset."""

    run: int
    thread: int
    epoch: int
    fence: int
    head: int


class Ledger:
    """The writing side of the database. Made for one thread, the only one that writes.

    What it does is durable once its caller has committed the `transaction`.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._execute = connection.execute
        self._held: dict[RunKey, _Held] = {}
        self.transaction = Transaction(connection, undone=self._held.clear)
        self._operation = self.transaction.operation
        self._entries = self.transaction.entries
        prepare_erasure(connection)
        self._fence = self._next("opening") << 32
        self.dead_fence = self._fence
        """The last fence that an earlier opening can have given: as only one process has the
        directory open at a time, whoever holds a lease with it is dead."""

    def apply(
        self,
        act: Callable[Concatenate[sqlite3.Connection, P], T],
        *args: P.args,
        **options: P.kwargs,
    ) -> T:
        """Do what concerns neither entries nor leases, as one operation."""
        with self._operation():
            return act(self._connection, *args, **options)

    def _next(self, counter: str) -> int:
        """Count on, and return the count: a number that was never returned before."""
        self._execute("UPDATE counters SET value = value + 1 WHERE name = ?", (counter,))
        row = self._execute("SELECT value FROM counters WHERE name = ?", (counter,)).fetchone()
        return int(row[0])

    # --- entries ------------------------------------------------------------------------------

    def append(self, events: Sequence[Event], writer: Lease, at: int) -> Position:
        """Append `events`; see `Log.append`."""
        held = self._hold(writer)
        self._add(held, events, at)
        return Position(held.epoch, held.head)

    def finish(self, events: Sequence[Event], writer: Lease, at: int, end: End) -> Position:
        """Append `events` and end the writer's run; see `Log.append`."""
        with self._operation():
            held = self._hold(writer)
            (status,) = self._execute(
                "SELECT status FROM runs WHERE id = ?", (held.run,)
            ).fetchone()
            status = move(RunStatus(status), end.status).value
            self._add(held, events, at)
            for interrupt in end.interrupts:
                interrupts.leave(self._connection, held.thread, held.run, interrupt)
            self._execute(
                "UPDATE runs SET status = ?, ended = ?, holder = NULL, expires_at = NULL"
                " WHERE id = ?",
                (status, held.head, held.run),
            )
            self._touch(held.thread, at)
            del self._held[writer.run]
        return Position(held.epoch, held.head)

    def _hold(self, lease: Lease) -> _Held:
        held = self._held.get(lease.run) or self._load(lease.run)
        if held is None or held.fence != lease.fence:
            raise LeaseLost(f"the lease {lease.fence} on run {lease.run.id} is not held any more")
        return held

    def _load(self, run: RunKey) -> _Held | None:
        self.transaction.settle()
        row = self._execute(
            f"SELECT r.id, t.id, t.epoch, r.fence, {HEAD} FROM runs r"
            " JOIN threads t ON t.id = r.thread"
            " WHERE r.owner = ? AND r.name = ? AND r.holder IS NOT NULL",
            run,
        ).fetchone()
        if row is None:
            return None
        held = self._held[run] = _Held(*row)
        return held

    def _add(self, held: _Held, events: Sequence[Event], at: int) -> None:
        base, run = held.thread << 32, held.run
        for offset, event in enumerate(events, held.head + 1):
            data = bytearray(event.data)
            self._entries += (base | offset, run, at, event.type._value_, data)
        held.head += len(events)

    def _touch(self, thread: int, at: int) -> None:
        self._execute("UPDATE threads SET updated_at = ? WHERE id = ?", (at, thread))

    # --- threads ------------------------------------------------------------------------------

    def open_thread(self, key: ThreadKey, title: str, at: int) -> Thread:
        """Return the thread, created if there was none; see `Threads.open_thread`."""
        with self._operation():
            thread = find_thread(self._connection, key)
            if thread is not None:
                return thread
            epoch = self._next("epoch")
            self._execute(
                "INSERT INTO threads (owner, name, title, created_at, updated_at, epoch)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (*key, title, at, at, epoch),
            )
            return Thread(key, title, at, at, Position(epoch, 0))

    def rename_thread(self, key: ThreadKey, title: str) -> bool:
        """Set the title; see `Threads.rename_thread`."""
        with self._operation():
            renamed = self._execute(
                "UPDATE threads SET title = ? WHERE owner = ? AND name = ?", (title, *key)
            )
            return renamed.rowcount > 0

    def delete_thread(self, key: ThreadKey) -> bool:
        """Delete the thread and all that is in it; see `Threads.delete_thread`."""
        with self._operation():
            row = self._execute(
                "SELECT id FROM threads WHERE owner = ? AND name = ?", key
            ).fetchone()
            if row is None:
                return False
            (thread,) = row
            for run in self._execute("SELECT owner, name FROM runs WHERE thread = ?", row):
                self._held.pop(RunKey(*run), None)
            self.transaction.tail.clear()
            erase_thread(self._connection, thread)
            self.transaction.scrub_due = True
            return True

    def new_epochs(self) -> None:
        """Give all threads an epoch that none of them had."""
        with self._operation():
            self.transaction.forget()
            self._execute(f"UPDATE counters SET value = max(value + 1, {NOW}) WHERE name = 'epoch'")
            self._execute(
                "UPDATE threads SET epoch = (SELECT value FROM counters WHERE name = 'epoch')"
            )

    def probe(self) -> None:
        """Write something that means nothing."""
        with self._operation():
            self._next("probe")

    # --- runs ---------------------------------------------------------------------------------

    def create_run(self, new: NewRun, events: Sequence[Event]) -> Created:
        """Create the run, or return the one that has its key; see `Runs.create_run`."""
        with self._operation():
            run = self._known(new)
            if run is not None:
                return Created(run, None)
            thread, epoch, head, has_waited = self._free_place(new)
            # The last that can be refused: from here on it is written.
            for interrupt in self._taken_up(new):
                interrupts.keep_decision(self._connection, thread, interrupt)
            held = self._held[new.key] = self._insert(new, thread, epoch, head)
            if has_waited:
                queue.dequeue(self._connection, thread, new.key.id)
            self._touch(thread, new.at)
            self._add(held, events, new.at)
        return Created(
            Run(
                key=new.key,
                thread=new.thread,
                agent=new.agent,
                status=RunStatus.RUNNING,
                correlation=new.correlation,
                started=Position(epoch, head + 1),
            ),
            Lease(new.key, new.thread, new.holder, held.fence, new.expires_at),
        )

    def _known(self, new: NewRun) -> Run | None:
        """Return the run of this key or name if there is one. Raises Refused (run_conflict)."""
        run = find_namesake(self._connection, new.key, new.thread)
        used = run or queue.find_queued(self._connection, new.key)
        if used is not None and used.thread != new.thread:
            raise Refused(ErrorCode.RUN_CONFLICT)
        return run

    def _free_place(self, new: NewRun) -> tuple[int, int, int, bool]:
        """Return the thread's id, its epoch and last offset, and whether the run has waited there.

        Raises Refused (not_found, thread_busy).
        """
        thread, epoch, head, busy = find_place(self._connection, new.thread)
        if new.epoch not in (None, epoch):
            raise Refused(ErrorCode.NOT_FOUND)
        is_cancelled = queue.is_cancelled(self._connection, thread, new.key.id)
        if busy or (is_cancelled and not new.ends):
            raise Refused(ErrorCode.THREAD_BUSY)
        return thread, epoch, head, is_cancelled is not None

    def _taken_up(self, new: NewRun) -> Sequence[Interrupt]:
        """Return the interrupts that the run takes up, as they stand then. Raises Refused."""
        find = partial(interrupts.find_interrupt, self._connection, new.thread)
        resumed = resumption(new, find)
        check_role(self._connection, new.thread, new.key.owner, resumed.needs)
        return resumed.taken()

    def _insert(self, new: NewRun, thread: int, epoch: int, head: int) -> _Held:
        """Insert the run, and return its first lease."""
        fence = self._fence = self._fence + 1
        cursor = self._execute(
            "INSERT INTO runs (owner, name, thread, agent, status, correlation, started,"
            " holder, fence, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                *new.key, thread, new.agent, RunStatus.RUNNING.value, new.correlation,
                head + 1, new.holder, fence, new.expires_at,
            ),
        )  # fmt: skip
        return _Held(int(cursor.lastrowid or 0), thread, epoch, fence, head)

    def renew(self, leases: Sequence[Lease], expires_at: int) -> frozenset[RunKey]:
        """Extend the leases that are held; see `Runs.renew`."""
        held, lost = [], set()
        with self._operation():
            for lease in leases:
                try:
                    held.append(self._hold(lease).run)
                except LeaseLost:
                    lost.add(lease.run)
            self._execute(
                "UPDATE runs SET expires_at = ? WHERE id IN (SELECT value FROM json_each(?))",
                (expires_at, json.dumps(held)),
            )
        return frozenset(lost)

    def adopt(self, key: RunKey, holder: str, expires_at: int, now: int) -> Lease | None:
        """Give the orphan a new lease; see `Runs.adopt`."""
        with self._operation():
            row = self._execute(
                "SELECT r.id, t.owner, t.name FROM runs r JOIN threads t ON t.id = r.thread"
                " WHERE r.owner = ? AND r.name = ? AND r.holder IS NOT NULL"
                " AND (r.expires_at <= ? OR r.fence <= ?)",
                (*key, now, self.dead_fence),
            ).fetchone()
            if row is None:
                return None
            run, *thread = row
            fence = self._fence = self._fence + 1
            self._execute(
                "UPDATE runs SET holder = ?, fence = ?, expires_at = ? WHERE id = ?",
                (holder, fence, expires_at, run),
            )
            self._held.pop(key, None)
        return Lease(key, ThreadKey(*thread), holder, fence, expires_at)
