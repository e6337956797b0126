"""The direct way: the line of a usual record is made and written without a LogRecord."""

import logging
import sys
from collections.abc import Callable
from time import time as now
from typing import TYPE_CHECKING, Any

from netra_backend.jsonlog.attributes import filled, meant
from netra_backend.jsonlog.binding import NOTHING, current
from netra_backend.jsonlog.tracing import TRACING

if TYPE_CHECKING:
    from netra_backend.jsonlog.sinks import Sink

_Logger, _RootLogger = logging.Logger, logging.RootLogger
_LogRecord = logging.LogRecord
_methods = vars(_Logger)
_modules = sys.modules

_way: list[Any] = [None, None, None, None]
"""The sink at its end, and what `logging.Logger` has meanwhile as its ``makeRecord``, ``handle``
and ``callHandlers``."""


def lead_to(
    sink: "Sink",
    make_record: Callable[..., Any],
    handle: Callable[..., Any],
    call_handlers: Callable[..., Any],
) -> None:
    """Have the way lead to this sink while `logging.Logger` has these methods."""
    _way[:] = sink, make_record, handle, call_handlers


def lead_nowhere() -> None:
    """Have a record made of whatever is logged."""
    _way[0] = None


def said(
    logger: logging.Logger,
    level: int,
    text: object,
    args: Any,
    given: dict[str, Any],
    exc_info: Any,
) -> bool:
    """Return whether the line of a usual record was made, and written or dropped.

    The way without a LogRecord, of a sink that alone would get a logger's records, and that nobody
    looks at. A record must be made where a logger has a class of its own or a filter, where there
    is another handler (pytest's ``caplog``, a file), where `logging.setLogRecordFactory` was used,
    or where somebody has put his own ``makeRecord``, ``handle`` or ``callHandlers`` into
    `logging.Logger`, before or after us, as error trackers do. All in one function, for a call
    costs 3 % of a short line: so the line that `Quick` remembers whole is put together here.
    """
    sink: Sink | None
    sink, make_record, handle, call_handlers = _way
    kind, above = type(logger), logger
    if (
        sink is None
        or (kind is not _Logger and kind is not _RootLogger)
        or logger.filters
        or _methods["makeRecord"] is not make_record
        or _methods["handle"] is not handle
        or _methods["callHandlers"] is not call_handlers
        or logging._logRecordFactory is not _LogRecord  # type: ignore[attr-defined]
    ):
        return False
    while (parent := above.parent) is not None:
        if above.handlers or not above.propagate:
            return False
        above = parent
    handlers, quick = above.handlers, sink.quick
    if len(handlers) != 1 or handlers[0] is not sink or quick is None:
        return False
    if sink.unreported.numbers:
        return sink.drops(level)
    if args:
        text = filled(text, args)
    if type(text) is not str:
        return False
    error = None if exc_info is None else meant(exc_info)
    created, name = now(), logger.name
    whole = None if given or error is not None else quick.wholes.get(text)
    if (
        whole is not None
        and whole[0] is level
        and whole[1] is name
        and (stamp := quick.stamp)[0] <= created < stamp[1]
        and current() is NOTHING
        and TRACING not in _modules
    ):
        line: bytes | None = stamp[2] + whole[2]
    else:
        line = quick.line(created, level, name, text, given, error, not args)
    if line is not None:
        sink.writer.put(line, level)
    return line is not None
