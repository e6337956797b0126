"""Size: how much an event is at least, told before anything is made of it.

The wire bytes of an event are judged by `ingest`; to make them takes the event loop for seconds
where an agent has put a whole file, or a list of millions, into one.
"""

from collections.abc import Mapping
from typing import Any

from netra_backend import jsonlog
from netra_backend.errors import EventError

MAX_EVENT_BYTES = 4_194_304
"""Bytes of one event. A larger result belongs in a file that the event links to."""

_LEVELS = range(jsonlog.WIRE_LIMITS.depth - 1)
"""What stands deeper in a field is cut off."""


def check_size(event: str, fields: Mapping[str, Any]) -> None:
    """Raise EventError, with the field at fault, if an event of type `event` is surely too big.

    Takes as long for what is far too big as for what is just not.
    """
    sizes = {name: least(value) for name, value in fields.items()}
    size = sum(sizes.values())
    if size > MAX_EVENT_BYTES:
        field = max(sizes, key=sizes.__getitem__)
        raise EventError(
            f"{event} has at least {size} bytes; the limit is {MAX_EVENT_BYTES}, "
            f"and most are in {field!r}"
        )


def least(value: Any) -> int:
    """Return how many bytes the JSON of `value` has at least; of what is too big any such number.

    A container that is there twice counts once, so that a cycle ends.
    """
    size, level, seen = 0, [value], set[int]()
    for _ in _LEVELS:
        below: list[Any] = []
        for one in level:
            kind = type(one)
            if kind is str or kind is bytes:
                size += len(one)
            elif kind in _CONTAINERS and id(one) not in seen:
                seen.add(id(one))
                inside = [*one, *one.values()] if kind is dict else one
                size += 2 * len(inside)  # each has a character and what sets it apart
                if size <= MAX_EVENT_BYTES:
                    below.extend(inside)
            if size > MAX_EVENT_BYTES:
                return size
        if not below:
            break
        level = below
    return size


_CONTAINERS = frozenset({list, tuple, dict})
