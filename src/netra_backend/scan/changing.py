"""Marks what a function was given and changes: its annotation may be true of it no longer."""

from netra_backend.scan.containers import FROM_ELSEWHERE
from netra_backend.scan.environment import replace
from netra_backend.scan.frame import Frame, given
from netra_backend.scan.values import (
    CHANGED,
    INSIDE,
    Altered,
    Argument,
    Attr,
    Call,
    Each,
    Global,
    Item,
    Param,
    Present,
    Value,
    unmarked,
)

_GIVEN = (Each, Param, Present)
_VIEWS = frozenset({"items", "values"})
_MOST = 4
"""Functions that are asked whether they change a value; after more it is taken for changed."""


def note_change(frame: Frame, value: Value, by: tuple[Argument, ...] = ()) -> None:
    """Mark a parameter or an item that is changed, and that of which it is an item."""
    if isinstance(unmarked(value), _GIVEN):
        replace(frame.names, value, _marked(value, CHANGED, by))
    whole = _whole(value)
    if whole is not value and isinstance(whole, (Param, Present, *FROM_ELSEWHERE)):
        replace(frame.names, whole, _marked(whole, INSIDE, by))


def note_handing(frame: Frame, value: Value, func: Value, place: int | str) -> None:
    """Mark what is handed to a function at a place among its arguments: it may change that."""
    if frame.classed.isdisjoint(given(value)):
        return
    by = (Argument(str(place), func),)
    note_change(frame, value, by)


def is_from_elsewhere(value: Value) -> bool:
    """Return whether the value is what somebody else gave us, in which we keep single changes."""
    return isinstance(value, FROM_ELSEWHERE) and not isinstance(unmarked(value), _GIVEN)


def _marked(value: Value, mark: str, by: tuple[Argument, ...] = ()) -> Value:
    """Return the value with the mark, which it bears once, of the functions that may have set it.

    Without any it is sure that the value was changed.
    """
    part, above = value, []
    while isinstance(part, Altered) and part.method != mark:
        above.append(part)
        part = part.base
    if not isinstance(part, Altered):
        return Altered(value, mark, by)
    if not part.args or (by and by[0] in part.args):
        return value
    functions = (*part.args, *by) if by and len(part.args) < _MOST else ()
    value = Altered(part.base, mark, functions)
    for it in reversed(above):
        value = Altered(value, it.method, it.args)
    return value


def _whole(value: Value) -> Value:
    """Return that of which the value is an item, at any depth; else the value."""
    inner = unmarked(value)
    if isinstance(inner, Present):
        whole = _whole(inner.base)
        return value if whole is inner.base else whole
    if isinstance(inner, (Each, Item)):
        return _whole(inner.base)
    if isinstance(inner, Call) and isinstance(inner.func, Attr) and inner.func.name in _VIEWS:
        return _whole(inner.func.base)
    if isinstance(inner, Call) and inner.func == Global("builtins.enumerate") and inner.args:
        return _whole(inner.args[0].value)
    return value
