"""Sends every record of the process through one sink, and undoes that."""

import os
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from netra_backend.jsonlog.presets import PRESETS
from netra_backend.jsonlog.thinning import Repeats, Thinning

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
FORMATS = ("auto", "text", *PRESETS)


def configure(
    level: str | int | None = None,
    format: str | None = None,  # noqa: A002 - the name of the setting
    stream: Any = None,
    *,
    sample: Mapping[str, float] | None = None,
    repeats: Repeats | None = None,
) -> None:
    """Send every record from `level` on to the stream, standard error by default.

    `level` is a name or, as in `logging`, a number; by default what ``NETRA_LOG_LEVEL`` says, else
    INFO. `format` is by default what ``NETRA_LOG_FORMAT`` says, else ``auto``: text on a terminal
    and ``json`` elsewhere. ``json`` is one object a line; ``gcp``, ``ecs`` and ``datadog`` are the
    same with the names of Google Cloud, Elastic and Datadog; ``text`` is for reading, coloured on a
    terminal unless ``NO_COLOR`` is set or ``TERM`` is ``dumb``.

    `sample` is the share of records less severe than WARNING to keep, by logger: ``{"http": 0.1}``.
    `repeats` limits lines that repeat.

    `warnings`, exceptions that nobody catches, and what plain handlers of the terminal would write
    (uvicorn's, also if it is configured later) take the same path; other handlers keep theirs.
    Called again, it replaces what it did before; `unconfigure` undoes it. Raises ValueError naming
    the allowed values, and TypeError for a stream that cannot be written to, such as a file's name.
    """
    if stream is not None and not callable(getattr(stream, "write", None)):
        raise TypeError(f"the stream is a {type(stream).__name__}; it must be an open file")
    numbered = type(level) is int and level >= 0
    threshold = level if numbered else _one_of("level", level, "INFO", LEVELS)
    chosen = _one_of("format", format, "auto", FORMATS)
    thinning = _thinning(sample or {}, repeats)
    _installed().install(threshold, chosen, sys.stderr if stream is None else stream, thinning)


def unconfigure() -> None:
    """Put back what `configure` replaced: the handlers, levels and hooks of before the first time.

    Lines that still wait are written first, as at the end of the process.
    """
    _installed().uninstall()


def flush(timeout: float | None = None) -> bool:
    """Return whether all that was logged until now was written, within `timeout` seconds.

    By default as long as the end of the process waits, 2 seconds.
    """
    return bool(_installed().wait(timeout))


def _installed() -> ModuleType:
    """Return the module that writes: it loads with the first use, not with the import."""
    from netra_backend.jsonlog import installed  # noqa: PLC0415

    return installed


def _one_of(name: str, given: object, default: str, allowed: tuple[str, ...]) -> str:
    """Return the one that is given or, by the environment, wanted; in the letters of `allowed`."""
    where = f"the log {name}"
    if given is None:
        where = f"NETRA_LOG_{name.upper()}"
        given = os.environ.get(where) or default
    for one in allowed:
        if type(given) is str and given.lower() == one.lower():
            return one
    raise ValueError(f"{where} is {given!r}; it can be {', '.join(allowed)}")


def _thinning(sample: Mapping[str, float], repeats: Repeats | None) -> Thinning | None:
    for name, share in sample.items():
        if not 0 <= share <= 1:
            raise ValueError(f"the sample of {name!r} is {share!r}; it can be from 0 to 1")
    if repeats is not None and not (repeats.lines >= 1 and repeats.seconds > 0):
        raise ValueError(f"{repeats!r}: at least 1 line, in more than 0 seconds")
    return Thinning(sample, repeats) if sample or repeats else None
