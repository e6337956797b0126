"""Where an expression stands, packed into one integer of 63 bits so that summaries stay small."""

import ast
from collections.abc import Sequence

from msgspec import Struct


class Place(Struct, frozen=True):
    """A range of source: lines from 1, columns from 0 in characters."""

    line: int
    column: int
    end_line: int
    end_column: int


NOWHERE = 0
"""The place of what has none, or is too far away to be packed."""

_LINE, _COLUMN, _LINES = 22, 15, 10


def pack(place: Place) -> int:
    """Return the place as an integer; `NOWHERE` for lines beyond four million and the like."""
    lines = place.end_line - place.line
    if (
        place.line >> _LINE
        or place.column >> _COLUMN
        or place.end_column >> _COLUMN
        or lines >> _LINES
    ):
        return NOWHERE
    packed = place.line << _LINES | lines
    return (packed << _COLUMN | place.column) << _COLUMN | place.end_column


def unpack(at: int) -> Place:
    """Return the place that `pack` packed."""
    columns = (1 << _COLUMN) - 1
    lines = at >> 2 * _COLUMN
    line = lines >> _LINES
    column = at >> _COLUMN & columns
    return Place(line, column, line + (lines & ((1 << _LINES) - 1)), at & columns)


def line_of(at: int) -> int:
    """Return the first line of a packed place."""
    return at >> 2 * _COLUMN + _LINES


class Lines:
    """Converts the columns of ``ast``, which counts bytes of UTF-8, into characters."""

    __slots__ = ("_ascii", "_lines", "_source")

    def __init__(self, source: str) -> None:
        self._source = source
        self._ascii = source.isascii()
        self._lines: Sequence[bytes] = ()

    def place(self, node: ast.expr | ast.stmt) -> Place:
        """Return where the node stands."""
        end_line = node.end_lineno or node.lineno
        end_column = node.end_col_offset or node.col_offset
        return Place(
            node.lineno,
            self._column(node.lineno, node.col_offset),
            end_line,
            self._column(end_line, end_column),
        )

    def at(self, node: ast.expr) -> int:
        """Return where the expression stands, packed."""
        if self._ascii:  # most files: the arithmetic of `pack`, without the intermediate struct
            line, column, end_column = node.lineno, node.col_offset, node.end_col_offset or 0
            lines = (node.end_lineno or line) - line
            if line >> _LINE or (column | end_column) >> _COLUMN or lines >> _LINES:
                return NOWHERE
            return ((line << _LINES | lines) << _COLUMN | column) << _COLUMN | end_column
        return pack(self.place(node))

    def _column(self, line: int, offset: int) -> int:
        if self._ascii:
            return offset
        if not self._lines:
            # ast counts only these line ends, while str.splitlines knows more
            text = self._source.replace("\r\n", "\n").replace("\r", "\n")
            self._lines = text.encode("utf-8", "replace").split(b"\n")
        if line > len(self._lines):
            return offset
        return len(self._lines[line - 1][:offset].decode("utf-8", "replace"))
