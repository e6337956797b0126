"""The keeper's end of the line to one worker: calls of the store, and what the worker still owes.

All else that the worker says is for the keeper, which has the lines.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from netra_backend import jsonlog
from netra_backend.core.ids import RunKey, ThreadKey
from netra_backend.core.ports import Created, Store
from netra_backend.core.positions import Position
from netra_backend.core.run import Lease
from netra_backend.errors import StoreFailed
from netra_backend.stores.line import (
    Call,
    Line,
    Message,
    Ping,
    Pong,
    Published,
    Question,
    Returned,
)
from netra_backend.stores.procedures import PROCEDURES, raised, result

log = jsonlog.get_logger(__name__)

MAX_UNSENT = 64 << 20
"""Bytes that may wait for one worker. Of publications beyond, only each thread's last is kept."""

STUCK = 30.0
"""Seconds after which a worker that takes none of them does not run any more."""

LOOK = 3.0
"""Seconds between two looks at who has said something; a worker asks something each second."""

SILENT = 10
"""Looks in a row at which a worker has said nothing, after which it does not run any more. They are
counted, and not seconds: when the whole machine has slept, it was not the worker."""


class Serves(Protocol):
    """What a line tells: the keeper. On the event loop; no call may wait or raise.

    Of one line `began` comes first and `ended` last, each once; between them `called`, at most
    once, and what was `heard`, in the order in which the worker has said it.
    """

    store: Store

    def began(self, line: "WorkerLine") -> None:
        """The worker has its line."""

    def called(self, line: "WorkerLine") -> None:
        """The worker has made its first call."""

    def heard(self, line: "WorkerLine", message: Message) -> None:
        """The worker has said something that is no call."""

    def ended(self, line: "WorkerLine") -> None:
        """The line is gone, and with it mostly the worker."""


class WorkerLine(Line):
    """The keeper's end of the line to one worker."""

    def __init__(self, keeper: Serves, worker: int, hangs: Callable[[], object]) -> None:
        super().__init__()
        self._keeper = keeper
        self.worker = worker
        self._hangs = hangs
        self.calls: set[asyncio.Future[None]] = set()
        self.has_called = False
        """Whether the worker is there: its first call is that of its first sweep."""
        self.leases: dict[RunKey, Lease] = {}
        """Those given to the worker, of runs that it has not ended."""
        self.unpublished: dict[ThreadKey, Position | None] = {}
        """Where its runs have ended, None for a deletion, as long as it has not said so."""
        self._missed: dict[ThreadKey, Published] = {}
        self._stuck: asyncio.TimerHandle | None = None
        self._silent = 0
        self._look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        transport.set_write_buffer_limits(high=MAX_UNSENT)
        self._keeper.began(self)
        self._look_soon()

    def _look_soon(self) -> None:
        self._look = asyncio.get_running_loop().call_later(LOOK, self._look_after)

    def _look_after(self) -> None:
        """Give up a worker that has come to serve, waits for no answer, and says nothing.

        One that does not come to serve may have much to load: that is only told.
        """
        self._silent = 0 if self.calls else self._silent + 1
        if self._silent > SILENT:
            if self.has_called:
                self._give_up("a worker says nothing; its line is cut")
                return
            self._silent = 0
            log.warning("a worker does not come to serve", extra={"worker": self.worker})
        self._look_soon()

    def pause_writing(self) -> None:
        self._stuck = asyncio.get_running_loop().call_later(
            STUCK, self._give_up, "a worker takes nothing; its line is cut"
        )

    def resume_writing(self) -> None:
        if self._stuck is not None:
            self._stuck.cancel()
            self._stuck = None
        missed, self._missed = self._missed, {}
        for message in missed.values():  # who follows sees that entries are missing, and reads them
            self.publish(message)

    def publish(self, message: Published) -> None:
        """Tell the worker of it; when it has much to take, of the last of each thread, later."""
        if self._stuck is None:
            self.say(message)
        else:
            self._missed[message.thread] = message

    def _give_up(self, why: str) -> None:
        log.error(why, extra={"worker": self.worker})
        self.cut()
        self._hangs()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._stuck, self._look):
            if timer is not None:
                timer.cancel()
        self._keeper.ended(self)

    def received(self, message: Message) -> None:
        self._silent = 0
        if isinstance(message, Question) and time.monotonic() > message.until:
            self.say(raised(message.number, StoreFailed("this process was too late to begin it")))
            return
        match message:
            case Call():
                self._call(message)
            case Ping():
                self.say(Pong())
            case Published():
                self._has_published(message)
                self._keeper.heard(self, message)
            case _:
                self._keeper.heard(self, message)

    def _call(self, call: Call) -> None:
        """Begin the call at once, so that calls are applied in the order in which they came."""
        if not self.has_called:
            self.has_called = True
            self._keeper.called(self)
        try:
            procedure = PROCEDURES[call.method]
            given = procedure.unpack(call.arguments)
            awaited = procedure.call(self._keeper.store, given)
        except Exception as error:  # noqa: BLE001 - it is the caller's, in another process
            self.say(raised(call.number, error))
            return
        answering = asyncio.ensure_future(self._answer(call, given, awaited))
        self.calls.add(answering)
        answering.add_done_callback(self.calls.discard)

    async def _answer(self, call: Call, given: dict[str, Any], awaited: Awaitable[object]) -> None:
        try:
            value = await awaited
        except Exception as error:  # noqa: BLE001 - it is the caller's, in another process
            self.say(raised(call.number, error))
            return
        self._note(call.method, given, value)
        self.say(Returned(call.number, result(value)))

    def _has_published(self, message: Published) -> None:
        position = self.unpublished.get(message.thread)
        if position is None or not message.entries or message.entries[-1].position >= position:
            self.unpublished.pop(message.thread, None)

    def _note(self, method: str, given: dict[str, Any], value: Any) -> None:
        """Note which leases the worker has, and what it has to publish."""
        lease = value.lease if isinstance(value, Created) else value
        if isinstance(lease, Lease):
            self.leases[lease.run] = lease
        if given.get("end") is not None:
            self.leases.pop(given["writer"].run, None)
            self.unpublished[given["writer"].thread] = value
        elif method == "delete_thread" and value:
            self.unpublished[given["key"]] = None
