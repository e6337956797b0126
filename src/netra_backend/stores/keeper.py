"""The keeper: serves one store, and a bus, to the processes that share it.

It runs in the one process that owns the data directory. A worker is a process with one end of a
socket pair whose other end is here, so no stranger can be one. When a worker's line ends, however
that comes, its leases are over: another worker ends its runs.
"""

import asyncio
import itertools
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from netra_backend import jsonlog
from netra_backend.core.events import Entry
from netra_backend.core.ids import RunKey, ThreadKey
from netra_backend.core.nodes import METRICS, Gathered
from netra_backend.core.ports import Created, Store
from netra_backend.core.positions import Position
from netra_backend.core.run import Lease
from netra_backend.core.samples import Family
from netra_backend.errors import NetraError, StoreFailed
from netra_backend.stores.gatherings import ANSWER_SECONDS, Gatherings
from netra_backend.stores.measuring import Measuring
from netra_backend.stores.procedures import (
    PROCEDURES,
    Answered,
    Answers,
    Ask,
    Call,
    Give,
    Line,
    MadeRoom,
    MakeRoom,
    Measure,
    Measured,
    Message,
    Ping,
    Pong,
    Published,
    Question,
    Returned,
    Stop,
    Stopped,
    Take,
    Taken,
    Unheard,
    raised,
    result,
)
from netra_backend.stores.seats import Seats

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

STOP_SECONDS = 5.0
"""How long the others have to say whether they execute a run, or give a seat."""


class _Asked(Struct, frozen=True):
    """A question of one worker to others, and what it is answered with if nobody can."""

    by: "WorkerLine"
    others: "set[WorkerLine]"
    nothing: Stopped | MadeRoom


class Keeper:
    """The owner's side: `store` is open, and stays so until the last line has ended.

    `measure` returns what this process has to add to what its workers measure.
    """

    def __init__(self, store: Store, measure: Callable[[], Sequence[Family]] = list) -> None:
        self.store = store
        self._lines: dict[WorkerLine, None] = {}
        self._called = asyncio.Event()
        self._numbers = itertools.count()
        self._asked: dict[int, _Asked] = {}
        self.seats: Seats[WorkerLine] = Seats()
        """The seats that workers have taken."""
        self._gatherings: Gatherings[WorkerLine] = Gatherings()
        self._measuring: Measuring[WorkerLine] = Measuring(
            partial(self._gather, METRICS, b""), lambda: self._lines, measure
        )
        self._ending: set[asyncio.Task[None]] = set()

    async def serve(
        self, end: socket.socket, *, worker: int, hangs: Callable[[], object] = lambda: None
    ) -> "WorkerLine":
        """Serve the worker of this process id, whose line has its end here.

        `hangs` is called when it does not run.
        """
        loop = asyncio.get_running_loop()
        _, line = await loop.create_connection(lambda: WorkerLine(self, worker, hangs), sock=end)
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

    def _left(self, line: "WorkerLine") -> None:
        """Expire the worker's leases, when all it had asked for is done."""
        self._lines.pop(line, None)
        self.seats.leave(line)
        self._measuring.leave(line)
        self._gatherings.leave(line)
        for number in [n for n, asked in self._asked.items() if line in asked.others]:
            self._answered(line, number)
        self._begin(self._expire(line))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _expire(self, line: "WorkerLine") -> None:
        if line.calls:
            await asyncio.wait(set(line.calls))
        await self._publish_for(line)
        try:
            if line.leases:
                await self.store.renew(list(line.leases.values()), 0)
        except NetraError:
            log.exception("the leases of a worker that is gone run on until they expire")

    async def _publish_for(self, line: "WorkerLine") -> None:
        """Publish the ends that the worker did not come to publish: nothing would follow them."""
        unpublished, line.unpublished = line.unpublished, {}
        for thread, position in unpublished.items():
            try:
                await self._publish_end(thread, position)
            except NetraError:
                log.exception("an end that its worker did not tell is not told")

    async def _publish_end(self, thread: ThreadKey, position: Position | None) -> None:
        entries: Sequence[Entry] = ()
        if position is not None:
            entries = await self.store.read(thread, position.offset - 1, 1)
        if entries or await self.store.thread(thread) is None:
            for line in self._lines:
                line.publish(Published(thread, entries))

    def _others(self, than: "WorkerLine") -> "set[WorkerLine]":
        return {line for line in self._lines if line is not than}

    def _publish(self, by: "WorkerLine", message: Published) -> None:
        for line in self._others(by):
            line.publish(message)

    def _ask(self, by: "WorkerLine", question: Stop | MakeRoom, others: "set[WorkerLine]") -> None:
        """Ask other workers; who hangs has lost its run with its lease, and gives no seat."""
        nothing: Stopped | MadeRoom = (
            Stopped(question.number, None)
            if isinstance(question, Stop)
            else MadeRoom(question.number, False)
        )
        if not others:
            by.say(nothing)
            return
        number = next(self._numbers)
        self._asked[number] = _Asked(by, others, nothing)
        for line in others:
            line.say(replace(question, number=number))
        asyncio.get_running_loop().call_later(STOP_SECONDS, self._stop_asking, number)

    def _gather(
        self,
        subject: str,
        question: bytes,
        done: "Callable[[Mapping[WorkerLine, bytes | None]], None]",
    ) -> None:
        """Ask every worker that serves, and call `done` with what they say in time."""

        def ask(line: "WorkerLine", number: int) -> None:
            line.say(Ask(number, time.monotonic() + ANSWER_SECONDS, subject, question))

        self._gatherings.begin([line for line in self._lines if line.has_called], ask, done)

    def _ask_all(self, by: "WorkerLine", asked: Ask) -> None:
        def done(said: "Mapping[WorkerLine, bytes | None]") -> None:
            answers = [(line.worker, one) for line, one in said.items() if one is not None]
            missing = [line.worker for line, one in said.items() if one is None]
            by.say(Answers(asked.number, Gathered(answers, missing)))

        self._gather(asked.subject, asked.question, done)

    def _measure_all(self, by: "WorkerLine", asked: Measure) -> None:
        self._measuring.want(lambda families: by.say(Measured(asked.number, families)))

    def _stop_asking(self, number: int) -> None:
        asked = self._asked.pop(number, None)
        if asked is not None:
            asked.by.say(asked.nothing)

    def _answered(
        self, by: "WorkerLine", number: int, found: Stopped | MadeRoom | None = None
    ) -> None:
        """Pass on the first answer that is one, or that nobody has one."""
        asked = self._asked.get(number)
        if asked is None:
            return
        asked.others.discard(by)
        if found is not None or not asked.others:
            del self._asked[number]
            answer = asked.nothing if found is None else found
            asked.by.say(replace(answer, number=asked.nothing.number))


class WorkerLine(Line):
    """The keeper's end of the line to one worker."""

    def __init__(self, keeper: Keeper, worker: int, hangs: Callable[[], object]) -> None:
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
        self._keeper._lines[self] = None
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
        self._keeper._left(self)

    def received(self, message: Message) -> None:
        self._silent = 0
        if isinstance(message, Question) and time.monotonic() > message.until:
            self.say(raised(message.number, StoreFailed("this process was too late to begin it")))
            return
        match message:
            case Call():
                self._call(message)
            case Take():
                full = self._keeper.seats.take(self, message.seats)
                self.say(Taken(message.number, full))
            case Give():
                self._keeper.seats.give(self, message.seats)
            case Measure():
                self._keeper._measure_all(self, message)
            case Ping():
                self.say(Pong())
            case Unheard():
                self._keeper._begin(self._keeper._publish_for(self))
            case _:
                self._pass_on(message)

    def _pass_on(self, message: Message) -> None:
        """Take what is for other workers, or for one that has asked."""
        match message:
            case Published():
                self._has_published(message)
                self._keeper._publish(self, message)
            case Stop():
                self._keeper._ask(self, message, self._keeper._others(self))
            case Stopped():
                found = message if message.position is not None else None
                self._keeper._answered(self, message.number, found)
            case MakeRoom():
                holder = self._keeper.seats.most(message.seat, but=self)
                self._keeper._ask(self, message, set() if holder is None else {holder})
            case MadeRoom():
                self._keeper._answered(self, message.number, message if message.made else None)
            case Ask():
                self._keeper._ask_all(self, message)
            case Answered():
                self._keeper._gatherings.answered(self, message.number, message.answer)

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

    def _note(self, method: str, given: dict[str, Any], value: object) -> None:
        """Note which leases the worker has, and what it has to publish."""
        lease = value.lease if isinstance(value, Created) else value
        if isinstance(lease, Lease):
            self.leases[lease.run] = lease
        if given.get("end") is not None:
            self.leases.pop(given["writer"].run, None)
            self.unpublished[given["writer"].thread] = value  # type: ignore[assignment]
        elif method == "delete_thread" and value:
            self.unpublished[given["key"]] = None
