"""Marks what is changed under another name: an item of a container, or what a caller gave."""

from collections.abc import Iterator, Mapping, Sequence

from netra_backend.scan.containers import FROM_ELSEWHERE, is_receiver
from netra_backend.scan.environment import children, replace
from netra_backend.scan.frame import Frame, given
from netra_backend.scan.storing import Stored, entry_of
from netra_backend.scan.values import (
    CHANGED,
    INSIDE,
    SLICE,
    UNKNOWN,
    Argument,
    Attr,
    Call,
    Const,
    Dict,
    Each,
    Global,
    Instance,
    Item,
    Param,
    Present,
    Seq,
    Value,
    marked,
    unmarked,
)

_GIVEN = (Each, Param, Present)
_KNOWN = (Dict, Seq)
_VIEWS = frozenset({"get", "items", "values"})
_COPIES = frozenset({"__add__", "__mul__", "copy"})
"""Methods of lists that give one with the same items."""
_ITERATORS = frozenset(
    f"builtins.{name}" for name in ("enumerate", "iter", "list", "reversed", "sorted")
) | {"itertools.islice"}
"""Functions that give the items of their first argument."""
_JOINING = frozenset({"builtins.zip", "itertools.chain"})
"""Functions that give the items of all their arguments."""
_DEEPEST = 3


def note_change(frame: Frame, value: Value, by: tuple[Argument, ...]) -> None:
    """Mark a parameter or an item that is changed, and that of which it is an item."""
    if isinstance(unmarked(value), _GIVEN):
        replace(frame.names, value, marked(value, CHANGED, by))
    for whole in _wholes(value):
        if whole is value:
            continue
        _note_lasting(frame, whole, by)
        if isinstance(whole, (Param, Present, *_KNOWN, *FROM_ELSEWHERE)):
            for known in _alike(frame.names, unmarked(whole)):
                replace(frame.names, known, marked(known, INSIDE, by))


def _note_lasting(frame: Frame, whole: Value, by: tuple[Argument, ...]) -> None:
    """Note that items were changed of what is there when the function has returned."""
    module = f"{frame.file.module}."
    if isinstance(whole, Global) and whole.name.startswith(module):
        frame.changed_globals.add(whole.name.removeprefix(module))
    paths = [path for path, value in frame.names.items() if unmarked(value) is unmarked(whole)]
    if isinstance(whole, Attr) and isinstance(whole.base, Param):
        paths.append(f"{whole.base.name}.{whole.name}")
    for path in filter(frame.outlives, paths):
        for it in by or (Argument("", UNKNOWN),):
            frame.stored.append(Stored(path, entry_of(it)))


def at_key(key: Value) -> tuple[Argument, ...]:
    """Return by what a container is changed at the key; nothing if nobody can tell which it is."""
    return (Argument("", key),) if isinstance(key, Const) else ()


def at_keys(method: str, args: tuple[Argument, ...]) -> tuple[Argument, ...]:
    """Return by what the method of a dict changes it: the keys, if they are all written there."""
    keys: list[Value] = []
    for argument in args[:1] if method in ("pop", "setdefault") else args:
        if argument.name not in ("", "*", "**"):
            keys.append(Const(argument.name))
        elif method != "update":
            keys.append(argument.value)
        elif isinstance(argument.value, Dict) and argument.name != "*":
            keys += [argument.value if it.key is None else it.key for it in argument.value.entries]
        else:
            return ()
    told = tuple(it for key in keys for it in at_key(key))
    return told if len(told) == len(keys) else ()


def note_rewritten(frame: Frame, path: str, keys: Value) -> None:
    """Mark what a dict had at the keys, if they are written there, as replaced."""
    value = frame.names.get(path, UNKNOWN)
    by = tuple(Argument("", it.value) for it in keys.entries) if isinstance(keys, Seq) else ()
    if isinstance(value, Dict) and by and all(isinstance(it.value, Const) for it in by):
        replace(frame.names, value, marked(value, CHANGED, by))


def note_handing(frame: Frame, value: Value, func: Value, place: int | str) -> None:
    """Mark what is handed to a function at a place among its arguments: it may change that."""
    known = any(whole is not value and isinstance(whole, _KNOWN) for whole in _wholes(value))
    if known or not frame.classed.isdisjoint(given(value)):
        note_change(frame, value, (Argument(str(place), func),))


def is_from_elsewhere(value: Value) -> bool:
    """Return whether the value is what somebody else gave us, in which we keep single changes."""
    return isinstance(value, FROM_ELSEWHERE) and not isinstance(unmarked(value), (*_GIVEN, *_KNOWN))


def _wholes(value: Value) -> Iterator[Value]:
    """Yield that of which the value is an item, at any depth; else the value."""
    inner = unmarked(value)
    if isinstance(inner, Dict) and inner.entries and is_receiver(inner.entries[0]):
        first = inner.entries[0]  # that to which something was added since
        yield from (value if it is first.value else it for it in _wholes(first.value))
    elif isinstance(inner, Present):
        yield from (value if it is inner.base else it for it in _wholes(inner.base))
    elif isinstance(inner, (Each, Item)):
        if isinstance(inner, Item) and inner.key == SLICE:
            yield value
        yield from _wholes(inner.base)
        for item in _chosen(inner.base):
            yield from _wholes(item)
    elif isinstance(inner, Call) and isinstance(inner.func, Attr) and inner.func.name in _VIEWS:
        yield from _wholes(inner.func.base)
    else:
        yield value
        for part in _shared(inner):
            yield from _wholes(part)


def _chosen(chosen: Value) -> list[Value]:
    """Return the items of something else that a comprehension gives."""
    given: Sequence[Value] = chosen.args if isinstance(chosen, Instance) else ()
    if isinstance(chosen, Seq):
        given = [entry.value for entry in chosen.entries]
    return [it for it in given if isinstance(unmarked(it), (*_GIVEN, Item))]


def _shared(value: Value) -> list[Value]:
    """Return that of which something new has the items."""
    if isinstance(value, Seq):
        return [entry.value for entry in value.entries if entry.spread]
    if not isinstance(value, Call):
        return []
    args = [argument.value for argument in value.args]
    if isinstance(value.func, Attr) and value.func.name in _COPIES:
        return [value.func.base, *args]
    name = value.func.name if isinstance(value.func, Global) else ""
    if name == "builtins.filter":
        return args[1:]
    return args if name in _JOINING else args[: name in _ITERATORS]


def _alike(names: Mapping[str, Value], bare: Value) -> list[Value]:
    """Return what the names stand for, or hold, that is this with whatever marks."""
    found: list[Value] = []
    pending = [(value, 0) for value in names.values()]
    while pending:
        value, depth = pending.pop()
        if unmarked(value) is bare:
            if not any(value is it for it in found):
                found.append(value)
        elif isinstance(value, _KNOWN) and depth < _DEEPEST:
            pending += [(part, depth + 1) for part in children(value)]
    return found
