"""The hostile corpus: values that have broken log lines, and worse ones, grouped by what they are.

Each is made by a function, since some of them cannot be used twice. `PLAIN` are those that strict
``json.dumps`` accepts: they must come out equal. ``hostile_calls.py`` has the calls.
"""

import array
import asyncio
import collections
import contextvars
import ctypes
import datetime as dt
import decimal
import fractions
import functools
import inspect
import io
import ipaddress
import itertools
import logging
import math
import mmap
import pathlib
import queue
import re
import sys
import threading
import types
import typing
import uuid
import zoneinfo
from collections.abc import Callable, Iterator
from string import Template

from tests.jsonlog import hostile_classes as of
from tests.jsonlog import hostile_makers as made
from tests.jsonlog.hostile_classes import Colour, Level, Mode, Pet, raiser, with_methods
from tests.jsonlog.hostile_libraries import LIBRARIES
from tests.jsonlog.hostile_makers import nested

Corpus = dict[str, Callable[[], object]]

PLAIN: Corpus = {
    "constants": lambda: [None, True, False],
    "empty": lambda: ["", [], {}, 0, 0.0],
    "negative zero": lambda: -0.0,
    "numbers": lambda: [1, -1, 1.5, 1e308, 5e-324, 2**53 + 1, 2**63, -(2**63)],
    "texts": lambda: ["a", "é", "😀", "\u0000", '"\\/', "\x7f", "\u2028", "\ufffe"],
    "nested": lambda: {"a": [{"b": [[], {}, [None]]}]},
    "tuple": lambda: ("a", (1,)),
    "string enum": lambda: Pet.CAT,
    "integer enum": lambda: {"level": Level.LOW},
    "string subclass": lambda: of.OwnStr("own"),
    "default dict": lambda: collections.defaultdict(list, a=[1]),
    "ordered dict": lambda: collections.OrderedDict(b=1, a=2),
    "counter": lambda: collections.Counter("aab"),
    "named tuple": lambda: of.OwnTuple(1, 2),
    "keys like our own": lambda: {"$type": "x", "$cut": "y", "$repr": "z", "time": 1},
    "keys that are names": lambda: {"__class__": 1, "__dict__": 2, "": 3, " ": 4, "a.b": 5},
}

STATES: Corpus = {
    "enum": lambda: Colour.RED,
    "enum key": lambda: {Colour.RED: 1, "RED": 2},
    "enums in a list": lambda: [Colour.RED] * 100,
    "integer enum as key": lambda: {Level.LOW: Level.LOW},
    "string enum as key": lambda: {Pet.CAT: Pet.CAT, "cat": 1},
    "flag": lambda: Mode.READ | Mode.WRITE,
    "empty flag": lambda: Mode(0),
    "enum with hostile name": lambda: of.Named.A,
    "enum with a date": lambda: of.Day.FIRST,
    "enum without a name": made.weird_enum,
    "enum of an enum": lambda: of.Plain.ENUM,
    "enums of odd values": lambda: list(of.Plain),
    "enum with half a character": lambda: list(of.Surrogate),  # type: ignore[call-overload]
    "enum class": lambda: Colour,
    "enum's members": lambda: Colour.__members__,
}

NUMBERS: Corpus = {
    "nan": lambda: math.nan,
    "infinities": lambda: [math.inf, -math.inf],
    "nan key": lambda: {math.nan: 1, math.inf: 2},
    "big integer": lambda: 2**64,
    "beyond a double": lambda: 10**400,
    "4,301 digits": lambda: 10**4_300,
    "huge integer": lambda: 10**5_000,
    "negative huge integer": lambda: -(10**5_000),
    "enormous integer": lambda: 1 << 50_000_000,
    "huge integer key": lambda: {10**5_000: 1},
    "decimal": lambda: [decimal.Decimal("NaN"), decimal.Decimal("1E+1000000")],
    "signalling decimal": lambda: {"a": decimal.Decimal("sNaN")},
    "fraction and complex": lambda: [fractions.Fraction(1, 3), 1 + 2j],
    "hostile integer": lambda: {"n": of.HostileInt(5)},
    "hostile float": lambda: of.HostileFloat(1.5),
    "ctypes": lambda: [ctypes.c_int(3), ctypes.c_char_p(None)],
}

TEXTS: Corpus = {
    "lone surrogate": lambda: "a\ud800b",
    "surrogate key": lambda: {"\udfff": "\ud800\udc00"},
    "surrogates in the wrong order": lambda: "\udc00\ud800",
    "line breaks": lambda: "a\r\nb\u2028c\u2029d\x85e\x0bf",
    "terminal codes": lambda: "\x1b[31mred\x1b[0m\x9b31m",
    "bidi": lambda: "\u202eevil\u2066",
    "nul": lambda: "\x00\x7f",
    "all of latin-1": lambda: "".join(map(chr, range(256))),
    "noncharacters": lambda: "\ufffe\uffff\U0010ffff\ufeff",
    "long text": lambda: "x" * 3_000_000,
    "long text of escapes": lambda: "\x00" * 1_000_000,
    "long text of surrogates": lambda: "\ud800" * 300_000,
    "long key": lambda: {"k" * 1_000_000: 1},
    "format codes": lambda: "%s %d %(a)s {} {0} {a.b} $x \\n",
    "hostile string": lambda: of.HostileStr("text"),
    "hostile string key": lambda: {of.OwnStr("k"): of.HostileStr("text")},
    "template": lambda: Template("$a"),
}

BYTES: Corpus = {
    "bytes": lambda: b"text",
    "binary": lambda: b"\xff\x00",
    "long binary": lambda: b"\xff" * 3_000_000,
    "cut in a character": lambda: "é".encode() * 1_000_000,
    "bytearray": lambda: bytearray(b"\xfe"),
    "memoryview": lambda: memoryview(b"abc")[::2],
    "released memoryview": made.released_view,
    "memoryview of doubles": lambda: memoryview(array.array("d", [1.5])),
    "bytes key": lambda: {b"a": 1, b"\xff": 2, "a": 3},
    "array": lambda: array.array("d", [1.5]),
    "mmap": lambda: mmap.mmap(-1, 16),
    "hostile bytes": lambda: of.HostileBytes(b"abc"),
}

TIMES: Corpus = {
    "datetime": lambda: dt.datetime(2020, 1, 1, tzinfo=dt.UTC),
    "datetime of a zone": lambda: dt.datetime(2020, 1, 1, tzinfo=zoneinfo.ZoneInfo("UTC")),
    "datetime key": lambda: {dt.datetime(2020, 1, 1): dt.date(2020, 1, 1)},
    "hostile zone": lambda: dt.datetime(2020, 1, 1, tzinfo=of.HostileZone()),
    "hostile zone in time": lambda: dt.time(1, 2, tzinfo=of.HostileZone()),
    "wrong zone": lambda: dt.datetime(2020, 1, 1, tzinfo=of.WrongZone()),
    "hostile datetime": lambda: of.HostileDatetime(2020, 1, 1),
    "hostile zone alone": of.HostileZone,
    "date, time, delta": lambda: [dt.date.min, dt.time.max, dt.timedelta.max],
}

OTHERS: Corpus = {
    "uuid": lambda: uuid.UUID(int=5),
    "unset uuid": lambda: object.__new__(uuid.UUID),
    "path": lambda: pathlib.Path("/a/\udcff"),
    "unset path": lambda: object.__new__(pathlib.PurePosixPath),
    "ip address": lambda: ipaddress.ip_address("::1"),
    "range, slice, ellipsis": lambda: [range(3), slice(1), ..., NotImplemented],
    "pattern": lambda: re.compile("a" * 1_000),
    "match": lambda: re.match("(a)", "a"),
    "type": lambda: [int, list[int], typing.Any, int | str],
    "namespace": lambda: types.SimpleNamespace(a=1),
    "context": contextvars.copy_context,
    "signature": lambda: inspect.signature(nested),
    "object": object,
}

CONTAINERS: Corpus = {
    "set": lambda: {3, 1, "b", (1, 2), None},
    "frozenset of enums": lambda: frozenset([Colour.RED, "RED"]),
    "deque": lambda: collections.deque([1, Colour.RED]),
    "default dict of enums": lambda: collections.defaultdict(list, a=[Colour.RED]),
    "chain map": lambda: collections.ChainMap({"a": 1}),
    "user dict": lambda: collections.UserDict(a=1),
    "mapping proxy": lambda: types.MappingProxyType({"a": 1}),
    "dict views": lambda: [{}.keys(), {1: 2}.items()],
    "named tuple of an enum": lambda: of.OwnTuple(1, Colour.RED),
    "tuple, none and bool keys": lambda: {(1, "a"): 1, None: 2, True: 3, 1.5: 4},
    "colliding keys": lambda: {1: "a", "1": "b", Colour.RED: 1, "RED": 2, b"RED": 3},
    "colliding none": lambda: {None: 1, "null": 2, True: 3, "true": 4, "None": 5},
    "object key": lambda: {object(): 1, frozenset([1]): 2},
    "hostile key": lambda: {of.HostileKey(): 1, "a": Colour.RED},
    "deep tuple key": lambda: {nested(100_000, lambda v: (v,)): 1},
    "wide list": lambda: list(range(100_000)),
    "wide dict": lambda: {i: i for i in range(100_000)},
    "wide set": lambda: set(range(100_000)),
    "same reprs as keys": lambda: {
        type("K", (), {"__repr__": lambda _self: "k"})(): i for i in range(1_000)
    },
    "hostile dict": lambda: of.HostileDict(a=1),
    "hostile list": lambda: of.HostileList([1, 2]),
    "hostile tuple": lambda: of.HostileTuple((1, 2)),
    "hostile set": lambda: of.HostileSet({1, 2}),
    "growing dict": lambda: of.Growing(a=Colour.RED),
    "endless list": lambda: of.EndlessList([1]),
    "endless iterator": itertools.count,
    "generator": made.generator,
    "changed dict": made.changed_dict,
    "changed list": made.changed_list,
    "changed set": made.changed_set,
    "changed deque": made.changed_deque,
}

DEEP: Corpus = {
    "deep list": lambda: nested(100_000, lambda v: [v]),
    "deep dict": lambda: nested(100_000, lambda v: {"k": v}),
    "deep mixture": lambda: nested(50_000, lambda v: {"k": (v,)}),
    "deep dataclass": lambda: nested(50_000, of.Point),
    "deep deque": lambda: nested(20_000, lambda v: collections.deque([v])),
    "deep frozenset": lambda: nested(900, lambda v: frozenset([v])),
    "a thousand deep": lambda: nested(1_000, lambda v: [v]),
    "cyclic list": made.cyclic_list,
    "cyclic dict": made.cyclic_dict,
    "cyclic object": made.cyclic_object,
    "ring of a thousand": lambda: made.ring(1_000),
    "billion laughs": made.billion_laughs,
    "partial of itself": made.partial_of_itself,
}

OBJECTS: Corpus = {
    "repr raises": lambda: with_methods(__repr__=raiser(ValueError)),
    "repr exits": lambda: with_methods(__repr__=raiser(SystemExit)),
    "repr interrupts": lambda: with_methods(__repr__=raiser(KeyboardInterrupt)),
    "repr has no memory": lambda: with_methods(__repr__=raiser(MemoryError)),
    "repr stops the generator": lambda: with_methods(__repr__=raiser(GeneratorExit)),
    "repr is cancelled": lambda: with_methods(__repr__=raiser(asyncio.CancelledError)),
    "repr recurses": lambda: with_methods(__repr__=repr),
    "repr and str recurse": of.ReprRecursesBothWays,
    "repr is no string": of.WrongRepr,
    "repr is a hostile string": of.StrRepr,
    "repr is enormous": of.Chatty,
    "repr is all line breaks": of.ReprOfFiftyMegabytesOfLines,
    "repr is half characters": of.ReprOfSurrogates,
    "repr logs": of.SelfLogging,
    "repr empties its dict": lambda: of.ReprChangesItsContainer().home,
    "everything raises": lambda: with_methods(
        **dict.fromkeys(
            (
                *("__repr__", "__str__", "__iter__", "__len__", "__bool__", "__hash__", "__eq__"),
                *(
                    "__getattr__",
                    "__format__",
                    "__dir__",
                    "__reduce__",
                    "__contains__",
                    "__index__",
                ),
                *("keys", "items", "isoformat", "model_dump", "__json__", "__float__", "__int__"),
            ),
            raiser(RuntimeError),
        )
    ),
    "no attributes": of.NoAttributes,
    "lying class": of.LyingClass,
    "class raises": of.ClassRaises,
    "hostile metaclass": of.OfHostileMeta,
    "hostile metaclass itself": lambda: of.OfHostileMeta,
    "hostile hash": of.HostileHash,
    "hostile slots": of.SlotsThatFail,
    "hostile descriptor": of.HostileDescriptor,
    "many faces": of.ManyFaces,
    "model_dump raises": of.ModelDumpRaises,
    "model_dump lies": of.ModelDumpLies,
    "bool raises": of.BoolRaises,
    "format raises": of.FormatRaises,
    "long names": of.LongNames,
    "wrong module": of.WrongModule,
    "dataclass": lambda: of.Point(Colour.RED),
    "dataclass class": lambda: of.Point,
    "dataclass that raises": lambda: of.Raising(Colour.RED),
    "slotted dataclass": lambda: of.Slotted(Colour.RED),
    "unset slot": made.unset_slot,
    "false dataclass": of.FakeDataclass,
    "dead proxy": made.dead_proxy,
}

RESOURCES: Corpus = {
    "lock": threading.Lock,
    "held lock": made.held_lock,
    "thread": threading.current_thread,
    "socket": made.closed_socket,
    "queue": queue.Queue,
    "event": asyncio.Event,
    "stream": io.StringIO,
    "closed file": made.closed_file,
    "coroutine": made.closed_coroutine,
    "module": lambda: sys,
    "function": lambda: nested,
    "partial": lambda: functools.partial(raiser, SystemExit),
    "frame": sys._getframe,
    "code": lambda: nested.__code__,
    "logger": logging.getLogger,
    "record": lambda: logging.makeLogRecord({"msg": "%s", "args": (1, 2)}),
    "all modules": lambda: dict(sys.modules),
    "globals": lambda: dict(vars(of)),
}

ERRORS: Corpus = {
    "exception": lambda: made.raised(3),
    "deep traceback": lambda: made.raised(100),
    "hostile exception": of.HostileError,
    "cyclic exception": made.cyclic_error,
    "exception group": made.group,
    "odd notes": made.odd_notes,
    "exit as a value": SystemExit,
    "exception key": lambda: {ValueError("a"): 1},
    "exception with half a character": lambda: ValueError("\ud800", {"a": "\udfff"}),
    "exception of itself": made.exception_of_itself,
    "unicode error": lambda: UnicodeDecodeError("utf-8", b"\xff", 0, 1, "\ud800"),
    "exception class": lambda: ValueError,
    "traceback": lambda: made.raised(1).__traceback__,
}

VALUES: Corpus = {
    **PLAIN,
    **STATES,
    **NUMBERS,
    **TEXTS,
    **BYTES,
    **TIMES,
    **OTHERS,
    **CONTAINERS,
    **DEEP,
    **OBJECTS,
    **RESOURCES,
    **ERRORS,
    **LIBRARIES,
}
"""All of them. Their ``str`` may raise, but it ends."""

LARGE = (
    *("deep", "wide", "enormous", "billion", "repr is", "same reprs", "changed", "long", "sql"),
    *("row", "instance", "engine", "task", "cut in", "large numpy", "huge", "all modules"),
)
"""How the names begin of those that take milliseconds to make."""

ENDLESS: Corpus = {
    "repr never ends": of.ReprNeverEnds,
    "repr never ends, deep": lambda: {"a": [(of.ReprNeverEnds(),)]},
    "repr never ends, key": lambda: {of.ReprNeverEnds(): 1},
}
"""Those whose ``repr`` never returns. Nothing can help one who asks for it by ``%r``."""


def numbered() -> Iterator[tuple[int, str, Callable[[], object]]]:
    """Yield all values with a number and their name."""
    for number, (name, make) in enumerate({**VALUES, **ENDLESS}.items()):
        yield number, name, make
