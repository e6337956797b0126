"""Turns: the thread of a run that has waited is free, so the run begins, or ends at once."""

from collections.abc import Callable, Coroutine
from contextlib import suppress
from functools import partial
from typing import Any

from ag_ui.core import RunAgentInput
from msgspec.structs import replace

from netra_backend import jsonlog
from netra_backend.agents.creation import Accepted, Creation
from netra_backend.agents.endings import Endings
from netra_backend.agents.interrupts import Interrupts
from netra_backend.agents.rights import may
from netra_backend.agents.run_input import RESUMING, unsaid
from netra_backend.agents.run_request import RunRequest
from netra_backend.agents.starting import Starting
from netra_backend.agents.sweep import Sweep
from netra_backend.agents.waiting import LATER
from netra_backend.core.ids import RunKey
from netra_backend.core.ports import Store
from netra_backend.core.queue import QueuedRun
from netra_backend.core.roles import Role
from netra_backend.core.run import Run
from netra_backend.errors import ErrorCode, Refused, StoreError

log = jsonlog.get_logger(__name__)

Begin = Callable[[RunRequest, str], Coroutine[Any, Any, Accepted]]
"""Creates the run that is requested, and hands it to the agent of this name.

Raises Refused: unknown_agent too, for one that is served no more.
"""


class Turns:
    """The turns of the runs that wait, whose agents `begin` knows."""

    def __init__(
        self,
        store: Store,
        starting: Starting,
        interrupts: Interrupts,
        creation: Creation,
        endings: Endings,
        sweep: Sweep,
        *,
        begin: Begin,
    ) -> None:
        self._store = store
        self._starting = starting
        self._interrupts = interrupts
        self._creation = creation
        self._endings = endings
        self._sweep = sweep
        self._begin = begin

    async def take(self, queued: QueuedRun, given: RunAgentInput) -> Run:
        """Begin the run, or end it at once. Raises Refused if it waits on, or waits no more."""
        return await self._starting.work(queued.key, self._begin_or_end(queued, given))

    async def _begin_or_end(self, queued: QueuedRun, given: RunAgentInput) -> Run:
        resumes = queued.key.id.startswith(RESUMING)
        # Read before it is seen to wait: what is deleted then, with its thread, begins in no other.
        thread = await self._store.thread(queued.thread)
        if thread is None:
            raise Refused(ErrorCode.NOT_FOUND)
        epoch = thread.head.epoch
        request = RunRequest(queued.key, queued.thread, given, queued.agent, resumes, epoch)
        if not await self._is_cancelled(queued):
            try:
                await self._interrupts.check(queued.thread, given.resume or ())
                return (await self._begin_as(request, queued.agent)).run
            except Refused as refusal:
                if not await self._is_cancelled(queued):
                    if refusal.code in LATER:
                        raise
                    return await self._end(request, queued.agent, refusal)
        return await self._end(request, queued.agent, None)

    async def _is_cancelled(self, queued: QueuedRun) -> bool:
        """Return whether the run shall only end. Raises Refused (not_found) if it waits no more.

        One that was deleted with its thread does not, also where one of its name waits again.
        """
        found = await self._store.queued_run(queued.key)
        if found is None or replace(found, cancelled=queued.cancelled) != queued:
            raise Refused(ErrorCode.NOT_FOUND)
        return found.cancelled

    async def _begin_as(self, request: RunRequest, agent: str) -> Accepted:
        """Begin the run in the name of who asked; one that resumes else in that of the owner."""
        try:
            return await self._begin(request, agent)
        except Refused as refusal:
            if refusal.code is not ErrorCode.FORBIDDEN or not request.resumes:
                raise
        key = RunKey(request.thread.owner, request.key.id)
        return await self._starting.work(key, self._begin(replace(request, key=key), agent))

    async def _end(self, request: RunRequest, agent: str, refusal: Refused | None) -> Run:
        """End the run, because it was cancelled or for the refusal."""
        key = request.key
        if not request.resumes and not await self._may_be_heard(request, refusal):
            request = replace(request, given=unsaid(request.given))
        # Where a run took up one of several answers by itself, another is to go on with the rest.
        takes = refusal is None or refusal.code is not ErrorCode.ALREADY_DECIDED
        takes = takes and request.resumes
        made = await self._creation.create(request, agent, ends=True, takes=takes)
        if made.lease is not None:
            write = self._endings.cancelled
            if refusal is not None:
                log.warning("a queued run cannot begin", extra={"code": refusal.code})
                write = partial(self._endings.refused, refusal)
            await self._sweep.end(made.run, made.lease, write)
        with suppress(StoreError):
            return await self._store.run(key) or made.run
        return made.run

    async def _may_be_heard(self, request: RunRequest, refusal: Refused | None) -> bool:
        """Return whether what the user says may still enter the conversation."""
        if refusal is not None and refusal.code is ErrorCode.FORBIDDEN:
            return False
        return await may(self._store, request.key.owner, request.thread, Role.WRITE)
