"""The reference store: what the contract says, in dicts. Nothing survives the process."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from msgspec.structs import replace

from netra_backend.core.events import Entry, Event
from netra_backend.core.frames import RunState
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId
from netra_backend.core.pages import bounded, check_page
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
from netra_backend.core.roles import Role, role_of
from netra_backend.core.run import IllegalMove, Lease, Run, RunStatus, move
from netra_backend.errors import ErrorCode, LeaseLost, Refused
from netra_backend.stores.decisions import check, decided, resumption


@dataclass(slots=True)
class _Thread:
    """A thread with everything that is deleted with it."""

    key: ThreadKey
    title: str
    created_at: int
    updated_at: int
    epoch: int
    entries: list[Entry] = field(default_factory=list)
    runs: list[RunKey] = field(default_factory=list)
    interrupts: dict[str, Interrupt] = field(default_factory=dict)
    members: dict[UserId, Role] = field(default_factory=dict)

    def head(self) -> Position:
        return Position(self.epoch, len(self.entries))

    def facts(self) -> Thread:
        undecided = sum(asked.decided_by is None for asked in self.interrupts.values())
        return Thread(
            self.key, self.title, self.created_at, self.updated_at, self.head(), undecided
        )

    def add(self, events: Sequence[Event], run: RunId, at: int) -> None:
        for offset, event in enumerate(events, len(self.entries) + 1):
            self.entries.append(Entry(Position(self.epoch, offset), run, at, event))

    def leave(self, interrupt: Interrupt) -> None:
        self.interrupts.pop(interrupt.id, None)
        self.interrupts[interrupt.id] = interrupt


class MemoryStore:
    """A `Store` in memory. Each method does its work in one step of the event loop."""

    def __init__(self) -> None:
        self._threads: dict[ThreadKey, _Thread] = {}
        self._runs: dict[RunKey, Run] = {}
        self._leases: dict[RunKey, Lease] = {}
        self._spent: dict[str, int] = {}
        self._queue: dict[RunKey, QueuedRun] = {}
        self._revoked: dict[UserId, int] = {}
        self._withdrawals = 0
        self._fence = 0
        # Another process had other epochs: what it forgot must not look like this one's history.
        self._epoch = time.time_ns() // 1_000_000

    async def open(self) -> None:
        """Do nothing: it is open."""

    async def probe(self) -> None:
        """Return: it always answers."""

    async def close(self) -> None:
        """Do nothing: there is nothing to release."""

    def append(
        self, events: Sequence[Event], *, writer: Lease, at: int, end: End | None = None
    ) -> asyncio.Future[Position]:
        """Append at once; the future is done when this returns."""
        outcome = asyncio.get_running_loop().create_future()
        try:
            outcome.set_result(self._append(events, writer, at, end))
        except (IllegalMove, LeaseLost, ValueError) as error:
            outcome.set_exception(error)
        return outcome

    def _append(self, events: Sequence[Event], writer: Lease, at: int, end: End | None) -> Position:
        if not events:
            raise ValueError("an append has at least one event")
        lease = self._leases.get(writer.run)
        if lease is None or lease.fence != writer.fence:
            raise LeaseLost(f"the lease {writer.fence} on run {writer.run.id} is not held any more")
        run, thread = self._runs[writer.run], self._threads[lease.thread]
        status = move(run.status, end.status) if end is not None else run.status
        thread.add(events, run.key.id, at)
        if end is not None:
            self._runs[run.key] = replace(run, status=status, ended=thread.head())
            del self._leases[run.key]
            thread.updated_at = at
            for interrupt in end.interrupts:
                thread.leave(interrupt)
        return thread.head()

    async def read(self, thread: ThreadKey, after: int, limit: int) -> Sequence[Entry]:
        """Return the slice."""
        check_page(limit, after=after)
        found = self._threads.get(thread)
        return [] if found is None else bounded(found.entries[after : after + limit], Entry.size)

    async def backlog(
        self, thread: ThreadKey, user: UserId, after: Position | None, limit: int
    ) -> Backlog | None:
        """Return what the user needs to go on after the position."""
        check_page(limit)
        found = self._threads.get(thread)
        role = role_of(user, thread.owner, found.members.get(user)) if found is not None else None
        if found is None or role is None:
            return None
        last = self._runs[found.runs[-1]] if found.runs else None
        run = RunState(last.key.id, last.status) if last is not None else None
        if after is not None and after.epoch != found.epoch:
            return Backlog(role, found.head(), run, ())
        entries = await self.read(thread, after.offset if after is not None else 0, limit)
        return Backlog(role, found.head(), run, entries)

    async def open_thread(self, key: ThreadKey, title: str, at: int) -> Thread:
        """Return the thread, created if there was none."""
        checked_title(title)
        if key not in self._threads:
            self._epoch += 1
            self._threads[key] = _Thread(key, title, at, at, self._epoch)
        return self._threads[key].facts()

    async def thread(self, key: ThreadKey) -> Thread | None:
        """Return the thread, or None."""
        found = self._threads.get(key)
        return found.facts() if found is not None else None

    async def threads(
        self, user: UserId, limit: int, before: tuple[int, ThreadKey] | None = None
    ) -> Sequence[Thread]:
        """Return one page of the threads that the user owns or is a member of."""
        check_page(limit)
        found = [t for t in self._threads.values() if t.key.owner == user or user in t.members]
        found.sort(key=lambda thread: _place(thread.updated_at, thread.key), reverse=True)
        if before is not None:
            found = [t for t in found if _place(t.updated_at, t.key) < _place(*before)]
        return bounded([thread.facts() for thread in found[:limit]], Thread.size)

    async def rename_thread(self, key: ThreadKey, title: str) -> bool:
        """Set the title."""
        checked_title(title)
        if key not in self._threads:
            return False
        self._threads[key].title = title
        return True

    async def delete_thread(self, key: ThreadKey) -> bool:
        """Forget the thread and its runs."""
        thread = self._threads.pop(key, None)
        if thread is None:
            return False
        for run in thread.runs:
            del self._runs[run]
            self._leases.pop(run, None)
        self._queue = {k: run for k, run in self._queue.items() if run.thread != key}
        return True

    async def set_member(self, thread: ThreadKey, user: UserId, role: Role, limit: int) -> bool:
        """Keep the role."""
        found = self._threads.get(thread)
        if found is None:
            return False
        if len(found.members.keys() - {user}) >= limit:
            raise Refused(ErrorCode.TOO_MANY, f"the thread has {limit} members already")
        found.members[user] = role
        return True

    async def remove_member(self, thread: ThreadKey, user: UserId) -> bool:
        """Forget the member."""
        found = self._threads.get(thread)
        removed = found is not None and found.members.pop(user, None) is not None
        self._withdrawals += removed
        return removed

    async def members(self, thread: ThreadKey) -> list[Member]:
        """Return the members by their names."""
        found = self._threads.get(thread)
        return [Member(*member) for member in sorted(found.members.items())] if found else []

    async def role(self, thread: ThreadKey, user: UserId) -> Role | None:
        """Return the member's role, or None."""
        found = self._threads.get(thread)
        return found.members.get(user) if found is not None else None

    async def create_run(self, new: NewRun, events: Sequence[Event]) -> Created:
        """Create the run, or return the one that has its key."""
        if not events:
            raise ValueError("a run has a first event")
        run = self._runs.get(new.key) or await self.run_in(new.thread, new.key.id)
        used = run or self._queue.get(new.key)
        if used is not None and used.thread != new.thread:
            raise Refused(ErrorCode.RUN_CONFLICT)
        if run is not None:
            return Created(run, None)
        thread = self._threads.get(new.thread)
        if thread is None or new.epoch not in (None, thread.epoch):
            raise Refused(ErrorCode.NOT_FOUND)
        same = self._same(new.thread, new.key.id)
        must_end = same is not None and same.cancelled and not new.ends
        if must_end or any(key in self._leases for key in thread.runs):
            raise Refused(ErrorCode.THREAD_BUSY)
        resumed = resumption(new, thread.interrupts.get)
        self._check_role(thread, new.key.owner, resumed.needs)
        thread.interrupts.update({interrupt.id: interrupt for interrupt in resumed.taken()})
        started = Position(thread.epoch, thread.head().offset + 1)
        run = Run(new.key, new.thread, new.agent, RunStatus.RUNNING, new.correlation, started)
        self._runs[new.key] = run
        if same is not None:
            del self._queue[same.key]
        thread.runs.append(new.key)
        thread.updated_at = new.at
        thread.add(events, new.key.id, new.at)
        return Created(run, self._lease(run, new.holder, new.expires_at))

    def _check_role(self, thread: _Thread, user: UserId, needs: Role | None) -> None:
        check(role_of(user, thread.key.owner, thread.members.get(user)), needs)

    def _lease(self, run: Run, holder: str, expires_at: int) -> Lease:
        self._fence += 1
        lease = Lease(run.key, run.thread, holder, self._fence, expires_at)
        self._leases[run.key] = lease
        return lease

    async def run(self, key: RunKey) -> Run | None:
        """Return the run, or None."""
        return self._runs.get(key)

    async def run_in(self, thread: ThreadKey, id: RunId) -> Run | None:
        """Return the run of this name in the thread, or None."""
        found = self._threads.get(thread)
        named = (key for key in found.runs if key.id == id) if found is not None else ()
        return next((self._runs[key] for key in named), None)

    async def last_run(self, thread: ThreadKey) -> Run | None:
        """Return the thread's newest run, or None."""
        found = self._threads.get(thread)
        return self._runs[found.runs[-1]] if found is not None and found.runs else None

    async def renew(self, leases: Sequence[Lease], expires_at: int) -> frozenset[RunKey]:
        """Extend the leases that are held; return the keys of the others."""
        lost = set()
        for lease in leases:
            held = self._leases.get(lease.run)
            if held is None or held.fence != lease.fence:
                lost.add(lease.run)
            else:
                self._leases[lease.run] = replace(held, expires_at=expires_at)
        return frozenset(lost)

    async def spend(self, ticket: str, expires_at: int, now: int) -> bool:
        """Note that the ticket is used."""
        self._spent = {id: end for id, end in self._spent.items() if end > now}
        if ticket in self._spent:
            return False
        self._spent[ticket] = expires_at
        return True

    async def revoke(self, user: UserId, at: int) -> None:
        """Note the revocation."""
        self._revoked[user] = max(at, self._revoked.get(user, at))
        self._withdrawals += 1

    async def revocations(self) -> dict[UserId, int]:
        """Return until when what was issued to whom is good no more."""
        return dict(self._revoked)

    async def withdrawals(self) -> int:
        """Return the number of withdrawals."""
        return self._withdrawals

    async def orphans(self, now: int) -> list[Run]:
        """Return the runs whose lease has expired. Runs are kept in the order of creation."""
        return [run for run in self._runs.values() if self._is_orphan(run.key, now)]

    def _is_orphan(self, key: RunKey, now: int) -> bool:
        lease = self._leases.get(key)
        return lease is not None and lease.expires_at <= now

    async def adopt(self, key: RunKey, holder: str, expires_at: int, now: int) -> Lease | None:
        """Give the orphan a new lease, or None."""
        return (
            self._lease(self._runs[key], holder, expires_at) if self._is_orphan(key, now) else None
        )

    async def interrupt(self, thread: ThreadKey, interrupt: str) -> Interrupt | None:
        """Return the interrupt, or None."""
        found = self._threads.get(thread)
        return found.interrupts.get(interrupt) if found is not None else None

    async def interrupts(self, thread: ThreadKey, run: RunId) -> list[Interrupt]:
        """Return the interrupts that `run` left."""
        found = self._threads.get(thread)
        left = found.interrupts.values() if found is not None else ()
        return [interrupt for interrupt in left if interrupt.run == run]

    async def asked(
        self, thread: ThreadKey, limit: int, before: str | None = None
    ) -> Sequence[Interrupt]:
        """Return the newest interrupts of the thread, or those before one of them."""
        check_page(limit)
        found = self._threads.get(thread)
        left = list(found.interrupts.values()) if found is not None else []
        if before is not None:
            ids = [asked.id for asked in left]
            left = left[: ids.index(before)] if before in ids else []
        return bounded(left[::-1][:limit], Interrupt.size)[::-1]

    async def decide(
        self, thread: ThreadKey, answer: Answer, by: UserId, needs: Role
    ) -> Decision | None:
        """Decide the interrupt if nobody has, and the user may."""
        found = self._threads.get(thread)
        interrupt = found.interrupts.get(answer.interrupt) if found is not None else None
        if found is None or interrupt is None:
            return None
        self._check_role(found, by, needs)
        if interrupt.decided_by is not None:
            return Decision(interrupt, won=False)
        found.interrupts[interrupt.id] = decided(interrupt, answer, by)
        return Decision(found.interrupts[interrupt.id], won=True)

    async def undelivered(self) -> list[Interrupt]:
        """Return decided interrupts that no run has taken up."""
        return [
            interrupt
            for thread in self._threads.values()
            for interrupt in thread.interrupts.values()
            if interrupt.decided_by is not None and interrupt.resumed_by is None
        ]

    async def enqueue(self, new: QueuedRun, limit: int) -> QueuedRun:
        """Keep the run behind the others of its thread."""
        known = self._queue.get(new.key) or self._same(new.thread, new.key.id)
        if known is not None:
            if known.thread != new.thread:
                raise Refused(ErrorCode.RUN_CONFLICT)
            return known
        if new.thread not in self._threads:
            raise Refused(ErrorCode.NOT_FOUND)
        if new.key in self._runs or await self.run_in(new.thread, new.key.id) is not None:
            raise Refused(ErrorCode.RUN_CONFLICT)
        if len(await self.queued(new.thread)) >= limit:
            raise Refused(ErrorCode.TOO_MANY, f"{limit} runs wait in the thread already")
        self._queue[new.key] = new
        return new

    def _same(self, thread: ThreadKey, id: RunId) -> QueuedRun | None:
        """Return the run of this name that waits in the thread, whoever started it, or None."""
        waiting = (run for run in self._queue.values() if run.thread == thread)
        return next((run for run in waiting if run.key.id == id), None)

    async def queued_run(self, key: RunKey) -> QueuedRun | None:
        """Return the run if it waits, or None."""
        return self._queue.get(key)

    async def queued(self, thread: ThreadKey | None = None) -> list[QueuedRun]:
        """Return what waits; a dict keeps the order."""
        return [run for run in self._queue.values() if thread in (None, run.thread)]

    async def cancel_queued(self, key: RunKey) -> bool:
        """Note that the run shall only end."""
        if key not in self._queue:
            return False
        self._queue[key] = replace(self._queue[key], cancelled=True)
        return True


def _place(updated_at: int, key: ThreadKey) -> tuple[int, ThreadId, UserId]:
    """Return what threads are listed by, the greatest first."""
    return updated_at, key.id, key.owner
