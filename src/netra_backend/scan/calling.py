"""Calls as values: what they return, what they change, and which may hand a value to a sink."""

import ast
from collections.abc import Iterator, Mapping

from msgspec import structs

from netra_backend.scan.changing import (
    at_keys,
    is_from_elsewhere,
    note_change,
    note_handing,
)
from netra_backend.scan.commandline import told
from netra_backend.scan.containers import (
    FROM_ELSEWHERE,
    MUTATORS,
    OF_DICTS,
    altered,
    filled,
    held,
    mutate,
    opened,
)
from netra_backend.scan.declarations import Site
from netra_backend.scan.deferring import deferred
from netra_backend.scan.environment import path_of, replace
from netra_backend.scan.frame import Frame, given, member
from netra_backend.scan.storing import stored
from netra_backend.scan.values import (
    BOOL,
    FLOAT,
    INT,
    NONE,
    STR,
    UNKNOWN,
    Altered,
    Argument,
    Attr,
    Call,
    Const,
    Dict,
    Entry,
    Global,
    Instance,
    Item,
    Param,
    Passed,
    Present,
    Seq,
    Value,
    is_harmless,
    unmarked,
)

GUARDS = frozenset({"isinstance", "hasattr", "issubclass", "callable", "is_dataclass"})
"""Whoever asks these about a value treats it specially, and we do not follow how."""

_RESULTS: Mapping[str, Value] = {
    f"builtins.{name}": value
    for value, names in (
        (INT, ("len", "int", "id", "hash", "ord")),
        (FLOAT, ("float",)),
        (BOOL, ("bool", "any", "all")),
        (STR, ("repr", "ascii", "chr", "hex", "format", "input")),
        (NONE, ("print", "setattr", "delattr")),
    )
    for name in names
}

_DICTS = frozenset({"builtins.dict", "collections.OrderedDict"})

_SEQUENCES = frozenset({"builtins.frozenset", "builtins.set", "builtins.tuple"})

_TEXT_METHODS = frozenset(
    {"isoformat", "strftime", "model_dump_json", "hexdigest", "as_posix", "join"}
)

_CONTAINERS = (Dict, Seq, Passed)

_OF_LISTS = frozenset({"append", "extend", "insert"})

_CHANGING = MUTATORS | {"add_argument"}

_OF_ATTRIBUTES = frozenset({"asdict", "vars"})

_DUMPS = frozenset({"dict", "encode", "iterencode", "model_dump"})
"""Methods that go by what the attributes hold, which may be no longer what the class declares."""

_KEEPING_MODULES = frozenset(
    {"json", "logging", "builtins", "copy", "orjson", "ujson", "simplejson", "msgspec", "pprint"}
)
"""Functions of these do not change their arguments."""

LOG_METHODS = frozenset(
    {"debug", "info", "warning", "warn", "error", "exception", "critical", "log"}
)
"""The methods of loggers of every make that write a record."""


def call(frame: Frame, node: ast.Call) -> Value:
    """Return what the call returns."""
    callee = node.func
    func = frame.value(callee)
    if isinstance(callee, ast.Name) and callee.id in GUARDS and node.args:
        return _guard(frame, node)
    args = tuple(_arguments(frame, node))
    if _shows_changed(frame, node):
        return UNKNOWN
    if frame.owner and not args and isinstance(func, Global) and func.name == "builtins.super":
        args = (Argument("", Global(frame.owner)), Argument("", Param(frame.receiver)))
    if type(func) is Global:
        known = _known_result(func.name, args, node.lineno)
        if known is not None:
            return known
    if isinstance(callee, ast.Attribute):
        changed = _mutate_item(frame, callee, func, args) or _clear_attribute(frame, callee)
        changed = changed or _mutate(frame, callee, args)
        if changed is not None:
            return changed
        if callee.attr in _TEXT_METHODS:
            return STR
        frame.forget(callee.value)
    at = frame.lines.at(node)
    _note(frame, node, func, args, at)
    _hand_over(frame, node, func, args)
    return UNKNOWN if func is UNKNOWN else Call(func, args, node.lineno, at)


def _shows_changed(frame: Frame, node: ast.Call) -> bool:
    """Return whether the call gives what attributes hold that were assigned here."""
    callee = node.func
    name = getattr(callee, "attr", None) or getattr(callee, "id", None)
    if name in _DUMPS and isinstance(callee, ast.Attribute):
        return frame.has_changed(path_of(callee.value))
    return name in _OF_ATTRIBUTES and bool(node.args) and frame.has_changed(path_of(node.args[0]))


def _arguments(frame: Frame, node: ast.Call) -> Iterator[Argument]:
    for item in node.args:
        if isinstance(item, ast.Starred):
            yield Argument("*", frame.value(item.value))
        else:
            yield frame.argument("", item)
    for keyword in node.keywords:
        if keyword.arg is None:
            yield Argument("**", frame.value(keyword.value))
        else:
            yield frame.argument(keyword.arg, keyword.value)


def _guard(frame: Frame, node: ast.Call) -> Value:
    frame.visit(node.args)
    frame.guard(node.args[0])
    return BOOL


def _known_result(name: str, args: tuple[Argument, ...], line: int) -> Value | None:
    if name in _RESULTS:
        return _RESULTS[name]
    if name in _DICTS:
        return Dict(tuple(entry for argument in args for entry in _dict_entries(argument)), line)
    if name in _SEQUENCES and not args:
        return Seq(name.removeprefix("builtins."), (), line)
    if name == "builtins.getattr":
        attribute = args[1].value if len(args) >= 2 else UNKNOWN
        if isinstance(attribute, Const) and isinstance(attribute.value, str):
            return member(args[0].value, attribute.value, line)
        return UNKNOWN
    return None


def _dict_entries(argument: Argument) -> tuple[Entry, ...]:
    if argument.name not in ("", "*", "**"):
        return (Entry(Const(argument.name), argument.value, argument.at),)
    pairs = None if argument.name else _pairs(argument.value)
    return (Entry(None, argument.value, spread=True),) if pairs is None else pairs


def _pairs(value: Value) -> tuple[Entry, ...] | None:
    """Return what ``dict(…)`` makes of pairs that are written there, None of anything else."""
    if isinstance(value, Seq):
        items = value.entries
    elif isinstance(value, Instance) and value.cls == "types.GeneratorType":
        items = tuple(Entry(None, item, maybe=True) for item in value.args)
    else:
        return None
    pairs = []
    for it in items:
        pair = it.value.entries if isinstance(it.value, Seq) and not it.spread else ()
        if len(pair) != 2 or any(part.maybe or part.spread for part in pair):
            return None
        key, thing = pair
        pairs.append(Entry(key.value, thing.value, thing.at, it.maybe, key_at=key.at))
    return tuple(pairs)


def _clear_attribute(frame: Frame, callee: ast.Attribute) -> Value | None:
    """Carry out ``self.items.clear()`` of what is not assigned here; None of another call."""
    path = path_of(callee.value) if callee.attr == "clear" else ""
    if "." not in path or path in frame.names or not frame.outlives(path):
        return None
    frame.touch(path)
    frame.names[path] = altered(frame.value(callee.value), "clear", ())
    return NONE


def _mutate(frame: Frame, callee: ast.Attribute, args: tuple[Argument, ...]) -> Value | None:
    """Carry out ``d.update(…)`` and the like; None when it is no such call."""
    if callee.attr not in _CHANGING:
        return None
    inside = _defaulted(frame, callee.value)
    if isinstance(inside, (Dict, Seq)):
        changed, result = mutate(inside, callee.attr, args)
        replace(frame.names, inside, changed)
        return result
    path = path_of(callee.value)
    frame.touch(path)
    if frame.outlives(path):
        frame.stored.extend(stored(path, callee.attr, args))
    old = frame.names.get(path) if path else None
    if callee.attr == "add_argument" and isinstance(old, FROM_ELSEWHERE):
        if told(args):
            replace(frame.names, old, altered(old, "add_argument", told(args)))
        return UNKNOWN
    if callee.attr in OF_DICTS and old is not None:
        note_change(frame, old, at_keys(callee.attr, args))
        if is_from_elsewhere(old):
            replace(frame.names, old, altered(old, callee.attr, args))
        elif callee.attr == "clear" and isinstance(unmarked(old), (Param, Present)):
            replace(frame.names, frame.names[path], altered(frame.names[path], "clear", ()))
    if old is None or not isinstance(known := _known(old, callee.attr), _CONTAINERS):
        return None
    new, result = mutate(known, callee.attr, args)
    replace(frame.names, old, new)
    return result


def _known(old: Value, method: str) -> Value:
    """Return what a method is called on; of what was cleared, the method says what it is."""
    cleared = isinstance(old, Altered) and old.method == "clear"
    return Seq("list") if cleared and method in _OF_LISTS else opened(old)


def _mutate_item(
    frame: Frame, callee: ast.Attribute, func: Value, args: tuple[Argument, ...]
) -> Value | None:
    """Carry out ``d[key].append(…)`` and the like; None when we do not know what is there."""
    item = func.base if isinstance(func, Attr) else None
    subscript = isinstance(callee.value, ast.Subscript) and callee.attr in MUTATORS
    if not isinstance(item, Item) or not subscript:
        return None
    inside = held(item)
    if isinstance(inside, (Dict, Seq)):
        changed, result = mutate(inside, callee.attr, args)
        replace(frame.names, inside, changed)
        return result
    whole = None if inside is not None else filled(item, callee.attr, args)
    if whole is None:
        return None
    replace(frame.names, item.base, whole)
    return NONE


def _defaulted(frame: Frame, node: ast.expr) -> Value | None:
    """Return what ``d.setdefault(key, …)``, which has been read, gave of a dict that we know."""
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
        return None
    if node.func.attr != "setdefault" or len(node.args) != 2:
        return None
    known = frame.names.get(path_of(node.func.value))
    calls = any(isinstance(part, ast.Call) for part in ast.walk(node.args[0]))
    if calls or not isinstance(known, Dict):
        return None
    key = frame.value(node.args[0])
    return next((entry.value for entry in reversed(known.entries) if entry.key == key), None)


def _note(frame: Frame, node: ast.Call, func: Value, args: tuple[Argument, ...], at: int) -> None:
    """Note the call, unless nothing that it is given can matter or a failure is caught."""
    if frame.guarded or func is UNKNOWN or all(is_harmless(argument.value) for argument in args):
        return
    site = Site(frame.function, func, args, node.lineno, at, frame.conditional, frame.required)
    frame.file.sites.append(site)
    told = deferred(func, args)
    if told is not None:
        deferring = structs.replace(site, func=told[0], args=told[1], at=-at, told=func)
        frame.file.sites.append(deferring)


def _hand_over(frame: Frame, node: ast.Call, func: Value, args: tuple[Argument, ...]) -> None:
    """The function may change the containers it is given."""
    if isinstance(func, Global) and func.name.partition(".")[0] in _KEEPING_MODULES:
        return
    if isinstance(node.func, ast.Attribute) and node.func.attr in LOG_METHODS:
        return
    for index, item in enumerate(node.args):
        _hand(frame, func, item, index, args[index].value)
    for keyword, argument in zip(node.keywords, args[len(node.args) :], strict=False):
        if keyword.arg is not None:  # of a ``**`` the function gets a copy
            _hand(frame, func, keyword.value, keyword.arg, argument.value)


def _is_container(value: Value) -> bool:
    bare = unmarked(value)
    return isinstance(bare, (Dict, Seq)) and bool(bare.entries)


def _is_parsed(value: Value) -> bool:
    return (
        isinstance(value, Call) and isinstance(value.func, Attr) and value.func.name == "parse_args"
    )


def _hand(frame: Frame, func: Value, item: ast.expr, place: int | str, found: Value) -> None:
    path = path_of(item)
    value = frame.names.get(path) if path else held(found)
    if value is not None:
        frame.changes.update(given(value))
        note_handing(frame, value, func, place)
        if _is_container(value) or _is_parsed(value):
            replace(frame.names, value, Passed(value, func, place))
    if path:
        frame.forget(item)
