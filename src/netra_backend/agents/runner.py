"""The runner: starts runs, keeps their leases, cancels them, and ends those that lost theirs.

It alone appends a run's events. Agents do not know that sockets exist; sockets do not know
which agent runs.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress

import msgspec
from ag_ui.core import EventType, RunAgentInput
from msgspec import Struct

from netra_backend import jsonlog
from netra_backend.agents import run_input
from netra_backend.agents.base import Agent
from netra_backend.agents.conversations import Conversations
from netra_backend.agents.execution import Execution, Limits
from netra_backend.agents.ingest import Ingest
from netra_backend.agents.outbox import Outbox
from netra_backend.core.events import Body, Entry, Event, event_from_body
from netra_backend.core.fold import Conversation
from netra_backend.core.ids import MAX_ID_LENGTH, RunId, RunKey, ThreadId, ThreadKey, UserId, new_id
from netra_backend.core.ports import Answer, Bus, Decision, End, Interrupt, NewRun, Store
from netra_backend.core.positions import Position
from netra_backend.core.run import ENDED, Lease, Run, RunStatus
from netra_backend.errors import ErrorCode, EventError, LeaseLost, Refused, StoreError

log = logging.getLogger(__name__)


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
        self._starting: dict[asyncio.Task[Accepted], RunKey] = {}
        self._unended: dict[RunKey, tuple[Run, Lease]] = {}
        self._sweeper: asyncio.Task[None] | None = None
        self._closing = False
        self.conversations = Conversations(store)
        """What the threads' logs add up to."""

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
        self._closing = False
        self._sweeper = asyncio.create_task(self._sweep(), name="sweep of orphaned runs")

    async def close(self) -> None:
        """End every run as interrupted and wait for it. Idempotent."""
        self._closing = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait({self._sweeper})
        if self._starting:
            await asyncio.wait(self._starting)
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
        key = RunKey(user, RunId(given.run_id))
        starting = asyncio.create_task(self._start(key, given, agent), name=f"start {key.id}")
        self._starting[starting] = key
        starting.add_done_callback(self._starting.pop)
        # Shielded: a client that leaves between two steps must not leave a run without agent.
        return await asyncio.shield(starting)

    async def _start(self, key: RunKey, given: RunAgentInput, agent: str | None) -> Accepted:
        name = self._name(agent)
        thread = ThreadKey(key.owner, ThreadId(given.thread_id))
        existing = await self._store.run(key)
        if existing is not None:
            if existing.thread != thread:
                raise Refused(ErrorCode.RUN_CONFLICT)
            return Accepted(existing, started=False)
        if given.resume and await self._store.thread(thread) is None:
            raise Refused(ErrorCode.NOT_FOUND)
        await self._store.open_thread(thread, run_input.title(given), self._now())
        conversation, offset = await self.conversations.fold(thread)
        fresh = [m for m in given.messages if not conversation.knows_message(m.id)]
        now = self._now()
        started = run_input.run_started(given, fresh)
        created = await self._store.create_run(
            NewRun(
                key=key,
                thread=thread,
                agent=name,
                correlation=jsonlog.new_correlation(),
                holder=self._holder,
                at=now,
                expires_at=now + self._lease_ms,
                answers=run_input.answers(given.resume or ()),
            ),
            [started],
        )
        run, lease = created.run, created.lease
        if lease is None:
            return Accepted(run, started=False)
        self._bus.publish(thread, [Entry(run.started, key.id, now, started)])
        try:
            if run.started.offset != offset + 1:
                # Another run came and went between the fold and the creation.
                conversation, _ = await self.conversations.fold(thread, upto=run.started.offset - 1)
            complete = run_input.complete(given, conversation, fresh)
            conversation.apply(started)
        except Exception:
            # The border around a run that exists already: it has to end, and its user be told.
            with jsonlog.bind(run=key.id, thread=thread.id, correlation=run.correlation):
                log.exception("the run cannot begin")
            self._unended[key] = (run, lease)
            await self._guard(self._end_failed(run, lease))
            return Accepted(run, started=True)
        self._execute(run, lease, complete, conversation)
        return Accepted(run, started=True)

    def _execute(
        self, run: Run, lease: Lease, given: RunAgentInput, conversation: Conversation
    ) -> None:
        """Hand the run to its agent."""
        outbox = Outbox(self._store, self._bus, lease, now=self._now, window=self._window)
        execution = Execution(
            run,
            lease,
            self._agents[run.agent],
            given,
            runs=self._store,
            ingest=Ingest(conversation),
            outbox=outbox,
            limits=self._limits,
        )
        self._executions[run.key] = execution
        execution.task.add_done_callback(lambda _: self._forget(execution))

    async def cancel(self, key: RunKey) -> Position:
        """End the run; return the position after which only its terminal event comes.

        A run that has ended answers with where it ended. Raises Refused (not_found).
        """
        starting = [task for task, started in self._starting.items() if started == key]
        if starting:
            await asyncio.wait(starting)
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

        Raises Refused: not_found, unknown_agent (then it stays open: nobody could go on).
        """
        asked = await self._store.interrupt(thread, answer.interrupt)
        if asked is not None and asked.decided_by is None:
            self._name(asked.agent)
        told = msgspec.structs.replace(
            answer, payload=run_input.payload(msgspec.json.decode(answer.payload))
        )
        decision = await self._store.decide(thread, told, by)
        if decision is None:
            raise Refused(ErrorCode.NOT_FOUND)
        if decision.won:
            log.info("decided", extra={"interrupt": answer.interrupt, "status": answer.status})
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

    def _forget(self, execution: Execution) -> None:
        """Forget an execution; its thread may be deleted, and its run's name in use again."""
        if self._executions.get(execution.run.key) is execution:
            del self._executions[execution.run.key]
        if execution.unwritten:
            self._unended[execution.run.key] = (execution.run, execution.lease)

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
            await self._guard(self._renew())
            for run, lease in list(self._unended.values()):
                await self._guard(self._end_failed(run, lease))
            await self._guard(self._end_orphans())
            await self._guard(self._deliver_decisions())
            await asyncio.sleep(self._lease_ms / 3_000)

    async def _renew(self) -> None:
        leases = [e.lease for e in self._executions.values() if e.status not in ENDED]
        leases += [lease for _, lease in self._unended.values()]
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
            execution = self._executions.get(run.key)
            executed = execution is not None and execution.status not in ENDED
            if not executed and run.key not in self._starting.values():
                with jsonlog.bind(run=run.key.id, thread=run.thread.id, user=run.key.owner):
                    await self._guard(self._end_orphan(run))

    async def _guard(self, step: Awaitable[object]) -> None:
        """Take one step of the sweep: a border around one run, which must not harm the others."""
        try:
            await step
        except StoreError:
            log.exception("the sweep could not reach the store")
        except Exception:
            log.exception("the sweep failed for a run")

    async def _end_orphan(self, run: Run) -> None:
        now = self._now()
        lease = await self._store.adopt(run.key, self._holder, now + self._lease_ms, now)
        if lease is None:
            return
        body = Body(
            type=EventType.RUN_ERROR,
            message="The server stopped while this run was in progress.",
            code="interrupted",
        )
        events = [*await self._closers(run), event_from_body(body)]
        outbox = Outbox(self._store, self._bus, lease, now=self._now, window=0)
        try:
            await outbox.finish(events, End(RunStatus.INTERRUPTED))
        except LeaseLost:
            return
        log.warning("run interrupted", extra={"correlation": run.correlation})

    async def _end_failed(self, run: Run, lease: Lease) -> None:
        """Write the end of a run of ours that could not be written when it was due."""
        text = f"The run failed. The server's log tells more under {run.correlation}."
        body = Body(type=EventType.RUN_ERROR, message=text, code="store_failed")
        events = [*await self._closers(run), event_from_body(body)]
        outbox = Outbox(self._store, self._bus, lease, now=self._now, window=0)
        with suppress(LeaseLost):  # ended by another holder, or deleted with its thread
            await outbox.finish(events, End(RunStatus.FAILED))
        self._unended.pop(run.key, None)

    async def _closers(self, run: Run) -> list[Event]:
        """Return what closes what the run left open; nothing if its log cannot be understood."""
        try:
            conversation, _ = await self.conversations.fold(run.thread)
        except EventError:
            log.exception("the log has an illegal event")
            return []
        return conversation.constructs.closers()

    async def _deliver_decisions(self) -> None:
        """Start the runs for answers that were decided just before a crash."""
        for interrupt in await self._store.undelivered():
            with jsonlog.bind(run=interrupt.run, thread=interrupt.thread.id):
                await self._guard(self._resume(interrupt))

    async def _resume(self, interrupt: Interrupt) -> RunId | None:
        """Start the run that takes up the answers to an ended run's questions, once all are in."""
        questions = await self._store.interrupts(interrupt.thread, interrupt.run)
        if not questions or any(question.decided_by is None for question in questions):
            return None  # deleted with its thread, or still open
        given = run_input.resuming_input(questions)
        try:
            accepted = await self.start(interrupt.thread.owner, given, agent=interrupt.agent)
        except Refused as refusal:
            log.warning("a decision waits: %s", refusal.message, extra={"interrupt": interrupt.id})
            return None
        return accepted.run.key.id
