"""A store as slow as a database: every call takes some turns of the event loop, in memory."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import Any

from netra_backend.core.events import Event
from netra_backend.core.ports import End
from netra_backend.core.positions import Position
from netra_backend.core.run import Lease
from netra_backend.stores.memory import MemoryStore

WRITES = frozenset(
    (
        *("open_thread", "rename_thread", "delete_thread", "set_member"),
        *("create_run", "renew", "adopt", "decide", "enqueue", "cancel_queued"),
    )
)
MAX_TURNS = 4


class JitteryStore:
    """A `MemoryStore` with the timing of the SQLite store, drawn from `random`.

    Writes are carried out one after the other in the order of the calls, some together; what is
    written can be read some turns before its writer is told. Reads take turns before and after.
    """

    def __init__(self, random: Random) -> None:
        self.inner = MemoryStore()
        self._random = random
        self._writes: deque[tuple[asyncio.Future[Any], Callable[[], Awaitable[Any]]]] = deque()
        self._writer: asyncio.Task[None] | None = None

    def append(
        self, events: Sequence[Event], *, writer: Lease, at: int, end: End | None = None
    ) -> asyncio.Future[Position]:
        return self._write(lambda: self.inner.append(events, writer=writer, at=at, end=end))

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call = getattr(self.inner, name)
        if name in WRITES:
            return lambda *args, **fields: self._write(lambda: call(*args, **fields))
        return lambda *args, **fields: self._read(lambda: call(*args, **fields))

    async def _read(self, call: Callable[[], Awaitable[Any]]) -> Any:
        await self._turns()
        result = await call()
        await self._turns()
        return result

    def _write(self, call: Callable[[], Awaitable[Any]]) -> asyncio.Future[Any]:
        future = asyncio.get_running_loop().create_future()
        self._writes.append((future, call))
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_all(), name="store")
        return future

    async def _write_all(self) -> None:
        while self._writes:
            await self._turns()
            group = [
                self._writes.popleft() for _ in range(self._random.randint(1, 3)) if self._writes
            ]
            outcomes = [(future, await _outcome(call)) for future, call in group]
            await self._turns()
            for future, outcome in outcomes:
                if not future.done():
                    if isinstance(outcome, Exception):
                        future.set_exception(outcome)
                    else:
                        future.set_result(outcome)
        self._writer = None

    async def _turns(self) -> None:
        for _ in range(self._random.randint(0, MAX_TURNS)):
            await asyncio.sleep(0)


async def _outcome(call: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await call()
    except Exception as error:  # noqa: BLE001 - it is the caller's, and reaches it
        return error
