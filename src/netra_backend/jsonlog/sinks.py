"""Where log records go: what `configure` installs on the root logger."""

import logging
from collections.abc import Callable
from typing import Any, cast

from netra_backend.jsonlog.encode import utf8
from netra_backend.jsonlog.quick import Quick
from netra_backend.jsonlog.record import NOTHING, Notes
from netra_backend.jsonlog.thinning import Thinning
from netra_backend.jsonlog.writer import Writer, closing

Render = Callable[[logging.LogRecord, Notes], str]
"""Returns a record's line with its newline, given the notes that it has to make."""


class Sink(logging.Handler):
    """Makes each record a line and hands it to a `Writer`. Never raises, never waits.

    `quick`, if given, is asked first, and `render` for what it does not take; `thinning` decides
    which records are left out.
    """

    def __init__(
        self,
        stream: Any,
        render: Render,
        quick: Quick | None = None,
        thinning: Thinning | None = None,
    ) -> None:
        super().__init__()
        self.writer = Writer(stream, closing(self))
        self._render = render
        self.unreported = self.writer.unreported
        self._quick = quick if thinning is None else None
        self.quick = self._quick
        """What makes lines without a LogRecord, unless a filter or level wants to see one."""
        self._thinning = thinning

    def drops(self, level: int | str) -> bool:
        """Return whether a line would be dropped, and count it then, without making it."""
        dropped = self.writer.would_drop
        if dropped:
            self.writer.drop(level)
        return dropped

    def addFilter(self, filter: Any) -> None:  # noqa: A002, N802 - the name in `logging`
        """Have the filter asked about each record; so there must be one."""
        super().addFilter(filter)
        self.quick = None

    def setLevel(self, level: int | str) -> None:  # noqa: N802 - the name in `logging`
        """Take only records from the level on."""
        super().setLevel(level)
        self.quick = None

    def forget_heads(self) -> None:
        """Ask anew what levels are called."""
        if self._quick is not None:
            self._quick.forget_heads()

    def handle(self, record: logging.LogRecord) -> bool:
        """Pass the record on, without the lock that `logging.Handler` holds meanwhile.

        Rendering may run a ``__str__`` that waits for a thread which wants to log.
        """
        try:
            passed = cast("bool | logging.LogRecord", self.filter(record))
        except Exception:  # noqa: BLE001 - the border around one log record
            self._drop(record)
            return False
        # From Python 3.12 on a filter may return another record.
        if passed:
            self.emit(passed if isinstance(passed, logging.LogRecord) else record)
        return bool(passed)

    def emit(self, record: logging.LogRecord) -> None:
        """Write the record's line, or count it as dropped."""
        try:
            notes = NOTHING
            if self._thinning is not None:
                judged = self._thinning.judge(record)
                if judged is None:
                    return
                notes = judged
            self._write(record, notes)
        except Exception:  # noqa: BLE001 - the border around one log record
            self._drop(record)

    def flush(self) -> None:
        """Wait until what was logged is written, but not longer than `EXIT_SECONDS`."""
        self.writer.flush()

    def wait(self, timeout: float) -> bool:
        """Return whether what was logged until now was dealt with in `timeout` seconds."""
        return self.writer.wait(timeout)

    def close(self) -> None:
        """Report what was left out and lost, and end the writer: the next record opens it again.

        ``dictConfig`` and ``basicConfig(force=True)`` close every handler there is.
        """
        if self._thinning is not None:
            for record in self._thinning.rest():
                self._write(record, NOTHING)
        if self.unreported.numbers:
            self._write(logging.makeLogRecord(_LAST_WORDS), NOTHING)
        self.writer.close()
        super().close()

    def _write(self, record: logging.LogRecord, notes: Notes) -> None:
        level = _level(record)
        if self.drops(level):
            return
        line, reports = None, _NO_REPORTS
        if not notes and not self.unreported.numbers and self._quick is not None:
            line = self._quick.line_of(record)
        if line is None:
            if self.unreported.numbers:
                reports = self.unreported.take()
                notes = {**notes, "dropped": {level: reports[level] for level in sorted(reports)}}
            try:
                line = utf8(self._render(record, notes))
            except BaseException:
                self.unreported.add_all(reports)
                raise
        self.writer.put(line, level, reports)

    def _drop(self, record: logging.LogRecord) -> None:
        self.writer.drop(_level(record))


_NO_REPORTS: dict[str, int] = {}

_LAST_WORDS = {
    "name": "netra_backend.jsonlog",
    "levelno": logging.WARNING,
    "levelname": "WARNING",
    "msg": "log records were dropped",
}


def _level(record: logging.LogRecord) -> str:
    """Return the name under which the record counts."""
    name = record.__dict__.get("levelname")
    return name if type(name) is str and len(name) <= MAX_LEVEL else "OTHER"


MAX_LEVEL = 32
"""Characters of a level's name that drops are counted under."""
