"""The remote store: a store, and a bus, that another process of this machine keeps.

What `netra serve --workers` gives each worker. Every promise is the keeper's store's; this end adds
that calls raise StoreFailed which have no answer when the line ends, or when the keeper, which is
frozen, has said nothing for `ANSWERS` seconds. Of those nothing has been done, and will not be,
unless the keeper had begun it: then who asks again finds it done. So it is with what others do.
"""

import asyncio
import itertools
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from netra_backend import jsonlog
from netra_backend.core.events import Entry
from netra_backend.core.ids import RunKey, ThreadKey
from netra_backend.core.nodes import Cancel, Freed, Gathered, MakeRoom, Reply, Seat
from netra_backend.core.ports import Created, Listener
from netra_backend.core.positions import Position
from netra_backend.core.run import Lease
from netra_backend.core.samples import Family
from netra_backend.errors import NetraError, StoreFailed
from netra_backend.stores import procedures
from netra_backend.stores.gatherings import ANSWER_SECONDS
from netra_backend.stores.local_bus import LocalBus
from netra_backend.stores.procedures import (
    PROCEDURES,
    Answered,
    Answers,
    Ask,
    Asking,
    Call,
    Give,
    Line,
    MadeRoom,
    Measure,
    Measured,
    Message,
    Ping,
    Procedure,
    Published,
    Raised,
    Returned,
    Settling,
    Stop,
    Stopped,
    Take,
    Taken,
    Unheard,
    error_of,
    nothing,
)

log = jsonlog.get_logger(__name__)

T = TypeVar("T")

PATIENCE = ANSWER_SECONDS + 1.0
"""Seconds after which the keeper itself does not answer: it waits for others that long."""

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


class _Awaited(NamedTuple):
    """What has no answer, and until when it is waited for if the keeper is silent."""

    future: asyncio.Future[Any]
    until: float
    procedure: Procedure | None
    seats: Sequence[Seat]


class RemoteStore:
    """A `Store`, and the `Nodes` that share it, at the other end of `line`.

    `lost` is called when the line ends before it was closed here.
    """

    def __init__(self, line: socket.socket, *, lost: Callable[[], None] = lambda: None) -> None:
        self.bus = RemoteBus(self)
        """The bus of all workers."""
        self._cancel: Cancel | None = None
        self._make_room: MakeRoom = lambda seat: False
        self._freed: Freed = lambda: None
        self._socket = line
        self._lost = lost
        self._line: _KeeperLine | None = None
        self._refusal = "the store is not open"
        """Why nothing is asked where there is no line."""
        self._numbers = itertools.count()
        self._awaited: dict[int, _Awaited] = {}
        self._heard = True
        self._silent = 0
        """Looks in a row at which the keeper had said nothing."""
        self._looking: asyncio.TimerHandle | None = None
        self._answers: dict[str, Reply] = {}
        self._answering: set[asyncio.Future[None]] = set()

    async def open(self) -> None:
        """Take the line up. Idempotent: a store that other processes use is never opened anew."""
        if self._line is None:
            loop = asyncio.get_running_loop()
            _, self._line = await loop.create_connection(
                lambda: _KeeperLine(self), sock=self._socket
            )
            self._look_soon()

    async def close(self) -> None:
        """Hang up, when what was asked for is answered."""
        if self._awaited:
            await asyncio.wait({asked.future for asked in self._awaited.values()})
        line, self._line = self._line, None
        if line is not None:
            line.hang_up()

    def __getattr__(self, name: str) -> Callable[..., asyncio.Future[Any]]:
        """Return the method of a store, see `core.ports`."""
        procedure = PROCEDURES.get(name)
        if procedure is None:
            raise AttributeError(name)

        def call(*args: Any, **named: Any) -> asyncio.Future[Any]:
            return self._call(procedure, args, named)

        return call

    def join(self, cancel: Cancel) -> None:
        """Let other workers ask for runs that are executed here; see `Nodes.join`."""
        self._cancel = cancel

    async def cancel(self, run: RunKey) -> Position | None:
        """Cancel the run on the worker that executes it; see `Nodes.cancel`."""
        position: Position | None = await self._ask(lambda number, until: Stop(number, until, run))
        return position

    async def take(self, seats: Sequence[Seat]) -> Sequence[Seat]:
        """Take seats among all workers; see `Nodes.take`."""
        future = self._ask(lambda number, until: Take(number, until, seats), seats=seats)
        try:
            full: Sequence[Seat] = await future
        except asyncio.CancelledError:
            if not future.cancelled() and future.exception() is None and not future.result():
                self.give(seats)  # the answer came in the turn in which the caller was cancelled
            raise
        return full

    def give(self, seats: Sequence[Seat], *, used: bool = False) -> None:
        """Give seats back; see `Nodes.give`."""
        self._say(Give(used, seats))

    def tell_freed(self, freed: Freed) -> None:
        """Hear of seats that are free; see `Nodes.tell_freed`."""
        self._freed = freed

    def let_make_room(self, make_room: MakeRoom) -> None:
        """Let other workers ask for a seat that is taken here; see `Nodes.let_make_room`."""
        self._make_room = make_room

    async def make_room(self, seat: Seat) -> bool:
        """Ask for a seat that is taken on another worker; see `Nodes.make_room`."""
        made: bool = await self._ask(lambda number, until: procedures.MakeRoom(number, until, seat))
        return made

    def let_answer(self, subject: str, answer: Reply) -> None:
        """Let workers ask for what is here; see `Nodes.let_answer`."""
        self._answers[subject] = answer

    async def ask(self, subject: str, question: bytes) -> Gathered:
        """Ask all workers; see `Nodes.ask`."""
        asked: asyncio.Future[Gathered] = self._ask(
            lambda number, until: Ask(number, until, subject, question)
        )
        return await _in_time(asked)

    async def measured(self) -> Sequence[Family]:
        """Return what all workers have measured; see `Nodes.measured`."""
        asked: asyncio.Future[Sequence[Family]] = self._ask(Measure)
        return await _in_time(asked)

    def _call(
        self, procedure: Procedure, args: tuple[Any, ...], named: dict[str, Any]
    ) -> asyncio.Future[Any]:
        try:
            packed = procedure.pack(*args, **named)
        except (TypeError, ValueError, OverflowError) as error:
            future = asyncio.get_running_loop().create_future()
            future.set_exception(ValueError(str(error)))
            return future
        return self._ask(
            lambda number, until: Call(number, until, procedure.name, packed), procedure
        )

    def _ask(
        self,
        question: Callable[[int, float], Asking],
        procedure: Procedure | None = None,
        seats: Sequence[Seat] = (),
    ) -> asyncio.Future[Any]:
        """Ask the keeper what `question` makes of a number and a time; return its answer.

        `procedure` is what it calls, `seats` are those it takes.
        """
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        if self._line is None:
            future.set_exception(StoreFailed(self._refusal))
        elif self._silent >= SILENT:
            future.set_exception(StoreFailed(UNANSWERED))
        else:
            number, until = next(self._numbers), time.monotonic() + ANSWERS
            self._say(question(number, until))
            self._awaited[number] = _Awaited(future, until, procedure, seats)
        return future

    def _say(self, message: Message) -> None:
        if self._line is not None:
            self._line.say(message)

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
            self._say(Ping())
        self._look_soon()

    def _wait_no_more(self) -> None:
        """Fail what the keeper will not begin any more; its answers may still come."""
        now = time.monotonic()
        for asked in self._awaited.values():
            if now >= asked.until and not asked.future.done():
                asked.future.set_exception(StoreFailed(UNANSWERED))

    def _received(self, message: Message) -> None:
        self._heard = True
        if self._silent >= SILENT:
            log.warning("the process that keeps the store answers again")
        self._silent = 0
        match message:
            case Published():
                self.bus.hear(message.thread, message.entries)
            case procedures.Freed():
                self._freed()
            case Stop() | Ask() | procedures.MakeRoom() if time.monotonic() > message.until:
                self._say(nothing(message))  # this process stood still: who asked was told so
            case Stop():
                self._begin(self._stop(message))
            case Ask():
                self._begin(self._answer(message))
            case procedures.MakeRoom():
                self._say(MadeRoom(message.number, self._make_room(message.seat)))
            case Returned() | Raised() | Stopped() | Taken() | MadeRoom() | Answers() | Measured():
                self._settle(message)

    def _begin(self, answering: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(answering)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    def _settle(self, message: Settling) -> None:
        future, _, procedure, seats = self._awaited.pop(message.number)
        if future.done():
            self._unheard(message, procedure, seats)
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

    def _unheard(
        self, message: Settling, procedure: Procedure | None, seats: Sequence[Seat]
    ) -> None:
        """Finish what was begun for a caller who waits no more, as far as nobody else would."""
        match message:
            case Taken() if not message.full:
                self.give(seats)
            case Returned() if procedure is not None:
                value = procedure.result.decode(message.result)
                lease = value.lease if isinstance(value, Created) else value
                if isinstance(lease, Lease):
                    self._begin(self._hand_back(lease))
                elif procedure.name in ("append", "delete_thread"):
                    self._say(Unheard())

    async def _hand_back(self, lease: Lease) -> None:
        """Let others end the run at once, which nobody executes."""
        with suppress(NetraError):  # then they do when it has expired
            await self.renew([lease], 0)

    async def _stop(self, message: Stop) -> None:
        position = None
        if self._cancel is not None:
            with suppress(NetraError):  # nothing of it is durable: who asks sees the run as it is
                position = await self._cancel(message.run)
        self._say(Stopped(message.number, position))

    async def _answer(self, message: Ask) -> None:
        found: bytes | None = None
        answer = self._answers.get(message.subject)
        if answer is not None:
            try:
                found = await answer(message.question)
            except NetraError:
                log.exception("what all workers are asked has no answer here")
        self._say(Answered(message.number, found))

    def _ended(self) -> None:
        """The keeper is gone: nothing that waits will be answered."""
        was_open, self._line = self._line is not None, None
        awaited, self._awaited = self._awaited, {}
        if self._looking is not None:
            self._looking.cancel()
        for asked in awaited.values():
            if not asked.future.done():
                asked.future.set_exception(StoreFailed(GONE))
        if was_open:
            self._refusal = GONE
            self._lost()


async def _in_time(future: asyncio.Future[T]) -> T:
    """Return the keeper's answer. Raises StoreFailed where it does not come in time."""
    try:
        return await asyncio.wait_for(future, PATIENCE)
    except TimeoutError as error:
        raise StoreFailed(UNANSWERED) from error


class RemoteBus:
    """A `Bus` between workers; in its own process it loses nothing."""

    def __init__(self, store: RemoteStore) -> None:
        self._store = store
        self._local = LocalBus()

    def publish(self, thread: ThreadKey, entries: Sequence[Entry]) -> None:
        """Tell the listeners here, then those of the other workers."""
        self._local.publish(thread, entries)
        self._store._say(Published(thread, entries))

    def subscribe(self, listener: Listener) -> Callable[[], None]:
        """Call `listener` for every publication from now on; return what ends that, idempotent."""
        return self._local.subscribe(listener)

    def hear(self, thread: ThreadKey, entries: Sequence[Entry]) -> None:
        """Tell the listeners here of a publication elsewhere."""
        self._local.publish(thread, entries)


class _KeeperLine(Line):
    """The worker's end of the line."""

    def __init__(self, store: RemoteStore) -> None:
        super().__init__()
        self._store = store

    def received(self, message: Message) -> None:
        self._store._received(message)

    def connection_lost(self, exc: Exception | None) -> None:
        self._store._ended()

    def hang_up(self) -> None:
        """Send what is unsent, and end the line."""
        if self._transport is not None:
            self._transport.close()
