"""Log speed: what one log call costs, from the call to the written line."""

import enum
import logging
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from statistics import median
from time import process_time_ns
from typing import Any

from bench.loggers import OURS, installed
from bench.table import Row, row
from bench.workbench import Workbench

TITLE = "log speed: CPU time of one call in one process, written and flushed; ratios to ours"
ROUNDS = 9
CALLS = 1_000
"""Calls a round and library; a tenth of them with an exception."""


class State(enum.Enum):
    CONNECTED = 1


EIGHT: dict[str, Any] = {
    "user": "ann",
    "run": "run-0123456789",
    "topic": "thread-42",
    "attempt": 3,
    "seconds": 0.125,
    "cached": True,
    "parent": None,
    "path": "/agui/assistant",
}
TYPED: dict[str, Any] = {
    "state": State.CONNECTED,
    "at": datetime(2026, 1, 2, 3, 4, 5, 678901, UTC),
    "id": uuid.UUID(int=0x1234567890ABCDEF1234567890ABCDEF),
}

Scenario = Callable[[Any, int], None]


def _simple(log: Any, calls: int) -> None:
    info = log.info
    for _ in range(calls):
        info("run started")


def _eight(log: Any, calls: int) -> None:
    info, fields = log.info, EIGHT
    for _ in range(calls):
        info("run started", **fields)


def _typed(log: Any, calls: int) -> None:
    info, fields = log.info, TYPED
    for _ in range(calls):
        info("run started", **fields)


def _failing(log: Any, calls: int) -> None:
    fail, error = log.fail, _error()
    for _ in range(calls // 10):
        fail("run failed", error)


def _standard(log: Any, calls: int) -> None:
    info, fields = log.standard.info, EIGHT
    for _ in range(calls):
        info("run %s started", "run-1", extra=fields)


SCENARIOS: dict[str, Scenario] = {
    "simple message": _simple,
    "8 fields": _eight,
    "enum, datetime, UUID": _typed,
    "exception, 10 frames": _failing,
    "standard API, 8 fields": _standard,
}


def ask(bench: Workbench) -> Iterator[Row]:
    """Answer in microseconds a call for each library, and ours divided by each in the same round.

    The libraries take turns within a round. What a thread of theirs does is counted, and each
    line is: one that is missing is told.
    """
    for place in ("memory", "file"):
        loggers = {
            name: cls(bench.file(f"{cls.__name__}.log") if place == "file" else None)
            for name, cls in installed()
        }
        for name, scenario in SCENARIOS.items():
            able = {
                one: log
                for one, log in loggers.items()
                if scenario is not _standard or isinstance(log.standard, logging.Logger)
            }
            yield from _compare(f"{name}, {place}", scenario, able)


def _compare(title: str, scenario: Scenario, loggers: dict[str, Any]) -> Iterator[Row]:
    costs: dict[str, list[float]] = {name: [] for name in loggers}
    calls = CALLS // 10 if scenario is _failing else CALLS
    lost = dict.fromkeys(loggers, 0)
    for number in range(-1, ROUNDS):  # the first is to warm up
        for name, log in loggers.items():
            log.take()
            before = process_time_ns()
            scenario(log, CALLS)
            log.flush()
            cost = (process_time_ns() - before) / 1_000 / calls
            if number >= 0:
                costs[name].append(cost)
            lost[name] += calls - log.take()
    ours = costs[OURS]
    yield row(f"{title}: {OURS}", "us", ours)
    for name, theirs in costs.items():
        if name != OURS:
            ratio = row("", "", [a / b for a, b in zip(ours, theirs, strict=True)])
            spread = f"ours / theirs {ratio.figure}; {ratio.spread}"
            yield Row(f"  {name}", f"{median(theirs):,.2f} us", spread)
    for name, count in lost.items():
        if count:
            yield Row(f"  {name}: lines missing", f"{count:,}")


def _error() -> BaseException:
    """Return an exception with a cause, raised ten frames deep."""

    def descend(depth: int) -> None:
        if depth:
            descend(depth - 1)
        raise ValueError("the run failed")

    try:
        descend(8)
    except ValueError as error:
        return error
    raise AssertionError
