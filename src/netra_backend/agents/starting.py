"""Starting: what begins runs on this node, from when it is asked for until it has an outcome."""

import asyncio
from collections.abc import Collection, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from netra_backend.core.ids import RunKey

T = TypeVar("T")


class Starting:
    """The tasks that begin runs here; several may begin one run.

    One that is `held` waits for other runs to end, and begins nothing meanwhile.
    """

    def __init__(self) -> None:
        self._keys: dict[asyncio.Task[Any], RunKey] = {}
        self._held: set[asyncio.Task[Any] | None] = set()
        self._changed = asyncio.Event()
        """Set once, when one has its outcome or is held."""

    def __contains__(self, key: RunKey) -> bool:
        return key in self._keys.values()

    def keys(self) -> Collection[RunKey]:
        """Return the keys of the runs that are about to begin, as they are at any moment."""
        return self._keys.values()

    async def work(self, key: RunKey, work: Coroutine[Any, Any, T]) -> T:
        """Do what begins a run: a client that leaves between two steps must not stop it."""
        task = asyncio.create_task(work, name=f"start {key.id}")
        self._keys[task] = key
        task.add_done_callback(self._forget)
        return await asyncio.shield(task)

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
        if self._keys:
            await asyncio.wait(self._keys)

    async def outcome(self, key: RunKey) -> None:
        """Return when nothing begins the run."""
        while self._of(key):
            await self._changed.wait()

    async def outcome_or_held(self, key: RunKey) -> None:
        """Return when nothing begins the run but what is held.

        So waits who is asked by another node: what is held may wait for that node's answer.
        """
        while self._of(key) - self._held:
            await self._changed.wait()

    def _of(self, key: RunKey) -> set[asyncio.Task[Any]]:
        return {task for task, started in self._keys.items() if started == key}

    def _forget(self, task: asyncio.Task[Any]) -> None:
        del self._keys[task]
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
