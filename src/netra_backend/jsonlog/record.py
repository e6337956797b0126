"""One log record as one object, and as one line of JSON. Nothing in a record can prevent it."""

import itertools
import logging
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from netra_backend.jsonlog import binding
from netra_backend.jsonlog.guard import Failed, foreign, is_kind, is_large
from netra_backend.jsonlog.plain import RECORD_LIMITS, Json, Limits
from netra_backend.jsonlog.redact import redact_pairs
from netra_backend.jsonlog.safe import dumps, encode, jsonable

NAME_LIMITS = Limits(depth=2, nodes=8, text=256, total=256)
"""For names and ids, which may be anything too."""

MAX_FIELDS = 200
"""Fields of one record."""

STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
"""Attributes of every LogRecord; all others came by ``extra=``."""

_NOT_SHOWN = STANDARD | {"color_message"}  # uvicorn repeats the text there, with ANSI codes

_OURS = frozenset(("time", "level", "logger", "message", "args", "dropped", "exception", "stack"))
"""Keys of a line that no field may take."""


_SMALL = frozenset(map(id, (str, int, float, bool, type(None))))


def line(record: logging.LogRecord, dropped: int = 0) -> str:
    """Return the record as one line of strict JSON, with its newline; see `fields`."""
    return encode(fields(record, dropped)) + "\n"


def fields(record: logging.LogRecord, dropped: int = 0) -> dict[str, Json]:
    """Return the record as plain data without secrets.

    Keys in this order: ``time`` (UTC, milliseconds), ``level``, ``logger``, ``message``,
    ``correlation``; where there is something to say ``args`` (they do not fit the message),
    ``dropped`` (records lost since the last line that got through), ``exception``, ``stack``;
    then the bound fields and those of the call, of which one with such a name gets a ``_``.
    """
    given = {**binding.bound(), **_extra(record)}
    shown: dict[str, object] = {
        "time": _time(record.created),
        "level": jsonable(record.levelname, NAME_LIMITS),
        "logger": jsonable(record.name, NAME_LIMITS),
        **_message(record),
        "correlation": jsonable(given.pop("correlation", binding.correlation()), NAME_LIMITS),
    }
    if dropped:
        shown["dropped"] = dropped
    shown.update(_trouble(record))
    for name, value in itertools.islice(given.items(), MAX_FIELDS):
        shown[_free(name)] = value
    if len(given) > MAX_FIELDS:
        shown["$cut"] = f"{len(given) - MAX_FIELDS} more fields"
    return redact_pairs(_plain(shown))


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
        name: jsonable(value, small if _is_small(value) else share)
        for name, value in zip(_names(shown), shown.values(), strict=True)
    }


def _names(shown: dict[str, object]) -> list[str]:
    """Return the keys as texts: ``extra=`` takes keys of any kind and length."""
    return [str(jsonable(name, NAME_LIMITS)) for name in shown]


def _time(created: Any) -> str:
    """Return ISO 8601 in UTC with milliseconds; now, if the record's time is none."""
    moment = foreign(datetime.fromtimestamp, created, UTC)
    if isinstance(moment, Failed):
        moment = datetime.fromtimestamp(time.time(), UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _message(record: logging.LogRecord) -> dict[str, object]:
    """Return the message; if its arguments do not fit, the template, and the arguments beside."""
    if is_large(record.msg):
        return {"message": dumps(record.msg, RECORD_LIMITS)}
    text = Failed("too large") if is_large(record.args) else foreign(record.getMessage)
    if not isinstance(text, Failed):
        return {"message": text}
    template = foreign(str, record.msg)
    if isinstance(template, Failed):
        template = f"<str failed: {template.why}>"
    return {"message": template, "args": record.args}


def _trouble(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    """Yield the exception and the stack, where the record has them."""
    error = _error(record.exc_info)
    if error is not None:
        yield "exception", error
    elif record.exc_info is None and record.exc_text:  # it was rendered elsewhere
        yield "exception", {"text": record.exc_text}
    if record.stack_info:
        yield "stack", record.stack_info


def _error(info: Any) -> BaseException | None:
    if type(info) is tuple and len(info) == 3:
        info = info[1]
    return info if is_kind(info, BaseException) else None


def _extra(record: logging.LogRecord) -> dict[str, object]:
    return {name: value for name, value in record.__dict__.items() if name not in _NOT_SHOWN}


def _is_small(value: object) -> bool:
    return id(type(value)) in _SMALL  # by id: comparing classes may run their metaclass's code


def _free(name: str) -> str:
    """Return the name under which a field stands in the line."""
    return f"{name}_" if name in _OURS else name
