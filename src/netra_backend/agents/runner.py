"""The runner: starts runs, keeps their leases, cancels them, and ends those that lost theirs.

It alone appends a run's events. Agents do not know that sockets exist; sockets do not know
which agent runs.
"""

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

import msgspec
from ag_ui.core import PROTOCOL_VERSION, EventType, ResumeEntry, RunAgentInput
from msgspec import Struct

from netra_backend import jsonlog
from netra_backend.agents.base import Agent
from netra_backend.agents.execution import Execution, Limits
from netra_backend.agents.ingest import Ingest, wire_json
from netra_backend.agents.outbox import Outbox
from netra_backend.core.events import Body, Entry, Event, event_from_body
from netra_backend.core.fold import Conversation
from netra_backend.core.ids import MAX_ID_LENGTH, RunId, RunKey, ThreadKey, UserId, new_id
from netra_backend.core.ports import Answer, Bus, Decision, End, Interrupt, NewRun, Store
from netra_backend.core.positions import Position
from netra_backend.core.run import ENDED, Run, RunStatus
from netra_backend.errors import ErrorCode, LeaseLost, Refused, StoreError

log = logging.getLogger(__name__)

READ_LIMIT = 1_000
"""Entries read at once while a thread is folded; between two reads the loop breathes."""

TITLE_LENGTH = 80
"""Characters of the title that a thread takes from its first question."""


class Accepted(Struct, frozen=True):
    """The answer to `Runner.start`: the run, and whether this call started it."""

    run: Run
    started: bool


class Decided(Struct, frozen=True):
    """The answer to `Runner.decide`: the decision, and the run that takes it up, if any yet."""

    decision: Decision
    run: RunId | None


class Runner:
    """The runs of one node. `agents` maps names to agents; the first is the default."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        agents: Mapping[str, Agent],
        *,
        limits: Limits,
        lease_ms: int,
        window: float,
        now: Callable[[], int],
    ) -> None:
        self._store = store
        self._bus = bus
        self._agents = dict(agents)
        self._limits = limits
        self._lease_ms = lease_ms
        self._window = window
        self._now = now
        self._holder = new_id("node")
        self._executions: dict[RunKey, Execution] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._closing = False

    @property
    def agents(self) -> list[str]:
        """The names of the agents, the default first."""
        return list(self._agents)

    @property
    def active(self) -> int:
        """How many runs are being executed here."""
        return len(self._executions)

    @property
    def closing(self) -> bool:
        """Whether it starts no runs any more."""
        return self._closing

    async def open(self) -> None:
        """Begin: end the runs that died with another process, and keep doing so."""
        self._sweeper = asyncio.create_task(self._sweep(), name="sweep of orphaned runs")

    async def close(self) -> None:
        """End every run as interrupted and wait for it. Idempotent."""
        self._closing = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait({self._sweeper})
        executions = list(self._executions.values())
        await asyncio.gather(*(execution.interrupt() for execution in executions))

    async def start(
        self, user: UserId, given: RunAgentInput, *, agent: str | None = None
    ) -> Accepted:
        """Start the run that `given` describes in the user's thread, or attach to it.

        Idempotent by the user and ``given.run_id``. The thread is created if there is none.
        Raises Refused: unknown_agent, thread_busy, run_conflict, already_decided, draining.
        """
        if self._closing:
            raise Refused(ErrorCode.DRAINING)
        # Shielded: a client that leaves between the two steps must not leave a run without agent.
        return await asyncio.shield(asyncio.ensure_future(self._start(user, given, agent)))

    async def _start(self, user: UserId, given: RunAgentInput, agent: str | None) -> Accepted:
        name = self._name(agent)
        key = RunKey(user, RunId(given.run_id))
        thread = ThreadKey(user, given.thread_id)  # type: ignore[arg-type]
        existing = await self._store.run(key)
        if existing is not None:
            if existing.thread != thread:
                raise Refused(ErrorCode.RUN_CONFLICT)
            return Accepted(existing, started=False)
        if given.resume and await self._store.thread(thread) is None:
            raise Refused(ErrorCode.NOT_FOUND)
        await self._store.open_thread(thread, _title(given), self._now())
        conversation, offset = await self.conversation(thread)
        fresh = [m for m in given.messages if not conversation.knows_message(m.id)]
        now = self._now()
        started = _run_started(given, fresh)
        created = await self._store.create_run(
            NewRun(
                key=key,
                thread=thread,
                agent=name,
                correlation=jsonlog.new_correlation(),
                holder=self._holder,
                at=now,
                expires_at=now + self._lease_ms,
                answers=_answers(given.resume or ()),
            ),
            [started],
        )
        run, lease = created.run, created.lease
        if lease is None:
            return Accepted(run, started=False)
        if run.started.offset != offset + 1:
            # Another run came and went between the fold and the creation.
            conversation, _ = await self.conversation(thread, upto=run.started.offset - 1)
        self._bus.publish(thread, [Entry(run.started, key.id, now, started)])
        complete = _complete(given, conversation, fresh)
        conversation.apply(started)
        ingest = Ingest(conversation)
        outbox = Outbox(self._store, self._bus, lease, now=self._now, window=self._window)
        execution = Execution(
            run,
            lease,
            self._agents[name],
            complete,
            ingest=ingest,
            outbox=outbox,
            limits=self._limits,
        )
        self._executions[key] = execution
        execution.task.add_done_callback(lambda _: self._executions.pop(key, None))
        if self._closing:
            await execution.interrupt()
        return Accepted(run, started=True)

    async def cancel(self, key: RunKey) -> Position:
        """End the run; return the position after which only its terminal event comes.

        A run that has ended answers with where it ended. Raises Refused (not_found).
        """
        execution = self._executions.get(key)
        if execution is not None:
            with suppress(LeaseLost):  # ended by another holder, or deleted with its thread
                return await execution.cancel()
        run = await self._store.run(key)
        if run is None:
            raise Refused(ErrorCode.NOT_FOUND)
        if run.ended is None:
            raise Refused(ErrorCode.STORE_FAILED, "the run is being ended; try again")
        return run.ended

    async def decide(self, thread: ThreadKey, answer: Answer, by: UserId) -> Decided:
        """Decide an interrupt once; when its run has no other open, start the run that goes on.

        Raises Refused (not_found).
        """
        told = msgspec.structs.replace(
            answer, payload=_payload(msgspec.json.decode(answer.payload))
        )
        decision = await self._store.decide(thread, told, by)
        if decision is None:
            raise Refused(ErrorCode.NOT_FOUND)
        run = decision.interrupt.resumed_by
        if run is None and decision.won:
            run = await self._resume(decision.interrupt)
        return Decided(decision, run)

    async def delete_thread(self, thread: ThreadKey) -> bool:
        """Cancel what runs in the thread, then delete it really; False if there was none."""
        for execution in [e for e in self._executions.values() if e.run.thread == thread]:
            with suppress(LeaseLost):  # another deletion was faster
                await execution.cancel()
        deleted = await self._store.delete_thread(thread)
        if deleted:
            self._bus.publish(thread, ())
        return deleted

    async def conversation(
        self, thread: ThreadKey, upto: int | None = None
    ) -> tuple[Conversation, int]:
        """Return the fold of the thread's log, and the offset it reaches (at most `upto`)."""
        conversation, offset = Conversation(), 0
        while upto is None or offset < upto:
            limit = READ_LIMIT if upto is None else min(READ_LIMIT, upto - offset)
            entries = await self._store.read(thread, offset, limit)
            for entry in entries:
                conversation.apply(entry.event)
            if not entries:
                break
            offset = entries[-1].position.offset
        return conversation, offset

    def _name(self, agent: str | None) -> str:
        name = agent if agent is not None else next(iter(self._agents))
        if name not in self._agents:
            known = ", ".join(self._agents)
            shown = f"{name[:MAX_ID_LENGTH]!r}"
            raise Refused(ErrorCode.UNKNOWN_AGENT, f"there is no agent {shown}; there is: {known}")
        return name

    # --- leases and orphans ---

    async def _sweep(self) -> None:
        """Renew leases and end orphans, at a third of the lease's time, for ever."""
        while True:
            try:
                await self._renew()
                await self._end_orphans()
                await self._deliver_decisions()
            except StoreError:
                log.exception("the sweep could not reach the store")
            await asyncio.sleep(self._lease_ms / 3_000)

    async def _renew(self) -> None:
        leases = [execution.lease for execution in self._executions.values()]
        if not leases:
            return
        lost = await self._store.renew(leases, self._now() + self._lease_ms)
        for key in lost:
            execution = self._executions.get(key)
            if execution is not None and execution.status not in ENDED:
                execution.lose()

    async def _end_orphans(self) -> None:
        """Write the terminal event of every run that nobody executes."""
        for run in await self._store.orphans(self._now()):
            if run.key not in self._executions:
                await self._end_orphan(run)

    async def _end_orphan(self, run: Run) -> None:
        now = self._now()
        lease = await self._store.adopt(run.key, self._holder, now + self._lease_ms, now)
        if lease is None:
            return
        conversation, _ = await self.conversation(run.thread)
        body = Body(
            type=EventType.RUN_ERROR,
            message="The server stopped while this run was in progress.",
            code="interrupted",
        )
        events = [*conversation.constructs.closers(), event_from_body(body)]
        outbox = Outbox(self._store, self._bus, lease, now=self._now, window=0)
        try:
            await outbox.finish(events, End(RunStatus.INTERRUPTED))
        except LeaseLost:
            return
        with jsonlog.bind(run=run.key.id, thread=run.thread.id, correlation=run.correlation):
            log.warning("run interrupted")

    async def _deliver_decisions(self) -> None:
        """Start the runs for answers that were decided just before a crash."""
        for interrupt in await self._store.undelivered():
            await self._resume(interrupt)

    async def _resume(self, interrupt: Interrupt) -> RunId | None:
        """Start the run that takes up the answers to an ended run's questions, once all are in.

        Its id follows from the questions, so that it starts once whoever tries.
        """
        questions = await self._store.interrupts(interrupt.thread, interrupt.run)
        if any(question.decided_by is None for question in questions):
            return None
        given = RunAgentInput(
            thread_id=interrupt.thread.id,
            run_id=_resuming_id(questions),
            parent_run_id=interrupt.run,
            messages=[],
            resume=[_resume_entry(question) for question in questions],
        )
        try:
            accepted = await self.start(interrupt.thread.owner, given, agent=interrupt.agent)
        except Refused as refusal:
            log.warning("a decision waits: %s", refusal.message, extra={"interrupt": interrupt.id})
            return None
        return accepted.run.key.id


def _run_started(given: RunAgentInput, fresh: Sequence[object]) -> Event:
    """Return RUN_STARTED with the input, less what the log has or followers need not see.

    Tools, model instructions and forwarded properties are for the agent; the log is for people.
    An empty state is what clients send that have none: it does not replace the thread's.
    """
    shown = given.model_copy(
        update={
            "messages": list(fresh),
            "state": given.state or None,
            "tools": None,
            "context": None,
            "forwarded_props": None,
        }
    )
    body = {
        "type": EventType.RUN_STARTED,
        "threadId": given.thread_id,
        "runId": given.run_id,
        "protocolVersion": PROTOCOL_VERSION,
        "input": msgspec.Raw(wire_json(shown)),
    }
    if given.parent_run_id is not None:
        body["parentRunId"] = given.parent_run_id
    return Event(EventType.RUN_STARTED, msgspec.json.encode(body))


def _complete(
    given: RunAgentInput, conversation: Conversation, fresh: Sequence[object]
) -> RunAgentInput:
    """Return the input for the agent: the thread's history, then what is new."""
    history = RunAgentInput.model_validate(
        {"threadId": given.thread_id, "runId": given.run_id, "messages": conversation.messages()}
    )
    state = given.state or None
    if state is None and conversation.state is not msgspec.UNSET:
        state = conversation.state
    return given.model_copy(update={"messages": [*history.messages, *fresh], "state": state})


def _answers(entries: Sequence[ResumeEntry]) -> list[Answer]:
    return [Answer(entry.interrupt_id, entry.status, _payload(entry.payload)) for entry in entries]


def _payload(value: object) -> bytes:
    """Return an answer's payload in one form, however the client wrote it: stores compare bytes."""
    return jsonlog.dumps(value).encode()


def _resume_entry(question: Interrupt) -> ResumeEntry:
    payload = msgspec.json.decode(question.answer or b"null")
    if question.status == "cancelled":
        return ResumeEntry(interrupt_id=question.id, status="cancelled", payload=payload)
    return ResumeEntry(interrupt_id=question.id, status="resolved", payload=payload)


def _resuming_id(questions: Sequence[Interrupt]) -> str:
    named = "\n".join([questions[0].run, *(question.id for question in questions)])
    return f"resume_{hashlib.sha256(named.encode()).hexdigest()[:24]}"


def _title(given: RunAgentInput) -> str:
    """Return the first line of the first thing that the user says."""
    for message in given.messages:
        content = getattr(message, "content", None)
        if message.role == "user" and isinstance(content, str) and content.strip():
            line = content.strip().splitlines()[0]
            return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1] + "…"
    return "New conversation"
