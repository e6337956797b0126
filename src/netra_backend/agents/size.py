"""Size: what an event is at least, and whether it is plain JSON, told before its bytes are made.

The wire bytes of an event are judged by `ingest`; to make them the long way takes the event loop
for seconds where an agent has put a whole file, or a list of millions, into one.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from ag_ui.core import EventType

from netra_backend import jsonlog
from netra_backend.errors import EventError
from netra_backend.jsonlog.fields import field_names
from netra_backend.jsonlog.forms import Forms, view_of
from netra_backend.jsonlog.guard import MISSING, own_attribute
from netra_backend.jsonlog.walk import Form

MAX_EVENT_BYTES = 4_194_304
"""Bytes of one event. A larger result belongs in a file that the event links to."""

_FORMS = Forms(jsonlog.WIRE_LIMITS)
"""What tells how a class is written: what is looked at here is what is written there."""

_BASES: dict[Form, tuple[type, ...]] = {
    Forms.mapping: (dict,),
    Forms.listing: (list,),
    Forms.row: (tuple,),
    Forms.collection: (set, frozenset),
    Forms.queue: (deque,),
    Forms.string: (str,),
    Forms.binary: (bytes, bytearray),
}
"""The classes whose own methods read a value of this form: those of a subclass are not asked."""

_LEAST: dict[Form, int] = {
    Forms.opaque: len('{"$type":"","$repr":""}') - 2,
    Forms.moment: len("2026-01-01T00:00:00"),
}
"""Bytes of what is written in such a form always, without two that count where it stands."""

_SCALARS = (str, bytes, bytearray)

_BITS_OF_TWO_DIGITS = 6
"""Bits of an integer that surely has two digits at least: with n bits it has 3n // 10."""

_DEPTH = jsonlog.WIRE_LIMITS.depth
"""Containers around what is cut off for it."""


class Size(NamedTuple):
    """What a look at a value has told."""

    least: int
    """Bytes that its JSON surely has; of what is too big any such number."""
    plain: bool
    """Whether an encoder writes it as `jsonlog.dumps` does."""


def check_size(event: str, fields: Mapping[str, Any]) -> bool:
    """Return whether all fields of an event of type `event` are plain.

    Raises EventError, with the field at fault, if it is surely too big. Takes as long for what is
    far too big as for what is just not.
    """
    sizes = {name: size_of(value) for name, value in fields.items()}
    least = sum(size.least for size in sizes.values())
    if least > MAX_EVENT_BYTES:
        field = max(sizes, key=sizes.__getitem__)
        raise EventError(
            f"{event} has at least {least} bytes; the limit is {MAX_EVENT_BYTES}, "
            f"and most are in {field!r}"
        )
    return all(size.plain for size in sizes.values())


def size_of(value: Any) -> Size:
    """Return the size of `value`. A container counts each time that it is there, as it is written.

    Of what is too big no more is looked at than tells that it is.
    """
    look = _Look()
    with suppress(RuntimeError):  # another thread has changed it, or no stack is left
        look.take((value,), 1)
        return Size(look.least, look.plain and look.least <= MAX_EVENT_BYTES)
    return Size(look.least, plain=False)


class _Look:
    """What is known of a value so far, and the containers that we are inside of."""

    __slots__ = ("inside", "least", "plain")

    def __init__(self) -> None:
        self.least = 0
        self.plain = True
        self.inside: set[int] = set()

    def take(self, values: Iterable[Any], depth: int) -> None:
        """Look at values that stand in so many containers, until it is too much."""
        for one in values:
            kind = type(one)
            if kind is str:
                self.least += len(one)
                if not one.isascii():
                    self.plain = self.plain and is_encodable(one)
            elif kind is int:
                bits = one.bit_length()
                if bits > 64:
                    self.plain = False
                elif bits > _BITS_OF_TWO_DIGITS:
                    self.least += bits * 3 // 10 - 1
            elif kind is dict or kind is list or kind is tuple:
                self._enter(one, kind, depth)
            elif not _is_simple(one, kind):
                self.plain = False
                self._take_other(one, kind, depth)
            if self.least > MAX_EVENT_BYTES:
                return

    def _take_other(self, one: Any, kind: type, depth: int) -> None:
        form = _FORMS.form(kind)
        if form is Forms.fields:
            self._enter(one, None, depth)
            return
        self.least += 2 * _numbers(one) if form is Forms.array else _LEAST.get(form, 0)
        base: Any = next((base for base in _BASES.get(form, ()) if issubclass(kind, base)), None)
        if base in _SCALARS:
            self.least += base.__len__(one)
        elif base is not None:
            self._enter(one, base, depth)

    def _enter(self, one: Any, base: Any, depth: int) -> None:
        """Look into a container, but for what is cut off: what is in itself, or too deep."""
        if depth >= _DEPTH or id(one) in self.inside:
            self.plain = False
            return
        if base is not None and base.__len__(one) > MAX_EVENT_BYTES:
            self.least += base.__len__(one)
            return
        parts = self._parts(one, base)
        self.least += 2 * len(parts)  # each has a character and what sets it apart
        self.inside.add(id(one))
        self.take(parts, depth + 1)
        self.inside.discard(id(one))

    def _parts(self, one: Any, base: Any) -> list[Any]:
        """Return what is in a container, at once: another thread may change it meanwhile."""
        if base is None:
            return _stored(one)
        if base is not dict:
            return [*base.__iter__(one)]
        keys = [*dict.keys(one)]
        if not all(type(key) is str for key in keys):
            self.plain = False
            keys = [key for key in keys if _FORMS.form(type(key)) is not Forms.opaque]  # are short
        return [*keys, *dict.values(one)]


def _stored(one: Any) -> list[Any]:
    """Return the fields that a model or dataclass has."""
    found = [own_attribute(one, name) for name in field_names(type(one)) or ()]
    extra = own_attribute(one, "__pydantic_extra__")
    if type(extra) is dict:
        found += extra.values()
    return [field for field in found if field is not MISSING]


def _numbers(array: Any) -> int:
    """Return how many numbers are written of a NumPy array."""
    view = view_of(array)
    if view is None or view.nbytes > jsonlog.WIRE_LIMITS.text:
        return 0
    return view.nbytes // view.itemsize if view.ndim else 0  # one that stands alone is counted


def _is_simple(one: Any, kind: type) -> bool:
    if kind is float:
        return bool(one - one == 0)  # neither NaN nor an infinity
    return one is None or kind is bool or kind is EventType


def is_encodable(text: str) -> bool:
    """Return whether the text has no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
