"""Sends every record of the process through one sink, and undoes that."""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from netra_backend.jsonlog import record, standard, uncaught
from netra_backend.jsonlog.presets import PRESETS, layout
from netra_backend.jsonlog.quick import Quick
from netra_backend.jsonlog.sinks import Sink
from netra_backend.jsonlog.terminal import render
from netra_backend.jsonlog.thinning import Repeats, Thinning
from netra_backend.jsonlog.writer import EXIT_SECONDS

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
FORMATS = ("auto", "text", *PRESETS)

_OWN_SINKS = ("uvicorn", "uvicorn.access", "uvicorn.asgi", "uvicorn.error")
"""Loggers that uvicorn gives sinks of its own."""

_undo: list[Callable[[], None]] = []
"""What brings back what was there before `configure`, to be done from the last to the first."""


def configure(
    level: str | None = None,
    format: str | None = None,  # noqa: A002 - the name of the setting
    stream: Any = None,
    *,
    sample: Mapping[str, float] | None = None,
    repeats: Repeats | None = None,
) -> None:
    """Send every record from `level` on to the stream, standard error by default.

    `level` is by default what ``NETRA_LOG_LEVEL`` says, else INFO, and `format` what
    ``NETRA_LOG_FORMAT`` says, else ``auto``: text on a terminal and ``json`` elsewhere. ``json`` is
    one object a line; ``gcp``, ``ecs`` and ``datadog`` are the same with the names of Google Cloud,
    Elastic and Datadog; ``text`` is for reading, coloured on a terminal unless ``NO_COLOR`` is set.

    `sample` is the share of records less severe than WARNING to keep, by logger: ``{"http": 0.1}``.
    `repeats` limits lines that repeat.

    Uvicorn's loggers, `warnings`, and exceptions that nobody catches take the same path. Called
    again, it replaces what it did before; `unconfigure` undoes it. Raises ValueError naming the
    allowed values.
    """
    wanted = (os.environ.get("NETRA_LOG_LEVEL") or "INFO") if level is None else level
    threshold = _one_of("level", wanted.upper(), LEVELS)
    wanted = (os.environ.get("NETRA_LOG_FORMAT") or "auto") if format is None else format
    chosen = _one_of("format", wanted.lower(), FORMATS)
    thinning = _thinning(sample or {}, repeats)
    target = sys.stderr if stream is None else stream
    if chosen == "auto":
        chosen = "text" if _is_terminal(target) else "json"
    sink = _text(target, thinning) if chosen == "text" else _json(target, chosen, thinning)
    root = logging.getLogger()
    _remember(root)
    for old in [one for one in root.handlers if _is_replaced(one)]:
        root.removeHandler(old)
        if isinstance(old, Sink):
            old.flush()
            old.close()
    root.addHandler(sink)
    root.setLevel(threshold)
    for name in _OWN_SINKS:
        _let_through(logging.getLogger(name))
    logging.captureWarnings(True)
    standard.install()
    uncaught.install()


def unconfigure() -> None:
    """Put back what `configure` replaced: the handlers, levels and hooks of before the first time.

    What is still to be written is, as at the end of the process.
    """
    uncaught.uninstall()
    standard.uninstall()
    while _undo:
        _undo.pop()()


def flush(timeout: float = EXIT_SECONDS) -> bool:
    """Return whether all that was logged until now was written, within `timeout` seconds."""
    sinks = [one for one in logging.getLogger().handlers if isinstance(one, Sink)]
    return all(sink.wait(timeout) for sink in sinks)


def _one_of(name: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ValueError(f"the log {name} is {value!r}; it can be {', '.join(allowed)}")
    return value


def _thinning(sample: Mapping[str, float], repeats: Repeats | None) -> Thinning | None:
    for name, share in sample.items():
        if not 0 <= share <= 1:
            raise ValueError(f"the sample of {name!r} is {share!r}; it can be from 0 to 1")
    if repeats is not None and not (repeats.lines >= 1 and repeats.seconds > 0):
        raise ValueError(f"{repeats!r}: at least 1 line, in more than 0 seconds")
    return Thinning(sample, repeats) if sample or repeats else None


def _is_terminal(stream: Any) -> bool:
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def _json(stream: Any, preset: str, thinning: Thinning | None) -> Sink:
    shape = layout(preset)

    def line(one: logging.LogRecord, notes: record.Notes) -> str:
        return record.line(one, notes, shape)

    return Sink(stream, line, Quick(shape), thinning)


def _text(stream: Any, thinning: Thinning | None) -> Sink:
    colour = _is_terminal(stream) and not os.environ.get("NO_COLOR")

    def line(one: logging.LogRecord, notes: record.Notes) -> str:
        return render(record.fields(one, notes), colour=colour)

    return Sink(stream, line, None, thinning)


def _remember(root: logging.Logger) -> None:
    """Note how things are, the first time."""
    if _undo:
        return
    replaced = [one for one in root.handlers if _is_replaced(one)]
    _undo.append(_restorer(root, replaced, root.level, root.propagate))
    _undo.extend(
        _restorer(one, one.handlers[:], one.level, one.propagate)
        for one in map(logging.getLogger, _OWN_SINKS)
    )
    if not _captures_warnings():
        _undo.append(lambda: logging.captureWarnings(False))


def _captures_warnings() -> bool:
    return logging._warnings_showwarning is not None  # type: ignore[attr-defined]


def _restorer(
    logger: logging.Logger, handlers: list[logging.Handler], level: int, propagate: bool
) -> Callable[[], None]:
    def restore() -> None:
        for sink in [one for one in logger.handlers if isinstance(one, Sink)]:
            logger.removeHandler(sink)
            sink.flush()
            sink.close()
        for one in handlers:
            if not isinstance(one, Sink) and one not in logger.handlers:
                logger.addHandler(one)
        logger.setLevel(level)
        logger.propagate = propagate

    return restore


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
