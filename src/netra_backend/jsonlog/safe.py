"""Any Python object as JSON-safe data: `jsonable` is total.

Its law: whatever ``json.dumps`` accepts and strict JSON allows is written equal after parsing.
What it rejects gets one form each; ``docs/json-safety.md`` lists them. The code of a value's
class is run only through `guard.foreign`, and only for ``__repr__``, the text of exceptions and
the ``tzinfo`` of times.
"""

import base64
import codecs
import datetime as dt
import decimal
import enum
import itertools
import json
import pathlib
import re
import sys
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

from netra_backend.jsonlog.fields import field_names
from netra_backend.jsonlog.guard import (
    MISSING,
    Failed,
    bases,
    class_name,
    foreign,
    own_attribute,
)
from netra_backend.jsonlog.plain import LIMITS, UNSEEN, Json, Limits
from netra_backend.jsonlog.tracebacks import describe

T = TypeVar("T")

MAX_ATTEMPTS = 8
"""How often the items are taken again of a container that another thread changes."""

LARGEST_NUMBER = int(sys.float_info.max)
"""A larger integer is a text: many parsers read numbers into doubles (RFC 8259 section 6), and
refuse the whole line when one overflows."""

_SURROGATES = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\ud800-\udfff]")
_UNSEEN = re.compile(f"[{UNSEEN}]")

_json = json.JSONEncoder(
    ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")
).encode


def jsonable(value: object, limits: Limits = LIMITS) -> Json:
    """Return the value as data of plain types that strict JSON can write; never raises."""
    try:
        return _Walk(limits).value(value, 0)
    except Exception:  # noqa: BLE001 - only an exhausted stack or memory leads here
        return {"$cut": "no stack or memory left"}


def dumps(value: object, limits: Limits = LIMITS) -> str:
    """Return `jsonable(value)` as strict JSON: one line without control characters."""
    return encode(jsonable(value, limits))


def encode(plain: Json) -> str:
    """Return plain data as strict JSON: one line without control characters; never raises."""
    try:
        text = _json(plain)
        if text.isascii() and "\x7f" not in text:
            return text
        return _UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    except Exception:  # noqa: BLE001 - only an exhausted stack or memory leads here
        return '{"$cut":"no stack or memory left"}'


class _Key(NamedTuple):
    """A key as text, and whether ``json.dumps`` writes it so."""

    text: str
    native: bool


class _Walk:
    """One conversion: what is left of the limits, and the containers we are inside of."""

    __slots__ = ("inside", "limits", "nodes", "room")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.nodes = limits.nodes
        self.room = limits.total
        self.inside: set[int] = set()

    def value(self, value: Any, depth: int) -> Json:
        """Return the plain form of a value that stands `depth` containers deep."""
        self.nodes -= 1
        cls = type(value)
        try:
            return _form(cls)(self, value, depth)
        except Exception as error:  # noqa: BLE001 - one bad value must not cost its neighbours
            return {
                "$type": self.text(class_name(cls)),
                "$repr": f"<unreadable: {class_name(type(error))}>",
            }

    def text(self, text: str) -> str:
        """Return an exact string within the limits, with lone surrogates escaped."""
        text = str.__str__(text)
        size, room = len(text), min(self.limits.text, max(self.room, 0))
        self.room -= min(size, room)
        if size > room:
            text = f"{text[:room]}… ({size - room} more characters)"
        return text if text.isascii() else _SURROGATES.sub(_escape_surrogate, text)

    # --- what json.dumps accepts ---------------------------------------------------------

    def constant(self, value: bool | None, _depth: int) -> Json:
        return value

    def string(self, value: str, _depth: int) -> Json:
        return self.text(value)

    def integer(self, value: int, _depth: int) -> Json:
        number = int.__pos__(value)
        bits = number.bit_length()
        if bits <= 64:
            return number
        if -LARGEST_NUMBER <= number <= LARGEST_NUMBER and self.room > 0:
            self.room -= bits // 3
            return number
        if bits > 4 * self.limits.text:
            return self.text(f"<an integer of {bits} bits>")
        try:
            return self.text(int.__repr__(number))
        except ValueError:  # more digits than the interpreter converts: sys.int_info
            return self.text(f"{number:#x}")

    def real(self, value: float, _depth: int) -> Json:
        number = float.__pos__(value)
        if number != number:  # noqa: PLR0124 - only NaN differs from itself
            return "NaN"
        if number in (float("inf"), float("-inf")):
            return "Infinity" if number > 0 else "-Infinity"
        return number

    def listing(self, value: list[Any], depth: int) -> Json:
        return self.items(value, list.__len__(value), list.__iter__(value), depth)

    def row(self, value: tuple[Any, ...], depth: int) -> Json:
        return self.items(value, tuple.__len__(value), tuple.__iter__(value), depth)

    def mapping(self, value: dict[Any, Any], depth: int) -> Json:
        taken = self.take(lambda: dict.items(value))
        return self.pairs(value, dict.__len__(value), taken, depth)

    # --- what it rejects -------------------------------------------------------------------

    def member(self, value: enum.Enum, depth: int) -> Json:
        name = own_attribute(value, "_name_")
        return self.text(name) if type(name) is str else self.opaque(value, depth)

    def binary(self, value: Any, _depth: int) -> Json:
        kind = bytes if bytes in bases(type(value)) else bytearray
        size = kind.__len__(value)
        head = bytes(kind.__getitem__(value, slice(self.limits.text)))
        try:
            text = codecs.getincrementaldecoder("utf-8")().decode(head, len(head) == size)
        except UnicodeDecodeError:
            return self._base64(head, size)
        cut = f"… ({size - len(head)} more bytes)" if len(head) < size else ""
        return self.text(text) + cut

    def _base64(self, head: bytes, size: int) -> Json:
        head = head[: max(min(self.limits.text, self.room), 0) // 4 * 3]
        shown: dict[str, Json] = {"$base64": self.text(base64.b64encode(head).decode())}
        if len(head) < size:
            shown["$cut"] = f"{size - len(head)} more bytes"
        return shown

    def view(self, value: memoryview, depth: int) -> Json:
        if value.nbytes > self.limits.text:
            return self.opaque(value, depth)
        return self.binary(value.tobytes(), depth)

    def moment(self, value: dt.datetime, _depth: int) -> Json:
        shown = foreign(dt.datetime.isoformat, value)
        if isinstance(shown, Failed):
            day, clock = dt.datetime.date(value), dt.datetime.time(value)
            shown = f"{day}T{clock} <tzinfo failed: {shown.why}>"
        return self.text(shown)

    def clock(self, value: dt.time, _depth: int) -> Json:
        shown = foreign(dt.time.isoformat, value)
        if isinstance(shown, Failed):
            shown = f"{dt.time.strftime(value, '%H:%M:%S')} <tzinfo failed: {shown.why}>"
        return self.text(shown)

    def collection(self, value: set[Any] | frozenset[Any], depth: int) -> Json:
        kind = set if set in bases(type(value)) else frozenset
        taken = self.take(lambda: kind.__iter__(value))  # type: ignore[arg-type]
        shown = self.items(value, kind.__len__(value), taken, depth)  # type: ignore[arg-type]
        return sorted(shown, key=_rank) if type(shown) is list else shown

    def queue(self, value: deque[Any], depth: int) -> Json:
        taken = self.take(lambda: deque.__iter__(value))
        return self.items(value, deque.__len__(value), taken, depth)

    def fields(self, value: object, depth: int) -> Json:
        stored = [(name, own_attribute(value, name)) for name in field_names(type(value)) or ()]
        extra = own_attribute(value, "__pydantic_extra__")
        if type(extra) is dict:
            stored.extend(extra.items())
        present = [(name, item) for name, item in stored if item is not MISSING]
        return self.pairs(value, len(present), present, depth)

    def error(self, value: BaseException, _depth: int) -> Json:
        return describe(value, self.text)

    def opaque(self, value: object, _depth: int) -> Json:
        shown = foreign(repr, value)
        if isinstance(shown, Failed):
            shown = f"<repr failed: {shown.why}>"
        text, limit = str.__str__(shown), self.limits.opaque
        if len(text) > limit:
            text = f"{text[:limit]}… ({len(text) - limit} more characters)"
        return {"$type": self.text(class_name(type(value))), "$repr": self.text(text)}

    # --- containers --------------------------------------------------------------------------

    def items(self, value: object, size: int, items: Iterable[Any], depth: int) -> Json:
        """Return the items of a container as a list."""
        instead = self.enter(value, depth)
        if instead is not None:
            return instead
        try:
            shown: list[Json] = []
            for item in items:
                if self.nodes <= 0:
                    break
                shown.append(self.value(item, depth + 1))
            if len(shown) < size:
                shown.append({"$cut": f"{size - len(shown)} more items"})
            return shown
        finally:
            self.inside.discard(id(value))

    def pairs(self, value: object, size: int, pairs: list[tuple[Any, Any]], depth: int) -> Json:
        """Return the pairs of a container as an object."""
        instead = self.enter(value, depth)
        if instead is not None:
            return instead
        try:
            shown: dict[str, Json] = {}
            done = 0
            names = _distinct([self.key(key, depth + 1) for key, _ in pairs])
            for name, (_, item) in zip(names, pairs, strict=True):
                if self.nodes <= 0:
                    break
                shown[name] = self.value(item, depth + 1)
                done += 1
            if done < size:
                shown["$cut"] = f"{size - done} more items"
            return shown
        finally:
            self.inside.discard(id(value))

    def enter(self, value: object, depth: int) -> Json:
        """Return None when the container may be walked, else what to write instead."""
        if id(value) in self.inside:
            return {"$type": self.text(class_name(type(value))), "$cut": "cycle"}
        if depth >= self.limits.depth:
            return {"$type": self.text(class_name(type(value))), "$cut": "depth"}
        self.inside.add(id(value))
        return None

    def take(self, iterate: Callable[[], Iterable[T]]) -> list[T]:
        """Return as many items as there is room for, of what another thread may be changing."""
        for _ in range(MAX_ATTEMPTS):
            try:
                return list(itertools.islice(iterate(), max(self.nodes, 0)))
            except RuntimeError:  # it changed during the iteration
                continue
        raise RuntimeError("it never stood still")

    def key(self, key: object, depth: int) -> _Key:
        """Return a key as text: as ``json.dumps`` writes it, else the form its value has."""
        if type(key) is str:
            text = self.text(key)
            return _Key(text, text == key)
        plain = self.value(key, depth)
        if type(plain) is not dict and type(plain) is not list:
            self.nodes += 1  # only the values count
        if type(plain) is str:
            return _Key(plain, str in bases(type(key)) and str.__eq__(plain, key) is True)
        if type(plain) is dict:
            return _Key(str(plain.get("$repr") or _json(plain)), False)
        return _Key(_json(plain), type(plain) is not list)


def _distinct(keys: list[_Key]) -> Iterator[str]:
    """Yield the texts; of keys that JSON does not have, no two and no other's are the same."""
    used = {key.text for key in keys if key.native}
    number: dict[str, int] = {}
    for text, native in keys:
        name = text
        while not native and name in used:
            number[text] = number.get(text, 1) + 1
            name = f"{text}~{number[text]}"
        used.add(name)
        yield name


def _escape_surrogate(found: re.Match[str]) -> str:
    """Return the character of a pair, or the visible escape of a lone half."""
    text = found[0]
    if len(text) == 1:
        return f"\\u{ord(text):04x}"
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le")


def _rank(plain: Json) -> tuple[int, float, str]:
    """Return what sets are sorted by: numbers, texts, the rest, and last what was cut."""
    if type(plain) is int or type(plain) is float:
        return (0, plain, "")
    if type(plain) is str:
        return (1, 0, plain)
    return (3 if type(plain) is dict and "$cut" in plain else 2, 0, _json(plain))


# --- which form a class has ------------------------------------------------------------------

Form = Callable[[_Walk, Any, int], Json]


def _told_by(method: Callable[[Any], str]) -> Form:
    """Return the form of values that a method of their well-known base class writes."""

    def form(walk: _Walk, value: object, depth: int) -> Json:
        shown = foreign(method, value)
        return walk.text(shown) if isinstance(shown, str) else walk.opaque(value, depth)

    return form


def _table(*rows: tuple[type, Form]) -> dict[int, tuple[type, Form]]:
    """Return the rows by the id of the class: hashing a class may run its metaclass's code."""
    return {id(cls): (cls, form) for cls, form in rows}


_TABLES = (
    _table(
        (type(None), _Walk.constant),
        (bool, _Walk.constant),
        (str, _Walk.string),
        (int, _Walk.integer),
        (float, _Walk.real),
        (dict, _Walk.mapping),
        (list, _Walk.listing),
        (tuple, _Walk.row),
    ),
    _table((enum.Enum, _Walk.member)),
    _table(
        (dt.datetime, _Walk.moment),
        (dt.date, _told_by(dt.date.isoformat)),
        (dt.time, _Walk.clock),
        (dt.timedelta, _told_by(dt.timedelta.__str__)),
        (uuid.UUID, _told_by(uuid.UUID.__str__)),
        (pathlib.PurePath, _told_by(pathlib.PurePath.__str__)),
        (decimal.Decimal, _told_by(decimal.Decimal.__str__)),
        (bytes, _Walk.binary),
        (bytearray, _Walk.binary),
        (memoryview, _Walk.view),
        (set, _Walk.collection),
        (frozenset, _Walk.collection),
        (deque, _Walk.queue),
        (BaseException, _Walk.error),
    ),
)
"""In this order: a member of ``(str, Enum)`` is a string, as for ``json.dumps``."""


def _form(cls: type) -> Form:
    exact = _TABLES[0].get(id(cls))
    if exact is not None:
        return exact[1]
    for table in _TABLES:
        for base in bases(cls):
            row = table.get(id(base))
            if row is not None:
                return row[1]
    return _Walk.opaque if field_names(cls) is None else _Walk.fields
