"""The line between a worker and the keeper of its store: what is said on it, and how it is written.

`worker_line` is the keeper's end, `keeper_line` the worker's. What is said is msgpack behind its
length in four bytes.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Sequence

from msgspec import Raw, Struct, msgpack

from netra_backend.core.events import Entry
from netra_backend.core.ids import RunKey, ThreadKey
from netra_backend.core.nodes import Gathered, Seat
from netra_backend.core.positions import Position
from netra_backend.core.samples import Family
from netra_backend.errors import ErrorCode

MAX_BYTES = 1 << 30
"""Bytes of one message, which no call of ours comes near."""


class Question(Struct, tag=True, array_like=True):
    """What a worker asks of the keeper; the answer has the same number.

    Who reads it after `until`, of the clock that the processes of a machine share, refuses it, be
    it the keeper or a worker that it was sent on to: who asked may have been told that it failed.
    """

    number: int
    until: float


class Call(Question):
    """Call `method`."""

    method: str
    arguments: Raw


class Returned(Struct, tag=True, array_like=True):
    """What a call returned."""

    number: int
    result: Raw


class Raised(Struct, tag=True, array_like=True):
    """What a call raised: the name of the class, its text, and the code of a refusal."""

    number: int
    kind: str
    text: str
    code: ErrorCode | None = None


class Published(Struct, tag=True, array_like=True):
    """A publication on the bus."""

    thread: ThreadKey
    entries: Sequence[Entry]


class Stop(Question):
    """Cancel the run if it is executed where this arrives; sent on by the keeper to the others."""

    run: RunKey


class Stopped(Struct, tag=True, array_like=True):
    """The answer to `Stop`: where the run ended, None where nobody executed it."""

    number: int
    position: Position | None


class Take(Question):
    """Take these seats; see `core.nodes`."""

    seats: Sequence[Seat]


class Taken(Struct, tag=True, array_like=True):
    """The answer to `Take`: of which there are none left, so that none were taken."""

    number: int
    full: Sequence[Seat]


class Give(Struct, tag=True, array_like=True):
    """Seats that are free again; see `core.nodes` for what it means that they were `used`."""

    used: bool
    seats: Sequence[Seat]


class Freed(Struct, tag=True, array_like=True):
    """A seat is free that may have been refused; see `core.nodes`."""


class MakeRoom(Question):
    """Give such a seat; sent on by the keeper to the worker that has most of them."""

    seat: Seat


class MadeRoom(Struct, tag=True, array_like=True):
    """The answer to `MakeRoom`: whether one was given."""

    number: int
    made: bool


class Ask(Question):
    """Ask every worker; sent on by the keeper to all that serve."""

    subject: str
    question: bytes


class Answered(Struct, tag=True, array_like=True):
    """The answer of one worker to `Ask`; None where it has none."""

    number: int
    answer: bytes | None


class Answers(Struct, tag=True, array_like=True):
    """The answer to `Ask` of who asked."""

    number: int
    gathered: Gathered


class Measure(Question):
    """Tell what all workers have measured."""


class Measured(Struct, tag=True, array_like=True):
    """The answer to `Measure`."""

    number: int
    families: Sequence[Family]


class Unheard(Struct, tag=True, array_like=True):
    """Tell all what appends and deletions of mine have ended: I did not wait for their answers."""


class Ping(Struct, tag=True, array_like=True):
    """Say that you are alive."""


class Pong(Struct, tag=True, array_like=True):
    """The answer to `Ping`, at once."""


Settling = Returned | Raised | Stopped | Taken | MadeRoom | Answers | Measured
"""What a worker waits for."""

Forwarded = Stop | MakeRoom | Ask
"""What the keeper sends on to workers: each is a `Question`."""

Asking = Call | Stop | Take | MakeRoom | Ask | Measure
"""What a worker asks: each is a `Question`."""

Message = Settling | Asking | Published | Give | Freed | Answered | Unheard | Ping | Pong

_messages = msgpack.Decoder(Message)
_encode = msgpack.Encoder().encode


def nothing(question: Forwarded) -> Stopped | MadeRoom | Answered:
    """Return the answer of who has done nothing of what was sent on to them, and will not."""
    match question:
        case Stop():
            return Stopped(question.number, None)
        case MakeRoom():
            return MadeRoom(question.number, False)
        case Ask():
            return Answered(question.number, None)


class Line(asyncio.Protocol, ABC):
    """One end of the stream socket between two processes that share a store."""

    def __init__(self) -> None:
        self._unread = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take every message that is whole."""
        self._unread += data
        start = 0
        while len(self._unread) - start >= 4:
            size = int.from_bytes(self._unread[start : start + 4])
            if size > MAX_BYTES:
                self.cut()
                return
            if len(self._unread) - start - 4 < size:
                break
            message = bytes(self._unread[start + 4 : start + 4 + size])
            start += 4 + size
            self.received(_messages.decode(message))
        del self._unread[:start]

    def say(self, message: Message) -> None:
        """Send a message; nothing happens when the other end is gone."""
        if self._transport is not None and not self._transport.is_closing():
            data = _encode(message)
            self._transport.write(len(data).to_bytes(4) + data)

    def cut(self) -> None:
        """End the line at once."""
        if self._transport is not None:
            self._transport.abort()

    @abstractmethod
    def received(self, message: Message) -> None:
        """Take a message of the other end."""
