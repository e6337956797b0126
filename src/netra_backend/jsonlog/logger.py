"""A logger whose fields are keywords: ``log.info("run started", run=run, state=state)``."""

import functools
import logging
from collections.abc import Callable
from logging import CRITICAL, DEBUG, ERROR, INFO, WARNING
from typing import TypeVar, cast

from netra_backend.jsonlog.attributes import STANDARD, fields_of, told_apart
from netra_backend.jsonlog.direct import said
from netra_backend.jsonlog.standard import report

F = TypeVar("F", bound=Callable[..., None])


def _logging_at(level: int, usual: object = None, above: int = 2) -> Callable[..., None]:
    """Return a method that logs at a level, with `usual` in the place of an ``exc_info``.

    There is one for each level, and it does all itself: a call within costs 3 % of a short line.
    `above` are the frames from the standard logger up to who called ours.
    """

    def log(self: "Logger", text: str, /, *args: object, **fields: object) -> None:
        logger = self._logger
        if not logger.isEnabledFor(level):
            return
        exc_info = usual
        stack_info: object = False
        try:
            given = fields
            if fields:
                if "exc_info" in fields or "stack_info" in fields:
                    exc_info = fields.pop("exc_info", usual)
                    stack_info = fields.pop("stack_info", False)
                if len(fields) == 1 and type(fields.get("extra")) is dict:
                    given = cast("dict[str, object]", fields["extra"])  # as for `logging` itself
            if stack_info is False and said(logger, level, text, args, given, exc_info):
                return
            # The sink has refused the other options as fields: so usual calls need not be asked.
            caller = fields.pop("stacklevel", 1)
            extra = _with_extra(fields)
            place = above + (caller - 1 if type(caller) is int else 0)
            logger._log(  # by keyword, as `logging` calls it, for classes of their own
                level,
                text,
                args,
                exc_info=exc_info,  # type: ignore[arg-type]
                extra=extra,
                stack_info=stack_info,  # type: ignore[arg-type]
                stacklevel=place,
            )
        except Exception as error:  # noqa: BLE001 - the border around one log record
            report(error)

    return log


@functools.lru_cache
def _logging_at_any(level: int) -> Callable[..., None]:
    """Return what `Logger.log` calls: remembered, as making it costs a fifth of a short line."""
    return _logging_at(level, above=3)


def _at(level: int, exc_info: object = None) -> Callable[[F], F]:
    """Return what makes of a signature the method that logs at the level."""

    def made(signature: F) -> F:
        return cast("F", functools.wraps(signature)(_logging_at(level, exc_info)))

    return made


class Logger:
    """A thin cover of a standard logger: the same name, levels and path.

    Each method takes a text, arguments for its ``%`` places and fields by keyword. ``exc_info``,
    ``stack_info``, ``stacklevel`` and ``extra`` mean what they mean to `logging`, so that a call
    moves here as it is. Every other keyword is a field; one that has the name of a LogRecord
    attribute gets a ``_`` behind it.
    """

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - the name in `logging`
        """Return whether a record of the level is logged: for what is costly to find out."""
        return self._logger.isEnabledFor(level)

    @_at(DEBUG)
    def debug(self, text: str, /, *args: object, **fields: object) -> None:
        """Log at DEBUG."""

    @_at(INFO)
    def info(self, text: str, /, *args: object, **fields: object) -> None:
        """Log at INFO."""

    @_at(WARNING)
    def warning(self, text: str, /, *args: object, **fields: object) -> None:
        """Log at WARNING."""

    @_at(ERROR)
    def error(self, text: str, /, *args: object, **fields: object) -> None:
        """Log at ERROR."""

    @_at(CRITICAL)
    def critical(self, text: str, /, *args: object, **fields: object) -> None:
        """Log at CRITICAL."""

    @_at(ERROR, exc_info=True)
    def exception(self, text: str, /, *args: object, **fields: object) -> None:
        """Log at ERROR with the exception that is being handled."""

    def log(self, level: int, text: str, /, *args: object, **fields: object) -> None:
        """Log at a level of any number. One that is no number raises TypeError, as in `logging`."""
        if self._logger.isEnabledFor(level):
            _logging_at_any(level)(self, text, *args, **fields)


def _with_extra(fields: dict[str, object]) -> dict[str, object]:
    """Return the fields, and those of ``extra`` before them, under names of their own."""
    extra = fields.pop("extra", None)
    named = told_apart(fields, STANDARD)
    if extra is None:
        return named
    return {**told_apart(fields_of(extra), STANDARD, named), **named}


def get_logger(name: str) -> Logger:
    """Return a `Logger` over the standard logger of that name."""
    return Logger(logging.getLogger(name))
