"""What the names of one function stand for at one point of it."""

import ast
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from netra_backend.scan.values import (
    UNKNOWN,
    Altered,
    Attr,
    Awaited,
    Call,
    Dict,
    Each,
    Entered,
    Entry,
    Item,
    Lambda,
    Passed,
    Present,
    Seq,
    Text,
    Union,
    Value,
    join,
    union,
)

Names = dict[str, Value]
"""Values by name; ``self.state`` and the like count as names too."""

HEAVIEST = 300
"""Values of more nodes are given up: they come from generated code, and would only cost time."""


def path_of(node: ast.expr) -> str:
    """Return ``a.b.c`` for names and attributes of names, else an empty string."""
    if type(node) is ast.Name:
        return node.id
    path = ""
    while type(node) is ast.Attribute:
        path = f".{node.attr}{path}"
        node = node.value
    return f"{node.id}{path}" if type(node) is ast.Name else ""


def assign(names: Names, name: str, value: Value) -> None:
    """Bind a name; what was known of its attributes is forgotten."""
    forget_attributes(names, name)
    names[name] = value if weight(value) <= HEAVIEST else UNKNOWN


def forget_attributes(names: Names, name: str) -> None:
    """Forget what was assigned to attributes of the name: other code may have changed them."""
    prefix = f"{name}."
    for known in [known for known in names if known.startswith(prefix)]:
        names[known] = before_clearing(names[known])


def before_clearing(value: Value) -> Value:
    """Return what an attribute was before it was cleared here; unknown if it was assigned."""
    if isinstance(value, Altered) and value.method == "clear" and isinstance(value.base, Attr):
        return value.base
    return UNKNOWN


def replace(names: Names, old: Value, new: Value) -> None:
    """Change a container under every name it has, and inside the containers that hold it."""
    for name, value in names.items():
        if value is old:
            names[name] = new
        elif isinstance(value, (Dict, Seq)):
            names[name] = _replaced(value, old, new, 3)


def _replaced(value: Value, old: Value, new: Value, depth: int) -> Value:
    if value is old:
        return new
    if depth == 0 or not isinstance(value, (Dict, Seq)):
        return value
    entries = tuple(_replaced_entry(entry, old, new, depth) for entry in value.entries)
    if all(mine is yours for mine, yours in zip(entries, value.entries, strict=True)):
        return value
    if isinstance(value, Dict):
        return Dict(entries, value.line)
    return Seq(value.cls, entries, value.line)


def _replaced_entry(entry: Entry, old: Value, new: Value, depth: int) -> Entry:
    value = _replaced(entry.value, old, new, depth - 1)
    if value is entry.value:
        return entry
    return Entry(entry.key, value, entry.at, entry.maybe, entry.spread, entry.key_at)


def merge(one: Names, other: Names) -> Names:
    """Return the names where two paths meet. A name that one path does not bind keeps its value:
    whoever uses it there fails before a sink does. An attribute becomes unknown instead.
    """
    if one is other:
        return one
    merged = dict(one)
    for name, value in other.items():
        mine = merged.get(name)
        if mine is None:
            merged[name] = union([value, before_clearing(value)]) if "." in name else value
        elif mine is not value:
            merged[name] = join(mine, value)
    for name in one.keys() - other.keys():
        if "." in name:
            merged[name] = union([one[name], before_clearing(one[name])])
    return merged


def children(value: Value) -> Iterable[Value]:
    """Return the values that a value is made of."""
    parts = _CHILDREN.get(type(value))
    return () if parts is None else parts(value)


def _of_base(value: Attr | Each | Awaited | Entered | Present) -> Iterable[Value]:
    return (value.base,)


def _of_call(value: Call) -> Iterable[Value]:
    return [value.func, *[argument.value for argument in value.args]]


def _of_entries(value: Dict | Seq) -> Iterable[Value]:
    values = [entry.value for entry in value.entries]
    values += [entry.key for entry in value.entries if entry.key is not None]
    return values


_CHILDREN: Mapping[type, Callable[[Any], Iterable[Value]]] = {
    Altered: lambda value: [value.base, *[argument.value for argument in value.args]],
    Attr: _of_base,
    Awaited: _of_base,
    Call: _of_call,
    Dict: _of_entries,
    Each: _of_base,
    Entered: _of_base,
    Item: lambda value: (value.base, value.key),
    Lambda: lambda value: (value.result,),
    Passed: lambda value: (value.base, value.func),
    Present: _of_base,
    Seq: _of_entries,
    Text: lambda value: [part.value for part in value.parts],
    Union: lambda value: value.options,
}


def weight(value: Value, limit: int = HEAVIEST) -> int:
    """Return of how many nodes a value is made, or something above `limit`."""
    count, pending = 0, [value]
    while pending and count <= limit:
        count += 1
        part = pending.pop()
        parts = _CHILDREN.get(type(part))
        if parts is not None:
            pending.extend(parts(part))
    return count
