"""Size: what an event is at least, and whether it is plain JSON, told before its bytes are made.

The wire bytes of an event are judged by `ingest`; to make them the long way takes the event loop
for seconds where an agent has put a whole file, or a list of millions, into one.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ag_ui.core import EventType

from netra_backend import jsonlog
from netra_backend.errors import EventError

MAX_EVENT_BYTES = 4_194_304
"""Bytes of one event. A larger result belongs in a file that the event links to."""

_LEVELS = range(jsonlog.WIRE_LIMITS.depth - 1)
"""What stands deeper in a field is cut off."""

_SIMPLE = frozenset({bool, type(None), EventType})


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
    """Return the size of `value`. A container that is there twice counts once: a cycle ends."""
    least, plain = 0, True
    level, seen = [value], set[int]()
    for _ in _LEVELS:
        below: list[Any] = []
        for one in level:
            kind = type(one)
            if kind is str:
                least += len(one)
                plain = plain and (one.isascii() or is_encodable(one))
            elif kind is list or kind is dict or kind is tuple:
                plain = plain and id(one) not in seen
                if id(one) in seen:
                    continue
                seen.add(id(one))
                inside = one
                if kind is dict:
                    keys = list(one)  # at once: another thread may change it meanwhile
                    plain = plain and all(type(key) is str for key in keys)
                    inside = [*keys, *one.values()]
                least += 2 * len(inside)  # each has a character and what sets it apart
                if least <= MAX_EVENT_BYTES:
                    below.extend(inside)
            else:
                least += len(one) if kind is bytes else 0
                plain = plain and _is_simple(one, kind)
            if least > MAX_EVENT_BYTES:
                return Size(least, plain=False)
        if not below:
            return Size(least, plain)
        level = below
    return Size(least, plain=False)


def _is_simple(one: Any, kind: type) -> bool:
    if kind is int:
        return bool(one.bit_length() <= 64)
    if kind is float:
        return bool(one - one == 0)  # neither NaN nor an infinity
    return kind in _SIMPLE


def is_encodable(text: str) -> bool:
    """Return whether the text has no half of a surrogate pair."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
