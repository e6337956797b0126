"""The agent under load: one text message of marked deltas at a steady pace.

A mark is ``@<ns>@``, the CLOCK_MONOTONIC time in nanoseconds at which the delta was yielded. The
pace comes in ``forwardedProps``, see `Pace`.

All runs of a process wait for their deltas with one timer. A timer for each costs 4 us an event
more, of 1,000 runs, and is counted as the server's.
"""

import asyncio
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from functools import cache
from zlib import crc32

import msgspec
from ag_ui.core import (
    BaseEvent,
    CustomEvent,
    RunAgentInput,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
)
from msgspec import Struct

BEAT = 0.002
"""Seconds; a delta comes with the first beat after it is due."""


class Pace(Struct):
    """How a run streams: `events` deltas, one every `period` seconds.

    The first comes after a part of the period that differs from run to run. A delta has `size`
    characters, at least those of its mark. With a `burst` greater than 1 each is so many events
    that cannot be joined. With `watch` it measures the event loop's gaps for so many seconds
    instead, and writes what it saw to stderr. The run waits for the gate `waits_for`, if any, and
    opens the gate `opens`: so that many runs are started first and stream together then. It rests
    for `rest` seconds before its deltas and behind them, so that one can measure these alone.
    """

    events: int = 0
    period: float = 0.0
    size: int = 0
    burst: int = 1
    watch: float = 0.0
    waits_for: str = ""
    opens: str = ""
    rest: float = 0.0


class Beats:
    """One timer of a loop for all runs that wait for the same beat."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: dict[int, list[asyncio.Future[None]]] = {}

    def after(self, due: float) -> asyncio.Future[None]:
        """Return what is done with the first beat after the loop's time `due`."""
        beat = int(due / BEAT) + 1
        waiting = self._waiting.get(beat)
        if waiting is None:
            waiting = self._waiting[beat] = []
            self._loop.call_at(beat * BEAT, self._wake, beat)
        future = self._loop.create_future()
        waiting.append(future)
        return future

    def _wake(self, beat: int) -> None:
        for future in self._waiting.pop(beat):
            if not future.done():  # its run was cancelled
                future.set_result(None)


_gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
_beats = cache(Beats)


async def stream(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Stream one message. A delta that is late delays those after it, as a model would."""
    pace = msgspec.convert(given.forwarded_props, Pace)
    id = f"msg_{given.run_id}"
    yield TextMessageStartEvent(message_id=id, role="assistant")
    if pace.opens:
        _gates[pace.opens].set()
    if pace.waits_for:
        await _gates[pace.waits_for].wait()
    await asyncio.sleep(pace.rest)
    loop = asyncio.get_running_loop()
    beats = _beats(loop)
    due = loop.time() + pace.period * crc32(given.run_id.encode()) / 2**32
    for _ in range(pace.events):
        now = loop.time()
        await (beats.after(due) if due > now else asyncio.sleep(0))
        due = max(due, now) + pace.period
        if pace.burst == 1:
            yield TextMessageContentEvent(message_id=id, delta=_marked(0, pace.size))
            continue
        for _ in range(pace.burst):
            yield CustomEvent(name="burst", value=_marked(0, pace.size))
    if pace.watch:
        gap, cpu = await _largest_gap(pace.watch)
        print(f"largest gap of {given.run_id}: {gap} ns, CPU {cpu} ns", file=sys.stderr, flush=True)
    await asyncio.sleep(pace.rest)
    yield TextMessageEndEvent(message_id=id)


def _marked(age: int, size: int) -> str:
    """Return a text of `size` characters with a mark that is `age` nanoseconds old."""
    return f"@{time.monotonic_ns() - age}@".ljust(size, "x")


async def _largest_gap(seconds: float) -> tuple[int, int]:
    """Return the longest time in which the event loop did not come back, and the most CPU time.

    Both are nanoseconds, and need not be of the same gap.
    """
    last, worked = time.monotonic_ns(), time.thread_time_ns()
    end, gap, cpu = last + int(seconds * 1e9), 0, 0
    while last < end:
        await asyncio.sleep(0.001)
        now, used = time.monotonic_ns(), time.thread_time_ns()
        gap, cpu = max(gap, now - last - 1_000_000), max(cpu, used - worked)
        last, worked = now, used
    return gap, cpu


def run_input(thread: str, run: str, pace: Pace) -> dict[str, object]:
    """Return the RunAgentInput that starts this agent, as JSON data."""
    return {
        "threadId": thread,
        "runId": run,
        "messages": [],
        "tools": [],
        "context": [],
        "forwardedProps": msgspec.to_builtins(pace),
    }
