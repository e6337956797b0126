"""Where log records go: a bounded queue, and one thread that writes.

The caller of a log call only renders and enqueues, so an unread pipe or a full disk costs it
nothing but the records that no longer fit. Those are counted, and the next line that gets
through says how many there were.
"""

import logging
import os
import queue
import threading
import weakref
from collections.abc import Callable
from typing import NamedTuple, TextIO, cast

from netra_backend.jsonlog.outlet import Outlet

QUEUE_CHARACTERS = 8_000_000
"""Characters that may wait to be written. A record over that is dropped."""
LINE_COST = 64
"""Characters that each waiting line counts besides its own."""
BATCH_CHARACTERS = 65_536
"""Characters after which lines are no longer joined into one write."""
EXIT_SECONDS = 2.0
"""Seconds that the end of the process waits for what is still to be written."""

Render = Callable[[logging.LogRecord, int], str]
"""Returns a record's line, given how many records were dropped before it."""


class _Line(NamedTuple):
    """A line on its way, and how many drops it reports."""

    text: str
    dropped: int

    @property
    def cost(self) -> int:
        return len(self.text) + LINE_COST


class _Mark(threading.Event):
    """Stands in the queue behind lines; it is set when they have been dealt with."""

    def __init__(self, *, last: bool = False) -> None:
        super().__init__()
        self.last = last


class Sink(logging.Handler):
    """What `configure` installs on the root logger.

    Logging never raises and never waits for the stream. `render` turns a record into its line.
    """

    def __init__(self, stream: TextIO, render: Render) -> None:
        super().__init__()
        self._outlet = Outlet(stream)
        self._render = render
        self._closed = False
        self._begin()
        _sinks.add(self)

    def _begin(self) -> None:
        """Start empty; again in a forked child, where the writer and its locks did not survive."""
        # Reentrant, as is SimpleQueue.put: a signal or __del__ may log while this thread does.
        self._gate = threading.RLock()
        self._queue: queue.SimpleQueue[_Line | _Mark] = queue.SimpleQueue()
        self._writer: threading.Thread | None = None
        # Each is changed in one place only: the first three under the gate, the rest by the writer.
        self._accepted = self._refused = self._reported = 0
        self._done = self._failed = 0
        self._stuck = False

    @property
    def dropped(self) -> int:
        """How many records were dropped, by us or by a failing stream, and not yet reported."""
        return self._refused + self._failed - self._reported

    def handle(self, record: logging.LogRecord) -> bool:
        """Pass the record on, without the lock that `logging.Handler` holds meanwhile.

        Rendering may run a ``__str__`` that waits for a thread which wants to log.
        """
        try:
            passed = cast("bool | logging.LogRecord", self.filter(record))
        except Exception:  # noqa: BLE001 - the border around one log record
            self._refuse(0)
            return False
        # From Python 3.12 on a filter may return another record.
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Enqueue the record's line, or count it as dropped."""
        due = 0
        try:
            if self._accepted - self._done > QUEUE_CHARACTERS:
                self._refuse(0)
                return
            due = self._claim()
            self._enqueue(_Line(self._render(record, due), due))
        except Exception:  # noqa: BLE001 - the border around one log record
            self._refuse(due)

    def flush(self) -> None:
        """Wait until what was logged is written, but not longer than `EXIT_SECONDS`."""
        self.wait(EXIT_SECONDS)

    def wait(self, timeout: float) -> bool:
        """Return whether what was logged until now was dealt with in `timeout` seconds."""
        if self._writer is None:
            return True
        mark = _Mark()
        self._queue.put(mark)
        self._stuck = not mark.wait(timeout)
        return not self._stuck

    def close(self) -> None:
        """Report the last drops and end the writer. What is logged later is written at once."""
        if not self._closed:
            if self.dropped:
                self.emit(logging.makeLogRecord(_LAST_WORDS))
            mark = _Mark(last=True)
            with self._gate:
                self._closed = True
                self._queue.put(mark)
            if self._writer is None or mark.wait(0 if self._stuck else EXIT_SECONDS):
                self._writer = None
        super().close()

    def _claim(self) -> int:
        """Take over the drops that nobody has reported."""
        with self._gate:
            due = self.dropped
            self._reported += due
            return due

    def _refuse(self, due: int) -> None:
        """Count a dropped record; and the `due` ones that it was going to report, again."""
        with self._gate:
            self._refused += 1
            self._reported -= due

    def _enqueue(self, line: _Line) -> None:
        with self._gate:
            if not self._closed:
                if self._writer is None:
                    self._start()
                self._accepted += line.cost
                self._queue.put(line)
                return
        if not self._outlet.write_at_once(line.text):
            self._refuse(line.dropped)

    def _start(self) -> None:
        """Start the writer; raises RuntimeError when the interpreter is already ending."""
        self._writer = threading.Thread(target=self._write, name="jsonlog", daemon=True)
        try:
            self._writer.start()
        except RuntimeError:
            self._writer = None
            raise

    # --- the writer's thread ---------------------------------------------------------------

    def _write(self) -> None:
        """Write what comes, until the last mark."""
        last = False
        while not last:
            lines, mark = self._take()
            written = self._deliver(lines)
            self._failed += sum(1 + line.dropped for line in lines[written:])
            self._done += sum(line.cost for line in lines)
            if mark is not None:
                mark.set()
                last = mark.last

    def _deliver(self, lines: list[_Line]) -> int:
        """Return how many of the lines got through."""
        try:
            return self._outlet.write([line.text for line in lines])
        except Exception:  # noqa: BLE001 - the border around log records
            return 0

    def _take(self) -> tuple[list[_Line], _Mark | None]:
        """Wait for something, and return the lines that are there up to a mark or a batch."""
        lines: list[_Line] = []
        size = 0
        try:
            item = self._queue.get()
            while isinstance(item, _Line):
                lines.append(item)
                size += item.cost
                if size >= BATCH_CHARACTERS:
                    return lines, None
                item = self._queue.get_nowait()
        except queue.Empty:
            return lines, None
        return lines, item


_LAST_WORDS = {
    "name": "netra_backend.jsonlog",
    "levelno": logging.WARNING,
    "levelname": "WARNING",
    "msg": "log records were dropped",
}


_sinks: "weakref.WeakSet[Sink]" = weakref.WeakSet()


def _begin_in_child() -> None:
    for sink in list(_sinks):
        sink._begin()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_in_child)
