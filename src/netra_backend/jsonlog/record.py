"""One log record as one object, and as one line of JSON. Nothing in a record can prevent it."""

import itertools
import logging
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

from netra_backend.jsonlog import binding, tracing
from netra_backend.jsonlog.attributes import (
    NAME_LIMITS,
    NOT_SHOWN,
    SCALARS,
    STANDARD,
    error_of,
    filled,
    meant,
    told_apart,
)
from netra_backend.jsonlog.clock import Clock
from netra_backend.jsonlog.encode import encode
from netra_backend.jsonlog.fields import field_names
from netra_backend.jsonlog.forms import Forms, is_object
from netra_backend.jsonlog.guard import Failed, foreign, is_kind, is_large
from netra_backend.jsonlog.plain import LIMITS, RECORD_LIMITS, Json
from netra_backend.jsonlog.presets import Layout, layout
from netra_backend.jsonlog.redact import redact, redact_pairs
from netra_backend.jsonlog.safe import dumps, jsonable
from netra_backend.jsonlog.shapes import redact_text
from netra_backend.jsonlog.tracebacks import describe
from netra_backend.jsonlog.walk import Key, distinct

MAX_FIELDS = 200
"""Fields of one record."""

ARGUMENT_LIMITS = LIMITS._replace(text=RECORD_LIMITS.text, total=1_000_000)
"""For the arguments of a text, of which all is looked at that a line may show."""

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
    ``trace_id``, ``span_id`` and ``trace_flags``, ``args`` (they do not fit the message), the notes
    (``dropped`` and ``suppressed``: what did not get through before), ``exception``, ``stack``;
    then the bound fields and those of the call.

    A field that has one of these names, or that is no object where `Layout.objects` wants one, gets
    a ``_``; one that has the name of another field gets ``~2``. A dict as the message counts as
    fields, too: its ``message``, or else its ``event``, is the text, and the others are the first
    that are left out where there are too many fields.
    """
    stored = record.__dict__
    extra = _extra(stored)
    given = {**binding.bound(), **extra, **_of_message(stored, extra)}
    level, name = stored.get("levelno"), stored.get("levelname")
    shown: dict[str, object] = {
        shape.time: _clock.any_text(stored.get("created")),
        shape.level: _level(shape, level, jsonable(name, NAME_LIMITS)),
        **_logger_and_message(record, shape),
        **shape.fixed,
        "correlation": jsonable(given.pop("correlation", binding.correlation()), NAME_LIMITS),
    }
    trace = tracing.current()
    if trace is not None:
        shown.update(shape.trace(trace))
    shown.update(notes)
    reserved = shape.reserved.union(no_objects(given, shape.objects))
    shown.update(itertools.islice(told_apart(given, reserved).items(), MAX_FIELDS))
    if len(given) > MAX_FIELDS:
        shown["$cut"] = f"{len(given) - MAX_FIELDS} more fields"
    told = redact_pairs(_plain(shown))
    trouble = _trouble(stored, shape)
    return told if not trouble else _put_in(told, trouble, given)


def no_objects(given: dict[str, object], names: frozenset[str]) -> Iterator[str]:
    """Yield those of the names under which a field is given that is no object in the line."""
    for name, value in given.items() if names else ():
        if type(name) is str and name in names and not is_object(type(value)):
            yield name


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
    """Return the keys as distinct texts: ``extra=`` takes keys of any kind and length."""
    exact = [name for name in shown if _exact(name) is not None]
    return exact if len(exact) == len(shown) else [*distinct([*map(_key, shown)])]


def _key(name: object) -> Key:
    exact = _exact(name)
    return Key(str(jsonable(name, NAME_LIMITS)), False) if exact is None else Key(exact, True)


def _exact(text: object) -> str | None:
    """Return a plain text that needs no change; None for any other value."""
    plain = type(text) is str and len(text) <= NAME_LIMITS.text and text.isascii()
    return text if plain else None  # type: ignore[return-value]


def _logger_and_message(record: logging.LogRecord, shape: Layout) -> dict[str, object]:
    logger = {shape.logger: jsonable(record.__dict__.get("name"), NAME_LIMITS)}
    message = _message(record)
    return {**message, **logger} if shape.logger_behind else {**logger, **message}


def _message(record: logging.LogRecord) -> dict[str, object]:
    """Return the message; if its arguments do not fit, the template, and the arguments beside."""
    msg, args = record.__dict__.get("msg"), record.__dict__.get("args")
    if _is_fields(msg, args):
        return {"message": _text_of(msg) or ""}
    if is_large(msg):
        return {"message": dumps(msg, RECORD_LIMITS)}
    text: str | Failed | None = None
    if type(record) is logging.LogRecord:
        text = filled(msg, args) if args else _exact(msg)
    if text is None:
        text = Failed("too large") if is_large(args) else foreign(_get_message, record, msg, args)
    if not isinstance(text, Failed):
        return {"message": text}
    template = foreign(str, msg)
    if isinstance(template, Failed):
        template = f"<str failed: {template.why}>"
    return {"message": template} if args is None else {"message": template, "args": args}


def _get_message(record: logging.LogRecord, msg: Any, args: Any) -> str:
    """Return ``record.getMessage()``; of arguments that hold others, without their secrets.

    The repr of a dict says no more what stands under which name.
    """
    if type(record) is not logging.LogRecord or not args:
        return record.getMessage()
    if type(args) is tuple:
        return str(msg) % tuple(map(_without_secrets, args))
    return str(msg) % _without_secrets(args)


def _without_secrets(value: object) -> object:
    """Return the value itself, if it holds no secret or is no container: it may have a ``%d``."""
    holds = any(is_kind(value, kind) for kind in (dict, list, tuple, set, frozenset))
    if not holds and (is_kind(value, BaseException) or field_names(type(value)) is None):
        return value
    plain = jsonable(value, ARGUMENT_LIMITS)
    shown = redact(plain)
    return value if shown == plain else shown


def _trouble(stored: dict[str, Any], shape: Layout) -> dict[str, Json]:
    """Return the exception and the stack, where the record has them, without secrets."""
    info, text, stack = (stored.get(name) for name in ("exc_info", "exc_text", "stack_info"))
    shown: dict[str, Json] = {}
    error = _error_of_message(stored) if info is None else error_of(info)
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


def _of_message(stored: dict[str, Any], extra: dict[str, object]) -> dict[str, object]:
    """Return the fields of a message that is a dict: as people log who come from structured logs.

    A dict in ``%s`` would be the repr of Python, which nobody can search.
    """
    msg: Any = stored.get("msg")
    if not _is_fields(msg, stored.get("args")):
        return {}
    told = msg.copy()
    if type(foreign(told.get, "message")) is str:
        foreign(told.pop, "message")
    if _error_of_message(stored) is not None:
        foreign(told.pop, "exc_info")
    return told_apart(told, STANDARD, [name for name in extra if type(name) is str])


def _text_of(msg: Any) -> str | None:
    """Return the text of a message that is a dict, unless a hostile key prevents to look for it."""
    texts = (foreign(msg.get, name) for name in ("message", "event"))
    return next((text for text in texts if type(text) is str), None)


def _error_of_message(stored: dict[str, Any]) -> BaseException | None:
    """Return the exception that a dict as the message asks for, as structlog hands it on."""
    msg: Any = stored.get("msg")
    if stored.get("exc_info") is not None or not _is_fields(msg, stored.get("args")):
        return None
    asked = foreign(msg.get, "exc_info")
    return None if isinstance(asked, Failed) else meant(asked)


def _is_fields(msg: Any, args: Any) -> bool:
    return type(msg) is dict and type(args) is tuple and not args and not is_large(msg)


def _extra(stored: dict[str, Any]) -> dict[str, object]:
    return {name: value for name, value in stored.items() if name not in NOT_SHOWN}


def _is_small(value: object) -> bool:
    return id(type(value)) in SCALARS  # by id: comparing classes may run their metaclass's code
