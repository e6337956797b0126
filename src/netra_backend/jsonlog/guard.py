"""Looking at foreign objects: without running their code, or with every failure of it caught.

``isinstance``, ``getattr``, ``vars`` and even hashing a class can run code that the class or its
metaclass brings along. What is here reads the interpreter's own slots instead.
"""

import threading
from collections.abc import Callable, Mapping
from types import GetSetDescriptorType, MemberDescriptorType
from typing import Any, Final, NamedTuple, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

NESTED_CALLS = 3
"""How often a foreign ``__repr__`` that logs may lead to another foreign call."""


MANY_VALUES = 10_000
"""Values in containers above which their ``repr`` is not asked for: shared ones multiply."""


class Failed(NamedTuple):
    """A foreign call that failed, and with which exception."""

    why: str


class _Missing:
    """The type of `MISSING`."""


MISSING: Final = _Missing()
"""Stands for no value, where None is one."""

bases: Callable[[type], tuple[type, ...]] = type.__dict__["__mro__"].__get__
"""Return the method resolution order of a class."""

_has_derived: Callable[[type, type], bool] = type.__subclasscheck__
"""Return whether the second class derives from the first; asks no metaclass."""

_class_dict: Callable[[type], Mapping[str, Any]] = type.__dict__["__dict__"].__get__
_qualname: Callable[[type], str] = type.__dict__["__qualname__"].__get__
_module: Callable[[type], Any] = type.__dict__["__module__"].__get__

_calls = threading.local()


def foreign(call: Callable[P, T], *args: P.args, **named: P.kwargs) -> T | Failed:
    """Return what the call returns, or `Failed`; for calls that may run a value's own code."""
    depth = getattr(_calls, "depth", 0)
    if depth >= NESTED_CALLS:
        return Failed("nested too deeply")
    _calls.depth = depth + 1
    try:
        return call(*args, **named)
    except BaseException as error:  # noqa: BLE001 - a __repr__ may also raise SystemExit
        return Failed(class_name(type(error)))
    finally:
        _calls.depth = depth


def is_large(value: object) -> bool:
    """Return whether lists, tuples, dicts and sets in each other hold too much to be told."""
    todo: list[Any] = [value]
    count = 0
    while todo and count <= MANY_VALUES:
        one = todo.pop()
        cls = type(one)
        if cls is dict:
            todo.extend(one.keys())
            todo.extend(one.values())
        elif cls is list or cls is tuple or cls is set or cls is frozenset:
            todo.extend(one)
        count += 1
    return count + len(todo) > MANY_VALUES


def class_name(cls: type) -> str:
    """Return ``module.Class``, or ``Class`` for a builtin."""
    name, module = _qualname(cls), _module(cls)
    return name if type(module) is not str or module == "builtins" else f"{module}.{name}"


def is_kind(value: object, cls: type) -> bool:
    """Return whether the value's real class derives from `cls`."""
    return _has_derived(cls, type(value))


def class_attribute(cls: type, name: str) -> Any:
    """Return what stands under the name in the class or its bases, or `MISSING`."""
    for base in bases(cls):
        found = _class_dict(base).get(name, MISSING)
        if found is not MISSING:
            return found
    return MISSING


def own_attributes(value: object) -> dict[str, Any]:
    """Return the instance's ``__dict__`` itself, or an empty one."""
    for base in bases(type(value)):
        slot = _class_dict(base).get("__dict__")
        if type(slot) is GetSetDescriptorType:
            found = slot.__get__(value)
            return found if type(found) is dict else {}
    return {}


def own_attribute(value: object, name: str) -> Any:
    """Return what the instance stores under the name, in its dict or a slot, or `MISSING`.

    A plain default on the class counts; properties and other computed attributes do not.
    """
    found = own_attributes(value).get(name, MISSING)
    if found is not MISSING:
        return found
    default = class_attribute(type(value), name)
    if type(default) is MemberDescriptorType:
        try:
            return default.__get__(value)
        except AttributeError:
            return MISSING
    return default if class_attribute(type(default), "__get__") is MISSING else MISSING
