"""Expressions as values, calls apart."""

import ast
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from netra_backend.scan.binding import bind, note_choice
from netra_backend.scan.containers import has_items, some_of
from netra_backend.scan.environment import assign, path_of, weight
from netra_backend.scan.frame import Frame, member
from netra_backend.scan.narrowing import narrowed, truth
from netra_backend.scan.values import (
    BOOL,
    INT,
    NONE,
    STR,
    UNKNOWN,
    Argument,
    Attr,
    Awaited,
    Call,
    Const,
    Dict,
    Each,
    Entry,
    Instance,
    Item,
    Lambda,
    Present,
    Seq,
    Slot,
    Text,
    Value,
    is_harmless,
    plain,
    union,
    weaken,
)

_OPERATORS: Mapping[type[ast.operator], str] = {
    ast.Add: "__add__",
    ast.Sub: "__sub__",
    ast.Mult: "__mul__",
    ast.Div: "__truediv__",
    ast.FloorDiv: "__floordiv__",
    ast.BitOr: "__or__",
    ast.BitAnd: "__and__",
}

_OF_SETS = (ast.BitAnd, ast.BitOr, ast.BitXor, ast.Sub)

_HEAVIEST_RESULT = 60
"""What a function without a name gives is given up if it is made of more nodes."""

_LONGEST_TEXT = 80
"""Longer strings are nobody's key or attribute name."""


def _constant(_frame: Frame, node: ast.Constant) -> Value:
    value = node.value
    if isinstance(value, str):
        return Const(value) if len(value) <= _LONGEST_TEXT and value.isprintable() else STR
    if value is None or isinstance(value, bool):
        return Const(value)
    if isinstance(value, int):
        return Const(value) if -(2**53) < value < 2**53 else INT
    if isinstance(value, float):
        return plain("float")
    return plain(type(value).__name__, node.lineno)


def _name(frame: Frame, node: ast.Name) -> Value:
    value = frame.names.get(node.id)
    return frame.outer(node.id) if value is None else value


def _attribute(frame: Frame, node: ast.Attribute) -> Value:
    path = path_of(node)
    if path and path in frame.names:
        return frame.names[path]
    if node.attr == "__dict__" and frame.has_changed(path_of(node.value)):
        return UNKNOWN
    return member(frame.value(node.value), node.attr, node.lineno)


def _subscript(frame: Frame, node: ast.Subscript) -> Value:
    base = frame.value(node.value)
    if isinstance(node.slice, ast.Slice):
        frame.visit([node.slice.lower, node.slice.upper, node.slice.step])
        return some_of(base, node.lineno)
    key = frame.value(node.slice)
    return UNKNOWN if base is UNKNOWN else Item(base, key, node.lineno)


def _sequence(frame: Frame, node: ast.List | ast.Tuple | ast.Set) -> Value:
    kind = type(node).__name__.lower()
    return Seq(kind, tuple([frame.entry(None, item) for item in node.elts]), node.lineno)


def _dict(frame: Frame, node: ast.Dict) -> Value:
    entries = []
    for key, item in zip(node.keys, node.values, strict=True):
        if key is None:
            entries.append(Entry(None, frame.value(item), spread=True))
        else:
            entries.append(frame.entry(key, item))
    return Dict(tuple(entries), node.lineno)


def _comprehension(frame: Frame, node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> Value:
    with _inside(frame, node.generators) as certain:
        item = frame.entry(None, node.elt)
    if isinstance(node, ast.GeneratorExp):
        return Instance("types.GeneratorType", (item.value,), True, node.lineno)
    kind = "list" if isinstance(node, ast.ListComp) else "set"
    if certain is None:
        return Seq(kind, (), node.lineno)
    return Seq(kind, (Entry(None, item.value, item.at, not certain),), node.lineno)


def _dict_comprehension(frame: Frame, node: ast.DictComp) -> Value:
    with _inside(frame, node.generators) as certain:
        item = frame.entry(node.key, node.value)
    if certain is None:
        return Dict((), node.lineno)
    entry = Entry(item.key, item.value, item.at, not certain, key_at=item.key_at)
    return Dict((entry,), node.lineno)


@contextmanager
def _inside(frame: Frame, generators: list[ast.comprehension]) -> Iterator[bool | None]:
    """Bind the targets inside; give whether at least one item is sure to come, None if none is."""
    with frame.inner_names():
        if any(frame.is_empty(generator.iter) for generator in generators):
            with frame.unreached():
                _generators(frame, generators)
                yield None
        else:
            yield _generators(frame, generators)


def _generators(frame: Frame, generators: list[ast.comprehension]) -> bool:
    """Bind the targets; return whether at least one item is sure to come."""
    certain = True
    for generator in generators:
        iterable = frame.value(generator.iter)
        certain = certain and not generator.ifs and has_items(iterable)
        item = UNKNOWN if iterable is UNKNOWN else Each(iterable, generator.target.lineno)
        bind(frame, generator.target, item)
        note_choice(frame, generator, generator.ifs)
        for test in generator.ifs:
            frame.value(test)
            frame.names.update(narrowed(frame, test)[0])
    return certain


def _text(frame: Frame, node: ast.JoinedStr) -> Value:
    parts = []
    for piece in node.values:
        if isinstance(piece, ast.FormattedValue):
            value = frame.value(piece.value)
            if isinstance(piece.format_spec, ast.JoinedStr):
                _text(frame, piece.format_spec)
            if piece.conversion == -1 and not is_harmless(value):
                parts.append(Argument("", value, frame.place(piece.value)))
    return Text(tuple(parts))


def _binary(frame: Frame, node: ast.BinOp) -> Value:
    left, right = frame.value(node.left), frame.value(node.right)
    if is_text(left):
        if isinstance(node.op, ast.Mod) and not is_harmless(right):
            return Text(_formatted(frame, node.right))
        return STR
    if isinstance(node.op, ast.BitOr) and isinstance(left, Dict):
        return Dict((*left.entries, Entry(None, right, spread=True)), node.lineno)
    if isinstance(node.op, ast.Add) and isinstance(left, Seq) and left.cls != "set":
        more = right.entries if isinstance(right, Seq) else (Entry(None, right, spread=True),)
        return Seq(left.cls, left.entries + more, node.lineno)
    if isinstance(left, Seq) and left.cls == "set" and isinstance(node.op, _OF_SETS):
        return Seq("set", tuple(map(weaken, left.entries)), node.lineno)
    operator = _OPERATORS.get(type(node.op))
    if operator is None or is_harmless(left) or isinstance(left, (Dict, Seq)):
        return UNKNOWN
    return Call(Attr(left, operator), (Argument("", right),), node.lineno)


def _formatted(frame: Frame, node: ast.expr) -> tuple[Argument, ...]:
    """Return the arguments of ``"…" % node``."""
    if isinstance(node, ast.Dict):
        return ()
    items = node.elts if isinstance(node, ast.Tuple) else [node]
    arguments = [frame.argument("", item) for item in items if not isinstance(item, ast.Starred)]
    return tuple(a for a in arguments if not is_harmless(a.value))


def is_text(value: Value) -> bool:
    """Return whether the value is sure to be a string."""
    if isinstance(value, Const):
        return isinstance(value.value, str)
    return value is STR or isinstance(value, Text)


def _boolean(frame: Frame, node: ast.BoolOp) -> Value:
    conjunction = isinstance(node.op, ast.And)
    values = []
    with frame.inner_names():
        for item in node.values:
            if frame.is_empty(item) and item is not node.values[-1] and not conjunction:
                continue  # the next one is taken in its stead
            values.append(frame.value(item))
            if frame.is_empty(item) and conjunction:
                return values[-1]
            frame.names.update(narrowed(frame, item)[0 if conjunction else 1])
    if conjunction:
        return union([UNKNOWN, values[-1]])
    return union([*(_present(value) for value in values[:-1]), values[-1]])


def _present(value: Value) -> Value:
    """Return what ``value or …`` gives when it is true."""
    if value == NONE:
        return UNKNOWN
    return value if is_harmless(value) or isinstance(value, (Dict, Seq)) else Present(value)


def _conditional(frame: Frame, node: ast.IfExp) -> Value:
    frame.value(node.test)
    options = []
    sure = truth(frame, node.test)
    branches = (True, node.body), (False, node.orelse)
    for known, (taken, branch) in zip(narrowed(frame, node.test), branches, strict=True):
        if sure is not None and sure is not taken:
            with frame.unreached(), frame.inner_names():
                frame.value(branch)
            continue
        with frame.inner_names():
            frame.names.update(known)
            options.append(frame.value(branch))
    return union(options)


def _comparison(frame: Frame, node: ast.Compare) -> Value:
    sides = (node.left, *node.comparators)
    frame.visit(sides)
    for side in sides:
        if isinstance(side, ast.Call) and path_of(side.func) == "type" and side.args:
            frame.guard(side.args[0])
    return BOOL


def _unary(frame: Frame, node: ast.UnaryOp) -> Value:
    value = frame.value(node.operand)
    if isinstance(node.op, ast.Not):
        return BOOL
    return UNKNOWN if is_harmless(value) else Call(Attr(value, "__neg__"), (), node.lineno)


def _lambda(frame: Frame, node: ast.Lambda) -> Value:
    own = node.args
    slots = {it.arg: _slot(node, it.arg) for it in (*own.posonlyargs, *own.args)}
    others = [it.arg for it in (*own.kwonlyargs, own.vararg, own.kwarg) if it is not None]
    with frame.inner_names():
        frame.names.update(slots)
        frame.names.update(dict.fromkeys(others, UNKNOWN))
        result = frame.value(node.body)
    if weight(result, _HEAVIEST_RESULT) > _HEAVIEST_RESULT:
        result = UNKNOWN
    names = tuple(slot.name for slot in slots.values())
    return Lambda("types.FunctionType", (), True, node.lineno, names, result)


def _slot(node: ast.Lambda, name: str) -> Slot:
    return Slot(f"{node.lineno}:{node.col_offset}:{name}")


def _await(frame: Frame, node: ast.Await) -> Value:
    value = frame.value(node.value)
    return UNKNOWN if value is UNKNOWN else Awaited(value, node.lineno)


def _yield(frame: Frame, node: ast.Yield) -> Value:
    frame.yields.append(NONE if node.value is None else frame.value(node.value))
    return UNKNOWN


def _yield_from(frame: Frame, node: ast.YieldFrom) -> Value:
    value = frame.value(node.value)
    frame.yields.append(UNKNOWN if value is UNKNOWN else Each(value, node.lineno))
    return UNKNOWN


def _starred(frame: Frame, node: ast.Starred) -> Value:
    return frame.value(node.value)


def _walrus(frame: Frame, node: ast.NamedExpr) -> Value:
    value = frame.value(node.value)
    assign(frame.names, node.target.id, value)
    frame.walruses.append(node.target.id)
    return value


EXPRESSIONS: Mapping[type, Callable[[Frame, Any], Value]] = {
    ast.Attribute: _attribute,
    ast.Await: _await,
    ast.BinOp: _binary,
    ast.BoolOp: _boolean,
    ast.Compare: _comparison,
    ast.Constant: _constant,
    ast.Dict: _dict,
    ast.DictComp: _dict_comprehension,
    ast.GeneratorExp: _comprehension,
    ast.IfExp: _conditional,
    ast.JoinedStr: _text,
    ast.Lambda: _lambda,
    ast.List: _sequence,
    ast.ListComp: _comprehension,
    ast.Name: _name,
    ast.NamedExpr: _walrus,
    ast.Set: _sequence,
    ast.SetComp: _comprehension,
    ast.Starred: _starred,
    ast.Subscript: _subscript,
    ast.Tuple: _sequence,
    ast.UnaryOp: _unary,
    ast.Yield: _yield,
    ast.YieldFrom: _yield_from,
}
"""How each kind of expression is evaluated."""
