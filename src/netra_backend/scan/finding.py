"""What a scan says: findings, where they are, and the edits that fix them.

Lines count from 1. Columns count from 0, in characters of the decoded source (not bytes, not
UTF-16 units); an end is the place after the last character.
"""

from enum import Enum

from msgspec import Struct


class Severity(Enum):
    """How sure it is that the value raises."""

    ERROR = "error"
    """Raises whenever the line is executed."""
    WARNING = "warning"
    """Raises for some of the values that can come here."""
    NOTE = "note"
    """Cannot raise, and renders ambiguously."""

    @property
    def rank(self) -> int:
        """Higher is worse: 2 for errors, 1 for warnings, 0 for notes."""
        return _RANKS[self]


_RANKS = {Severity.ERROR: 2, Severity.WARNING: 1, Severity.NOTE: 0}


class Origin(Struct, frozen=True):
    """Where a value came from."""

    path: str
    line: int


class Edit(Struct, frozen=True):
    """Replace what stands between two places by `text`; an empty range inserts."""

    line: int
    column: int
    end_line: int
    end_column: int
    text: str


class Fix(Struct, frozen=True):
    """A safe repair, in the file of its finding: `message` says what it does, as an order."""

    message: str
    edits: tuple[Edit, ...]


class Finding(Struct, frozen=True):
    """One value that JSON refuses, at the call that hands it over.

    `message` is complete for a reader of a terminal, without rule and place. `value_path` is
    the way from the call's argument to the value, such as ``data["states"][0]``, or empty when
    the argument itself is the value. `origin` is None when the value stands in the call itself.
    """

    path: str
    line: int
    column: int
    end_line: int
    rule: str
    severity: Severity
    message: str
    value_path: str = ""
    origin: Origin | None = None
    fix: Fix | None = None
