"""Procedures: the methods of a store, called by another process of the same machine.

How arguments and results are written comes from the annotations of `core.ports`, so a method that
is added there can be called at once. A message is msgpack behind its length in four bytes.
"""

import asyncio
import inspect
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Mapping, Sequence
from types import GenericAlias
from typing import Any, NamedTuple, get_args, get_type_hints

from msgspec import Raw, Struct, msgpack

from netra_backend.core.events import Entry
from netra_backend.core.ids import RunKey, ThreadKey
from netra_backend.core.nodes import Gathered, Seat
from netra_backend.core.ports import Store
from netra_backend.core.positions import Position
from netra_backend.core.run import IllegalMove
from netra_backend.core.samples import Family
from netra_backend.errors import ErrorCode, LeaseLost, Refused, StoreFailed

MAX_BYTES = 1 << 30
"""Bytes of one message, which no call of ours comes near."""

NOT_CALLED = frozenset({"open", "close"})
"""What the owner of a store does with it, and nobody else."""


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


class Procedure(NamedTuple):
    """A method of a store: how its arguments and its result are written and read."""

    name: str
    signature: inspect.Signature
    arguments: msgpack.Decoder[tuple[Any, ...]]
    result: msgpack.Decoder[Any]

    def pack(self, *args: Any, **named: Any) -> Raw:
        """Return the arguments of a call, in the order of the parameters."""
        bound = self.signature.bind(None, *args, **named)
        bound.apply_defaults()
        return Raw(_encode(list(bound.arguments.values())[1:]))

    def unpack(self, packed: Raw) -> dict[str, Any]:
        """Return the arguments by the names of their parameters."""
        names = list(self.signature.parameters)[1:]
        return dict(zip(names, self.arguments.decode(packed), strict=True))

    def call(self, store: Store, given: Mapping[str, Any]) -> Awaitable[Any]:
        """Call it on `store`; return what is to be awaited."""
        awaited: Awaitable[Any] = getattr(store, self.name)(**given)
        return awaited


def _procedure(name: str) -> Procedure:
    method = getattr(Store, name)
    signature, hints = inspect.signature(method), get_type_hints(method)
    (result,) = get_args(hints.pop("return"))
    types = tuple(hints[parameter] for parameter in list(signature.parameters)[1:])
    kind: Any = GenericAlias(tuple, types)
    return Procedure(name, signature, msgpack.Decoder(kind), msgpack.Decoder(result))


PROCEDURES = {
    name: _procedure(name)
    for name, _ in inspect.getmembers(Store, inspect.isfunction)
    if not name.startswith("_") and name not in NOT_CALLED
}
"""What can be called, by name."""

_ERRORS: dict[str, type[Exception]] = {
    kind.__name__: kind for kind in (LeaseLost, StoreFailed, IllegalMove, ValueError)
}


def raised(number: int, error: BaseException) -> Raised:
    """Return the message that tells of `error`."""
    code = error.code if isinstance(error, Refused) else None
    return Raised(number, type(error).__name__, str(error), code)


def error_of(message: Raised) -> Exception:
    """Return what the call raised; an error of no known kind is a StoreFailed that names it."""
    if message.code is not None:
        return Refused(message.code, message.text)
    kind = _ERRORS.get(message.kind)
    return kind(message.text) if kind else StoreFailed(f"{message.kind}: {message.text}")


def nothing(question: Forwarded) -> Stopped | MadeRoom | Answered:
    """Return the answer of who has done nothing of what was sent on to them, and will not."""
    match question:
        case Stop():
            return Stopped(question.number, None)
        case MakeRoom():
            return MadeRoom(question.number, False)
        case Ask():
            return Answered(question.number, None)


def result(value: Any) -> Raw:
    """Return the result of a call for its message."""
    return Raw(_encode(value))


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
