"""Classes that have broken log lines, and worse ones; and what is made of them."""

import dataclasses
import datetime as dt
import enum
import itertools
import logging
import typing
from collections.abc import Callable, Iterator


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


class OwnTuple(typing.NamedTuple):
    a: object
    b: object


class Plain(enum.Enum):
    """Members whose values are hostile, secret or no JSON either."""

    ENUM = Colour.RED
    TUPLE = (1, Colour.RED)
    NAN = float("nan")
    OBJECT = object()
    BYTES = b"\xff"


Surrogate = enum.Enum("Surrogate", {"A\ud800": 1})  # type: ignore[misc]


class HostileHash:
    __hash__ = raiser(RuntimeError)  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("eq")


class HostileKey:
    """Hashable, and nothing else about it works."""

    __repr__ = __str__ = __eq__ = raiser(SystemExit)  # type: ignore[assignment]
    __hash__ = object.__hash__


class HostileName(str):
    """Can be hashed once: so it gets into a dict."""

    __slots__ = ("hashed",)

    def __hash__(self) -> int:
        if hasattr(self, "hashed"):
            raise SystemExit
        self.hashed = True
        return super().__hash__()


class HostileTuple(tuple[object, ...]):
    __slots__ = ()
    __iter__ = __len__ = __getitem__ = __repr__ = raiser(KeyboardInterrupt)  # type: ignore[assignment]


class HostileSet(set[object]):
    __iter__ = __len__ = __contains__ = __repr__ = raiser(RecursionError)  # type: ignore[assignment]


class HostileBytes(bytes):
    __len__ = __getitem__ = __iter__ = decode = hex = __repr__ = raiser(RuntimeError)  # type: ignore[assignment]


class HostileDatetime(dt.datetime):
    isoformat = __str__ = __repr__ = date = time = strftime = utcoffset = raiser(SystemExit)  # type: ignore[assignment]


class WrongZone(dt.tzinfo):
    """Answers what `datetime` refuses: an offset of three days."""

    def utcoffset(self, _when: dt.datetime | None) -> dt.timedelta:
        return dt.timedelta(days=3)

    def dst(self, _when: dt.datetime | None) -> None: ...

    def tzname(self, _when: dt.datetime | None) -> str:
        return "\ud800"


class HostileDescriptor:
    __get__ = __set__ = __set_name__ = raiser(RuntimeError)


class SlotsThatFail:
    __slots__ = ("a",)
    __getattr__ = raiser(SystemExit)


class Growing(dict[object, object]):
    """Gets another item whenever it is looked at."""

    def items(self) -> typing.Any:
        self[len(self)] = None
        return super().items()

    def __iter__(self) -> Iterator[object]:
        self[len(self)] = None
        return super().__iter__()


class ManyFaces:
    """Answers every attribute with itself, callable: ``model_dump`` as well as ``isoformat``."""

    def __getattr__(self, _name: str) -> "ManyFaces":
        return self

    def __call__(self, *_args: object, **_named: object) -> "ManyFaces":
        return self


class ModelDumpRaises:
    model_dump = dict = json = to_dict = as_dict = _asdict = raiser(KeyboardInterrupt)
    __json__ = __html__ = __structlog__ = isoformat = tolist = item = raiser(SystemExit)


class ModelDumpLies:
    """Has what duck typing looks for, and returns what is none of it."""

    def model_dump(self, **_named: object) -> object:
        return self

    def __structlog__(self) -> object:
        return {self}

    def isoformat(self) -> object:
        return Colour.RED


class BoolRaises:
    __bool__ = __len__ = raiser(ValueError)


class FormatRaises:
    __format__ = __str__ = raiser(ValueError)


class ClassRaises:
    """Reading its class raises, as of some proxies."""

    __class__ = property(raiser(RecursionError))  # type: ignore[assignment]


class ReprOfSurrogates:
    def __repr__(self) -> str:
        return "<\ud800 \x1b[31m \r\n>"


class ReprRecursesBothWays:
    def __repr__(self) -> str:
        return f"<{self!s}>"

    def __str__(self) -> str:
        return f"<{self!r}>"


class ReprChangesItsContainer:
    """Its ``repr`` empties the dict that holds it."""

    def __init__(self) -> None:
        self.home: dict[str, object] = {"a": self, "b": 2}

    def __repr__(self) -> str:
        self.home.clear()
        return "gone"


class ReprNeverEnds:
    def __repr__(self) -> str:
        while True:
            pass


class ReprOfFiftyMegabytesOfLines:
    def __repr__(self) -> str:
        return "\n" * 50_000_000


class LongNames:
    """A class with a name of a megabyte."""


LongNames.__qualname__ = LongNames.__name__ = "N" * 1_000_000
LongNames.__module__ = "\ud800\n"


class WrongModule:
    """A class whose module is no string."""


WrongModule.__module__ = Colour.RED  # type: ignore[assignment]


@dataclasses.dataclass
class Raising:
    """A dataclass that cannot be copied, compared or shown."""

    a: object
    __repr__ = __eq__ = __deepcopy__ = __reduce__ = raiser(RuntimeError)  # type: ignore[assignment]


class Node:
    """One of a ring of a thousand."""

    def __init__(self) -> None:
        self.next: object = None
