"""The standard loggers, made total: no call of `logging` raises into the program.

Three methods of `logging.Logger`, two of its handlers and `logging.addLevelName` are replaced while
`configure` is in force. What stays outside: a level that is no number, which `logging` itself
refuses.

Our sink stands in for each plain handler that writes to the terminal, whenever and wherever that
was added: servers and libraries configure `logging` after the program did (uvicorn by
``dictConfig``, hypercorn by hand), and their lines would pass no redaction. It is the class that
decides: a handler of a class of its own was put there on purpose. Where such a plain handler stands
behind another one (a `QueueListener`, a `MemoryHandler`), its records come here too, but for those
that their logger has sent here already.
"""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from types import FunctionType, MappingProxyType
from typing import TYPE_CHECKING, Any

from netra_backend.jsonlog import direct
from netra_backend.jsonlog.attributes import STANDARD, fields_of, meant, told_apart
from netra_backend.jsonlog.guard import Failed, class_name, foreign

if TYPE_CHECKING:
    from netra_backend.jsonlog.sinks import Sink

_LOGGING = logging.getLogger.__code__.co_filename

_traceback = BaseException.__dict__["__traceback__"].__get__

_plain_emit: Callable[..., None] = logging.StreamHandler.emit
_plain_handle_error: Callable[..., None] = logging.Handler.handleError
_plain_add_level_name: Callable[..., None] = logging.addLevelName

_NAMES = ("_log", "makeRecord", "callHandlers")

_replaced: dict[str, Callable[..., Any]] = {}
"""The methods that ours stand for, or stood for last: threads may be in ours when they go."""

_in_place: list[str] = []
"""The names of those that ours stand for now; none while they are not installed."""

_ours: "list[Sink | None]" = [None]
"""The sink that is installed, if one is: read at once, as another thread may take it away."""

_trackers: list[Callable[..., Any]] = []
"""What had been put in the place of ``callHandlers`` then: it is called behind ours."""

_UNKNOWN: Mapping[str, object] = MappingProxyType({})
"""Where something failed of which only the exception tells it."""

_NOWHERE = logging.NullHandler()

_SERVERS = frozenset(("uvicorn", "hypercorn", "gunicorn", "granian", "_granian"))
"""Of their loggers nobody wonders that they have such handlers, so nothing is told."""

_stood_in_for: set[str] = set()
"""Loggers whose handlers the sink stands in for, and that it has told of."""


def install(sink: "Sink") -> None:
    """Put our methods in place of those of `logging.Logger`, for this sink from now on."""
    _ours[0] = sink
    _stood_in_for.clear()
    if not _in_place:
        _replace()
    handle = vars(logging.Logger)["handle"]
    if all(map(_is_of_logging, (*_replaced.values(), handle))):
        direct.lead_to(sink, _make_record, handle, _call_handlers)
    else:
        direct.lead_nowhere()


def _replace() -> None:
    ours: dict[str, Callable[..., Any]] = dict(
        zip(_NAMES, (_log, _make_record, _call_handlers), strict=True)
    )
    for name, method in ours.items():
        _replaced[name] = vars(logging.Logger)[name]
        setattr(logging.Logger, name, method)
        _in_place.append(name)
    _trackers[:] = [one for one in [_replaced["callHandlers"]] if not _is_of_logging(one)]
    setattr(logging.StreamHandler, "emit", _emit)  # noqa: B010 - mypy knows no other emit
    setattr(logging.Handler, "handleError", _handle_error)  # noqa: B010 - the same
    logging.addLevelName = _add_level_name


def _is_of_logging(method: Callable[..., Any]) -> bool:
    """Return whether it is a method as `logging` itself defines it, and not an error tracker's.

    By its file: as such a one counts, too, what `testing.log_watch` has put around it. Only a
    function's: what `wrapt` puts around one, for New Relic and others, passes its code off as its
    own.
    """
    return type(method) is FunctionType and method.__code__.co_filename == _LOGGING


def uninstall() -> None:
    """Put the methods back, unless somebody has replaced ours meanwhile: then they do no more."""
    _ours[0] = None
    direct.lead_nowhere()
    ours = zip(_NAMES, (_log, _make_record, _call_handlers), strict=True)
    if all(getattr(logging.Logger, name) is method for name, method in ours):
        for name, method in _replaced.items():
            setattr(logging.Logger, name, method)
        _in_place.clear()
        if logging.StreamHandler.emit is _emit:
            setattr(logging.StreamHandler, "emit", _plain_emit)  # noqa: B010
        if logging.Handler.handleError is _handle_error:
            setattr(logging.Handler, "handleError", _plain_handle_error)  # noqa: B010
        if logging.addLevelName is _add_level_name:
            logging.addLevelName = _plain_add_level_name


def installed() -> "Sink | None":
    """Return the sink that `configure` installed last."""
    return _ours[0]


def is_terminal(handler: logging.Handler) -> bool:
    """Return whether it is a plain handler of standard output or standard error."""
    if type(handler) is not logging.StreamHandler:
        return False
    stream = handler.stream
    return any(stream is one for one in (sys.stderr, sys.stdout, sys.__stderr__, sys.__stdout__))


def _log(
    self: logging.Logger,
    level: int,
    msg: object,
    args: Any,
    exc_info: Any = None,
    extra: Any = None,
    stack_info: Any = False,
    stacklevel: Any = 1,
) -> None:
    """Log as `logging.Logger._log` does, without asking its arguments whether they are true."""
    try:
        given = {} if extra is None else extra
        is_usual = stack_info is False and type(given) is dict
        if is_usual and direct.said(self, level, msg, args, given, exc_info):
            return
        _replaced["_log"].__get__(self)(
            level,
            msg,
            args,
            exc_info=_exc_info(exc_info),
            # Here, too: somebody may have put the makeRecord of `logging` back.
            extra=None if extra is None else told_apart(fields_of(extra), STANDARD),
            stack_info=stack_info is not False and stack_info is not None,
            stacklevel=(stacklevel if type(stacklevel) is int else 1) + 1,
        )
    except Exception as error:  # noqa: BLE001 - the border around one log record
        report(error)


def _exc_info(given: Any) -> Any:
    """Return what `logging` takes as it is: None, True, or the three of `sys.exc_info`."""
    if type(given) is tuple and len(given) == 3:
        return given
    error = meant(given)
    return None if error is None else (type(error), error, _traceback(error))


def _make_record(  # noqa: PLR0913, PLR0917 - the signature of `logging`
    self: logging.Logger,
    name: str,
    level: int,
    fn: str,
    lno: int,
    msg: object,
    args: Any,
    exc_info: Any,
    func: str | None = None,
    extra: Any = None,
    sinfo: str | None = None,
) -> logging.LogRecord:
    """Make a record whatever the arguments do, and rename the extras that clash."""
    fields = None if extra is None else told_apart(fields_of(extra), STANDARD)
    if not _is_of_logging(_replaced["makeRecord"]):
        make = _replaced["makeRecord"].__get__(self)
        made = foreign(make, name, level, fn, lno, msg, args, exc_info, func, fields, sinfo)
        if isinstance(made, logging.LogRecord):
            return made
    factory = logging.getLogRecordFactory()
    record = foreign(factory, name, level, fn, lno, msg, args, exc_info, func, sinfo)
    if isinstance(record, Failed):  # it looks whether the only argument is a mapping, and empty
        record = logging.LogRecord(name, level, fn, lno, msg, (), exc_info, func, sinfo)
        record.args = args
    if fields is not None:
        record.__dict__.update(fields)
    return record


def _call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
    """Pass the record to each handler, and to an error tracker that was here before."""
    _pass_on(self, record)
    for tracker in _trackers:
        try:
            tracker.__get__(_without_handlers(self))(record)
        except Exception as error:  # noqa: BLE001 - the border around one log record
            report(error)


def _without_handlers(logger: logging.Logger) -> logging.Logger:
    """Return a logger of the name for what calls its handlers once more."""
    other = logging.Logger(logger.name)  # noqa: LOG001 - one that nobody else gets
    other.handlers.append(_NOWHERE)
    return other


def _pass_on(self: logging.Logger, record: logging.LogRecord) -> None:
    """Pass the record to each handler, as `logging` does, whatever the others raise.

    To our sink once, for itself and all that it stands in for; also for the handler of last resort,
    which `logging` asks where there is no other.
    """
    level = record.__dict__.get("levelno")
    number = level if type(level) is int else logging.CRITICAL
    found = said = False
    node: logging.Logger | None = self
    while node is not None:
        for handler in node.handlers:
            found = True
            sink = _ours[0]
            if number < handler.level or (said and _is_ours(handler, sink)):
                continue
            try:
                said |= _hand_over(record, number, handler, sink, node.name)
            except Exception as error:  # noqa: BLE001 - the border around one log record
                report(error)
        node = node.parent if node.propagate else None
    last = logging.lastResort
    if not found and last is not None and number >= last.level:
        (_ours[0] or last).handle(record)


def _hand_over(
    record: logging.LogRecord,
    number: int,
    handler: logging.Handler,
    sink: "Sink | None",
    logger: str,
) -> bool:
    """Give a record to a handler of a logger; return whether our sink got it in its place."""
    if sink is None or not _is_ours(handler, sink):
        handler.handle(record)
        return False
    passed: logging.LogRecord | None = record
    if handler is not sink:
        passed = _filtered(handler, record) if number >= sink.level else None
        if passed is not None and logger not in _stood_in_for:
            _tell_of(logger, sink)
    if passed is not None:
        sink.handle(passed)
    return passed is not None


def _emit(self: "logging.StreamHandler[Any]", record: logging.LogRecord) -> None:
    """Write a record; where that is to the terminal, to our sink, unless it has been there.

    `_call_handlers` asks no such handler: who does is a handler before it, or a listener.
    """
    sink = _ours[0]
    if sink is None or not is_terminal(self):
        _plain_emit(self, record)
    elif not _has_been_here(record.__dict__, sink):
        sink.handle(record)


def _handle_error(self: logging.Handler, record: logging.LogRecord) -> None:
    """Tell of a handler that failed: `logging` prints it, record and all, among our lines."""
    error = sys.exc_info()[1]
    if _ours[0] is None or error is None:
        _plain_handle_error(self, record)
    elif logging.raiseExceptions:
        report(error, {"handler": class_name(type(self)), "of": record.__dict__.get("name")})


def _add_level_name(*given: Any, **named: Any) -> None:
    """Name a level also where lines of it are remembered."""
    _plain_add_level_name(*given, **named)
    sink = _ours[0]
    if sink is not None:
        sink.forget_heads()


def _has_been_here(stored: dict[str, Any], sink: "Sink") -> bool:
    """Return whether a record is of this process, and of a logger that sends such ones to us."""
    level, name = stored.get("levelno"), stored.get("name")
    if stored.get("process") != os.getpid() or type(level) is not int or type(name) is not str:
        return False
    node: logging.Logger | None = logging.getLogger(name)
    while node is not None:
        if any(level >= one.level and _is_ours(one, sink) for one in node.handlers):
            return True
        node = node.parent if node.propagate else None
    return False


def _tell_of(logger: str, sink: "Sink") -> None:
    """Say once of a logger that the sink stands in for its handler, if INFO is logged at all."""
    if logger.partition(".")[0] in _SERVERS:
        _stood_in_for.add(logger)
    elif _least(sink) <= logging.INFO:
        _stood_in_for.add(logger)
        # The text has the name, too: by it `Repeats` tells lines apart.
        text = f"this log stands in for a terminal handler of {logger}"
        _say(sink, {**_STANDS_IN, "msg": text, "of": logger})


def _least(sink: "Sink") -> int:
    """Return the level from which on our own lines are logged.

    Not by `isEnabledFor`: a ``dictConfig`` disables every logger that it does not name.
    """
    own = logging.getLogger(_OWN_NAME)
    return max(sink.level, own.getEffectiveLevel(), own.manager.disable + 1)


def _filtered(handler: logging.Handler, record: logging.LogRecord) -> logging.LogRecord | None:
    """Return what a handler's filters make of a record, None if they want it left out."""
    try:
        passed: object = handler.filter(record)
        if not passed:
            return None
    except Exception as error:  # noqa: BLE001 - the border around one log record
        report(error)
        return record
    # From Python 3.12 on a filter may return another record.
    return passed if isinstance(passed, logging.LogRecord) else record


def _is_ours(handler: logging.Handler, sink: "Sink | None") -> bool:
    """Return whether it is our sink, or one that this stands in for."""
    return sink is not None and (handler is sink or is_terminal(handler))


def report(error: BaseException, where: Mapping[str, object] = _UNKNOWN) -> None:
    """Say in our own log that a filter, a handler or a factory of somebody else failed."""
    sink = _ours[0]
    if sink is not None:
        _say(sink, {**_FAILED, **where, "exc_info": (type(error), error, _traceback(error))})


def _say(sink: "Sink", told: dict[str, Any]) -> None:
    sink.handle(logging.makeLogRecord(told))


_OWN_NAME = "netra_backend.jsonlog"
_STANDS_IN = {
    "name": _OWN_NAME,
    "levelno": logging.INFO,
    "levelname": "INFO",
}
_FAILED = {
    "name": _OWN_NAME,
    "levelno": logging.ERROR,
    "levelname": "ERROR",
    "msg": "a filter or handler of the log failed",
}
