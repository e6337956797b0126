"""Pages: where an answer ends, so that whatever is read or asked for is bounded memory."""

from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import TypeVar

READ_BYTES = 1_048_576
"""Bytes after which an answer ends: of events, titles, questions and answers, or connections."""

T = TypeVar("T")


def check_page(limit: int, *, after: int = 0) -> None:
    """Raise ValueError, naming which is negative, unless a page can have these."""
    for name, number in (("limit", limit), ("after", after)):
        if number < 0:
            raise ValueError(f"`{name}` is {number}, and cannot be negative")


def bounded(items: Sequence[T], size: Callable[[T], int]) -> Sequence[T]:
    """Return the items up to the one with which they have `READ_BYTES`."""
    sizes = accumulate(map(size, items))
    return items[: next((n for n, upto in enumerate(sizes, 1) if upto >= READ_BYTES), None)]


def is_full(items: Sequence[T], size: Callable[[T], int]) -> bool:
    """Return whether the items have `READ_BYTES`, so that there may be more."""
    return sum(map(size, items)) >= READ_BYTES
