"""Log speed: what one log call costs, from the call to the written line."""

import enum
import logging
import os
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from time import process_time_ns
from typing import Any

from bench.loggers import BASE, LOGGERS, OURS, StructlogOrjsonUnbuffered, installed
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
    line is: one that is missing is told. To a file each makes one write(2) a line, so that the line
    is in the kernel when the call returns; that alone is measured, too, and taken from both.
    Ours does more by contract: it writes a correlation id and the name of an enum's member, looks
    for secrets in each name and text, and bounds a line.
    """
    for place in ("memory", "file"):
        named = {**LOGGERS, f"{BASE}, unbuffered": StructlogOrjsonUnbuffered}
        loggers = {
            name: cls(bench.file(f"{cls.__name__}.log") if place == "file" else None)
            for name, cls in installed(named if place == "file" else LOGGERS)
        }
        for name, scenario in SCENARIOS.items():
            able = {
                one: log
                for one, log in loggers.items()
                if scenario is not _standard or isinstance(log.standard, logging.Logger)
            }
            alone = _Alone(bench.file("alone.log"), able[OURS]) if place == "file" else None
            yield from _compare(f"{name}, {place}", scenario, able, alone)


class _Alone:
    """The least that a line in a file costs: write(2) of as many bytes as the last of ours had."""

    def __init__(self, path: Path, ours: Any) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._ours = ours
        self.costs: list[float] = []

    def measure(self, scenario: Scenario, calls: int) -> None:
        """Write as many lines as a round has, and empty the file."""
        self._ours.take()
        scenario(self._ours, 10)  # for an exception a tenth of it
        line = b"x" * len(self._ours.path.read_bytes().splitlines()[-1])
        write, descriptor = os.write, self._descriptor
        before = process_time_ns()
        for _ in range(calls):
            write(descriptor, line)
        self.costs.append((process_time_ns() - before) / 1_000 / calls)
        os.ftruncate(descriptor, 0)


def _compare(
    title: str, scenario: Scenario, loggers: dict[str, Any], alone: _Alone | None
) -> Iterator[Row]:
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
        if alone is not None and number >= 0:
            alone.measure(scenario, calls)
    yield from _table(title, costs)
    if alone is not None:
        yield from _without_write(costs, alone.costs)
    for name, count in lost.items():
        if count:
            yield Row(f"  {name}: lines missing", f"{count:,}")


def _table(title: str, costs: dict[str, list[float]]) -> Iterator[Row]:
    ours = costs[OURS]
    yield row(f"{title}: {OURS}", "us", ours)
    for name, theirs in costs.items():
        if name != OURS:
            ratio = row("", "", [a / b for a, b in zip(ours, theirs, strict=True)])
            spread = f"ours / theirs {ratio.figure}; {ratio.spread}"
            yield Row(f"  {name}", f"{median(theirs):,.2f} us", spread)


def _without_write(costs: dict[str, list[float]], alone: list[float]) -> Iterator[Row]:
    yield row("  write(2) of the line, by itself", "us", alone)
    if BASE in costs:
        rounds = zip(costs[OURS], costs[BASE], alone, strict=True)
        rest = [(ours - least) / (theirs - least) for ours, theirs, least in rounds]
        yield row(f"  ours / {BASE}, without write(2)", "", rest)


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
