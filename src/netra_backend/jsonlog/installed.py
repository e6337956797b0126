"""What is installed: one sink for every record of the process; and what there was before it."""

import atexit
import logging
import os
from collections.abc import Callable
from typing import Any

from netra_backend.jsonlog import record, standard, uncaught
from netra_backend.jsonlog.presets import layout
from netra_backend.jsonlog.quick import Quick
from netra_backend.jsonlog.sinks import Sink
from netra_backend.jsonlog.terminal import render
from netra_backend.jsonlog.thinning import Thinning
from netra_backend.jsonlog.writer import EXIT_SECONDS

_OWN_SINKS = ("uvicorn", "uvicorn.access", "uvicorn.asgi", "uvicorn.error")
"""Loggers that uvicorn gives sinks of its own."""

_undo: list[Callable[[], None]] = []
"""What brings back what was there before, to be done from the last to the first."""


def install(level: str | int, format: str, stream: Any, thinning: Thinning | None) -> None:  # noqa: A002
    """Put a sink in the place of ours and of those that write to the terminal."""
    if format == "auto":
        format = "text" if _is_terminal(stream) else "json"  # noqa: A001
    sink = _text(stream, thinning) if format == "text" else _json(stream, format, thinning)
    root = logging.getLogger()
    _remember(root)
    before = standard.installed()
    replaced = [one for one in root.handlers if _is_replaced(one)]
    # At once: another thread's record finds the sinks of before or ours, and not none.
    root.handlers[:] = [*(one for one in root.handlers if one not in replaced), sink]
    root.setLevel(level)
    for name in _OWN_SINKS:
        _let_through(logging.getLogger(name))
    logging.captureWarnings(True)
    standard.install(sink)
    for old in {one for one in (*replaced, before) if isinstance(one, Sink)}:
        old.flush()
        old.close()
    uncaught.install()
    atexit.unregister(_end)
    atexit.register(_end)


def uninstall() -> None:
    """Put back what there was before the first `install`."""
    uncaught.uninstall()
    _end()
    atexit.unregister(_end)
    standard.uninstall()
    while _undo:
        _undo.pop()()


def wait(timeout: float | None) -> bool:
    """Return whether all that was logged until now was written, within `timeout` seconds."""
    sink = standard.installed()
    return sink is None or sink.wait(EXIT_SECONDS if timeout is None else timeout)


def _end() -> None:
    """Flush and close the sink, also if a ``dictConfig`` has made `logging` forget it."""
    sink = standard.installed()
    if sink is not None:
        sink.flush()
        sink.close()


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
    shows = os.environ.get("TERM") != "dumb" and not os.environ.get("NO_COLOR")
    colour = shows and _is_terminal(stream)

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
    return isinstance(sink, Sink) or standard.is_terminal(sink)


def _let_through(logger: logging.Logger) -> None:
    """Take away a logger's own sinks and level, so that its records reach the root's."""
    for sink in list(logger.handlers):
        logger.removeHandler(sink)
    logger.propagate = True
    logger.setLevel(logging.NOTSET)
