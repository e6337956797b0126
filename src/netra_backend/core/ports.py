"""What a store promises. Each docstring is a contract, and ``testing.LogContract`` checks it.

All methods are safe to call concurrently from one event loop. Times are milliseconds since 1970
and always passed in: a store has no clock of its own.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Protocol

from msgspec import Struct

from netra_backend.core.credentials import Revocations, Tickets
from netra_backend.core.events import Entry, Event
from netra_backend.core.ids import RunId, RunKey, ThreadKey, UserId
from netra_backend.core.positions import Position
from netra_backend.core.queue import Queue
from netra_backend.core.resume import Backlog
from netra_backend.core.roles import Role
from netra_backend.core.run import Lease, Run, RunStatus


class Thread(Struct, frozen=True):
    """A thread's own facts. `head` is the position of its newest entry (offset 0: none yet).

    `updated_at` is when a run last began or ended in it, or when it was created: an append in
    the middle of a run does not change it, because that would double what an append writes.
    `undecided` is the number of its interrupts that nobody has decided.
    """

    key: ThreadKey
    title: str
    created_at: int
    updated_at: int
    head: Position
    undecided: int = 0

    def size(self) -> int:
        """Return the bytes of its title, which count where a page of threads ends."""
        return len(self.title.encode())


def checked_title(title: str) -> str:
    """Return the title. ValueError for one that no UTF-8 has: with half of a surrogate pair."""
    title.encode()
    return title


class Member(Struct, frozen=True):
    """A user with whom a thread is shared, and what they may do in it."""

    user: UserId
    role: Role


class Interrupt(Struct, frozen=True):
    """A question an ended run left for a person: AG-UI's ``Interrupt``, and its one answer.

    `run` is the run that asked, `user` who had started it, `question` the AG-UI object as JSON.
    `decided_by` is None until somebody decides; then `status` is AG-UI's ``resolved`` or
    ``cancelled`` and `answer` the payload as JSON.
    `resumed_by` is the run that took the answer up.
    """

    thread: ThreadKey
    id: str
    run: RunId
    user: UserId
    agent: str
    question: bytes
    decided_by: UserId | None = None
    status: str | None = None
    answer: bytes | None = None
    resumed_by: RunId | None = None

    def size(self) -> int:
        """Return the bytes of question and answer, which count where a page of them ends."""
        return len(self.question) + len(self.answer or b"")


class Answer(Struct, frozen=True):
    """An answer to an interrupt: ``status`` is ``resolved`` or ``cancelled``, `payload` JSON."""

    interrupt: str
    status: str
    payload: bytes


class NewRun(Struct, frozen=True):
    """Everything a store needs to create a run and give its first lease.

    `needs` is the role that its user must have in the thread; with it, an answer that decides an
    interrupt needs the role `decide`. None for a run that needs no right.

    `ends` says that it shall only end: it decides nothing. Of its answers it takes up those that
    are the decision made and that no run has taken up; none of the others refuses it.

    `epoch` is that of the thread which is meant, None for whichever has its key by then.
    """

    key: RunKey
    thread: ThreadKey
    agent: str
    correlation: str
    holder: str
    at: int
    expires_at: int
    answers: Sequence[Answer] = ()
    needs: Role | None = None
    ends: bool = False
    epoch: int | None = None


class Created(Struct, frozen=True):
    """The outcome of `Runs.create_run`: the run, and its lease only if this call created it."""

    run: Run
    lease: Lease | None


class Decision(Struct, frozen=True):
    """The outcome of `Runs.decide`: the interrupt as it stands now, and whether this call won."""

    interrupt: Interrupt
    won: bool


class End(Struct, frozen=True):
    """How an append ends its run: the final status, and the interrupts it leaves open."""

    status: RunStatus
    interrupts: Sequence[Interrupt] = ()


class Log(Protocol):
    """Threads' logs: what was acknowledged is not lost.

    What an acknowledgement survives: memory, nothing; sqlite, the death of the process and, as
    far as the disk keeps what ``fsync`` promised, a power cut.
    """

    def append(
        self,
        events: Sequence[Event],
        *,
        writer: Lease,
        at: int,
        end: End | None = None,
    ) -> Awaitable[Position]:
        """Append `events` to the writer's thread; return the position of the last.

        Order: the entries take the next offsets, dense, in the order given; two appends to one
        thread never interleave. Appends of one caller are applied in the order of the calls even
        when it does not await between them. Atomicity: all events, and `end` with the run's
        final status and its interrupts, or nothing. Visibility: an entry can be read only after
        it is as durable as this store makes it, and the awaitable returns only then. Duplicates:
        the call is not idempotent; after StoreFailed the caller must read before repeating it.

        Raises LeaseLost when another fence holds the run, the run has ended or the thread is
        gone; StoreFailed when the write failed, and then nothing was appended; IllegalMove when
        the run cannot go to the status of `end`; ValueError when `events` is empty. Cancelling
        the await does not undo the append. An interrupt of `end` replaces one of the same id in
        the thread: the question is asked anew.

        What is returned may be a future with a method `at_once`, which differs from
        `add_done_callback` in that the callback need not wait for a turn of the event loop, and is
        not called if the future is cancelled.
        """
        ...

    def read(self, thread: ThreadKey, after: int, limit: int) -> Awaitable[Sequence[Entry]]:
        """Return at most `limit` entries with offsets greater than `after`, in order.

        No gap: the first has offset ``after + 1``. Empty when there are none, or no such thread.
        The answer ends sooner with the entry that makes it `core.pages.READ_BYTES` of events.
        A negative `after` or `limit` is a ValueError.
        """
        ...

    def backlog(
        self, thread: ThreadKey, user: UserId, after: Position | None, limit: int
    ) -> Awaitable[Backlog | None]:
        """Return all that `user` needs to go on in the thread after a position.

        None if there is no such thread or the user, who may be its owner, has no role in it; the
        two cost the same. One moment: role, head, newest run and entries are of one state of the
        store. The entries are what `read` would return from `after` on, or from the first where
        that is None; none where `after` is of another epoch. A negative `limit` is a ValueError.
        """
        ...


class Threads(Protocol):
    """Threads and whose they are. The owner is part of the key and never changes."""

    def open_thread(self, key: ThreadKey, title: str, at: int) -> Awaitable[Thread]:
        """Return the thread `key`, created now with `title` if there was none.

        Idempotent. A thread that is created anew after a deletion has a new epoch. A title with
        half of a surrogate pair is a ValueError, here as in `rename_thread`.
        """
        ...

    def thread(self, key: ThreadKey) -> Awaitable[Thread | None]:
        """Return the thread, or None. A foreign thread is under another key, so: None."""
        ...

    def threads(
        self, user: UserId, limit: int, before: tuple[int, ThreadKey] | None = None
    ) -> Awaitable[Sequence[Thread]]:
        """Return at most `limit` threads that the user owns or is a member of.

        Last updated first, then by id and by owner, descending. `before` is ``(updated_at, key)``
        of the last one of the page before. The answer ends sooner with the thread that makes it
        `core.pages.READ_BYTES` of titles. A negative `limit` is a ValueError.
        """
        ...

    def rename_thread(self, key: ThreadKey, title: str) -> Awaitable[bool]:
        """Set the title; return False if there is no such thread."""
        ...

    def delete_thread(self, key: ThreadKey) -> Awaitable[bool]:
        """Delete the thread with its entries, runs, leases, interrupts and members, really.

        Return False if there was none. A lease on one of its runs is lost by it.
        """
        ...


class Members(Protocol):
    """With whom threads are shared. The owner is no member."""

    def set_member(
        self, thread: ThreadKey, user: UserId, role: Role, limit: int
    ) -> Awaitable[bool]:
        """Make the user a member with this role, or give a member another role.

        False if there is no such thread. Raises Refused (``too_many``) if it would have more than
        `limit` members.
        """
        ...

    def remove_member(self, thread: ThreadKey, user: UserId) -> Awaitable[bool]:
        """Share the thread with the user no more; False if they were no member.

        A withdrawal: see `Revocations.withdrawals`.
        """
        ...

    def members(self, thread: ThreadKey) -> Awaitable[Sequence[Member]]:
        """Return the members by their names, ascending; nobody if there is no such thread."""
        ...

    def role(self, thread: ThreadKey, user: UserId) -> Awaitable[Role | None]:
        """Return the member's role, or None: no member, or no such thread."""
        ...


class Runs(Protocol):
    """Runs, their leases and their interrupts."""

    def create_run(self, new: NewRun, events: Sequence[Event]) -> Awaitable[Created]:
        """Create the run with its first `events` and a lease, all or nothing.

        Idempotent by the thread and the run's name: if the thread has a run of this name, whoever
        started it, that is returned without a lease and nothing is written. `new.answers` are the
        interrupts this run takes up: each is decided by who starts the run if it was open, and
        marked as resumed by this run. A run of this name that waits in the thread waits no more.

        Raises Refused: ``not_found`` (no such thread, or not of `new.epoch`, or no such interrupt
        in it), ``run_conflict`` (the key is used or waits in another thread), ``thread_busy`` (a
        run in the thread has not ended, or the one of this name that waits was cancelled and this
        is not one that only `new.ends`), ``already_decided`` (an answer differs in payload or
        status from the decision made, byte for byte, or the interrupt was taken up by another run),
        ``forbidden`` (the user has not the role that `new.needs`, at the moment of creation).
        StoreFailed as in `append`. ValueError without events.
        """
        ...

    def run(self, key: RunKey) -> Awaitable[Run | None]:
        """Return the run, or None."""
        ...

    def run_in(self, thread: ThreadKey, id: RunId) -> Awaitable[Run | None]:
        """Return the run of this name in the thread, whoever started it, or None."""
        ...

    def last_run(self, thread: ThreadKey) -> Awaitable[Run | None]:
        """Return the thread's newest run, or None."""
        ...

    def renew(self, leases: Sequence[Lease], expires_at: int) -> Awaitable[frozenset[RunKey]]:
        """Extend the leases that are still held; return the keys of those that are lost."""
        ...

    def orphans(self, now: int) -> Awaitable[Sequence[Run]]:
        """Return the runs that have not ended and whose lease has expired, oldest first.

        A store that knows that a holder cannot be alive counts its leases as expired.
        """
        ...

    def adopt(self, key: RunKey, holder: str, expires_at: int, now: int) -> Awaitable[Lease | None]:
        """Take over the lease of an orphan with a higher fence; None if it is none any more."""
        ...

    def interrupt(self, thread: ThreadKey, interrupt: str) -> Awaitable[Interrupt | None]:
        """Return the interrupt, or None."""
        ...

    def interrupts(self, thread: ThreadKey, run: RunId) -> Awaitable[Sequence[Interrupt]]:
        """Return the interrupts that `run` left, in the order it left them."""
        ...

    def asked(
        self, thread: ThreadKey, limit: int, before: str | None = None
    ) -> Awaitable[Sequence[Interrupt]]:
        """Return the newest interrupts of the thread, at most `limit`, in the order of asking.

        `before` is the id of one: then those that were asked before it, none if there is no such
        one. There are fewer where they have `core.pages.READ_BYTES` of questions and answers with
        the oldest of them. A negative `limit` is a ValueError.
        """
        ...

    def decide(
        self, thread: ThreadKey, answer: Answer, by: UserId, needs: Role
    ) -> Awaitable[Decision | None]:
        """Decide the interrupt if nobody has: one compare-and-set, of the decision and the role.

        Of any number of concurrent calls exactly one wins; the others get the winner's decision.
        None if there is no such interrupt. Raises Refused (``forbidden``) if `by` has not the
        role `needs` in the thread at the moment of the decision: one that was withdrawn before
        loses, however long ago it was asked for.
        """
        ...

    def undelivered(self) -> Awaitable[Sequence[Interrupt]]:
        """Return decided interrupts that no run has taken up: a crash fell between the two."""
        ...


class Store(Log, Threads, Members, Runs, Queue, Tickets, Revocations, Protocol):
    """A log, its threads and their members, its runs, those that wait, and what is good no more."""

    def open(self) -> Awaitable[None]:
        """Make the store usable. Raises StoreInUse, or StoreFailed naming the file."""
        ...

    def probe(self) -> Awaitable[None]:
        """Return if the store answers and could write now; raise StoreFailed otherwise."""
        ...

    def close(self) -> Awaitable[None]:
        """Finish what was accepted, then release everything. Idempotent."""
        ...


Listener = Callable[[ThreadKey, Sequence[Entry]], Any]


class Bus(Protocol):
    """Wake-ups: "this thread has these new entries". It may lose; the log repairs.

    A listener sees the entries of one thread in the order of the publications it does see, on
    the event loop, and must not raise. Publishing neither blocks nor fails.
    """

    def publish(self, thread: ThreadKey, entries: Sequence[Entry]) -> None:
        """Tell every listener. An empty sequence says: the thread was deleted."""
        ...

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` for every publication from now on; return what ends that."""
        ...
