"""Files that were meant to be scanned and could not be."""

from msgspec import Struct


class Skipped(Struct, frozen=True):
    """One of them; `reason` is one line."""

    path: str
    reason: str
