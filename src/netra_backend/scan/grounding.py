"""Takes the parameters out of a value that outlives its call."""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import structs

from netra_backend.scan.declarations import Trait
from netra_backend.scan.environment import children
from netra_backend.scan.values import (
    UNKNOWN,
    Altered,
    Argument,
    Attr,
    Awaited,
    Call,
    Dict,
    Each,
    Entered,
    Entry,
    Item,
    Lambda,
    Param,
    Passed,
    Present,
    Received,
    Seq,
    Union,
    Value,
    union,
)

Params = Mapping[str, Value]
"""What is known of the parameters, by their names."""


def outside(function: str, declared: Params, found: int) -> Params:
    """Return what the parameters are outside of the function: by annotation, or as callers say.

    What a class method is called on is no parameter that callers pass.
    """
    own = next(iter(declared), "") if found & Trait.CLASS else ""
    return {
        name: Received(function, name) if value is UNKNOWN and name != own else value
        for name, value in declared.items()
    }


def ground(value: Value, params: Params) -> Value:
    """Return the value with each parameter replaced by what is known of it.

    Used for attributes of ``self`` and for the names that a nested function sees.
    """
    if isinstance(value, Param):
        return params.get(value.name, UNKNOWN)
    if not _mentions_param(value):
        return value
    step = _STEPS.get(type(value))
    return UNKNOWN if step is None else step(value, params)


def _mentions_param(value: Value) -> bool:
    return isinstance(value, Param) or any(map(_mentions_param, children(value)))


def _attr(value: Attr, params: Params) -> Value:
    base = ground(value.base, params)
    return UNKNOWN if base is UNKNOWN else Attr(base, value.name, value.line)


def _derived(value: Each | Awaited | Entered, params: Params) -> Value:
    base = ground(value.base, params)
    return UNKNOWN if base is UNKNOWN else type(value)(base, value.line)


def _present(value: Present, params: Params) -> Value:
    base = ground(value.base, params)
    return UNKNOWN if base is UNKNOWN else Present(base)


def _passed(value: Passed, params: Params) -> Value:
    return Passed(ground(value.base, params), ground(value.func, params), value.place)


def _altered(value: Altered, params: Params) -> Value:
    base = ground(value.base, params)
    return UNKNOWN if base is UNKNOWN else Altered(base, value.method, _args(value.args, params))


def _call(value: Call, params: Params) -> Value:
    func = ground(value.func, params)
    args = _args(value.args, params)
    return UNKNOWN if func is UNKNOWN else Call(func, args, value.line, value.at)


def _args(args: tuple[Argument, ...], params: Params) -> tuple[Argument, ...]:
    return tuple(Argument(a.name, ground(a.value, params), a.at) for a in args)


def _item(value: Item, params: Params) -> Value:
    base = ground(value.base, params)
    return UNKNOWN if base is UNKNOWN else Item(base, ground(value.key, params), value.line)


def _dict(value: Dict, params: Params) -> Value:
    return Dict(tuple(_entry(entry, params) for entry in value.entries), value.line)


def _sequence(value: Seq, params: Params) -> Value:
    entries = tuple(_entry(entry, params) for entry in value.entries)
    return Seq(value.cls, entries, value.line)


def _entry(entry: Entry, params: Params) -> Entry:
    key = None if entry.key is None else ground(entry.key, params)
    value = ground(entry.value, params)
    return Entry(key, value, entry.at, entry.maybe, entry.spread, entry.key_at)


def _lambda(value: Lambda, params: Params) -> Value:
    return structs.replace(value, result=ground(value.result, params))


def _union(value: Union, params: Params) -> Value:
    return union([ground(option, params) for option in value.options])


_STEPS: Mapping[type, Callable[[Any, Params], Value]] = {
    Altered: _altered,
    Attr: _attr,
    Awaited: _derived,
    Call: _call,
    Dict: _dict,
    Each: _derived,
    Entered: _derived,
    Item: _item,
    Lambda: _lambda,
    Passed: _passed,
    Present: _present,
    Seq: _sequence,
    Union: _union,
}
