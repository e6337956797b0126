"""What each encoder refuses, as measured by running it (``tests/scan/test_encoders.py`` does)."""

from msgspec import Struct

from netra_backend.scan.kinds import Kind


class Encoder(Struct, frozen=True):
    """The kinds of values and of dict keys that raise; of everything else we say nothing.

    `converters` are the arguments that give it a function for what it refuses, `openers` those
    that change what it takes in ways that are not followed: with one of them, it refuses nothing.
    """

    name: str
    values: frozenset[Kind]
    keys: frozenset[Kind]
    converters: tuple[str, ...] = ("default",)
    openers: tuple[str, ...] = ()
    skipping: tuple[str, ...] = ()


_NEVER = frozenset(
    {
        Kind.FRACTION,
        Kind.COMPLEX,
        Kind.PATH,
        Kind.DEQUE,
        Kind.VIEW,
        Kind.ITERATOR,
        Kind.COROUTINE,
        Kind.FUTURE,
        Kind.EXCEPTION,
        Kind.RESOURCE,
        Kind.MODEL,
        Kind.MODEL_1,
        Kind.ROW,
        Kind.ARRAY_DATA,
        Kind.CALLABLE,
        Kind.CLASS,
        Kind.MODULE,
        Kind.OPAQUE,
        Kind.OBJECT,
        Kind.TIMEZONE,
    }
)
_TIMES = frozenset({Kind.DATETIME, Kind.DATE, Kind.TIME})
_RECORDS = frozenset({Kind.DATACLASS, Kind.ATTRS, Kind.STRUCT})
_REST = frozenset(
    {Kind.ENUM, Kind.TIMEDELTA, Kind.UUID, Kind.DECIMAL, Kind.BYTES, Kind.BUFFER, Kind.SET}
)
_ALL = _NEVER | _TIMES | _RECORDS | _REST

STDLIB = Encoder("json", _ALL, _ALL | {Kind.ARRAY}, ("default", "cls"), (), ("skipkeys",))
ORJSON = Encoder(
    "orjson",
    _ALL - _TIMES - {Kind.ENUM, Kind.UUID, Kind.DATACLASS},
    _ALL | {Kind.ARRAY, Kind.NUMBER, Kind.NOTHING},
    openers=("option",),
)
UJSON = Encoder("ujson", _ALL - {Kind.DECIMAL, Kind.OBJECT}, frozenset())
SIMPLEJSON = Encoder(
    "simplejson",
    _ALL - {Kind.DECIMAL, Kind.BYTES, Kind.OBJECT},
    (_ALL | {Kind.ARRAY}) - {Kind.DECIMAL, Kind.BYTES},
    ("default", "cls"),
    ("for_json", "iterable_as_array", "use_decimal", "encoding"),
    ("skipkeys",),
)
MSGSPEC = Encoder("msgspec", _NEVER, _NEVER | {Kind.ARRAY, Kind.SET}, ("enc_hook",))
FLASK = Encoder(
    "flask", STDLIB.values - {Kind.DATETIME, Kind.DATE, Kind.UUID, Kind.DECIMAL, Kind.DATACLASS},
    STDLIB.keys,
)  # fmt: skip
DJANGO = Encoder(
    "django",
    STDLIB.values - _TIMES - {Kind.TIMEDELTA, Kind.UUID, Kind.DECIMAL, Kind.OBJECT},
    STDLIB.keys,
    openers=("encoder", "json_dumps_params"),
)
EITHER_JSON = Encoder("json", SIMPLEJSON.values & STDLIB.values, SIMPLEJSON.keys & STDLIB.keys)
"""requests takes simplejson where it is installed."""
