"""A logger whose fields are keywords: ``log.info("run started", run=run, state=state)``."""

import logging

from netra_backend.jsonlog.record import STANDARD

_ARGUMENTS = ("exc_info", "stack_info")
_CALLER = 3
"""Frames from the standard logger up to who called ours."""


class Logger:
    """A thin cover of a standard logger: the same name, levels and path.

    Each method takes a text, arguments for its ``%`` places and fields by keyword. ``exc_info``
    and ``stack_info`` mean what they mean to `logging`; every other keyword is a field, one with
    the name of a LogRecord attribute gets a ``_``.
    """

    __slots__ = ("_logger",)

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def debug(self, text: str, /, *args: object, **fields: object) -> None:
        """Log at DEBUG."""
        self._log(logging.DEBUG, text, args, fields)

    def info(self, text: str, /, *args: object, **fields: object) -> None:
        """Log at INFO."""
        self._log(logging.INFO, text, args, fields)

    def warning(self, text: str, /, *args: object, **fields: object) -> None:
        """Log at WARNING."""
        self._log(logging.WARNING, text, args, fields)

    def error(self, text: str, /, *args: object, **fields: object) -> None:
        """Log at ERROR."""
        self._log(logging.ERROR, text, args, fields)

    def exception(self, text: str, /, *args: object, **fields: object) -> None:
        """Log at ERROR with the exception that is being handled."""
        self._log(logging.ERROR, text, args, {"exc_info": True, **fields})

    def critical(self, text: str, /, *args: object, **fields: object) -> None:
        """Log at CRITICAL."""
        self._log(logging.CRITICAL, text, args, fields)

    def _log(
        self, level: int, text: str, args: tuple[object, ...], fields: dict[str, object]
    ) -> None:
        if not self._logger.isEnabledFor(level):
            return
        named = {name: fields.pop(name) for name in _ARGUMENTS if name in fields}
        extra = {_free(name): value for name, value in fields.items()}
        self._logger.log(level, text, *args, extra=extra, stacklevel=_CALLER, **named)  # type: ignore[arg-type]


def get_logger(name: str) -> Logger:
    """Return a `Logger` over the standard logger of that name."""
    return Logger(logging.getLogger(name))


def _free(name: str) -> str:
    """Return the name of a field as a LogRecord can carry it."""
    return f"{name}_" if name in STANDARD else name
