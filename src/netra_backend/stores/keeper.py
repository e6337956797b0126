"""The keeper: serves one store, and a bus, to the processes that share it.

It runs in the one process that owns the data directory. A worker is a process with one end of a
socket pair whose other end is here, so no stranger can be one. When a worker's line ends, however
that comes, its leases are over: another worker ends its runs.
"""

import asyncio
import itertools
import socket
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from netra_backend import jsonlog
from netra_backend.core.events import Entry
from netra_backend.core.ids import ThreadKey
from netra_backend.core.nodes import METRICS, Gathered
from netra_backend.core.ports import Store
from netra_backend.core.positions import Position
from netra_backend.core.samples import Family
from netra_backend.errors import NetraError
from netra_backend.stores.gatherings import ANSWER_SECONDS, Gatherings
from netra_backend.stores.line import (
    Answered,
    Answers,
    Ask,
    Freed,
    Give,
    MadeRoom,
    MakeRoom,
    Measure,
    Measured,
    Message,
    Published,
    Stop,
    Stopped,
    Take,
    Taken,
    Unheard,
    nothing,
)
from netra_backend.stores.measuring import Measuring
from netra_backend.stores.seats import Seats
from netra_backend.stores.worker_line import WorkerLine

log = jsonlog.get_logger(__name__)

STOP_SECONDS = 5.0
"""How long the others have to say whether they execute a run, or give a seat."""


class _Asked(Struct, frozen=True):
    """A question of one worker to others, those that have not answered it."""

    by: WorkerLine
    others: set[WorkerLine]
    question: Stop | MakeRoom


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
    ) -> WorkerLine:
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

    def began(self, line: WorkerLine) -> None:
        """Serve the worker."""
        self._lines[line] = None

    def called(self, line: WorkerLine) -> None:
        """Let `joined` count it."""
        self._called.set()

    def ended(self, line: WorkerLine) -> None:
        """Expire the worker's leases, when all it had asked for is done."""
        self._lines.pop(line, None)
        self.seats.leave(line)
        self._tell_of_room(line)
        self._measuring.leave(line)
        self._gatherings.leave(line)
        for number in [n for n, asked in self._asked.items() if line in asked.others]:
            self._answered(line, number)
        self._begin(self._expire(line))

    def heard(self, line: WorkerLine, message: Message) -> None:
        """Do what the worker says, or pass on what is for others."""
        match message:
            case Take():
                full = self.seats.take(line, message.seats)
                line.say(Taken(message.number, full))
            case Give():
                if self.seats.give(line, message.seats) and message.used:
                    self._tell_of_room(line)
            case Measure():
                self._measure_all(line, message)
            case Unheard():
                self._begin(self._publish_for(line))
            case _:
                self._pass_on(line, message)

    def _pass_on(self, line: WorkerLine, message: Message) -> None:
        """Take what is for other workers, or for one that has asked."""
        match message:
            case Published():
                self._publish(line, message)
            case Stop():
                self._ask(line, message, self._others(line))
            case Stopped():
                found = message if message.position is not None else None
                self._answered(line, message.number, found)
            case MakeRoom():
                holder = self.seats.most(message.seat, but=line)
                self._ask(line, message, set() if holder is None else {holder})
            case MadeRoom():
                self._answered(line, message.number, message if message.made else None)
            case Ask():
                self._ask_all(line, message)
            case Answered():
                self._gatherings.answered(line, message.number, message.answer)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def _expire(self, line: WorkerLine) -> None:
        if line.calls:
            await asyncio.wait(set(line.calls))
        await self._publish_for(line)
        try:
            if line.leases:
                await self.store.renew(list(line.leases.values()), 0)
        except NetraError:
            log.exception("the leases of a worker that is gone run on until they expire")

    async def _publish_for(self, line: WorkerLine) -> None:
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

    def _others(self, than: WorkerLine) -> set[WorkerLine]:
        return {line for line in self._lines if line is not than}

    def _tell_of_room(self, by: WorkerLine) -> None:
        for line in self._others(by):
            line.say(Freed())

    def _publish(self, by: WorkerLine, message: Published) -> None:
        for line in self._others(by):
            line.publish(message)

    def _ask(self, by: WorkerLine, question: Stop | MakeRoom, others: set[WorkerLine]) -> None:
        """Ask other workers; who hangs gives no answer in time, and refuses when it goes on."""
        if not others:
            by.say(nothing(question))
            return
        number = next(self._numbers)
        self._asked[number] = _Asked(by, others, question)
        until = min(question.until, time.monotonic() + STOP_SECONDS)
        for line in others:
            line.say(replace(question, number=number, until=until))
        asyncio.get_running_loop().call_later(STOP_SECONDS, self._stop_asking, number)

    def _gather(
        self,
        subject: str,
        question: bytes,
        done: Callable[[Mapping[WorkerLine, bytes | None]], None],
    ) -> None:
        """Ask every worker that serves, and call `done` with what they say in time."""

        def ask(line: WorkerLine, number: int) -> None:
            line.say(Ask(number, time.monotonic() + ANSWER_SECONDS, subject, question))

        self._gatherings.begin([line for line in self._lines if line.has_called], ask, done)

    def _ask_all(self, by: WorkerLine, asked: Ask) -> None:
        def done(said: Mapping[WorkerLine, bytes | None]) -> None:
            answers = [(line.worker, one) for line, one in said.items() if one is not None]
            missing = [line.worker for line, one in said.items() if one is None]
            by.say(Answers(asked.number, Gathered(answers, missing)))

        self._gather(asked.subject, asked.question, done)

    def _measure_all(self, by: WorkerLine, asked: Measure) -> None:
        self._measuring.want(lambda families: by.say(Measured(asked.number, families)))

    def _stop_asking(self, number: int) -> None:
        asked = self._asked.pop(number, None)
        if asked is not None:
            asked.by.say(nothing(asked.question))

    def _answered(
        self, by: WorkerLine, number: int, found: Stopped | MadeRoom | None = None
    ) -> None:
        """Pass on the first answer that is one, or that nobody has one."""
        asked = self._asked.get(number)
        if asked is None:
            return
        asked.others.discard(by)
        if found is not None or not asked.others:
            del self._asked[number]
            answer = nothing(asked.question) if found is None else found
            asked.by.say(replace(answer, number=asked.question.number))
