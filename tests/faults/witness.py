"""A witness: what a store has acknowledged, to whichever of the nodes that share it."""

from collections import defaultdict
from collections.abc import Awaitable, Callable
from typing import Any

from netra_backend.core.ids import RunId, RunKey, ThreadKey
from netra_backend.core.ports import Created, NewRun
from netra_backend.core.queue import QueuedRun
from netra_backend.core.run import Lease
from netra_backend.errors import StoreFailed


class Witness:
    """What runs were accepted in each thread since it was deleted last, in that order."""

    def __init__(self) -> None:
        self.deletions: defaultdict[ThreadKey, int] = defaultdict(int)
        self.begun: defaultdict[ThreadKey, list[RunId]] = defaultdict(list)
        self.queued: defaultdict[ThreadKey, list[RunId]] = defaultdict(list)
        self.accepted: set[RunKey] = set()
        """All that ever began or waited, also in threads that are deleted."""
        self.leases: dict[RunKey, Lease] = {}
        """The newest lease on each run."""
        self.trespasses: list[str] = []
        """Appends that were acknowledged to somebody who did not have the newest lease."""

    def note_create_run(self, created: Created, new: NewRun, _events: object) -> None:
        """Note a run that has begun."""
        if created.lease is not None:
            self.begun[new.thread].append(new.key.id)
            self.accepted.add(new.key)
            self.leases[new.key] = created.lease

    def note_enqueue(self, queued: QueuedRun, new: QueuedRun, _limit: int) -> None:
        """Note a run that waits; one that waited before is returned as it was."""
        if queued == new and new.key.id not in self.queued[new.thread]:
            self.queued[new.thread].append(new.key.id)
            self.accepted.add(new.key)

    def note_adopt(self, lease: Lease | None, key: RunKey, *_: object) -> None:
        """Note who executes an orphan now."""
        if lease is not None:
            self.leases[key] = lease

    def note_delete_thread(self, deleted: bool, thread: ThreadKey) -> None:
        """Forget what was in the thread."""
        if deleted:
            self.deletions[thread] += 1
            self.begun.pop(thread, None)
            self.queued.pop(thread, None)

    def note_append(
        self, _position: object, _events: object, *, writer: Lease, **_: object
    ) -> None:
        """Note a writer who should have been fenced off."""
        newest = self.leases[writer.run]
        if newest.fence != writer.fence:
            self.trespasses.append(f"{writer} wrote, {newest} was given")


class Watched:
    """One node's way to a store; while it is `cut`, every call fails and has done nothing."""

    def __init__(self, store: Any, witness: Witness) -> None:
        self._store = store
        self._witness = witness
        self.cut = False

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self._store, name)
        note = getattr(self._witness, f"note_{name}", None)

        def call(*args: Any, **options: Any) -> Awaitable[Any]:
            if self.cut:
                return _fail(name)
            pending = method(*args, **options)
            return pending if note is None else _noted(pending, note, args, options)

        return call


async def _fail(name: str) -> None:
    raise StoreFailed(f"{name}: the store cannot be reached")


async def _noted(pending: Awaitable[Any], note: Any, args: Any, options: Any) -> Any:
    result = await pending
    note(result, *args, **options)
    return result
