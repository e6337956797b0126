"""Starting: what begins runs on this node, from when it is asked for until it has an outcome."""

import asyncio
from collections.abc import Collection, Coroutine, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, TypeVar

from netra_backend import jsonlog
from netra_backend.core.ids import RunKey
from netra_backend.errors import Refused

log = jsonlog.get_logger(__name__)

T = TypeVar("T")


class Starting:
    """The tasks that begin runs here; several may begin one run.

    One that is `held` waits for other runs to end, and begins nothing meanwhile.
    """

    def __init__(self) -> None:
        self._tasks: dict[RunKey, set[asyncio.Task[Any]]] = {}
        self._held: set[asyncio.Task[Any] | None] = set()
        self._changed = asyncio.Event()
        """Set once, when one has its outcome or is held."""

    def __contains__(self, key: RunKey) -> bool:
        return key in self._tasks

    def keys(self) -> Collection[RunKey]:
        """Return the keys of the runs that are about to begin, as they are at any moment."""
        return self._tasks.keys()

    async def work(self, key: RunKey, work: Coroutine[Any, Any, T]) -> T:
        """Do what begins a run: a client that leaves between two steps must not stop it."""
        task = asyncio.create_task(work, name=f"start {key.id}")
        self._tasks.setdefault(key, set()).add(task)
        task.add_done_callback(partial(self._forget, key))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            task.add_done_callback(_take)
            raise

    @contextmanager
    def held(self) -> Iterator[None]:
        """Hold the current task, while it waits for runs that others are asked to end."""
        task = asyncio.current_task()
        self._held.add(task)
        self._tell()
        try:
            yield
        finally:
            self._held.discard(task)

    async def settled(self) -> None:
        """Return when all that begins runs now has its outcome."""
        if self._tasks:
            await asyncio.wait(set().union(*self._tasks.values()))

    async def outcome(self, key: RunKey) -> None:
        """Return when nothing begins the run."""
        while tasks := self._tasks.get(key):
            await asyncio.wait(tasks)

    async def outcome_or_held(self, key: RunKey) -> None:
        """Return when nothing begins the run but what is held.

        So waits who is asked by another node: what is held may wait for that node's answer.
        """
        while self._tasks.get(key, set()) - self._held:
            await self._changed.wait()

    def _forget(self, key: RunKey, task: asyncio.Task[Any]) -> None:
        self._tasks[key].discard(task)
        if not self._tasks[key]:
            del self._tasks[key]
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


def _take(task: asyncio.Task[Any]) -> None:
    """Take the outcome for which nobody waits any more: a refusal is no error."""
    error = None if task.cancelled() else task.exception()
    if error is not None and not isinstance(error, Refused):
        log.error("a run could not begin, and who asked has left", exc_info=error)
