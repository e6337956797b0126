"""Plain JSON data: its type, and the limits it is cut to."""

from typing import NamedTuple, TypeAlias

Json: TypeAlias = "bool | int | float | str | list[Json] | dict[str, Json] | None"
"""Data of exactly these types, so that no encoder runs anybody's code."""


UNSEEN = "\x7f-\x9f\u2028\u2029\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff"
"""Characters, as in a regular expression's ``[]``, that JSON allows unescaped and that end a line,
steer a terminal or turn the reading direction."""


class Limits(NamedTuple):
    """How much of a value is written. What is left out is marked with ``$cut``."""

    depth: int
    """Containers inside each other."""
    nodes: int
    """Values in all."""
    text: int
    """Characters of one string."""
    total: int
    """Characters of all strings and keys together."""
    opaque: int = 500
    """Characters of a ``$repr``."""


LIMITS = Limits(depth=100, nodes=100_000, text=1_000_000, total=8_000_000)
"""For `jsonable` and `dumps`. Common parsers refuse what nests deeper than 128."""

RECORD_LIMITS = Limits(depth=32, nodes=4_000, text=16_384, total=65_536)
"""For one log record."""

WIRE_LIMITS = Limits(depth=100, nodes=2_200_000, text=16_777_216, total=16_777_216)
"""For events: wide enough that one over the size limit of the log is refused, not cut."""
