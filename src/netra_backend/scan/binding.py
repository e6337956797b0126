"""Assignment to targets of every form: names, attributes, items, and tuples of them."""

import ast
from collections.abc import Sequence

from netra_backend.scan.changing import at_key, is_from_elsewhere, note_change
from netra_backend.scan.containers import altered, held, store, without
from netra_backend.scan.environment import assign, path_of, replace
from netra_backend.scan.frame import Frame
from netra_backend.scan.storing import Stored
from netra_backend.scan.values import (
    CHOSEN,
    UNKNOWN,
    Altered,
    Argument,
    Call,
    Const,
    Dict,
    Entry,
    Item,
    Param,
    Present,
    Seq,
    Union,
    Value,
    is_harmless,
    unmarked,
)


def bind(frame: Frame, target: ast.expr, value: Value, source: ast.expr | None = None) -> None:
    """Assign the value, which the expression `source` has, to the target."""
    if isinstance(target, ast.Name):
        frame.note_binding(target.id)
        known = UNKNOWN if target.id in frame.rebound_inside else _shared(value)
        assign(frame.names, target.id, known)
        if target.id in frame.global_names:
            frame.changed_globals.add(target.id)
            frame.rebound_globals.add(target.id)
    elif isinstance(target, (ast.Tuple, ast.List)):
        _unpack(frame, target.elts, value)
    elif isinstance(target, ast.Starred):
        bind(frame, target.value, UNKNOWN)
    elif isinstance(target, ast.Attribute):
        bind_attribute(frame, target, value)
    elif isinstance(target, ast.Subscript):
        at = 0 if source is None or is_harmless(value) else frame.place(source)
        bind_item(frame, target, Entry(None, value, at))


def _shared(value: Value) -> Value:
    """Return the list or dict itself that ``d[key]`` is: under the new name it changes as well."""
    inside = held(value)
    return inside if isinstance(inside, (Dict, Seq)) else value


def _unpack(frame: Frame, targets: list[ast.expr], value: Value) -> None:
    stars = [index for index, it in enumerate(targets) if isinstance(it, ast.Starred)]
    known = isinstance(value, Seq) and not any(e.maybe or e.spread for e in value.entries)
    for index, target in enumerate(targets):
        if stars and index >= stars[0]:
            part: Value = UNKNOWN
        elif known and isinstance(value, Seq):
            part = value.entries[index].value if index < len(value.entries) else UNKNOWN
        else:
            part = UNKNOWN if value is UNKNOWN else Item(value, Const(index), target.lineno)
        bind(frame, target, part)


def note_choice(
    frame: Frame, loop: ast.For | ast.AsyncFor | ast.comprehension, parts: Sequence[ast.AST]
) -> None:
    """Mark the values of ``for key, value in d.items()`` if what is read goes by the key.

    Whose value it is that goes on matters then, unless they are all of one kind.
    """
    items = isinstance(loop.iter, ast.Call) and getattr(loop.iter.func, "attr", "") == "items"
    pair = loop.target.elts if items and isinstance(loop.target, ast.Tuple) else []
    names = [it.id for it in pair if isinstance(it, ast.Name)]
    if len(names) == len(pair) == 2 and any(_tests(part, names[0]) for part in parts):
        frame.names[names[1]] = Altered(frame.names[names[1]], CHOSEN)


def _tests(part: ast.AST, name: str) -> bool:
    """Return whether a test in what is read asks for the name."""
    tests = [getattr(it, "test", None) for it in ast.walk(part)]
    tests += [part] if isinstance(part, ast.expr) else []
    names = [it for test in tests if test is not None for it in ast.walk(test)]
    return any(isinstance(it, ast.Name) and it.id == name for it in names)


def bind_attribute(
    frame: Frame, target: ast.Attribute, value: Value, declared: Value = UNKNOWN
) -> None:
    """Assign to an attribute; those of ``self`` are noted as attributes of the class.

    So is ``self.encoder.default = …``, which says what the encoder converts.
    """
    path = path_of(target)
    if not path:
        frame.value(target.value)
        return
    frame.touch(path)
    if frame.receiver and path == f"{frame.receiver}.{target.attr}":
        frame.assigned_to_self.append((target.attr, declared, value, target.lineno))
    elif frame.receiver and target.attr == "default" and path.startswith(f"{frame.receiver}."):
        frame.assigned_to_self.append((path.partition(".")[2], UNKNOWN, value, target.lineno))
    assign(frame.names, path, value)


def bind_item(frame: Frame, target: ast.Subscript, entry: Entry) -> None:
    """Assign to ``path[key]…[key]``."""
    keys: list[ast.expr] = []
    base: ast.expr = target
    while isinstance(base, ast.Subscript):
        keys.insert(0, base.slice)
        base = base.value
    path = path_of(base)
    names = [frame.value(key) for key in keys if not isinstance(key, ast.Slice)]
    if not path:
        frame.value(base)
        return
    frame.touch(path)
    if len(keys) == 1 and isinstance(keys[0], ast.Name):
        frame.stored_by.append((path, keys[0].id))
    if len(names) == len(keys) == 1 and frame.outlives(path):
        frame.stored.append(Stored(path, Entry(names[0], entry.value)))
    old = frame.value(base)
    if len(names) != len(keys) or weightless(old):
        replace(frame.names, old, UNKNOWN)
        return
    key_at = 0 if is_harmless(names[-1]) else frame.lines.at(keys[-1])
    placed = Entry(None, entry.value, entry.at, key_at=key_at)
    new = store(old, names, placed, target.lineno)
    note_change(frame, old, at_key(names[-1]))
    if path in frame.names and not isinstance(old, (Dict, Seq)):
        frame.names[path] = new
    elif path not in frame.names and "." not in path:
        return  # a variable of the module: `changed_globals` has it
    elif isinstance(old, (Dict, Seq)):
        replace(frame.names, old, new)
    else:
        frame.names[path] = new


def weightless(old: Value) -> bool:
    """Return whether nothing can be said of the items of the value."""
    return isinstance(old, (Const, Union))


def delete(frame: Frame, target: ast.expr) -> None:
    """Carry out ``del target``."""
    path = path_of(target)
    if path:
        frame.names.pop(path, None)
        return
    if isinstance(target, ast.Subscript):
        path = path_of(target.value)
        frame.touch(path)
        known = frame.names.get(path) if path else held(frame.value(target.value))
        old = UNKNOWN if known is None else known
        sliced = isinstance(target.slice, ast.Slice)
        note_change(frame, old, () if sliced else at_key(frame.value(target.slice)))
        if _is_all(target.slice) and isinstance(unmarked(old), (Call, Param, Present)):
            replace(frame.names, frame.names[path], altered(frame.names[path], "clear", ()))
        elif isinstance(old, Dict) and not sliced:
            replace(frame.names, old, without(old, frame.value(target.slice)))
        elif is_from_elsewhere(old) and not sliced:
            key = Argument("", frame.value(target.slice))
            replace(frame.names, old, altered(old, "pop", (key,)))
        elif isinstance(old, Seq):
            replace(frame.names, old, UNKNOWN)


def _is_all(part: ast.expr) -> bool:
    """Return whether the subscript is ``[:]``."""
    return isinstance(part, ast.Slice) and part.lower is part.upper is part.step is None
