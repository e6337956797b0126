"""Stopping: runs that somebody wants to end, wherever they are executed, or before they begin."""

from contextlib import suppress

from netra_backend.agents.executions import Executions
from netra_backend.agents.starting import Starting
from netra_backend.agents.waiting import Waiting
from netra_backend.core.ids import RunId, RunKey, ThreadKey
from netra_backend.core.nodes import Nodes
from netra_backend.core.ports import Store
from netra_backend.core.positions import Position
from netra_backend.core.run import ENDED
from netra_backend.errors import ErrorCode, LeaseLost, Refused


class Stopping:
    """Cancels runs: `executions` and those `starting` here, others by way of `nodes`."""

    def __init__(
        self,
        store: Store,
        waiting: Waiting,
        executions: Executions,
        starting: Starting,
    ) -> None:
        self.nodes: Nodes | None = None
        """The others that execute runs."""
        self._store = store
        self._waiting = waiting
        self._executions = executions
        self._starting = starting

    async def cancel(self, key: RunKey) -> Position:
        """End the run; return the position after which only its terminal event comes.

        A run that has ended answers with where it ended. One that waits for its thread will end
        when its turn comes: RUN_STARTED and its end are all that comes of it. Raises Refused
        (not_found).
        """
        while True:
            await self._starting.outcome(key)
            position = await self.cancel_here(key)
            if position is not None:
                return position
            run = await self._store.run(key)
            if run is None:
                position = await self._cancel_queued(key)
                if position is not None:
                    return position
            elif run.ended is not None or not self._is_here(key):
                return run.ended or await self._cancel_elsewhere(key)

    async def cancel_here(self, key: RunKey) -> Position | None:
        """End the run if it is executed here; return the same as `cancel`, None if it is not.

        Another node may ask because a run waits there that is to be stopped from here.
        """
        await self._starting.outcome_or_held(key)
        execution = self._executions.get(key)
        if execution is not None:
            with suppress(LeaseLost):  # ended by another holder, or deleted with its thread
                return await execution.cancel()
        return None

    def _is_here(self, key: RunKey) -> bool:
        """Return whether the run has begun here since it was looked for, or is about to."""
        execution = self._executions.get(key)
        is_executed = execution is not None and execution.ends_itself
        return is_executed or key in self._starting

    async def stop_in(self, thread: ThreadKey, *, but: RunId | None = None) -> None:
        """Cancel what is executed in the thread, here and elsewhere, `but` the run of this name."""
        for execution in self._executions.in_thread(thread):
            if execution.run.key.id != but:
                with suppress(LeaseLost):  # another deletion was faster
                    await execution.cancel()
        if self.nodes is not None:
            run = await self._store.last_run(thread)
            if run is not None and run.key.id != but and run.status not in ENDED:
                await self.nodes.cancel(run.key)

    async def _cancel_queued(self, key: RunKey) -> Position | None:
        """Cancel a run that waits; return the position as `cancel`, None if it has begun meanwhile.

        Raises Refused (not_found).
        """
        queued = await self._store.queued_run(key)
        # Looked for before: the thread may be deleted, and another of its name be there afterwards.
        thread = await self._store.thread(queued.thread) if queued is not None else None
        if thread is None or not await self._store.cancel_queued(key):
            if await self._store.run(key) is None:
                raise Refused(ErrorCode.NOT_FOUND)
            return None
        self._waiting.serve(thread.key)
        return thread.head

    async def _cancel_elsewhere(self, key: RunKey) -> Position:
        position = None if self.nodes is None else await self.nodes.cancel(key)
        if position is None:
            run = await self._store.run(key)
            if run is None:
                raise Refused(ErrorCode.NOT_FOUND)  # deleted with its thread in the meantime
            position = run.ended
        if position is None:
            raise Refused(ErrorCode.STORE_FAILED, "the run is being ended; try again")
        return position
