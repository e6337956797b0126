"""Views: what the HTTP API answers, as frozen structs. OpenAPI is generated from them."""

from typing import Any, Literal

from msgspec import Raw, Struct

from netra_backend.core.events import Entry
from netra_backend.core.ids import UserId, name_for
from netra_backend.core.ports import Interrupt, Thread
from netra_backend.core.queue import QueuedRun
from netra_backend.core.roles import Role
from netra_backend.core.run import Run


class RunView(Struct, frozen=True):
    """A run: its status is one of ``RunStatus``; `started` and `ended` are positions.

    `user` is who started it.

    Or ``queued``: it waits until its thread is free, and has neither a position nor a correlation.
    """

    id: str
    thread: str
    user: str
    agent: str
    status: str
    started: str | None
    ended: str | None
    correlation: str | None


class LastRun(Struct, frozen=True):
    """A thread's newest run."""

    id: str
    status: str


class ThreadView(Struct, frozen=True):
    """A thread; times are milliseconds since 1970, `head` is the position of its last event.

    `id` is what the user names it by, `role` what they may do in it. `questions` is the number of
    its interrupts that can still be answered, whichever run asked.
    """

    id: str
    owner: str
    role: Role
    title: str
    created_at: int
    updated_at: int
    head: str
    run: LastRun | None
    questions: int


class MemberView(Struct, frozen=True):
    """A user who is a member of a thread, or its owner, and what they may do in it."""

    user: str
    role: Role


class MemberList(Struct, frozen=True):
    """All who may see a thread: the owner, then the members by their names."""

    members: list[MemberView]


class FollowedView(Struct, frozen=True):
    """A thread that a connection follows: how far it has got, and how many entries are left.

    `state` is a name of ``FollowerState``; `lag` is null for a thread that is gone.
    """

    owner: str
    thread: str
    position: str
    state: str
    lag: int | None


class ConnectionView(Struct, frozen=True):
    """A live connection: `kind` is what is spoken on it, `state` the name of the state it is in.

    `since` is in milliseconds since 1970, `buffered` the bytes that are unsent; `worker` is the
    process that has it, null where there is one.
    """

    id: str
    worker: int | None
    user: str
    kind: str
    state: str
    address: str
    since: int
    seconds: float
    buffered: int
    threads: list[FollowedView]


class ConnectionPage(Struct, frozen=True):
    """Connections, the oldest first, and how many there are in all.

    `next` is the ``after`` of the next page, or null. `missing` are workers that did not answer in
    time: theirs are neither listed nor counted.
    """

    connections: list[ConnectionView]
    total: int
    next: str | None
    missing: list[int]


class Invitation(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``PUT /threads/{thread}/members/{user}``."""

    role: Literal["read", "write", "decide"]


class ThreadPage(Struct, frozen=True):
    """Threads, last updated first. `next` is the ``before`` of the next page, or null."""

    threads: list[ThreadView]
    next: str | None


class EventView(Struct, frozen=True):
    """An event of the log: its position, its run, when it was appended, and the AG-UI event."""

    id: str
    run: str
    at: int
    chunk: Raw


class EventPage(Struct, frozen=True):
    """Events in log order. `next` is the ``after`` of the next page, or null at the end."""

    events: list[EventView]
    next: str | None


class MessagePage(Struct, frozen=True):
    """AG-UI messages, oldest first, as of position `id`.

    `next` is the ``before`` that gives the page with the messages before these, or null.
    """

    messages: list[Raw]
    id: str
    next: str | None


class NewThread(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /threads``; without `id` one is made."""

    id: str | None = None
    title: str = "New conversation"


class ThreadChange(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``PATCH /threads/{thread}``."""

    title: str


class InterruptView(Struct, frozen=True):
    """A question of a run: `question` is the AG-UI interrupt.

    `status` is ``open`` or ``expired``; or ``resolved`` or ``cancelled``, and then `by` and
    `payload` say who decided and what, and `resumed_by` is the run that goes on with it.
    """

    id: str
    run: str
    agent: str
    status: str
    question: Raw
    by: str | None
    payload: Raw
    resumed_by: str | None


class InterruptPage(Struct, frozen=True):
    """Interrupts in the order in which they were asked.

    `next` is the ``before`` that gives the page with the ones asked before these, or null.
    """

    interrupts: list[InterruptView]
    next: str | None


class NewAnswer(Struct, frozen=True, forbid_unknown_fields=True):
    """The body of ``POST /threads/{thread}/interrupts``; as the command ``decide``."""

    interrupt: str
    payload: Any = None
    status: str = "resolved"
    digest: str | None = None


class DecidedView(Struct, frozen=True):
    """The decision, whoever made it; `won` says whether it was this answer.

    `run` goes on with the answers, once the last open question of its run is decided.
    """

    interrupt: str
    by: str
    won: bool
    status: str
    payload: Raw
    run: str | None


class CancelledView(Struct, frozen=True):
    """A run is ending; after the position `id` only its terminal event comes."""

    run: str
    id: str


class ErrorDetail(Struct, frozen=True):
    """What was wrong; `retry` says whether the same request may work later."""

    code: str
    message: str
    retry: bool
    correlation: str
    where: str | None = None


class ErrorView(Struct, frozen=True):
    """The body of every answer that is an error."""

    error: ErrorDetail


def run_view(run: Run, user: UserId) -> RunView:
    """Return what `user` sees of `run`."""
    return RunView(
        id=run.key.id,
        thread=name_for(user, run.thread),
        user=run.key.owner,
        agent=run.agent,
        status=run.status,
        started=str(run.started),
        ended=None if run.ended is None else str(run.ended),
        correlation=run.correlation,
    )


def queued_view(queued: QueuedRun, user: UserId) -> RunView:
    """Return what `user` sees of a run that waits."""
    return RunView(
        id=queued.key.id,
        thread=name_for(user, queued.thread),
        user=queued.key.owner,
        agent=queued.agent,
        status="queued",
        started=None,
        ended=None,
        correlation=None,
    )


def interrupt_view(interrupt: Interrupt, *, expired: bool) -> InterruptView:
    """Return what clients see of `interrupt`."""
    return InterruptView(
        id=interrupt.id,
        run=interrupt.run,
        agent=interrupt.agent,
        status=interrupt.status or ("expired" if expired else "open"),
        question=Raw(interrupt.question),
        by=interrupt.decided_by,
        payload=Raw(interrupt.answer or b"null"),
        resumed_by=interrupt.resumed_by,
    )


def thread_view(
    thread: Thread, last: Run | None, questions: int, user: UserId, role: Role
) -> ThreadView:
    """Return what `user`, who has this role in it, sees of `thread`."""
    return ThreadView(
        id=name_for(user, thread.key),
        owner=thread.key.owner,
        role=role,
        title=thread.title,
        created_at=thread.created_at,
        updated_at=thread.updated_at,
        head=str(thread.head),
        run=None if last is None else LastRun(last.key.id, last.status),
        questions=questions,
    )


def event_view(entry: Entry) -> EventView:
    """Return what clients see of `entry`."""
    return EventView(str(entry.position), entry.run, entry.at, Raw(entry.event.data))
