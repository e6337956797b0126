"""One log record as one object, and as one line of JSON. Nothing in a record can prevent it."""

import itertools
import logging
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from netra_backend.jsonlog import binding, tracing
from netra_backend.jsonlog.clock import Clock
from netra_backend.jsonlog.encode import encode
from netra_backend.jsonlog.forms import Forms
from netra_backend.jsonlog.guard import Failed, foreign, is_kind, is_large
from netra_backend.jsonlog.plain import RECORD_LIMITS, Json, Limits
from netra_backend.jsonlog.presets import Layout, layout
from netra_backend.jsonlog.redact import redact_pairs
from netra_backend.jsonlog.safe import dumps, jsonable
from netra_backend.jsonlog.shapes import redact_text
from netra_backend.jsonlog.tracebacks import describe

NAME_LIMITS = Limits(depth=2, nodes=8, text=256, total=256)
"""For names and ids, which may be anything too."""

MAX_FIELDS = 200
"""Fields of one record."""

STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
"""Attributes of a LogRecord that are not fields: no key of ``extra=`` may take their place."""

NOT_SHOWN = STANDARD | {"color_message"}  # uvicorn repeats the text there, with ANSI codes

SCALARS = frozenset(map(id, (str, int, float, bool, type(None))))

Notes = Mapping[str, Json]
"""What a line has to say besides its record."""
NOTHING: Notes = MappingProxyType({})

JSON = layout("json")

_clock = Clock()


def line(record: logging.LogRecord, notes: Notes = NOTHING, shape: Layout = JSON) -> str:
    """Return the record as one line of strict JSON, with its newline; see `fields`."""
    return encode(fields(record, notes, shape)) + "\n"


def fields(
    record: logging.LogRecord, notes: Notes = NOTHING, shape: Layout = JSON
) -> dict[str, Json]:
    """Return the record as plain data without secrets.

    Keys in this order, here with the names of the layout ``json``: ``time`` (UTC, milliseconds),
    ``level``, ``logger``, ``message``, ``correlation``; where there is something to say
    ``trace_id`` and ``span_id``, ``args`` (they do not fit the message), the notes (``dropped``
    and ``suppressed``: what did not get through before), ``exception``, ``stack``; then the
    bound fields and those of the call, of which one with such a name gets a ``_``.
    """
    stored = record.__dict__
    given = {**binding.bound(), **_extra(stored)}
    level, name = stored.get("levelno"), stored.get("levelname")
    shown: dict[str, object] = {
        shape.time: _clock.any_text(stored.get("created")),
        shape.level: _level(shape, level, jsonable(name, NAME_LIMITS)),
        shape.logger: jsonable(stored.get("name"), NAME_LIMITS),
        **_message(record),
        **shape.fixed,
        "correlation": jsonable(given.pop("correlation", binding.correlation()), NAME_LIMITS),
    }
    trace = tracing.current()
    if trace is not None:
        shown.update(shape.trace(trace))
    shown.update(notes)
    reserved = shape.reserved
    for key, value in itertools.islice(given.items(), MAX_FIELDS):
        shown[free(key, reserved)] = value
    if len(given) > MAX_FIELDS:
        shown["$cut"] = f"{len(given) - MAX_FIELDS} more fields"
    told = redact_pairs(_plain(shown))
    trouble = _trouble(stored, shape)
    return told if not trouble else _put_in(told, trouble, given)


def free(name: Any, reserved: frozenset[str]) -> str:
    """Return the name under which a field stands in the line."""
    if type(name) is not str:
        name = str(jsonable(name, NAME_LIMITS))
    return f"{name}_" if name in reserved else name


def _put_in(
    told: dict[str, Json], trouble: dict[str, Json], given: dict[str, object]
) -> dict[str, Json]:
    """Return the pairs with the trouble before the given fields, which are the last ones."""
    pairs = list(told.items())
    first = len(pairs) - min(len(given), MAX_FIELDS + 1)
    return {**dict(pairs[:first]), **trouble, **dict(pairs[first:])}


def _level(shape: Layout, number: object, name: Json) -> str:
    return shape.level_of(number if type(number) is int else 0, str(name))


def _plain(shown: dict[str, object]) -> dict[str, Json]:
    """Return plain values; of the limits, large ones get equal shares of what small ones leave."""
    limits = RECORD_LIMITS
    texts = sum(min(len(one), limits.text) for one in shown.values() if type(one) is str)
    large = sum(not _is_small(value) for value in shown.values()) or 1
    room = max(limits.total - texts, limits.total // 4)
    share = limits._replace(
        nodes=limits.nodes // large + 1, total=room // large + NAME_LIMITS.total
    )
    small = limits if texts <= limits.total else limits._replace(text=NAME_LIMITS.text)
    return {
        name: _exact(value) or jsonable(value, small if _is_small(value) else share)
        for name, value in zip(_names(shown), shown.values(), strict=True)
    }


def _names(shown: dict[str, object]) -> list[str]:
    """Return the keys as texts: ``extra=`` takes keys of any kind and length."""
    return [_exact(name) or str(jsonable(name, NAME_LIMITS)) for name in shown]


def _exact(text: object) -> str | None:
    """Return a plain text that needs no change; None for any other value."""
    plain = type(text) is str and len(text) <= NAME_LIMITS.text and text.isascii()
    return text if plain else None  # type: ignore[return-value]


def _message(record: logging.LogRecord) -> dict[str, object]:
    """Return the message; if its arguments do not fit, the template, and the arguments beside."""
    msg, args = record.__dict__.get("msg"), record.__dict__.get("args")
    if is_large(msg):
        return {"message": dumps(msg, RECORD_LIMITS)}
    text: str | Failed | None = None
    if type(record) is logging.LogRecord:
        text = filled(msg, args) if args else _exact(msg)
    if text is None:
        text = Failed("too large") if is_large(args) else foreign(record.getMessage)
    if not isinstance(text, Failed):
        return {"message": text}
    template = foreign(str, msg)
    if isinstance(template, Failed):
        template = f"<str failed: {template.why}>"
    return {"message": template} if args is None else {"message": template, "args": args}


def _trouble(stored: dict[str, Any], shape: Layout) -> dict[str, Json]:
    """Return the exception and the stack, where the record has them, without secrets."""
    info, text, stack = (stored.get(name) for name in ("exc_info", "exc_text", "stack_info"))
    shown: dict[str, Json] = {}
    error = error_of(info)
    if error is not None:
        told = exception(error)
        shown = {**shape.error(told), "exception": told}
    elif info is None and type(text) is str and text:  # it was rendered elsewhere
        shown["exception"] = {"text": redact_text(Forms(RECORD_LIMITS).text(text))}
    if stack is not None and stack != "":
        shown["stack"] = redact_pairs({"": jsonable(stack, RECORD_LIMITS)})[""]
    return shown


def exception(error: BaseException) -> dict[str, Json]:
    """Return an exception as plain data within the limits of a record, without secrets."""
    text = Forms(RECORD_LIMITS).text
    return describe(error, lambda told: redact_text(text(told)))


def error_of(info: Any) -> BaseException | None:
    """Return the exception that an ``exc_info`` means, if it means one."""
    if type(info) is tuple and len(info) == 3:
        info = info[1]
    return info if is_kind(info, BaseException) else None


def filled(text: object, args: object) -> str | None:
    """Return a text with its arguments put in; None if one is unusual, or they do not fit."""
    if type(text) is not str or type(args) is not tuple:
        return None
    if not SCALARS.issuperset(map(id, map(type, args))):
        return None
    try:
        return text % args
    except Exception:  # noqa: BLE001 - also an enormous width, for which there is no memory
        return None


def meant(exc_info: Any) -> BaseException | None:
    """Return the exception that the argument ``exc_info`` of a log call means."""
    if exc_info is None or exc_info is False:
        return None
    error = error_of(exc_info)
    if error is not None or (type(exc_info) in (int, str, tuple) and not exc_info):
        return error
    return None if type(exc_info) is tuple else sys.exc_info()[1]


def _extra(stored: dict[str, Any]) -> dict[str, object]:
    return {name: value for name, value in stored.items() if name not in NOT_SHOWN}


def _is_small(value: object) -> bool:
    return id(type(value)) in SCALARS  # by id: comparing classes may run their metaclass's code
