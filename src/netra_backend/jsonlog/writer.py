"""Lines on their way to a stream: written at once where that needs no waiting, else by a thread.

The caller of a log call never waits: what cannot be written now goes into a bounded ring, from
which one thread writes. A line that no longer fits is dropped and counted by its level, and the
next line that gets through says how many there were.

Nothing here takes a lock that its holder waits with. A signal handler or a ``__del__`` may log
while this thread does: `_gate` is reentrant, as is `SimpleQueue.put`, and `_turn` is only tried.
"""

import _thread
import contextlib
import logging
import os
import sys
import threading
import weakref
from collections.abc import Callable
from time import sleep  # the real one, also where a test has replaced it
from typing import TYPE_CHECKING, Any, NamedTuple

from netra_backend.jsonlog.counts import DROPPED, Tally
from netra_backend.jsonlog.outlet import Outlet

if TYPE_CHECKING:
    from queue import SimpleQueue

RING_BYTES = 8_000_000
"""Bytes that may wait to be written. A line over that is dropped."""
RESUME_BYTES = RING_BYTES * 3 // 4
"""Bytes waiting below which lines are taken again after one was dropped."""
LINE_COST = 64
"""Bytes that each waiting line counts besides its own."""
BATCH_BYTES = 65_536
"""Bytes after which lines are no longer joined into one write."""
EXIT_SECONDS = 2.0
"""Seconds that the end of the process waits for what is still to be written."""
TURN_PAUSE_SECONDS = 0.005
TURN_TRIES = 200
"""How often, with a pause after each, the thread asks for its turn, before it takes it."""

NONE: dict[str, int] = {}

_write = os.write


class _Line(NamedTuple):
    """A line on its way, its level, and the drops that it reports."""

    data: bytes
    level: str | int
    reports: dict[str, int]

    @property
    def cost(self) -> int:
        return len(self.data) + LINE_COST


class _Mark(threading.Event):
    """Stands in the ring behind lines; it is set when they have been dealt with."""

    def __init__(self, *, last: bool = False) -> None:
        super().__init__()
        self.last = last


class Writer:
    """Takes lines, and loses none without counting it.

    `end` is called at the end of a process of `multiprocessing` in which lines had to wait, because
    such a process calls nothing that was registered with `atexit` before it began. By default the
    writer is closed.
    """

    def __init__(self, stream: Any, end: Callable[[], object] | None = None) -> None:
        self._end_worker = end or closing(self)
        self._outlet = Outlet(stream)
        self.memory = self._outlet.memory()
        """What writes to a stream in memory, where nothing ever waits."""
        self._closed = False
        self.unreported = Tally()
        """Lines that were dropped, and that no line has reported."""
        self._begin()
        _writers.add(self)

    def _begin(self) -> None:
        """Start empty; again in a forked child, where the thread and its locks did not survive."""
        self._gate = threading.RLock()
        self._turn: list[None] = [None]
        """One item, which is with who writes to the outlet; meanwhile it is empty.

        A list, because it is tried and given back in less than half the time of a queue or lock.
        """
        self._ring = _new_ring()
        self._running = False
        self._own = 0
        """The thread, by its id: what it logs itself, while it writes, would never end."""
        self._farewells: set[str] = set()
        """What tells us of the end of this process."""
        self._outlet.begin()
        # Each is changed in one place only: the first under the gate, the second by the thread.
        self._accepted = self._done = 0
        self._stuck = False
        self.unreported.take()

    @property
    def would_drop(self) -> bool:
        """Whether a line was dropped, and its report would be, too.

        That is so while there is little room, or nobody reads the pipe. Then it is not worth making
        a line: one with a report costs twenty times a usual one.
        """
        if not self.unreported.numbers:
            return False
        waiting = self._accepted - self._done
        return waiting > RESUME_BYTES or (not waiting and self._outlet.has_no_reader())

    def put(self, data: bytes, level: str | int, reports: dict[str, int] = NONE) -> None:
        """Write a line, now or later, or drop it; never raises, never waits."""
        memory = self.memory
        if memory is not None:
            try:
                memory(data)
            except Exception:  # noqa: BLE001 - the border around one log record
                self.drop(level, reports)
            return
        if self._accepted == self._done:
            turn, outlet = self._turn, self._outlet
            try:
                turn.pop()
                try:
                    descriptor = outlet.at_once
                    if descriptor is None:
                        descriptor = outlet.asked(len(data))
                    written = _write(descriptor, data)
                    if written == len(data):
                        return
                    outlet.go_on_after(data[written:])
                finally:
                    turn.append(None)
                self._wake()
            except (IndexError, BlockingIOError):  # it is another's turn; it would wait
                pass
            except Exception:  # noqa: BLE001 - the border around one log record
                self.drop(level, reports)
                return
            else:
                return
        try:
            self._enqueue(_Line(data, level, reports))
        except Exception:  # noqa: BLE001 - the border around one log record
            self.drop(level, reports)

    def drop(self, level: str | int, reports: dict[str, int] = NONE) -> None:
        """Count a line as dropped; and those that it was going to report, again."""
        name = level if isinstance(level, str) else logging.getLevelName(level)
        DROPPED.add(name)
        self.unreported.add(name)
        self.unreported.add_all(reports)

    def flush(self) -> None:
        """Wait until what was put is written, but not longer than `EXIT_SECONDS`.

        Closing has waited already.
        """
        if not self._closed:
            self.wait(EXIT_SECONDS)

    def wait(self, timeout: float) -> bool:
        """Return whether what was logged until now was dealt with in `timeout` seconds."""
        if not self._running:
            return True
        mark = _Mark()
        self._ring.put(mark)
        self._stuck = not mark.wait(timeout)
        return not self._stuck

    def close(self) -> None:
        """End the thread. What is logged later and cannot be written at once starts it again."""
        if self._closed:
            return
        mark = _Mark(last=True)
        with self._gate:
            self._closed = True
            if not self._running:
                return
            self._ring.put(mark)
        mark.wait(0 if self._stuck else EXIT_SECONDS)

    def _enqueue(self, line: _Line) -> None:
        if _thread.get_ident() == self._own:  # the stream logs what is written to it
            self.drop(line.level, line.reports)
            return
        cost = line.cost  # before the gate: between reading a number and writing it, no call
        with self._gate:
            waiting = self._accepted - self._done
            if waiting + cost > RING_BYTES:
                self.drop(line.level, line.reports)
                return
            self._start()
            self._accepted += cost
            self._ring.put(line)

    def _wake(self) -> None:
        with contextlib.suppress(RuntimeError):  # the interpreter is ending
            self._start()
            self._ring.put(_Mark())

    def _start(self) -> None:
        """See that the thread runs; raises RuntimeError when the interpreter is already ending.

        A plain thread, because `threading.Thread.start` takes a lock that the code which a
        signal interrupted may hold.
        """
        with self._gate:
            self._closed = False
            if not self._running:
                self._running = True
                try:
                    _thread.start_new_thread(self._write, ())
                except RuntimeError:
                    self._running = False
                    raise
                self._ask_for_farewell()

    def _ask_for_farewell(self) -> None:
        """Be told of the end of the process by those who start some and end them on their own.

        Anew in each process, because they forget what their parent has asked for.
        """
        for name in _STARTERS:
            finalize = getattr(sys.modules.get(name), "Finalize", None)  # it may be loading yet
            if finalize is not None and name not in self._farewells:
                self._farewells.add(name)
                finalize(None, self._end_worker, exitpriority=_LAST)

    # --- the thread ------------------------------------------------------------------------

    def _write(self) -> None:
        """Write what comes, until the last mark."""
        self._own = _thread.get_ident()
        ended = False
        while not ended:
            lines, mark = self._take()
            for line in lines[self._deliver(lines) :]:
                self.drop(line.level, line.reports)
            self._done += sum(line.cost for line in lines)
            if mark is not None:
                ended = mark.last and self._end()
                mark.set()

    def _end(self) -> bool:
        """Return whether the thread is to end: unless there was a line after the last mark."""
        with self._gate:
            if self._closed:
                self._own = 0  # another thread may get the same id
                self._running = False
            return self._closed

    def _deliver(self, lines: list[_Line]) -> int:
        """Return how many of the lines got through."""
        turn = self._wait_for_turn()
        try:
            return self._outlet.write([line.data for line in lines])
        except Exception:  # noqa: BLE001 - the border around log records
            return 0
        finally:
            turn.append(None)

    def _wait_for_turn(self) -> list[None]:
        """Return the turn when it is ours, to be given back.

        It is asked for again and again: who has it writes without waiting. But a signal's handler
        that raises may tear somebody out of `put` who has it: then nobody ever gives it back, and
        there is a new one.
        """
        turn = self._turn
        for _ in range(TURN_TRIES):
            if turn:
                with contextlib.suppress(IndexError):  # somebody was quicker
                    turn.pop()
                    return turn
            sleep(TURN_PAUSE_SECONDS)
        self._turn = turn = []
        return turn

    def _take(self) -> tuple[list[_Line], _Mark | None]:
        """Wait for something, and return the lines that are there up to a mark or a batch."""
        ring = self._ring
        lines: list[_Line] = []
        size = 0
        item = ring.get()
        while isinstance(item, _Line):
            lines.append(item)
            size += item.cost
            if size >= BATCH_BYTES or ring.empty():  # nobody else takes from it
                return lines, None
            item = ring.get()
        return lines, item


def _new_ring() -> "SimpleQueue[_Line | _Mark]":
    from queue import SimpleQueue  # noqa: PLC0415 - loads with the first writer, not the import

    return SimpleQueue()


_STARTERS = ("multiprocessing.util", "billiard.util")
"""What starts worker processes and calls no `atexit` of theirs; the second is Celery's."""

_LAST = -1_000
"""A priority behind those of other calls, which may still log."""


def closing(one: Any) -> Callable[[], object]:
    """Return what closes a writer or sink, without keeping it alive."""
    kept = weakref.ref(one)

    def close() -> None:
        found = kept()
        if found is not None:
            found.close()

    return close


_writers: "weakref.WeakSet[Writer]" = weakref.WeakSet()


def _begin_in_child() -> None:
    for writer in list(_writers):
        writer._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
