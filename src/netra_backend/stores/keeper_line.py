"""A worker's end of the line to the keeper: what it has asked, and how long it waits for answers.

What the keeper says of itself, and what others ask of this worker, is for the store that has the
line (`remote`).
"""

import asyncio
import itertools
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from netra_backend import jsonlog
from netra_backend.core.nodes import Seat
from netra_backend.errors import StoreFailed
from netra_backend.stores.line import (
    Answers,
    Ask,
    Asking,
    Line,
    MadeRoom,
    MakeRoom,
    Measured,
    Message,
    Ping,
    Published,
    Raised,
    Returned,
    Settling,
    Stop,
    Stopped,
    Taken,
    nothing,
)
from netra_backend.stores.procedures import Procedure, error_of

log = jsonlog.get_logger(__name__)

LOOK = 1.0
"""Seconds between two looks whether the keeper has said something to who waits for it."""

SILENT = 10
"""Looks in a row at which it has not, after which it does not run. They are counted, and not
seconds: when it is this process that has stood still, it was not the keeper."""

ANSWERS = 10.0
"""Seconds in which the keeper begins what it is asked, or never does. A store that is slow while
its keeper runs is waited for."""

UNANSWERED = "the process that keeps the store does not answer"
GONE = "the process that keeps the store is gone"


class Hears(Protocol):
    """Whom a line tells: the store of a worker. On the event loop; no call may wait or raise.

    `ended` comes last, and once.
    """

    def heard(self, message: Message) -> None:
        """The keeper has said something that is no answer, and is not too old to be acted upon."""

    def unheard(
        self, message: Settling, procedure: Procedure | None, seats: Sequence[Seat]
    ) -> None:
        """There is an answer, as `KeeperLine.ask` was told what for, and nobody waits any more."""

    def ended(self) -> None:
        """The line is gone, and with it mostly the keeper."""


class _Awaited(NamedTuple):
    """What has no answer, and until when it is waited for if the keeper is silent."""

    future: asyncio.Future[Any]
    until: float
    procedure: Procedure | None
    seats: Sequence[Seat]


class KeeperLine(Line):
    """A worker's end of the line to the keeper."""

    def __init__(self, store: Hears) -> None:
        super().__init__()
        self._store = store
        self._numbers = itertools.count()
        self._awaited: dict[int, _Awaited] = {}
        self._heard = True
        """Whether the keeper has said something since the last look."""
        self._silent = 0
        """Looks in a row at which the keeper had said nothing."""
        self._looking: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._look_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._looking is not None:
            self._looking.cancel()
        awaited, self._awaited = self._awaited, {}
        for asked in awaited.values():
            if not asked.future.done():
                asked.future.set_exception(StoreFailed(GONE))
        self._store.ended()

    def ask(
        self,
        question: Callable[[int, float], Asking],
        procedure: Procedure | None = None,
        seats: Sequence[Seat] = (),
    ) -> asyncio.Future[Any]:
        """Ask the keeper what `question` makes of a number and a time; return its answer.

        `procedure` is what it calls, `seats` are those it takes. The future may have StoreFailed:
        the keeper is silent or gone, and does not begin it any more.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._silent >= SILENT:
            future.set_exception(StoreFailed(UNANSWERED))
        else:
            number, until = next(self._numbers), time.monotonic() + ANSWERS
            self.say(question(number, until))
            self._awaited[number] = _Awaited(future, until, procedure, seats)
        return future

    async def answered(self) -> None:
        """Return when what was asked until now is answered, or waited for no more."""
        if self._awaited:
            await asyncio.wait({asked.future for asked in self._awaited.values()})

    def hang_up(self) -> None:
        """Send what is unsent, and end the line."""
        if self._transport is not None:
            self._transport.close()

    def received(self, message: Message) -> None:
        self._heard = True
        if self._silent >= SILENT:
            log.warning("the process that keeps the store answers again")
        self._silent = 0
        match message:
            case Published():  # what comes most
                self._store.heard(message)
            case Returned() | Raised() | Stopped() | Taken() | MadeRoom() | Answers() | Measured():
                self._settle(message)
            case Stop() | Ask() | MakeRoom() if time.monotonic() > message.until:
                self.say(nothing(message))  # this process stood still: who asked was told so
            case _:
                self._store.heard(message)

    def _settle(self, message: Settling) -> None:
        future, _, procedure, seats = self._awaited.pop(message.number)
        if future.done():
            self._store.unheard(message, procedure, seats)
            return
        match message:
            case Raised():
                future.set_exception(error_of(message))
            case Stopped():
                future.set_result(message.position)
            case Taken():
                future.set_result(message.full)
            case MadeRoom():
                future.set_result(message.made)
            case Answers():
                future.set_result(message.gathered)
            case Measured():
                future.set_result(message.families)
            case Returned() if procedure is not None:
                future.set_result(procedure.result.decode(message.result))

    def _look_soon(self) -> None:
        self._looking = asyncio.get_running_loop().call_later(LOOK, self._look)

    def _look(self) -> None:
        """See whether the keeper runs, and wait no more for one that does not."""
        waits = any(not asked.future.done() for asked in self._awaited.values())
        is_asked = waits or self._silent >= SILENT
        self._silent = 0 if self._heard or not is_asked else self._silent + 1
        self._heard = False
        if self._silent == SILENT:
            log.error(UNANSWERED)
        if self._silent >= SILENT:
            self._wait_no_more()
        if self._silent:
            self.say(Ping())
        self._look_soon()

    def _wait_no_more(self) -> None:
        """Fail what the keeper will not begin any more; its answers may still come."""
        now = time.monotonic()
        for asked in self._awaited.values():
            if now >= asked.until and not asked.future.done():
                asked.future.set_exception(StoreFailed(UNANSWERED))
