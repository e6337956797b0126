"""Positions: where an entry stands in its thread's log."""

import re
from typing import NamedTuple

from netra_backend.errors import ErrorCode, FrameError

MAX_NUMBER = 2**63 - 1
"""The largest epoch and offset: what every store can keep as an integer."""

POSITION_PATTERN = r"(0|[1-9][0-9]{0,18})-(0|[1-9][0-9]{0,18})"
"""What every position looks like on the wire, in the words of Python and of JSON Schema alike."""

_POSITION = re.compile(POSITION_PATTERN)


class Position(NamedTuple):
    """``(epoch, offset)``, compared as integers.

    The offset is dense from 1 within a thread; 0 stands before the first entry. A thread gets a
    new epoch when its history was lost or restored, so a position from before is recognised and
    answered with ``gap`` instead of silence.
    """

    epoch: int
    offset: int

    def __str__(self) -> str:
        """Return the wire form, ``"<epoch>-<offset>"``; clients treat it as opaque."""
        return f"{self.epoch}-{self.offset}"


def parse_position(text: str, *, where: str = "after") -> Position:
    """Return the position that `text` spells. Raises FrameError (``bad_input``) naming `where`."""
    match = _POSITION.fullmatch(text)
    position = Position(int(match[1]), int(match[2])) if match is not None else None
    if position is None or max(position) > MAX_NUMBER:
        shown = ascii(text) if len(text) <= 48 else f"{text[:48]!a}…"
        raise FrameError(
            f"{where} is {shown}; a position looks like 1-42",
            code=ErrorCode.BAD_INPUT,
            where=f"$.{where}",
        )
    return position
