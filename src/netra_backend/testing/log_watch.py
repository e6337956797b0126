"""Sees every log call of the process, also one whose level is off: what was given, and from where.

Tests that wait for a level to be switched on find a bad value too late: an argument is evaluated
whatever the level is, and somebody will switch it on when it matters.
"""

import functools
import logging
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any, Final, NamedTuple

from netra_backend import jsonlog
from netra_backend.jsonlog import attributes, binding, logger, standard
from netra_backend.jsonlog.guard import is_kind

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "exception": logging.ERROR,
    "critical": logging.CRITICAL,
}
"""The methods that log, of the standard loggers and of ours, and at which level."""

_LOGGING: Final = logging.getLogger.__code__.co_filename
_PASSED_OVER: Final = frozenset((_LOGGING, __file__, logger.__file__, standard.__file__))
"""Files whose frames are no call site."""
_COVERS: Final = ("structlog.",)
"""Modules whose frames are none either: they cover standard loggers with their own."""


class Site(NamedTuple):
    """Where a log call stands."""

    file: str
    line: int
    function: str


class LogCall(NamedTuple):
    """A log call: its logger, its level, its site, and what it gave, each with where that stands.

    Given are ``message`` (only a dict: a text is none of JSON's business), ``args[0]`` (only
    dicts: what a ``%s`` makes a text of is a text, but a dict was meant as data), ``extra``
    (without names like ``_logger``, by which libraries pass things on to their own formatters),
    ``fields`` of `jsonlog.Logger`, and what is ``bound``.
    """

    logger: str
    level: int
    site: Site
    given: list[tuple[str, object]]


Seen = Callable[[LogCall], object]
Read = Callable[[Any, tuple[Any, ...], dict[str, Any]], LogCall | None]
"""Returns what a method was called with, given its object and its arguments."""

_inside = threading.local()
"""Whether this thread is in a call that was seen: what that does is not seen again."""


@contextmanager
def watched(seen: Seen) -> Iterator[None]:
    """Call `seen` for each log call, in its thread and before anything is done with it.

    The methods of standard loggers and of ours are watched, whether their level is on or off, and
    records that are handled, whoever made them. What they do stays the same. Not seen are log
    calls that `seen` or a sink makes, and the fields of libraries that hand finished texts on.
    """
    places: list[tuple[Any, str, Read]] = [
        (logging.Logger, "handle", _record),
        (logging.Logger, "log", _standard_log),
        (logging.Logger, "fatal", _standard(logging.CRITICAL)),
        (logging.LoggerAdapter, "log", _adapter),
        (jsonlog.Logger, "log", _our_log),
    ]
    for name, level in LEVELS.items():
        places.append((logging.Logger, name, _standard(level)))
        places.append((jsonlog.Logger, name, _ours(level)))
    before = [(cls, name, cls.__dict__[name]) for cls, name, _ in places]
    for cls, name, read in places:
        setattr(cls, name, _watched(cls.__dict__[name], read, seen))
    try:
        yield
    finally:
        for cls, name, original in before:
            setattr(cls, name, original)


def _watched(original: Callable[..., Any], read: Read, seen: Seen) -> Callable[..., Any]:
    def method(self: Any, /, *args: Any, **named: Any) -> Any:
        call = None if getattr(_inside, "call", False) else read(self, args, named)
        if call is None:
            return original(self, *args, **named)
        _inside.call = True
        try:
            seen(call)
            return original(self, *args, **named)
        finally:
            _inside.call = False

    # `logging` finds the caller of a record by passing over the frames of its own file.
    method.__code__ = method.__code__.replace(co_filename=_LOGGING)
    return functools.wraps(original)(method)


# --- what a method was called with -------------------------------------------------------------


def _standard(level: int) -> Read:
    def read(self: logging.Logger, args: tuple[Any, ...], named: dict[str, Any]) -> LogCall:
        text, rest = (args[0], args[1:]) if args else (named.get("msg"), ())
        given = [*_texts(text, rest), *_extra(named.get("extra")), *_bound()]
        return LogCall(self.name, level, _site(named.get("stacklevel", 1)), given)

    return read


def _standard_log(
    self: logging.Logger, args: tuple[Any, ...], named: dict[str, Any]
) -> LogCall | None:
    level = args[0] if args else named.get("level")
    return _standard(level)(self, args[1:], named) if isinstance(level, int) else None


def _ours(level: int) -> Read:
    def read(self: jsonlog.Logger, args: tuple[Any, ...], named: dict[str, Any]) -> LogCall:
        fields = {name: value for name, value in named.items() if name not in attributes.OPTIONS}
        texts = _texts(args[0] if args else None, args[1:])
        own = [("fields", fields)] if fields else []
        given = [*texts, *own, *_extra(named.get("extra")), *_bound()]
        return LogCall(self._logger.name, level, _site(named.get("stacklevel", 1)), given)

    return read


def _our_log(self: jsonlog.Logger, args: tuple[Any, ...], named: dict[str, Any]) -> LogCall | None:
    level = args[0] if args else None
    return _ours(level)(self, args[1:], named) if isinstance(level, int) else None


def _adapter(
    self: "logging.LoggerAdapter[Any]", args: tuple[Any, ...], named: dict[str, Any]
) -> LogCall | None:
    """Read the call of an adapter whose level is off; else the logger gets it."""
    level = args[0] if args else None
    if not isinstance(level, int) or len(args) < 2 or self.isEnabledFor(level):
        return None
    text, processed = self.process(args[1], dict(named))
    under: Any = self.logger
    while isinstance(under, logging.LoggerAdapter):
        under = under.logger
    read = _ours(level) if isinstance(under, jsonlog.Logger) else _standard(level)
    return read(under, (text, *args[2:]), dict(processed))


def _record(self: logging.Logger, args: tuple[Any, ...], named: dict[str, Any]) -> LogCall | None:
    """Read a record that no method above made, such as one that another process sent."""
    one = args[0] if args else named.get("record")
    if not isinstance(one, logging.LogRecord):
        return None
    stored = one.__dict__
    extra = {name: value for name, value in stored.items() if name not in attributes.STANDARD}
    site = Site(*(stored.get(name) for name in ("pathname", "lineno", "funcName")))  # type: ignore[arg-type]
    texts = _texts(stored.get("msg"), stored.get("args"))
    given = [*texts, *_extra(extra), *_bound()]
    return LogCall(self.name, stored.get("levelno", 0), site, given)


def _texts(text: object, args: object) -> Iterator[tuple[str, object]]:
    if is_kind(text, dict):
        yield "message", text
    if type(args) is tuple:
        yield from ((f"args[{at}]", one) for at, one in enumerate(args) if is_kind(one, dict))
    elif is_kind(args, dict):  # as a record keeps the only argument when it is a dict
        yield "args[0]", args


def _extra(values: object) -> Iterator[tuple[str, object]]:
    if type(values) is dict:
        values = {name: one for name, one in values.items() if not _is_private(name)} or None
    if values is not None:
        yield "extra", values


def _is_private(name: object) -> bool:
    return type(name) is str and name.startswith("_")


def _bound() -> Iterator[tuple[str, object]]:
    bound: Mapping[str, object] = binding.bound()
    if bound:
        yield "bound", dict(bound)


def _site(stacklevel: object) -> Site:
    """Return the site that `stacklevel` means, as `logging.Logger.findCaller` finds it."""
    frame: FrameType | None = sys._getframe(1)
    left = stacklevel if isinstance(stacklevel, int) else 1
    outermost = Site("(unknown file)", 0, "(unknown function)")
    while frame is not None:
        if not _is_passed_over(frame):
            outermost = Site(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_qualname)
            left -= 1
            if left <= 0:
                break
        frame = frame.f_back
    return outermost


def _is_passed_over(frame: FrameType) -> bool:
    module = frame.f_globals.get("__name__")
    covers = type(module) is str and module.startswith(_COVERS)
    return covers or frame.f_code.co_filename in _PASSED_OVER
