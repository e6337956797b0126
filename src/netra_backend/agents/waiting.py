"""Waiting: runs that were accepted while their thread was busy, and begin when it is free.

They wait in the store, so they outlive the process: whoever opens it next begins them. Each
begins in its turn and ends like any run; one that was cancelled, or can begin no more, ends at
once. One that finds its agent or its user at their limit keeps waiting, until a run of this node
ends, another node has room, or it is looked again.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from contextvars import copy_context

from ag_ui.core import RunAgentInput

from netra_backend import jsonlog
from netra_backend.agents.ingest import wire_json
from netra_backend.agents.run_request import RunRequest
from netra_backend.core.events import TERMINAL, Entry
from netra_backend.core.ids import RunId, ThreadKey
from netra_backend.core.ports import Store
from netra_backend.core.queue import QueuedRun
from netra_backend.core.run import Run
from netra_backend.errors import ErrorCode, NetraError, Refused

log = jsonlog.get_logger(__name__)

Begin = Callable[[QueuedRun, RunAgentInput], Awaitable[Run]]
"""Begins a run that has waited; raises Refused (thread_busy, too_many) if it has to go on, and
not_found where another node has begun it."""

LATER = frozenset({ErrorCode.THREAD_BUSY, ErrorCode.TOO_MANY, ErrorCode.DRAINING})
"""The refusals after which a run goes on waiting."""

WAITS_ON = "the server is about to restart; the run waits on, and begins when its turn comes"


class Waiting:
    """The runs that wait, and who waits for them."""

    def __init__(self, store: Store, *, begin: Begin, now: Callable[[], int]) -> None:
        self._store = store
        self._begin = begin
        self._now = now
        # By thread and name: a run may begin in another user's name than it was queued in.
        self._begun: dict[tuple[ThreadKey, RunId], asyncio.Future[Run]] = {}
        self._threads: set[ThreadKey] = set()
        self._serving: dict[ThreadKey, asyncio.Task[None]] = {}
        self._again: set[ThreadKey] = set()
        self._looking: set[asyncio.Task[None]] = set()
        self._held: Counter[ThreadKey] = Counter()
        self._context = copy_context()

    async def add(self, request: RunRequest, agent: str, limit: int) -> QueuedRun:
        """Keep the run until its thread is free. Raises Refused (too_many, run_conflict)."""
        key, thread = request.key, request.thread
        new = QueuedRun(key, thread, agent, wire_json(request.given), self._now())
        queued = await self._store.enqueue(new, limit)
        if queued == new:
            with jsonlog.bind(run=key.id, thread=thread.id):
                log.info("run queued", extra={"agent": agent})
        self._threads.add(thread)
        self.serve(thread)  # it may have become free in the meantime
        return queued

    async def begun(self, thread: ThreadKey, id: RunId) -> Run:
        """Return the run once it has begun. Raises Refused (not_found, draining)."""
        waiting = self._begun.setdefault((thread, id), asyncio.get_running_loop().create_future())
        await self._find(thread, id)
        return await asyncio.shield(waiting)

    async def _find(self, thread: ThreadKey, id: RunId) -> None:
        """Tell those who wait for a run that does not wait (any more) what has become of it."""
        if id in {queued.key.id for queued in await self._store.queued(thread)}:
            return
        run = await self._store.run_in(thread, id)
        self._tell(thread, id, run if run is not None else Refused(ErrorCode.NOT_FOUND))

    async def look(self) -> None:
        """Serve every thread in which something waits: after a start, and now and then.

        And tell of runs that wait no more, where the news of that was lost.
        """
        queued = await self._store.queued()
        self._threads.update(run.thread for run in queued)
        self.serve_all()
        for thread, id in self._begun.keys() - {(run.thread, run.key.id) for run in queued}:
            self._find_soon(thread, id)

    def serve_all(self) -> None:
        """Begin what can begin now, in all threads."""
        for thread in list(self._threads):
            self.serve(thread)

    def serve(self, thread: ThreadKey) -> None:
        """Begin the next run of the thread if it can; does not wait for that."""
        if not self._may_begin(thread):
            return
        if thread in self._serving:
            self._again.add(thread)
            return
        # Not in the context that is here: it may be that of another user's run, which has ended.
        task = asyncio.create_task(
            self._serve(thread), name=f"queue of {thread.id}", context=self._context.copy()
        )
        self._serving[thread] = task
        task.add_done_callback(lambda _: self._served(thread))

    def _may_begin(self, thread: ThreadKey) -> bool:
        return thread in self._threads and thread not in self._held

    def hear(self, thread: ThreadKey, entries: Sequence[Entry]) -> None:
        """Learn what another node has done: the thread is free, or what waited in it has begun."""
        if entries and entries[-1].event.type in TERMINAL:
            self.serve(thread)
        if not self._begun:
            return
        runs = {entry.run for entry in entries}
        for id in self._asked(thread):
            if not entries or id in runs:
                self._find_soon(thread, id)

    def _asked(self, thread: ThreadKey) -> list[RunId]:
        """Return the runs of the thread for which somebody waits."""
        return [id for place, id in self._begun if place == thread]

    def _find_soon(self, thread: ThreadKey, id: RunId) -> None:
        task = asyncio.create_task(self._find_quietly(thread, id), name=f"begin of {id}")
        self._looking.add(task)
        task.add_done_callback(self._looking.discard)

    async def _find_quietly(self, thread: ThreadKey, id: RunId) -> None:
        with suppress(NetraError):  # they are told when somebody looks again
            await self._find(thread, id)

    @contextmanager
    def held(self, thread: ThreadKey) -> Iterator[None]:
        """Begin nothing in the thread inside, whoever finds that something waits."""
        self._held[thread] += 1
        try:
            yield
        finally:
            self._held -= Counter({thread: 1})  # keeps no zeros
            self.serve(thread)

    async def forget(self, thread: ThreadKey) -> None:
        """The thread was deleted with all that waits in it."""
        for id in self._asked(thread):
            await self._find(thread, id)

    async def close(self) -> None:
        """Begin nothing more; what waits is kept for the next process."""
        self._threads.clear()
        if self._serving:
            await asyncio.wait(self._serving.values())
        for thread, id in list(self._begun):
            self._tell(thread, id, Refused(ErrorCode.DRAINING, WAITS_ON))

    def _served(self, thread: ThreadKey) -> None:
        del self._serving[thread]
        if thread in self._again:
            self._again.discard(thread)
            self.serve(thread)

    async def _serve(self, thread: ThreadKey) -> None:
        """Begin one run after the other, until one is executed or has to wait."""
        try:
            while self._may_begin(thread):
                queued = await self._store.queued(thread)
                if not queued:
                    if thread not in self._again:  # else one may wait since this was read
                        self._threads.discard(thread)
                    return
                active = await self._store.last_run(thread)
                if active is not None and active.ended is None:
                    return  # to try would take a place that another run may need, and a transaction
                try:
                    run = await self._begin_one(queued[0])
                except Refused as refusal:
                    if refusal.code in LATER:
                        return
                    if refusal.code is not ErrorCode.NOT_FOUND:
                        raise
                    continue  # another node was faster, or the thread is gone
                if run.ended is None:
                    return
        except NetraError:
            with jsonlog.bind(thread=thread.id):
                log.exception("the queue of a thread waits")

    async def _begin_one(self, queued: QueuedRun) -> Run:
        given = RunAgentInput.model_validate_json(queued.input)
        with jsonlog.bind(run=queued.key.id, thread=queued.thread.id, user=queued.key.owner):
            run = await self._begin(queued, given)
        self.tell(run)
        return run

    def tell(self, run: Run) -> None:
        """Tell who waits for a run of this name in the thread that it has begun."""
        self._tell(run.thread, run.key.id, run)

    def _tell(self, thread: ThreadKey, id: RunId, outcome: Run | Refused) -> None:
        waiting = self._begun.pop((thread, id), None)
        if waiting is None or waiting.done():
            return
        if isinstance(outcome, Run):
            waiting.set_result(outcome)
        else:
            waiting.set_exception(outcome)
            waiting.exception()  # retrieved, also when nobody waits any more
