"""Which form each class of values has as plain data.

No code of a value's class is run, so that none can fail, wait or never end: everything is read
by built-in code from where the interpreter keeps it. The exceptions, guarded by `guard.foreign`:
the text of an exception, and the ``utcoffset`` of time zones that `timezones` knows.
"""

import codecs
import enum
import sys
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from netra_backend.jsonlog.encode import plain_text
from netra_backend.jsonlog.fields import field_names
from netra_backend.jsonlog.guard import (
    MISSING,
    Failed,
    bases,
    class_name,
    foreign,
    is_kind,
    own_attribute,
)
from netra_backend.jsonlog.opaque import told
from netra_backend.jsonlog.plain import Json
from netra_backend.jsonlog.timezones import is_known
from netra_backend.jsonlog.tracebacks import describe
from netra_backend.jsonlog.walk import Form, Walk

if TYPE_CHECKING:
    import datetime as dt

LARGEST_NUMBER = int(sys.float_info.max)
"""A larger integer is a text: many parsers read numbers into doubles (RFC 8259 section 6), and
refuse the whole line when one overflows."""

MAX_CLASSES = 4_096
"""Classes whose form is remembered."""


class Forms(Walk):
    """A walk with the form of every class."""

    __slots__ = ()

    def form(self, cls: type) -> Form:
        known = _known.get(id(cls))
        return known[1] if known is not None else _learn(cls)

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
            return self.text(f"<{self.lost(f'an integer of {bits} bits')}>")
        self.refuse("larger than a double")
        try:
            return self.text(int.__repr__(number))
        except ValueError:  # more digits than the interpreter converts: sys.int_info
            return self.text(f"{number:#x}")

    def real(self, value: float, _depth: int) -> Json:
        number = float.__pos__(value)
        if number - number == 0:
            return number
        self.refuse("strict JSON has no such number")
        if number != number:  # noqa: PLR0124 - only NaN differs from itself
            return "NaN"
        return "Infinity" if number > 0 else "-Infinity"

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
        more = self.lost(f"{size - len(head)} more bytes") if len(head) < size else ""
        return self.text(text) + (f"… ({more})" if more else "")

    def _base64(self, head: bytes, size: int) -> Json:
        head = head[: max(min(self.limits.text, self.room), 0) // 4 * 3]
        encoded = codecs.encode(head, "base64").decode().replace("\n", "")
        shown: dict[str, Json] = {"$base64": self.text(encoded)}
        if len(head) < size:
            shown["$cut"] = self.lost(f"{size - len(head)} more bytes")
        return shown

    def view(self, value: memoryview, depth: int) -> Json:
        if value.nbytes > self.limits.text:
            return self.opaque(value, depth)
        return self.binary(value.tobytes(), depth)

    def moment(self, value: "dt.datetime", _depth: int) -> Json:
        import datetime as dt  # noqa: PLC0415 - loaded, since there is a value of it

        zone = dt.datetime.tzinfo.__get__(value)
        shown = foreign(dt.datetime.isoformat, value) if is_known(zone) else _UNASKED
        if isinstance(shown, Failed):
            day, clock = dt.datetime.date(value), dt.datetime.time(value)
            shown = f"{day}T{clock} <{self.lost(f'tzinfo {class_name(type(zone))}{shown.why}')}>"
        return self.text(shown)

    def clock(self, value: "dt.time", _depth: int) -> Json:
        import datetime as dt  # noqa: PLC0415 - loaded, since there is a value of it

        zone = dt.time.tzinfo.__get__(value)
        shown = foreign(dt.time.isoformat, value) if is_known(zone) else _UNASKED
        if isinstance(shown, Failed):
            why = self.lost(f"tzinfo {class_name(type(zone))}{shown.why}")
            shown = f"{dt.time.isoformat(dt.time.replace(value, tzinfo=None))} <{why}>"
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

    def array(self, value: Any, depth: int) -> Json:
        """Return a NumPy array as numbers, read through the buffer protocol."""
        view = view_of(value)
        if view is None or view.nbytes > self.limits.text:
            return self.opaque(value, depth)
        return self.value(view.tolist(), depth)

    def scalar(self, value: Any, depth: int) -> Json:
        """Return a NumPy scalar as a number; one that is none, as a time, gives its bytes."""
        view = view_of(value)
        if view is None or view.ndim > 0:
            return self.opaque(value, depth)
        return self.value(view.tolist(), depth)

    def error(self, value: BaseException, _depth: int) -> Json:
        return describe(value, self.text)

    def opaque(self, value: object, _depth: int) -> Json:
        text, limit = told(value), self.limits.opaque
        self.lost("only its type is known")
        if len(text) > limit:
            text = f"{text[:limit]}… ({len(text) - limit} more characters)"
        return {"$type": self.text(class_name(type(value))), "$repr": self.text(text)}


_UNASKED = Failed(" is not asked")


def _rank(plain: Json) -> tuple[int, float, str]:
    """Return what sets are sorted by: numbers, texts, the rest, and last what was cut."""
    if type(plain) is int or type(plain) is float:
        return (0, plain, "")
    if type(plain) is str:
        return (1, 0, plain)
    return (3 if type(plain) is dict and "$cut" in plain else 2, 0, plain_text(plain))


def _told_by(call: Callable[[Any], str]) -> Form:
    """Return the form of values that a built-in function writes."""

    def form(walk: Forms, value: object, depth: int) -> Json:
        shown = foreign(call, value)
        return walk.text(shown) if type(shown) is str else walk.opaque(value, depth)

    return form


def view_of(value: Any) -> memoryview | None:
    """Return the memory of numbers that Python can read; None for others."""
    try:
        view = memoryview(value)
    except (BufferError, TypeError, ValueError):
        return None
    return view if view.format in _FORMATS else None


_FORMATS = tuple("?bBhHiIlLqQnNfd")
"""Formats of numbers, as in `struct`, that are the machine's own."""


def _uuid(value: object) -> str:
    text = f"{own_attribute(value, 'int'):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def _path(value: object) -> str:
    """Return a path's text; raises TypeError for a class that is not of `pathlib` itself."""
    home = vars(sys.modules["pathlib"])
    if home.get(type(value).__name__) is not type(value):
        raise TypeError
    return str(value)


def _told_later(module: str, name: str, method: str) -> Form:
    """Return the form of values that a method of a class writes, which may not be loaded yet."""

    def form(walk: Forms, value: object, depth: int) -> Json:
        shown: Json = _told_by(vars(_loaded(module, name))[method])(walk, value, depth)
        return shown

    return form


# --- which form a class has ------------------------------------------------------------------

_JSON: dict[type, Form] = {
    type(None): Forms.constant,
    bool: Forms.constant,
    str: Forms.string,
    int: Forms.integer,
    float: Forms.real,
    dict: Forms.mapping,
    list: Forms.listing,
    tuple: Forms.row,
}
"""What ``json.dumps`` takes, and their subclasses: a member of ``(str, Enum)`` is a string."""

_OTHERS: dict[type, Form] = {
    bytes: Forms.binary,
    bytearray: Forms.binary,
    memoryview: Forms.view,
    set: Forms.collection,
    frozenset: Forms.collection,
    deque: Forms.queue,
    BaseException: Forms.error,
}

_LOADED_LATER: tuple[tuple[str, str, Form], ...] = (
    ("datetime", "datetime", Forms.moment),
    ("datetime", "date", _told_later("datetime", "date", "isoformat")),
    ("datetime", "time", Forms.clock),
    ("datetime", "timedelta", _told_later("datetime", "timedelta", "__str__")),
    ("uuid", "UUID", _told_by(_uuid)),
    ("pathlib", "PurePath", _told_by(_path)),
    ("decimal", "Decimal", _told_later("decimal", "Decimal", "__str__")),
    ("numpy", "generic", Forms.scalar),
    ("numpy", "ndarray", Forms.array),
)
"""Classes of modules that are not imported for this: without them there are no such values."""


def _by_id(forms: dict[type, Form]) -> dict[int, Form]:
    """Return the forms by the id of the class: hashing a class may run its metaclass's code."""
    return {id(cls): form for cls, form in forms.items()}


_JSON_IDS, _OTHER_IDS = _by_id(_JSON), _by_id(_OTHERS)

_known: dict[int, tuple[type, Form]] = {id(cls): (cls, form) for cls, form in _JSON.items()}


def is_json(cls: type) -> bool:
    """Return whether ``json.dumps`` takes instances of the class, leaving out what they hold."""
    return any(id(base) in _JSON_IDS for base in bases(cls))


def is_object(cls: type) -> bool:
    """Return whether instances of the class are written as objects, with names of their own."""
    form = _find(cls)
    return form is Forms.mapping or form is Forms.fields


def _learn(cls: type) -> Form:
    """Return the form of a class, and remember it with the class, so that its id stays its own."""
    form = _find(cls)
    if len(_known) < MAX_CLASSES:
        _known[id(cls)] = (cls, form)
    return form


def _find(cls: type) -> Form:
    line = bases(cls)
    for base in line:
        if id(base) in _JSON_IDS:
            return _JSON_IDS[id(base)]
    if any(base is enum.Enum for base in line):
        return Forms.member
    for base in line:
        if id(base) in _OTHER_IDS:
            return _OTHER_IDS[id(base)]
        for module, name, form in _LOADED_LATER:
            if _loaded(module, name) is base:
                return form
    return Forms.opaque if field_names(cls) is None else Forms.fields


def _loaded(module: str, name: str) -> Any:
    """Return the class of a module, if that is loaded: itself, where tests have put an heir there.

    As freezegun does with times. What is remembered of a class holds also after such a test.
    """
    home = sys.modules.get(module)
    found = None if home is None else vars(home).get(name)
    if found is None or not is_kind(found, type):
        return None
    return next((one for one in bases(found) if class_name(one) == f"{module}.{name}"), found)
