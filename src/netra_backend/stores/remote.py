"""The remote store: a store, and a bus, that another process of this machine keeps.

What `netra serve --workers` gives each worker. It promises what the keeper's own store promises,
and one thing more: a call raises StoreFailed if the line ends before there is an answer, or if the
keeper has said nothing for `keeper_line.ANSWERS` seconds. Such a call was not made, and will not
be, unless the keeper had begun it: then who asks again finds it done. The same is true of what is
asked of other workers.
"""

import asyncio
import socket
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

from netra_backend import jsonlog
from netra_backend.core import nodes
from netra_backend.core.events import Entry
from netra_backend.core.ids import RunKey, ThreadKey
from netra_backend.core.nodes import Gathered, Reply, Seat
from netra_backend.core.ports import Created, Listener
from netra_backend.core.positions import Position
from netra_backend.core.run import Lease
from netra_backend.core.samples import Family
from netra_backend.errors import NetraError, StoreFailed
from netra_backend.stores.gatherings import ANSWER_SECONDS
from netra_backend.stores.keeper_line import GONE, UNANSWERED, KeeperLine
from netra_backend.stores.line import (
    Answered,
    Ask,
    Asking,
    Call,
    Freed,
    Give,
    MadeRoom,
    MakeRoom,
    Measure,
    Message,
    Published,
    Returned,
    Settling,
    Stop,
    Stopped,
    Take,
    Taken,
    Unheard,
)
from netra_backend.stores.local_bus import LocalBus
from netra_backend.stores.procedures import PROCEDURES, Procedure

log = jsonlog.get_logger(__name__)

T = TypeVar("T")

PATIENCE = ANSWER_SECONDS + 1.0
"""Seconds after which the keeper itself does not answer: it waits for others that long."""


class RemoteStore:
    """A `Store`, and the `Nodes` that share it, at the other end of `line`.

    `lost` is called when the line ends before it was closed here.
    """

    def __init__(self, line: socket.socket, *, lost: Callable[[], None] = lambda: None) -> None:
        self.bus = RemoteBus(self)
        """The bus of all workers."""
        self._cancel: nodes.Cancel | None = None
        self._make_room: nodes.MakeRoom = lambda seat: False
        self._freed: nodes.Freed = lambda: None
        self._socket = line
        self._lost = lost
        self._line: KeeperLine | None = None
        self._refusal = "the store is not open"
        """Why nothing is asked where there is no line."""
        self._answers: dict[str, Reply] = {}
        self._answering: set[asyncio.Future[None]] = set()

    async def open(self) -> None:
        """Take the line up. Idempotent: a store that other processes use is never opened anew."""
        if self._line is None:
            loop = asyncio.get_running_loop()
            _, self._line = await loop.create_connection(
                lambda: KeeperLine(self), sock=self._socket
            )

    async def close(self) -> None:
        """Hang up, when what was asked for is answered."""
        if self._line is not None:
            await self._line.answered()
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

    def join(self, cancel: nodes.Cancel) -> None:
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

    def tell_freed(self, freed: nodes.Freed) -> None:
        """Hear of seats that are free; see `Nodes.tell_freed`."""
        self._freed = freed

    def let_make_room(self, make_room: nodes.MakeRoom) -> None:
        """Let other workers ask for a seat that is taken here; see `Nodes.let_make_room`."""
        self._make_room = make_room

    async def make_room(self, seat: Seat) -> bool:
        """Ask for a seat that is taken on another worker; see `Nodes.make_room`."""
        made: bool = await self._ask(lambda number, until: MakeRoom(number, until, seat))
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
            return _failed(ValueError(str(error)))
        return self._ask(
            lambda number, until: Call(number, until, procedure.name, packed), procedure
        )

    def _ask(
        self,
        question: Callable[[int, float], Asking],
        procedure: Procedure | None = None,
        seats: Sequence[Seat] = (),
    ) -> asyncio.Future[Any]:
        """Ask the keeper; see `KeeperLine.ask`."""
        if self._line is None:
            return _failed(StoreFailed(self._refusal))
        return self._line.ask(question, procedure, seats)

    def _say(self, message: Message) -> None:
        if self._line is not None:
            self._line.say(message)

    def heard(self, message: Message) -> None:
        """Do what the keeper says, or what another worker asks."""
        match message:
            case Published():
                self.bus.hear(message.thread, message.entries)
            case Freed():
                self._freed()
            case Stop():
                self._begin(self._stop(message))
            case Ask():
                self._begin(self._answer(message))
            case MakeRoom():
                self._say(MadeRoom(message.number, self._make_room(message.seat)))

    def _begin(self, answering: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(answering)
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    def unheard(
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

    def ended(self) -> None:
        """Call nobody any more: the keeper is gone, unless this end has hung up."""
        was_open, self._line = self._line is not None, None
        if was_open:
            self._refusal = GONE
            self._lost()


def _failed(error: Exception) -> asyncio.Future[Any]:
    future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    future.set_exception(error)
    return future


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
