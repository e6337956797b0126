"""Endings: the terminal events of runs that no agent ends.

A run whose process died, whose end could not be written when it was due, or that was over before
it could begin.
"""

from collections.abc import Callable
from contextlib import suppress

from netra_backend import jsonlog
from netra_backend.agents import terminals
from netra_backend.agents.callbacks import Projection
from netra_backend.agents.conversations import Conversations
from netra_backend.agents.outbox import Outbox
from netra_backend.core.events import Event
from netra_backend.core.ports import Bus, End, Store
from netra_backend.core.run import Lease, Run, RunStatus
from netra_backend.errors import EventError, LeaseLost, Refused, RunError

log = jsonlog.get_logger(__name__)

_NOBODY = "its process has ended, or did not renew its lease in time"


class Endings:
    """Writes ends."""

    def __init__(
        self,
        store: Store,
        bus: Bus,
        conversations: Conversations,
        *,
        projection: Projection,
        now: Callable[[], int],
    ) -> None:
        self._store = store
        self._bus = bus
        self._conversations = conversations
        self._projection = projection
        self._now = now

    async def interrupted(self, run: Run, lease: Lease) -> None:
        """End a run that nobody executes any more."""
        terminal = terminals.stopped(run, RunStatus.INTERRUPTED)
        if await self._end(run, lease, RunStatus.INTERRUPTED, terminal):
            told = {"correlation": run.correlation, "agent": run.agent, "why": _NOBODY}
            log.warning("run interrupted", extra=told)

    async def failed(self, run: Run, lease: Lease) -> None:
        """End a run of ours that could not be ended when it was due."""
        await self._end(run, lease, RunStatus.FAILED, terminals.failed(run, RunError.STORE_FAILED))

    async def refused(self, refusal: Refused, run: Run, lease: Lease) -> None:
        """End a run that waited for its thread and can begin no more."""
        event = terminals.error(refusal.code.value, refusal.message)
        await self._end(run, lease, RunStatus.FAILED, event)

    async def cancelled(self, run: Run, lease: Lease) -> None:
        """End a run that was cancelled while it waited for its thread."""
        terminal = terminals.stopped(run, RunStatus.CANCELLED)
        await self._end(run, lease, RunStatus.CANCELLED, terminal)

    async def _end(self, run: Run, lease: Lease, status: RunStatus, terminal: Event) -> bool:
        first = await self._store.read(run.thread, run.started.offset - 1, 1)
        # Known already, unless another process began it.
        self._projection.begin(run, began=first[0].at if first else 0)
        events = [*await self._closers(run), terminal]
        outbox = Outbox(self._store, self._bus, lease, now=self._now, window=0)
        with suppress(LeaseLost):  # ended by another holder, or deleted with its thread
            await outbox.finish(events, End(status))
            return True
        self._projection.forget(run)
        return False

    async def _closers(self, run: Run) -> list[Event]:
        """Return what closes what the run left open; nothing if its log cannot be understood."""
        try:
            conversation, _ = await self._conversations.fold(run.thread)
        except EventError:
            log.exception("the log has an illegal event")
            return []
        return conversation.constructs.closers()
