"""The keeper: serves one store, and a bus, to the processes that share it.

It runs in the one process that owns the data directory. A worker is a process with one end of a
socket pair whose other end is here, so no stranger can be one. When a worker's line ends, however
that comes, its leases are over: another worker ends its runs.
"""

import asyncio
import itertools
import logging
import socket
from collections.abc import Awaitable
from typing import Any

from netra_backend.core.ids import RunKey
from netra_backend.core.ports import Created, Store
from netra_backend.core.run import Lease
from netra_backend.errors import NetraError
from netra_backend.stores.procedures import (
    PROCEDURES,
    Call,
    Line,
    Message,
    Published,
    Returned,
    Stop,
    Stopped,
    raised,
    result,
)

log = logging.getLogger(__name__)

MAX_UNSENT = 64 << 20
"""Bytes that may wait for one worker; one that does not take them does not run any more."""


class Keeper:
    """The owner's side: `store` is open, and stays so until the last line has ended."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._lines: dict[WorkerLine, None] = {}
        self._called = asyncio.Event()
        self._numbers = itertools.count()
        self._asked: dict[int, tuple[WorkerLine, int, set[WorkerLine]]] = {}
        self._ending: set[asyncio.Task[None]] = set()

    async def serve(self, end: socket.socket) -> "WorkerLine":
        """Serve the worker whose line has its end here."""
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(lambda: WorkerLine(self), sock=end)
        return line

    async def joined(self, count: int, given_up: asyncio.Event) -> bool:
        """Return whether so many workers have called; False when that is given up."""
        giving_up = asyncio.ensure_future(given_up.wait())
        try:
            while not given_up.is_set():
                if sum(line.has_called for line in self._lines) >= count:
                    return True
                self._called.clear()
                calling = asyncio.ensure_future(self._called.wait())
                await asyncio.wait({calling, giving_up}, return_when=asyncio.FIRST_COMPLETED)
                calling.cancel()
        finally:
            giving_up.cancel()
        return False

    async def settled(self) -> None:
        """Return when what was accepted of workers that are gone is done."""
        while self._ending:
            await asyncio.wait(set(self._ending))

    def _joined(self, line: "WorkerLine") -> None:
        self._lines[line] = None

    def _left(self, line: "WorkerLine") -> None:
        """Expire the worker's leases, when all it had asked for is done."""
        self._lines.pop(line, None)
        for number in [n for n, (_, _, others) in self._asked.items() if line in others]:
            self._stopped(line, Stopped(number, None))
        task = asyncio.get_running_loop().create_task(self._expire(line))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _expire(self, line: "WorkerLine") -> None:
        if line.calls:
            await asyncio.wait(set(line.calls))
        try:
            if line.leases:
                await self.store.renew(list(line.leases.values()), 0)
        except NetraError:
            log.exception("the leases of a worker that is gone run on until they expire")

    def _publish(self, by: "WorkerLine", message: Published) -> None:
        for line in list(self._lines):
            if line is not by:
                line.say(message)
                if line.unsent > MAX_UNSENT:
                    log.error("a worker does not take what is published; its line is cut")
                    line.cut()

    def _stop(self, by: "WorkerLine", message: Stop) -> None:
        """Ask all other workers."""
        others = {line for line in self._lines if line is not by}
        if not others:
            by.say(Stopped(message.number, None))
            return
        number = next(self._numbers)
        self._asked[number] = (by, message.number, others)
        for line in others:
            line.say(Stop(number, message.run))

    def _stopped(self, by: "WorkerLine", message: Stopped) -> None:
        """Pass on the first position, or None when nobody has one."""
        asked = self._asked.get(message.number)
        if asked is None:
            return
        asker, number, others = asked
        others.discard(by)
        if message.position is not None or not others:
            del self._asked[message.number]
            asker.say(Stopped(number, message.position))


class WorkerLine(Line):
    """The keeper's end of the line to one worker."""

    def __init__(self, keeper: Keeper) -> None:
        super().__init__()
        self._keeper = keeper
        self.calls: set[asyncio.Future[None]] = set()
        self.has_called = False
        """Whether the worker is there: its first call is that of its first sweep."""
        self.leases: dict[RunKey, Lease] = {}
        """Those given to the worker, of runs that it has not ended."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._keeper._joined(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._keeper._left(self)

    def received(self, message: Message) -> None:
        match message:
            case Call():
                self._call(message)
            case Published():
                self._keeper._publish(self, message)
            case Stop():
                self._keeper._stop(self, message)
            case Stopped():
                self._keeper._stopped(self, message)

    def _call(self, call: Call) -> None:
        """Begin the call at once, so that calls are applied in the order in which they came."""
        if not self.has_called:
            self.has_called = True
            self._keeper._called.set()
        try:
            procedure = PROCEDURES[call.method]
            given = procedure.unpack(call.arguments)
            awaited = procedure.call(self._keeper.store, given)
        except Exception as error:  # noqa: BLE001 - it is the caller's, in another process
            self.say(raised(call.number, error))
            return
        answering = asyncio.ensure_future(self._answer(call.number, given, awaited))
        self.calls.add(answering)
        answering.add_done_callback(self.calls.discard)

    async def _answer(self, number: int, given: dict[str, Any], awaited: Awaitable[object]) -> None:
        try:
            value = await awaited
        except Exception as error:  # noqa: BLE001 - it is the caller's, in another process
            self.say(raised(number, error))
            return
        self._note(given, value)
        self.say(Returned(number, result(value)))

    def _note(self, given: dict[str, Any], value: object) -> None:
        """Note which leases the worker has."""
        lease = value.lease if isinstance(value, Created) else value
        if isinstance(lease, Lease):
            self.leases[lease.run] = lease
        if given.get("end") is not None:
            self.leases.pop(given["writer"].run, None)
