"""Creation: a run is accepted, and comes into being together with its RUN_STARTED event."""

from collections.abc import Callable, Sequence

from ag_ui.core import Message, RunAgentInput
from msgspec import Struct

from netra_backend import jsonlog
from netra_backend.agents import run_input
from netra_backend.agents.callbacks import Projection
from netra_backend.agents.conversations import Conversations
from netra_backend.agents.run_request import RunRequest
from netra_backend.core.events import Entry
from netra_backend.core.fold import Conversation
from netra_backend.core.ids import RunKey, ThreadKey
from netra_backend.core.ports import Bus, NewRun, Store
from netra_backend.core.roles import Role
from netra_backend.core.run import Lease, Run
from netra_backend.errors import ErrorCode, Refused


class Accepted(Struct, frozen=True):
    """The answer to `Runner.start`: the run, and whether this call started it."""

    run: Run
    started: bool


class Queued(Struct, frozen=True):
    """The answer to `Runner.submit` for a run that waits until its thread is free."""

    key: RunKey
    thread: ThreadKey
    run: None = None
    started: bool = True


class Busy(Refused):
    """Refused because another run is active in the thread."""


class Made(Struct, frozen=True):
    """A run, and its lease only if this call created it.

    `conversation` is the one before the run; None if it is not known, because another run came
    between. `fresh` are the messages that the run adds to it.
    """

    run: Run
    lease: Lease | None
    conversation: Conversation | None
    fresh: Sequence[Message]


class Creation:
    """Creates runs for one `holder`."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        conversations: Conversations,
        *,
        projection: Projection,
        holder: str,
        lease_ms: int,
        now: Callable[[], int],
    ) -> None:
        self._store = store
        self._bus = bus
        self._conversations = conversations
        self._projection = projection
        self._holder = holder
        self._lease_ms = lease_ms
        self._now = now

    async def create(
        self, request: RunRequest, agent: str, *, ends: bool = False, takes: bool = False
    ) -> Made:
        """Create the run, and its thread if the request `opens` it, and publish its RUN_STARTED.

        One that only `ends` needs no right, and takes up its answers only if it `takes` them.
        Raises Refused as `Runs.create_run` does.
        """
        key, thread, given = request.key, request.thread, request.given
        if request.opens:
            await self._store.open_thread(thread, run_input.title(given), self._now())
        conversation, offset = await self._conversations.fold(thread)
        member = key.owner if key.owner != thread.owner else None
        fresh = run_input.signed(run_input.news(given, conversation), member)
        now = self._now()
        started = run_input.run_started(given, fresh)
        new = NewRun(
            key=key,
            thread=thread,
            agent=agent,
            correlation=jsonlog.new_correlation(),
            holder=self._holder,
            at=now,
            expires_at=now + self._lease_ms,
            answers=run_input.answers(given.resume or ()) if takes or not ends else (),
            needs=None if ends else Role.WRITE,
            ends=ends,
            epoch=request.epoch,
        )
        try:
            created = await self._store.create_run(new, [started])
        except Refused as refusal:
            if refusal.code is ErrorCode.THREAD_BUSY:
                raise Busy(refusal.code) from refusal
            raise
        run = created.run
        if created.lease is not None:
            self._projection.begin(run)
            self._bus.publish(thread, [Entry(run.started, key.id, now, started)])
        whole = run.started.offset == offset + 1
        return Made(run, created.lease, conversation if whole else None, fresh)

    async def complete(
        self, made: Made, given: RunAgentInput
    ) -> tuple[RunAgentInput, Conversation]:
        """Return the input for the agent, and the conversation up to the run's RUN_STARTED."""
        conversation = made.conversation
        if conversation is None:
            upto = made.run.started.offset - 1
            conversation, _ = await self._conversations.fold(made.run.thread, upto=upto)
        complete = run_input.complete(given, conversation, made.fresh)
        conversation.apply(run_input.run_started(given, made.fresh))
        return complete, conversation
