"""What a store promises about runs that wait for their thread.

Part of `core.ports.Store`; what is said there of concurrency and times holds here.
"""

from collections.abc import Awaitable, Sequence
from typing import Protocol

from msgspec import Struct

from netra_backend.core.ids import RunKey, ThreadKey


class QueuedRun(Struct, frozen=True):
    """A run that was accepted and waits until its thread is free: nothing of it is in the log.

    `input` is the client's ``RunAgentInput`` as JSON. `cancelled` says that it shall only end.
    """

    key: RunKey
    thread: ThreadKey
    agent: str
    input: bytes
    at: int
    cancelled: bool = False


class Queue(Protocol):
    """Runs that wait for their thread, as durable as the log, in the order they were accepted.

    They are deleted with their thread.
    """

    def enqueue(self, new: QueuedRun, limit: int) -> Awaitable[QueuedRun]:
        """Keep the run behind those that wait in its thread; return it.

        Idempotent by the thread and the run's name, whoever started it: one that waits already is
        returned as it is. Raises Refused:
        ``not_found`` (no such thread), ``too_many`` (`limit` runs wait in the thread),
        ``run_conflict`` (the key is used or waits in another thread, or the thread has had a run
        of this name).
        """
        ...

    def queued_run(self, key: RunKey) -> Awaitable[QueuedRun | None]:
        """Return the run if it waits, or None."""
        ...

    def queued(self, thread: ThreadKey | None = None) -> Awaitable[Sequence[QueuedRun]]:
        """Return what waits in the thread, or in all threads, the oldest first."""
        ...

    def cancel_queued(self, key: RunKey) -> Awaitable[bool]:
        """Note that the run shall only end; False if it does not wait (any more).

        After True, `Runs.create_run` creates no run of its name in the thread but one that ends.
        """
        ...
