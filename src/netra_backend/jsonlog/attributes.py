"""What a LogRecord stores and what a log call takes: which of it are fields, and what is meant."""

import logging
import sys
from collections.abc import Collection, Iterable, Mapping
from itertools import islice
from typing import Any

from netra_backend.jsonlog.guard import Failed, foreign, is_kind
from netra_backend.jsonlog.plain import Limits
from netra_backend.jsonlog.safe import jsonable
from netra_backend.jsonlog.walk import Key, distinct

NAME_LIMITS = Limits(depth=2, nodes=8, text=256, total=256)
"""For names and ids, which may be anything too."""

STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
"""Attributes of a LogRecord that are not fields: no key of ``extra=`` may take their place."""

NOT_SHOWN = STANDARD | {"color_message"}  # uvicorn repeats the text there, with ANSI codes

OPTIONS = frozenset(("exc_info", "stack_info", "stacklevel", "extra"))
"""Keywords of a log call that are no fields."""

_TEXT = frozenset((id(str),))
SCALARS = frozenset(map(id, (str, int, float, bool, type(None))))


def are_texts(names: Iterable[object]) -> bool:
    """Return whether all are exact strings: hashing another name may run its own code."""
    return _TEXT.issuperset(map(id, map(type, names)))


def free(name: Any, reserved: frozenset[str]) -> str:
    """Return the name under which a field stands in the line."""
    if type(name) is not str:
        name = str(jsonable(name, NAME_LIMITS))
    return f"{name}_" if name in reserved else name


def fields_of(extra: object) -> dict[Any, object]:
    """Return the fields that ``extra=`` means; what is no mapping is one field, ``extra``."""
    if type(extra) is dict:
        return extra
    given: Any = extra
    found = foreign(lambda: dict(given) if isinstance(given, Mapping) else None)
    return {"extra": extra} if found is None or isinstance(found, Failed) else found


def told_apart(
    given: dict[Any, object], reserved: frozenset[str], taken: Collection[str] = ()
) -> dict[str, object]:
    """Return fields under names that are `free`, and neither `taken` nor those of two.

    A field that needs no other name keeps it; one whose name is another's gets ``~2``.
    """
    if are_texts(given) and reserved.isdisjoint(given) and not taken:
        return given
    given = given.copy()
    keys = [Key(free(name, reserved), _stays(name, reserved, taken)) for name in given]
    told = islice(distinct([*(Key(one, True) for one in taken), *keys]), len(taken), None)
    return dict(zip(told, given.values(), strict=True))


def _stays(name: object, reserved: frozenset[str], taken: Collection[str]) -> bool:
    return type(name) is str and name not in reserved and name not in taken


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
