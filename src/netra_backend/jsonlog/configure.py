"""Sends every record of the process through one sink."""

import logging
import os
import sys
from typing import TextIO

from netra_backend.jsonlog import record
from netra_backend.jsonlog.sinks import EXIT_SECONDS, Render, Sink
from netra_backend.jsonlog.terminal import render

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
FORMATS = ("auto", "json", "text")

_OWN_SINKS = ("uvicorn", "uvicorn.access", "uvicorn.asgi", "uvicorn.error")
"""Loggers that uvicorn gives sinks of its own."""


def configure(
    level: str = "INFO",
    format: str = "auto",  # noqa: A002 - the name of the setting
    stream: TextIO | None = None,
) -> None:
    """Send every record from `level` on to the stream, standard error by default.

    ``json`` is one object a line; ``text`` is for reading, coloured on a terminal unless
    ``NO_COLOR`` is set; ``auto`` is text on a terminal and JSON elsewhere. Uvicorn's loggers and
    `warnings` take the same path. Called again, it replaces what it did before. Raises
    ValueError naming the allowed values.
    """
    threshold = _one_of("level", level.upper(), LEVELS)
    chosen = _one_of("format", format.lower(), FORMATS)
    target = sys.stderr if stream is None else stream
    if chosen == "auto":
        chosen = "text" if _is_terminal(target) else "json"
    sink = Sink(target, record.line if chosen == "json" else _text(target))
    root = logging.getLogger()
    for old in [one for one in root.handlers if _is_replaced(one)]:
        root.removeHandler(old)
        old.flush()
        old.close()
    root.addHandler(sink)
    root.setLevel(threshold)
    for name in _OWN_SINKS:
        _let_through(logging.getLogger(name))
    logging.captureWarnings(True)


def flush(timeout: float = EXIT_SECONDS) -> bool:
    """Return whether all that was logged until now was written, within `timeout` seconds."""
    sinks = [one for one in logging.getLogger().handlers if isinstance(one, Sink)]
    return all(sink.wait(timeout) for sink in sinks)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"the log {name} is {value!r}; it can be {', '.join(allowed)}")
    return value


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except (AttributeError, ValueError):
        return False


def _text(stream: TextIO) -> Render:
    colour = _is_terminal(stream) and not os.environ.get("NO_COLOR")
    return lambda one, dropped: render(record.fields(one, dropped), colour=colour)


def _is_replaced(sink: logging.Handler) -> bool:
    """Return whether it is ours, or would write each record a second time to where we write."""
    own_stream = type(sink) is logging.StreamHandler and sink.stream in (sys.stdout, sys.stderr)
    return isinstance(sink, Sink) or own_stream


def _let_through(logger: logging.Logger) -> None:
    """Take away a logger's own sinks and level, so that its records reach the root's."""
    for sink in list(logger.handlers):
        logger.removeHandler(sink)
    logger.propagate = True
    logger.setLevel(logging.NOTSET)
