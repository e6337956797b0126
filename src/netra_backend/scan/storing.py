"""What functions store in containers that outlive them: in attributes of ``self``, and in globals.

When it is stored, and whether it is still there, nobody can tell: it is there maybe.
"""

from collections.abc import Iterable, Iterator

from msgspec import Struct

from netra_backend.scan.containers import receiver
from netra_backend.scan.environment import weight
from netra_backend.scan.grounding import Params, ground
from netra_backend.scan.values import (
    INSIDE,
    UNKNOWN,
    Argument,
    Call,
    Const,
    Dict,
    Entry,
    Global,
    Instance,
    Received,
    Seq,
    Value,
    is_harmless,
    is_name,
    marked,
)

_HEAVIEST = 100
_MOST = 12
"""More items of one container come from generated code."""

_ANYTHING = Entry(UNKNOWN, UNKNOWN, maybe=True)
_DICTS = frozenset({"collections.defaultdict", "collections.OrderedDict"})
_ONE = frozenset({"append", "appendleft", "add"})


class Stored(Struct, frozen=True):
    """An item that is stored in what the path names; `entry` has no key in a sequence.

    One that is `spread` stores nothing: it says what has changed the items (`entry_of`).
    """

    path: str
    entry: Entry


def stored(path: str, method: str, args: tuple[Argument, ...]) -> Iterator[Stored]:
    """Yield what the method of a container stores in it."""
    values = [argument.value for argument in args if not argument.name]
    if method in _ONE and len(values) == 1:
        yield Stored(path, Entry(None, values[0]))
    elif method in ("insert", "setdefault") and len(values) == 2:
        yield Stored(path, Entry(values[0] if method == "setdefault" else None, values[1]))
    elif method == "update":
        for argument in args:
            if isinstance(argument.value, Dict) and not argument.name:
                yield from (Stored(path, it) for it in argument.value.entries if not it.spread)
            elif argument.name not in ("", "*", "**"):
                yield Stored(path, Entry(Const(argument.name), argument.value))


def entry_of(by: Argument) -> Entry:
    """Return the entry that says by what items were changed: at a key, or by a function."""
    if by.name:
        return Entry(Const(by.name), by.value, spread=True)
    return Entry(by.value, UNKNOWN, spread=True)


def _changed(container: Value, entry: Entry) -> Value:
    """Return the container with the mark of what `entry_of` says."""
    key = entry.key if isinstance(entry.key, Const) else None
    if key is None:
        return marked(container, INSIDE)
    if entry.value is UNKNOWN:
        return marked(container, INSIDE, (Argument("", key),))
    return marked(container, INSIDE, (Argument(f"{key.value}", entry.value),))


def grounded(items: Iterable[Stored], params: Params) -> Iterator[Stored]:
    """Yield the items without the parameters of the function that stores them."""
    for item in items:
        key, value = item.entry.key, ground(item.entry.value, params)
        if weight(value, _HEAVIEST) > _HEAVIEST:
            value = UNKNOWN
        key = None if key is None else ground(key, params)
        yield Stored(item.path, Entry(key, value, maybe=True, spread=item.entry.spread))


def with_items(container: Value, items: list[Entry]) -> Value:
    """Return the container with what is stored in it anywhere, in any order."""
    container = _filled(container, [entry for entry in items if not entry.spread])
    for entry in items:
        if entry.spread and container is not UNKNOWN:
            container = _changed(container, entry)
    return container


def _filled(container: Value, items: list[Entry]) -> Value:
    worth = list(dict.fromkeys(entry for entry in items if not _is_plain(entry)))
    named = [entry for entry in items if is_name(entry.key or UNKNOWN)]
    plain = [entry.key for entry in named if _is_plain(entry)]
    stale = [entry.key for entry in named if isinstance(entry.value, Received)] + plain
    if worth:
        container = _opened(container)
    if isinstance(container, Dict):
        old = [entry for entry in container.entries if entry.spread or entry.key not in stale]
        new = [entry for entry in worth if entry.key is not None and entry.key not in plain]
        if len(old) == len(container.entries) and not new:
            return container
        return Dict((*old, _ANYTHING, *new[:_MOST]), container.line)
    if isinstance(container, Seq) and container.cls == "list":
        new = [entry for entry in worth if entry.key is None]
        rest = Entry(None, UNKNOWN, maybe=True)
        if new:
            return Seq("list", (*container.entries, rest, *new[:_MOST]), container.line)
    return container


def _opened(container: Value) -> Value:
    """Return the container as one to which items can be added."""
    if isinstance(container, Call) and isinstance(container.func, Global):
        known = container.func.name in _DICTS
        return Dict((receiver(container),), container.line) if known else container
    if isinstance(container, Instance) and container.exact and not container.args:
        if container.cls == "builtins.dict":
            return Dict((), container.line)
        if container.cls == "builtins.list":
            return Seq("list", (), container.line)
    return container


def _is_plain(entry: Entry) -> bool:
    """Return whether nothing is to be said of the item, which under a name replaces another."""
    return (is_harmless(entry.value) or _is_text(entry.value)) and (
        entry.key is None or entry.key is UNKNOWN or is_harmless(entry.key)
    )


def _is_text(value: Value) -> bool:
    return isinstance(value, Call) and value.func == Global("builtins.str")
