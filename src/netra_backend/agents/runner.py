"""The runner: starts runs, keeps their leases, cancels them, and ends those that lost theirs.

It alone appends a run's events. Agents do not know that sockets exist; sockets do not know
which agent runs.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from ag_ui.core import RunAgentInput

from netra_backend import jsonlog
from netra_backend.agents.base import Agent
from netra_backend.agents.callbacks import ObservedBus, Projection
from netra_backend.agents.conversations import Conversations
from netra_backend.agents.creation import Accepted, Busy, Creation, Queued
from netra_backend.agents.endings import Endings
from netra_backend.agents.execution import Execution, Node
from netra_backend.agents.executions import Executions
from netra_backend.agents.ingest import Ingest
from netra_backend.agents.interrupts import Interrupts
from netra_backend.agents.outbox import Outbox
from netra_backend.agents.policy import Policy
from netra_backend.agents.rights import may
from netra_backend.agents.room import Room
from netra_backend.agents.run_input import RESUMING
from netra_backend.agents.run_request import RunRequest, run_request
from netra_backend.agents.starting import Starting
from netra_backend.agents.stopping import Stopping
from netra_backend.agents.sweep import Sweep
from netra_backend.agents.turns import Turns
from netra_backend.agents.waiting import WAITS_ON, Waiting
from netra_backend.config import WhenBusy
from netra_backend.core.events import Entry
from netra_backend.core.fold import Conversation
from netra_backend.core.ids import MAX_ID_LENGTH, RunId, RunKey, ThreadKey, new_id
from netra_backend.core.nodes import Nodes
from netra_backend.core.ports import Bus, Interrupt, Store
from netra_backend.core.positions import Position
from netra_backend.core.queue import QueuedRun
from netra_backend.core.roles import Role
from netra_backend.core.run import Lease, Run, RunStatus
from netra_backend.errors import ErrorCode, Refused

log = jsonlog.get_logger(__name__)

INTERRUPTS = 8
"""Times that a run stops what is active in its thread, when others do the same, before it is
refused."""


class Runner:
    """The runs of one node. `agents` maps names to agents; the first is the default."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        agents: Mapping[str, Agent],
        *,
        policies: Mapping[str, Policy],
        lease_ms: int,
        window: float,
        now: Callable[[], int],
        watchers: Callable[[ThreadKey], int] = lambda _: 0,
    ) -> None:
        self.projection = Projection()
        """The five callbacks."""
        self._store = store
        self._bus = bus = ObservedBus(bus, self.projection)
        self._agents = dict(agents)
        self._policies = policies
        self._lease_ms = lease_ms
        self._window = window
        self._now = now
        self._holder = new_id("node")
        self.executions = Executions()
        """The runs that are executed here."""
        self._starting = Starting()
        self._room = Room(self.executions, policies)
        self._sweeper: asyncio.Task[None] | None = None
        self._closing = False
        self._watchers = watchers
        self.conversations = Conversations(store)
        """What the threads' logs add up to."""
        self.interrupts = Interrupts(
            store, self.conversations, now=now, served=self._name, resume=self._resume
        )
        """The questions that runs left."""
        self.waiting = Waiting(store, begin=self._begin_queued, now=now)
        """The runs that wait for their thread."""
        self._unsubscribe: Callable[[], None] = lambda: None
        self._stopping = Stopping(store, self.waiting, self.executions, self._starting)
        self._creation = Creation(
            store,
            bus,
            self.conversations,
            projection=self.projection,
            holder=self._holder,
            lease_ms=lease_ms,
            now=now,
        )
        self._endings = Endings(store, bus, self.conversations, projection=self.projection, now=now)
        self._sweep = Sweep(
            store,
            self._endings,
            holder=self._holder,
            lease_ms=lease_ms,
            now=now,
            executions=self.executions,
            starting=self._starting.keys,
            freed=self.waiting.serve,
        )
        self._turns = Turns(
            store,
            self._starting,
            self.interrupts,
            self._creation,
            self._endings,
            self._sweep,
            begin=lambda request, agent: self._begin(request, self._name(agent)),
        )

    @property
    def agents(self) -> list[str]:
        """The names of the agents, the default first."""
        return list(self._agents)

    @property
    def when_busy(self) -> dict[str, str]:
        """What becomes of a run for a busy thread, by the name of its agent."""
        return {name: self._policies[name].when_busy.value for name in self._agents}

    @property
    def active(self) -> int:
        """How many runs are being executed here."""
        return len(self.executions)

    @property
    def closing(self) -> bool:
        """Whether it starts no runs any more."""
        return self._closing

    def share(self, nodes: Nodes) -> None:
        """Execute runs beside other nodes that have the same store and bus, from now on."""
        self._stopping.nodes = nodes
        self._room.share(nodes, self.waiting.serve_all)
        nodes.join(self._stopping.cancel_here)
        self._unsubscribe = self._bus.subscribe(self._hear)

    def _hear(self, thread: ThreadKey, entries: Sequence[Entry]) -> None:
        """Learn what another node has written, or that it has deleted the thread."""
        if not entries:
            self.conversations.forget(thread)
        self.waiting.hear(thread, entries)

    async def open(self) -> None:
        """Begin: end the runs that died with another process, and keep doing so."""
        self._closing = False
        self._sweeper = asyncio.create_task(self._look_after(), name="sweep of orphaned runs")

    async def finish(self) -> None:
        """Start no more runs, and return when those that are executed have ended."""
        self._closing = True
        while tasks := {execution.task for execution in self.executions.values()}:
            await asyncio.wait(tasks)
            await asyncio.sleep(0)  # let them be forgotten

    async def end(self) -> None:
        """End every run as interrupted, without waiting for agents to stop. Idempotent."""
        self._closing = True
        self._unsubscribe()
        if self._sweeper is not None:
            self._sweeper.cancel()
            await asyncio.wait({self._sweeper})
        await self.waiting.close()
        await self._starting.settled()
        ending = RunStatus.INTERRUPTED
        await asyncio.gather(*(e.stop_quietly(ending) for e in self.executions.values()))

    async def close(self) -> None:
        """End every run as interrupted, and wait for its agent to stop. Idempotent."""
        await self.end()
        await asyncio.gather(*(execution.stopped() for execution in self.executions.values()))
        self.projection.close()

    async def start(self, request: RunRequest) -> Accepted:
        """Start the run that is requested, or attach to the one of this name in the thread.

        An own thread is created if there is none. A run that has to wait for its thread is
        returned when it has begun. Raises Refused: unknown_agent, thread_busy, too_many,
        run_conflict, already_decided, expired, changed, draining, not_found, forbidden.
        """
        accepted = await self.submit(request)
        if accepted.run is not None:
            return accepted
        if self._closing:  # nobody may be left to tell what becomes of it
            raise Refused(ErrorCode.DRAINING, WAITS_ON)
        run = await self.waiting.begun(accepted.thread, accepted.key.id)
        return Accepted(run, accepted.started)

    async def submit(self, request: RunRequest) -> "Accepted | Queued":
        """Do as `start`, but do not wait for a run that waits for its thread."""
        if self._closing:
            raise Refused(ErrorCode.DRAINING)
        return await self._starting.work(request.key, self._submit(request))

    async def _submit(self, request: RunRequest) -> "Accepted | Queued":
        key, thread, resume = request.key, request.thread, request.given.resume
        agent = self._name(request.agent)
        known = await self._store.run(key) or await self._store.queued_run(key)
        if known is not None:
            if known.thread != thread:
                raise Refused(ErrorCode.RUN_CONFLICT)
            return Accepted(known, started=False) if isinstance(known, Run) else Queued(key, thread)
        if key.id.startswith(RESUMING) and not request.resumes:
            raise Refused(ErrorCode.BAD_INPUT, f"ids of runs that begin with {RESUMING} are ours")
        if resume:
            if await self._store.thread(thread) is None:
                raise Refused(ErrorCode.NOT_FOUND)
            await self.interrupts.check(thread, resume)
        when_busy = self._policies[agent].when_busy
        if request.resumes and when_busy is WhenBusy.REJECT:
            when_busy = WhenBusy.ENQUEUE  # there is nobody who could try again
        if when_busy is WhenBusy.ENQUEUE:
            return await self._begin_in_turn(request, agent)
        return await self._begin_now(request, agent, when_busy)

    async def _begin_in_turn(self, request: RunRequest, agent: str) -> "Accepted | Queued":
        """Begin the run, or keep it until those before it in its thread have ended."""
        thread = request.thread
        if not await self._store.queued(thread):
            with suppress(Busy):
                return await self._begin(request, agent)
        try:
            queued = await self.waiting.add(request, agent, self._policies[agent].queued)
        except Refused:
            run = await self._store.run_in(thread, request.key.id)
            if run is None:
                raise
            return Accepted(run, started=False)  # it has begun since it was looked for
        return Queued(queued.key, thread)

    async def _begin_now(self, request: RunRequest, agent: str, when_busy: WhenBusy) -> Accepted:
        """Begin the run, or refuse it; with ``interrupt``, stop what is active in its thread."""
        for _ in range(INTERRUPTS if when_busy is WhenBusy.INTERRUPT else 0):
            with suppress(Busy):
                return await self._begin(request, agent)
            with self._starting.held():  # who submits the same run elsewhere may have begun it
                await self._stopping.stop_in(request.thread, but=request.key.id)
        return await self._begin(request, agent)

    async def _begin(self, request: RunRequest, agent: str) -> Accepted:
        """Create the run and hand it to its agent. Raises Refused (thread_busy, too_many, ...)."""
        key, given = request.key, request.given
        async with self._room.kept(key, agent):
            made = await self._creation.create(request, agent)
            run, lease = made.run, made.lease
            if lease is None:
                return Accepted(run, started=False)
            self.waiting.tell(run)  # two may submit it at once, so that one finds that it waits
            # The one line that has both the correlation of who asked and that of the run.
            with jsonlog.bind(run=key.id, thread=run.thread.id):
                log.info("run begins", extra={"run_correlation": run.correlation})
            try:
                complete, conversation = await self._creation.complete(made, given)
            except Exception:
                # The border around a run that exists already: it has to end, and its user be told.
                with jsonlog.bind(run=key.id, thread=run.thread.id, correlation=run.correlation):
                    log.exception("the run cannot begin")
                await self._sweep.end(run, lease, self._endings.failed)
            else:
                self._execute(run, lease, complete, conversation)
            return Accepted(run, started=True)

    async def _begin_queued(self, queued: QueuedRun, given: RunAgentInput) -> Run:
        """Begin a run that has waited, or end it at once. Raises Refused if it waits on."""
        if self._closing:
            raise Refused(ErrorCode.DRAINING)
        return await self._turns.take(queued, given)

    def _execute(
        self, run: Run, lease: Lease, given: RunAgentInput, conversation: Conversation
    ) -> None:
        """Hand the run to its agent."""
        limits = self._policies[run.agent].limits
        outbox = Outbox(self._store, self._bus, lease, now=self._now, window=self._window)
        execution = Execution(
            run,
            lease,
            self._agents[run.agent],
            given,
            node=Node(self._store, self.conversations, limits, self._watchers),
            ingest=Ingest(conversation),
            outbox=outbox,
        )
        self.executions.add(execution)
        execution.task.add_done_callback(lambda _: self._forget(execution))

    async def cancel(self, key: RunKey) -> Position:
        """End the run; see `Stopping.cancel`."""
        return await self._stopping.cancel(key)

    async def delete_thread(self, thread: ThreadKey) -> bool:
        """Cancel what runs in the thread, then delete it really; False if there was none."""
        with self.waiting.held(thread):  # until it is deleted, too
            await self._stopping.stop_in(thread)
            deleted = await self._store.delete_thread(thread)
        if deleted:
            for execution in self.executions.in_thread(thread):
                if execution.ends_itself:  # it began while others were ended
                    execution.lose()
            self.conversations.forget(thread)
            self._bus.publish(thread, ())
            await self.waiting.forget(thread)
        return deleted

    def _forget(self, execution: Execution) -> None:
        """Forget an execution; its thread may be deleted, and its run's name in use again."""
        if self.executions.discard(execution):
            self._room.leave(execution.run.key)
        if execution.unwritten:
            self._sweep.end_failed(execution.run, execution.lease)
        else:
            self.projection.forget(execution.run)
        self.waiting.serve_all()

    def _name(self, agent: str | None) -> str:
        name = agent if agent is not None else next(iter(self._agents))
        if name not in self._agents:
            told = f"no agent {name[:MAX_ID_LENGTH]!r}; there is: {', '.join(self._agents)}"
            raise Refused(ErrorCode.UNKNOWN_AGENT, f"there is {told}")
        return name

    # --- what has been decided, and what waits ---

    async def _look_after(self) -> None:
        """Sweep for ever, at each third of a lease's time; at once where the last took longer.

        So who waited for the store renews what has less than a whole lease left by then.
        """
        loop, third = asyncio.get_running_loop(), self._lease_ms / 3_000
        while True:
            due = loop.time() + third
            await self._sweep.look()
            await self._sweep.guard(self._deliver_decisions())
            await self._sweep.guard(self.waiting.look())
            await asyncio.sleep(max(0.0, due - loop.time()))

    async def _deliver_decisions(self) -> None:
        """Start the runs for answers that were decided and not taken up."""
        for interrupt in await self.interrupts.undelivered():
            await self._sweep.guard(self.interrupts.deliver(interrupt))

    async def _resume(self, interrupt: Interrupt, given: RunAgentInput) -> RunId:
        """Go on in the name of who started the run that asked; of the owner if they may no more."""
        thread = interrupt.thread
        writes = await may(self._store, interrupt.user, thread, Role.WRITE)
        user = interrupt.user if writes else thread.owner
        asked = run_request(user, given, agent=interrupt.agent, thread=thread, resumes=True)
        await self.submit(asked)  # if it has to wait, the sweep must not wait with it
        return asked.key.id
