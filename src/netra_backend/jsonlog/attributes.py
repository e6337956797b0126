"""What a LogRecord stores and what a log call takes: which of it are fields, and what is meant."""

import logging
import sys
from typing import Any

from netra_backend.jsonlog.guard import is_kind
from netra_backend.jsonlog.plain import Limits
from netra_backend.jsonlog.safe import jsonable

NAME_LIMITS = Limits(depth=2, nodes=8, text=256, total=256)
"""For names and ids, which may be anything too."""

STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
"""Attributes of a LogRecord that are not fields: no key of ``extra=`` may take their place."""

NOT_SHOWN = STANDARD | {"color_message"}  # uvicorn repeats the text there, with ANSI codes

OPTIONS = frozenset(("exc_info", "stack_info", "stacklevel", "extra"))
"""Keywords of a log call that are no fields."""

SCALARS = frozenset(map(id, (str, int, float, bool, type(None))))


def free(name: Any, reserved: frozenset[str]) -> str:
    """Return the name under which a field stands in the line."""
    if type(name) is not str:
        name = str(jsonable(name, NAME_LIMITS))
    return f"{name}_" if name in reserved else name


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
