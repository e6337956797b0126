"""Endings: the terminal events of runs that no agent ends.

A run whose process died, whose end could not be written when it was due, or that was over before
it could begin.
"""

import logging
from collections.abc import Callable
from contextlib import suppress

from ag_ui.core import EventType

from netra_backend.agents.callbacks import Projection
from netra_backend.agents.conversations import Conversations
from netra_backend.agents.outbox import Outbox
from netra_backend.core.events import Body, Event, event_from_body
from netra_backend.core.ports import Bus, End, Store
from netra_backend.core.run import Lease, Run, RunStatus
from netra_backend.errors import EventError, LeaseLost, Refused

log = logging.getLogger(__name__)


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
        text = "The server stopped while this run was in progress."
        if await self._end(run, lease, RunStatus.INTERRUPTED, _error(text, "interrupted")):
            log.warning("run interrupted", extra={"correlation": run.correlation})

    async def failed(self, run: Run, lease: Lease) -> None:
        """End a run of ours that could not be ended when it was due."""
        text = f"The run failed. The server's log tells more under {run.correlation}."
        await self._end(run, lease, RunStatus.FAILED, _error(text, "store_failed"))

    async def refused(self, run: Run, lease: Lease, refusal: Refused) -> None:
        """End a run that waited for its thread and can begin no more."""
        event = _error(refusal.message, refusal.code.value)
        await self._end(run, lease, RunStatus.FAILED, event)

    async def cancelled(self, run: Run, lease: Lease) -> None:
        """End a run that was cancelled while it waited for its thread."""
        body = Body(
            type=EventType.RUN_FINISHED,
            thread_id=run.thread.id,
            run_id=run.key.id,
            outcome={"type": "cancelled"},
        )
        await self._end(run, lease, RunStatus.CANCELLED, event_from_body(body))

    async def _end(self, run: Run, lease: Lease, status: RunStatus, terminal: Event) -> bool:
        self._projection.begin(run)  # known, unless another process began it
        events = [*await self._closers(run), terminal]
        outbox = Outbox(self._store, self._bus, lease, now=self._now, window=0)
        with suppress(LeaseLost):  # ended by another holder, or deleted with its thread
            await outbox.finish(events, End(status))
            return True
        return False

    async def _closers(self, run: Run) -> list[Event]:
        """Return what closes what the run left open; nothing if its log cannot be understood."""
        try:
            conversation, _ = await self._conversations.fold(run.thread)
        except EventError:
            log.exception("the log has an illegal event")
            return []
        return conversation.constructs.closers()


def _error(text: str, code: str) -> Event:
    return event_from_body(Body(type=EventType.RUN_ERROR, message=text, code=code))
