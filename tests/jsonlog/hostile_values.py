"""Values that have broken log lines, and worse ones. Each is made by a function."""

import array
import asyncio
import collections
import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import functools
import io
import ipaddress
import itertools
import logging
import math
import pathlib
import queue
import re
import socket
import sys
import threading
import types
import typing
import uuid
import weakref
from collections.abc import Callable, Iterator
from unittest import mock

import attrs
import msgspec
import pydantic
from starlette.datastructures import URL, Headers, QueryParams, State
from starlette.requests import Request
from starlette.websockets import WebSocket, WebSocketState


class Colour(enum.Enum):
    RED = 1


class Pet(enum.StrEnum):
    CAT = "cat"


class Level(enum.IntEnum):
    LOW = 1


class Mode(enum.Flag):
    READ = 1
    WRITE = 2


class Named(enum.Enum):
    A = 1

    @property
    def name(self) -> str:
        raise ValueError("no name")

    @property
    def value(self) -> int:
        raise ValueError("no value")


class Day(dt.date, enum.Enum):
    FIRST = 2020, 1, 1


def raiser(error: type[BaseException]) -> Callable[..., typing.NoReturn]:
    def fail(*_args: object, **_named: object) -> typing.NoReturn:
        raise error("from inside")

    return fail


def with_methods(**methods: Callable[..., object]) -> object:
    return type("Hostile", (), methods)()


class NoAttributes:
    def __getattribute__(self, name: str) -> typing.NoReturn:
        raise RuntimeError(name)


class LyingClass:
    @property
    def __class__(self) -> type:
        raise SystemExit(3)


class HostileMeta(type):
    def __hash__(cls) -> int:
        raise RuntimeError("hash")

    def __eq__(cls, other: object) -> bool:
        raise RuntimeError("eq")

    def __getattribute__(cls, name: str) -> typing.NoReturn:
        raise RuntimeError(name)

    def __instancecheck__(cls, instance: object) -> bool:
        raise RuntimeError("instance")


class OfHostileMeta(metaclass=HostileMeta):
    pass


class HostileDict(dict[object, object]):
    __iter__ = keys = values = items = __len__ = __getitem__ = raiser(RuntimeError)  # type: ignore[assignment]


class HostileList(list[object]):
    __iter__ = __len__ = __getitem__ = raiser(SystemExit)  # type: ignore[assignment]


class HostileStr(str):
    __slots__ = ()
    __str__ = __repr__ = __len__ = __iter__ = encode = isascii = raiser(RuntimeError)  # type: ignore[assignment]


class HostileInt(int):
    __repr__ = __str__ = __int__ = __index__ = __eq__ = raiser(RuntimeError)  # type: ignore[assignment]
    __hash__ = int.__hash__


class HostileFloat(float):
    __repr__ = __float__ = __eq__ = __lt__ = raiser(RuntimeError)  # type: ignore[assignment]
    __hash__ = float.__hash__


class EndlessList(list[object]):
    def __iter__(self) -> Iterator[object]:
        return itertools.count()  # type: ignore[return-value]


class HostileZone(dt.tzinfo):
    utcoffset = dst = tzname = raiser(KeyboardInterrupt)  # type: ignore[assignment]


class SelfLogging:
    def __repr__(self) -> str:
        logging.getLogger("hostile").error("again %r", self)
        return "SelfLogging()"


class HostileError(Exception):
    __str__ = __repr__ = raiser(SystemExit)  # type: ignore[assignment]

    @property
    def __cause__(self) -> BaseException:  # type: ignore[override]
        raise RuntimeError("cause")

    @property
    def __notes__(self) -> list[str]:
        raise RuntimeError("notes")


class Chatty:
    def __repr__(self) -> str:
        return "x" * 50_000_000


class WrongRepr:
    def __repr__(self) -> str:
        return 3  # type: ignore[return-value]


class OwnStr(str):
    __slots__ = ()


class StrRepr:
    def __repr__(self) -> str:
        return HostileStr("shown")


@dataclasses.dataclass
class Point:
    x: object
    y: object = 2
    hidden: typing.ClassVar[int] = 5


@dataclasses.dataclass(slots=True, frozen=True)
class Slotted:
    x: object


class FakeDataclass:
    __dataclass_fields__ = 3


@attrs.define
class Attrs:
    a: object
    b: object = None


class Model(pydantic.BaseModel):
    model_config = pydantic.ConfigDict(extra="allow", arbitrary_types_allowed=True)
    state: WebSocketState
    size: int = 1
    kept_back: str = pydantic.Field(default="x", exclude=True)

    @pydantic.model_serializer
    def serialise(self) -> dict[str, object]:
        raise RuntimeError("serialiser")


class Struct(msgspec.Struct):
    a: object
    b: int = 2


class OwnTuple(typing.NamedTuple):
    a: object
    b: object


def nested(depth: int, wrap: Callable[[object], object]) -> object:
    value: object = 1
    for _ in range(depth):
        value = wrap(value)
    return value


def cyclic_list() -> object:
    items: list[object] = [1]
    items.append(items)
    return items


def cyclic_dict() -> object:
    pairs: dict[str, object] = {}
    pairs["self"] = {"inner": [pairs]}
    return pairs


def cyclic_object() -> object:
    point = Point(1)
    point.y = point
    return point


def dead_proxy() -> object:
    return weakref.proxy(type("Gone", (), {})())


def cyclic_error() -> BaseException:
    one, two = ValueError("one"), KeyError("two")
    one.__cause__, two.__cause__ = two, one
    return one


def fail(depth: int) -> typing.NoReturn:
    if depth == 0:
        raise ValueError("deep") from HostileError()
    fail(depth - 1)


def raised(depth: int) -> BaseException:
    try:
        fail(depth)
    except ValueError as error:
        return error


def group() -> BaseException:
    error = ExceptionGroup("several", [ValueError("a"), ExceptionGroup("inner", [TypeError("b")])])
    error.add_note("a note \ud800")
    return error


def odd_notes() -> BaseException:
    error = ValueError("x")
    error.__notes__ = [with_methods(__str__=raiser(SystemExit)), 3]  # type: ignore[list-item]
    return error


def billion_laughs() -> object:
    value: object = "ha"
    for _ in range(40):
        value = [value, value]
    return value


async def _coroutine() -> None: ...


def closed_coroutine() -> object:
    coroutine = _coroutine()
    coroutine.close()
    return coroutine


def released_view() -> object:
    view = memoryview(b"abc")
    view.release()
    return view


def closed_socket() -> object:
    one = socket.socket()
    one.close()
    return one


def websocket() -> WebSocket:
    return WebSocket({"type": "websocket", "path": "/"}, receive=None, send=None)  # type: ignore[arg-type]


def unset_slot() -> object:
    return object.__new__(Slotted)


def generator() -> Iterator[int]:
    yield from itertools.count()


def weird_enum() -> object:
    member = object.__new__(Colour)
    member._name_ = 3  # type: ignore[assignment]
    return member


VALUES: dict[str, Callable[[], object]] = {
    "enum": lambda: Colour.RED,
    "enum key": lambda: {Colour.RED: 1, "RED": 2},
    "string enum": lambda: Pet.CAT,
    "integer enum": lambda: {Level.LOW: Level.LOW},
    "flag": lambda: Mode.READ | Mode.WRITE,
    "empty flag": lambda: Mode(0),
    "enum with hostile name": lambda: Named.A,
    "enum with a date": lambda: Day.FIRST,
    "enum without a name": weird_enum,
    "enum class": lambda: Colour,
    "websocket state": lambda: {s: s for s in WebSocketState},
    "websocket": websocket,
    "request": lambda: Request({"type": "http", "headers": [], "method": "GET", "path": "/"}),
    "headers": lambda: Headers({"cookie": "a=b"}),
    "starlette": lambda: [URL("http://a/b"), QueryParams("a=1"), State()],
    "nan": lambda: math.nan,
    "infinities": lambda: [math.inf, -math.inf],
    "nan key": lambda: {math.nan: 1, math.inf: 2},
    "big integer": lambda: 2**64,
    "huge integer": lambda: 10**5_000,
    "negative huge integer": lambda: -(10**5_000),
    "enormous integer": lambda: 1 << 50_000_000,
    "huge integer key": lambda: {10**5_000: 1},
    "lone surrogate": lambda: "a\ud800b",
    "surrogate key": lambda: {"\udfff": "\ud800\udc00"},
    "line breaks": lambda: "a\r\nb\u2028c\u2029d\x85e\x0bf",
    "terminal codes": lambda: "\x1b[31mred\x1b[0m\x9b31m",
    "bidi": lambda: "\u202eevil\u2066",
    "nul": lambda: "\x00\x7f",
    "long text": lambda: "x" * 3_000_000,
    "bytes": lambda: b"text",
    "binary": lambda: b"\xff\x00",
    "long binary": lambda: b"\xff" * 3_000_000,
    "cut in a character": lambda: "é".encode() * 1_000_000,
    "bytearray": lambda: bytearray(b"\xfe"),
    "memoryview": lambda: memoryview(b"abc")[::2],
    "released memoryview": released_view,
    "bytes key": lambda: {b"a": 1, b"\xff": 2, "a": 3},
    "array": lambda: array.array("d", [1.5]),
    "datetime": lambda: dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    "hostile zone": lambda: dt.datetime(2020, 1, 1, tzinfo=HostileZone()),
    "hostile zone in time": lambda: dt.time(1, 2, tzinfo=HostileZone()),
    "date, time, delta": lambda: [
        dt.date.min,
        dt.time.max,
        dt.timedelta.max,
    ],
    "uuid": lambda: uuid.UUID(int=5),
    "unset uuid": lambda: object.__new__(uuid.UUID),
    "path": lambda: pathlib.Path("/a/\udcff"),
    "unset path": lambda: object.__new__(pathlib.PurePosixPath),
    "decimal": lambda: [decimal.Decimal("NaN"), decimal.Decimal("1E+1000000")],
    "fraction and complex": lambda: [fractions.Fraction(1, 3), 1 + 2j],
    "ip address": lambda: ipaddress.ip_address("::1"),
    "set": lambda: {3, 1, "b", (1, 2), None},
    "frozenset of enums": lambda: frozenset([Colour.RED, "RED"]),
    "deque": lambda: collections.deque([1, Colour.RED]),
    "default dict": lambda: collections.defaultdict(list, a=[1]),
    "counter": lambda: collections.Counter("aab"),
    "chain map": lambda: collections.ChainMap({"a": 1}),
    "user dict": lambda: collections.UserDict(a=1),
    "mapping proxy": lambda: types.MappingProxyType({"a": 1}),
    "namespace": lambda: types.SimpleNamespace(a=1),
    "dict views": lambda: [{}.keys(), {1: 2}.items()],
    "named tuple": lambda: OwnTuple(1, Colour.RED),
    "range, slice, ellipsis": lambda: [range(3), slice(1), ..., NotImplemented],
    "tuple, none and bool keys": lambda: {(1, "a"): 1, None: 2, True: 3, 1.5: 4},
    "colliding keys": lambda: {1: "a", "1": "b", Colour.RED: 1, "RED": 2, b"RED": 3},
    "object key": lambda: {object(): 1, frozenset([1]): 2},
    "deep tuple key": lambda: {nested(100_000, lambda v: (v,)): 1},
    "deep list": lambda: nested(100_000, lambda v: [v]),
    "deep dict": lambda: nested(100_000, lambda v: {"k": v}),
    "deep mixture": lambda: nested(50_000, lambda v: {"k": (v,)}),
    "deep dataclass": lambda: nested(50_000, Point),
    "deep deque": lambda: nested(20_000, lambda v: collections.deque([v])),
    "cyclic list": cyclic_list,
    "cyclic dict": cyclic_dict,
    "cyclic object": cyclic_object,
    "billion laughs": billion_laughs,
    "wide list": lambda: list(range(300_000)),
    "wide dict": lambda: {i: i for i in range(300_000)},
    "same reprs as keys": lambda: {
        type("K", (), {"__repr__": lambda _self: "k"})(): i for i in range(5_000)
    },
    "repr raises": lambda: with_methods(__repr__=raiser(ValueError)),
    "repr exits": lambda: with_methods(__repr__=raiser(SystemExit)),
    "repr interrupts": lambda: with_methods(__repr__=raiser(KeyboardInterrupt)),
    "repr recurses": lambda: with_methods(__repr__=repr),
    "repr is no string": WrongRepr,
    "repr is a hostile string": StrRepr,
    "repr is enormous": Chatty,
    "repr logs": SelfLogging,
    "everything raises": lambda: with_methods(
        **dict.fromkeys(
            (
                "__repr__",
                "__str__",
                "__iter__",
                "__len__",
                "__bool__",
                "__hash__",
                "__eq__",
                "__getattr__",
                "__format__",
                "__dir__",
                "__reduce__",
                "keys",
                "items",
                "isoformat",
                "model_dump",
                "__json__",
            ),
            raiser(RuntimeError),
        )
    ),
    "no attributes": NoAttributes,
    "lying class": LyingClass,
    "hostile metaclass": OfHostileMeta,
    "hostile metaclass itself": lambda: OfHostileMeta,
    "hostile dict": lambda: HostileDict(a=1),
    "hostile list": lambda: HostileList([1, 2]),
    "hostile string": lambda: HostileStr("text"),
    "hostile string key": lambda: {OwnStr("k"): HostileStr("text")},
    "hostile integer": lambda: {"n": HostileInt(5)},
    "hostile float": lambda: HostileFloat(1.5),
    "endless list": lambda: EndlessList([1]),
    "endless iterator": itertools.count,
    "generator": generator,
    "coroutine": closed_coroutine,
    "dataclass": lambda: Point(Colour.RED),
    "dataclass class": lambda: Point,
    "slotted dataclass": lambda: Slotted(Colour.RED),
    "unset slot": unset_slot,
    "false dataclass": FakeDataclass,
    "attrs": lambda: Attrs(Colour.RED),
    "pydantic": lambda: Model(state=WebSocketState.CONNECTED, more=Colour.RED),
    "unset pydantic": Model.model_construct,
    "empty pydantic": lambda: object.__new__(Model),
    "pydantic secret": lambda: pydantic.SecretStr("hidden"),
    "msgspec": lambda: Struct(Colour.RED),
    "msgspec values": lambda: [msgspec.UNSET, msgspec.Raw(b"{")],
    "dead proxy": dead_proxy,
    "mocks": lambda: [mock.MagicMock(), mock.Mock(spec=Model), mock.AsyncMock()],
    "lock": threading.Lock,
    "thread": threading.current_thread,
    "socket": closed_socket,
    "queue": queue.Queue,
    "event": asyncio.Event,
    "stream": io.StringIO,
    "module": lambda: sys,
    "function": lambda: nested,
    "partial": lambda: functools.partial(raiser, SystemExit),
    "pattern": lambda: re.compile("a" * 1_000),
    "type": lambda: [int, list[int], typing.Any, int | str],
    "frame": sys._getframe,
    "logger": logging.getLogger,
    "exception": lambda: raised(3),
    "deep traceback": lambda: raised(100),
    "hostile exception": HostileError,
    "cyclic exception": cyclic_error,
    "exception group": group,
    "odd notes": odd_notes,
    "exit as a value": SystemExit,
    "exception key": lambda: {ValueError("a"): 1},
    "object": object,
}
