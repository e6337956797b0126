"""Marks what a function was given and changes: its annotation may be true of it no longer."""

from netra_backend.scan.containers import FROM_ELSEWHERE
from netra_backend.scan.environment import replace
from netra_backend.scan.frame import Frame
from netra_backend.scan.values import (
    CHANGED,
    INSIDE,
    Altered,
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


def note_change(frame: Frame, value: Value) -> None:
    """Mark a parameter or an item that is changed, and that of which it is an item."""
    if isinstance(unmarked(value), _GIVEN):
        replace(frame.names, value, _marked(value, CHANGED))
    whole = _whole(value)
    if whole is not value and isinstance(whole, (Param, Present, *FROM_ELSEWHERE)):
        replace(frame.names, whole, _marked(whole, INSIDE))


def is_from_elsewhere(value: Value) -> bool:
    """Return whether the value is what somebody else gave us, in which we keep single changes."""
    return isinstance(value, FROM_ELSEWHERE) and not isinstance(unmarked(value), _GIVEN)


def _marked(value: Value, mark: str) -> Value:
    """Return the value with the mark, which it bears once."""
    part = value
    while isinstance(part, Altered) and part.method != mark:
        part = part.base
    return value if isinstance(part, Altered) else Altered(value, mark)


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
