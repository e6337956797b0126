"""Which records are left out on purpose: samples of what is frequent, limits on what repeats.

What was left out is counted, and the next line of its kind that is written says how much; what
nobody said by the end is said then.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from netra_backend.jsonlog.binding import bound, correlation
from netra_backend.jsonlog.counts import SUPPRESSED
from netra_backend.jsonlog.plain import Json

MAX_KINDS = 4_096
"""Kinds of lines that are told apart; beyond, the one that was silent longest is forgotten."""

MAX_TEMPLATE = 500

Kind = tuple[str, str, str]
"""A logger, a level, and the text before its arguments were put in."""


class Repeats(NamedTuple):
    """A limit: of lines of one kind, `lines` are written in each `seconds`."""

    lines: int
    seconds: float = 1.0


class _State:
    """What happened to one kind of lines: since when, how often, and how many were left out."""

    __slots__ = ("began", "left_out", "level", "written")

    def __init__(self, began: float, level: int) -> None:
        self.began = began
        self.level = level
        self.written = 0
        self.left_out = 0


class Thinning:
    """Decides about each record. `sample` gives the share of lines that is kept, by logger.

    A share holds for the loggers below, too, and only for lines less severe than WARNING. It is
    drawn by correlation id: of one request either all lines are kept, or none. Where none is bound,
    each line is drawn by itself: a program has the same one all its life.
    """

    def __init__(
        self,
        sample: Mapping[str, float],
        repeats: Repeats | None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sample = dict(sample)
        self._repeats = repeats
        self._now = now
        self._gate = threading.RLock()
        self._kinds: dict[Kind, _State] = {}
        self._alone = 0
        """How many lines were drawn by themselves."""
        self._checksum = _checksum()

    def judge(self, record: logging.LogRecord) -> dict[str, Json] | None:
        """Return what the record's line has to note; None if it is to be left out."""
        kind = _kind(record.__dict__)
        level = record.__dict__.get("levelno")
        number = level if type(level) is int else logging.INFO
        with self._gate:
            state = self._state(kind, number)
            if self._is_drawn(kind[0], number) and self._is_new(state):
                left_out, state.left_out = state.left_out, 0
                state.written += 1
                return {"suppressed": left_out} if left_out else {}
            state.left_out += 1
        SUPPRESSED.add(kind[1])
        return None

    def rest(self) -> Iterator[logging.LogRecord]:
        """Yield a record for each kind of which lines were left out that nobody has reported."""
        with self._gate:
            kinds, self._kinds = self._kinds, {}
        for (logger, level, template), state in kinds.items():
            if state.left_out:
                yield logging.makeLogRecord(
                    {
                        "name": logger,
                        "levelno": state.level,
                        "levelname": level,
                        "msg": "log records were suppressed",
                        "template": template,
                        "number": state.left_out,
                    }
                )

    def _state(self, kind: Kind, level: int) -> _State:
        state = self._kinds.pop(kind, None)
        if state is None:
            state = _State(self._now(), level)
            if len(self._kinds) >= MAX_KINDS:
                del self._kinds[next(iter(self._kinds))]
        self._kinds[kind] = state  # the last one is the one that spoke last
        return state

    def _is_drawn(self, logger: str, level: int) -> bool:
        if level >= logging.WARNING or not self._sample:
            return True
        share = self._share(logger)
        if share >= 1:
            return True
        lot = _text(correlation())
        if "correlation" not in bound():
            self._alone += 1
            lot += f" {self._alone}"
        return self._checksum(lot.encode(errors="replace")) / 0x1_0000_0000 < share

    def _share(self, logger: str) -> float:
        while logger:
            if logger in self._sample:
                return self._sample[logger]
            logger = logger.rpartition(".")[0]
        return self._sample.get("", 1.0)

    def _is_new(self, state: _State) -> bool:
        if self._repeats is None:
            return True
        now = self._now()
        if now - state.began >= self._repeats.seconds:
            state.began, state.written = now, 0
        return state.written < self._repeats.lines


def _checksum() -> Callable[[bytes], int]:
    from zlib import crc32  # noqa: PLC0415 - loads with the first use, not with the import

    return crc32


def _kind(stored: dict[str, Any]) -> Kind:
    logger, level, template = (stored.get(name) for name in ("name", "levelname", "msg"))
    return _text(logger), _text(level), _text(template)


def _text(value: object) -> str:
    """Return an exact string; other messages are of one kind for each class."""
    return value[:MAX_TEMPLATE] if type(value) is str else f"<{id(type(value)):x}>"
