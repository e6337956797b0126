"""What the methods of lists, dicts and sets do to the containers we know item by item."""

from netra_backend.scan.environment import weight
from netra_backend.scan.values import (
    INSIDE,
    NONE,
    SLICE,
    UNKNOWN,
    Altered,
    Argument,
    Awaited,
    Call,
    Const,
    Dict,
    Each,
    Entry,
    Global,
    Item,
    Passed,
    Seq,
    Value,
    is_harmless,
    loosened,
    marked,
    unmarked,
    weaken,
)

MUTATORS = frozenset(
    {
        "add",
        "append",
        "appendleft",
        "clear",
        "discard",
        "extend",
        "insert",
        "pop",
        "popitem",
        "remove",
        "reverse",
        "setdefault",
        "sort",
        "update",
    }
)

OF_DICTS = frozenset({"clear", "pop", "setdefault", "update"})
"""Those that say something of a value which may turn out to be a dict."""

FROM_ELSEWHERE = (Altered, Awaited, Call, Item)

_FILLED_BY = {"append": "list", "add": "set"}
"""What has the method that stores one item."""

_HEAVIEST = 200
_LONGEST = 200
"""Containers of more items come from generated code; what they hold is given up."""


def mutate(
    old: Dict | Seq | Passed, method: str, args: tuple[Argument, ...]
) -> tuple[Value, Value]:
    """Return the container after the method, and what the method returned."""
    if isinstance(old, Seq):
        return _mutate_sequence(old, method, args)
    known = old if isinstance(old, Dict) else Dict((receiver(old),))
    return _mutate_dict(known, method, args)


def altered(old: Value, method: str, args: tuple[Argument, ...]) -> Value:
    """Return what somebody else gave us after the method, unknown when that is too much to keep."""
    value = Altered(old, method, args)
    return value if weight(value, _HEAVIEST) <= _HEAVIEST else UNKNOWN


def receiver(base: Value) -> Entry:
    """Return the entry that stands for a container of which other entries are said."""
    return Entry(None, base, maybe=True, spread=True)


def opened(value: Value) -> Value:
    """Return a container whose items were changed as one that holds those, and to which more can
    come; else the value."""
    bare = unmarked(value)
    if bare is value or not isinstance(bare, (Dict, Seq)):
        return value
    if isinstance(bare, Dict):
        return Dict((receiver(value),), bare.line)
    return Seq(bare.cls, (Entry(None, value, spread=True),), bare.line)


def is_receiver(entry: Entry) -> bool:
    """Return whether the entry stands for the container itself, and is no copy of another."""
    return entry.spread and entry.maybe


def _mutate_dict(old: Dict, method: str, args: tuple[Argument, ...]) -> tuple[Value, Value]:
    entries = old.entries
    key = args[0].value if args and not args[0].name else UNKNOWN
    match method:
        case "update":
            for argument in args:
                if argument.name in ("", "*", "**"):
                    entries = (*entries, Entry(None, argument.value, spread=True))
                else:
                    entries = (*entries, Entry(Const(argument.name), argument.value, argument.at))
            return limited(Dict(entries, old.line)), NONE
        case "setdefault" if len(args) == 2:
            there = any(entry.key == key and not entry.maybe for entry in entries)
            new = Entry(key, args[1].value, args[1].at, maybe=_may_hold(entries, key))
            return old if there else limited(Dict((*entries, new), old.line)), Item(old, key)
        case "pop":
            return without(old, key), Item(old, key)
        case "clear":
            return Dict((), old.line), NONE
    return UNKNOWN, UNKNOWN


def _may_hold(entries: tuple[Entry, ...], key: Value) -> bool:
    return not isinstance(key, Const) or any(
        entry.key == key or not isinstance(entry.key, Const) for entry in entries
    )


def _mutate_sequence(old: Seq, method: str, args: tuple[Argument, ...]) -> tuple[Value, Value]:
    entries = old.entries
    match method:
        case "append" | "add" | "appendleft" if len(args) == 1:
            new = Entry(None, args[0].value, args[0].at)
            return limited(Seq(old.cls, (*entries, new), old.line)), NONE
        case "insert" if len(args) == 2:
            new = Entry(None, args[1].value, args[1].at)
            return limited(Seq(old.cls, (*entries, new), old.line)), NONE
        case "extend" | "update":
            spread = tuple(Entry(None, argument.value, spread=True) for argument in args)
            return limited(Seq(old.cls, entries + spread, old.line)), NONE
        case "sort" | "reverse":
            return old, NONE
        case "clear":
            return Seq(old.cls, (), old.line), NONE
        case "pop" | "remove" | "discard":
            return loosened(old), Each(old)
    return UNKNOWN, UNKNOWN


def limited(value: Dict | Seq) -> Value:
    """Return the container, or unknown when it has grown too long to follow."""
    return value if len(value.entries) <= _LONGEST else UNKNOWN


def without(old: Dict, key: Value) -> Value:
    """Return the dict after ``del d[key]``."""
    if not isinstance(key, Const):
        return loosened(old)
    kept = []
    for entry in old.entries:
        if entry.key == key:
            continue
        kept.append(entry if isinstance(entry.key, Const) else weaken(entry))
    # what a spread brought may be gone now, and we cannot say so of one of its keys
    if any(entry.spread for entry in kept):
        kept = [weaken(entry) for entry in kept if not entry.spread]
        kept.insert(0, receiver(UNKNOWN))
    return Dict(tuple(kept), old.line)


def held(value: Value) -> Value | None:
    """Return what stands at the key of a dict that we know, None where nobody can tell."""
    if not isinstance(value, Item):
        return None
    base = held(value.base) if isinstance(value.base, Item) else value.base
    if not isinstance(base, Dict):
        return None
    for entry in reversed(base.entries):
        if entry.key == value.key:
            return None if entry.maybe else entry.value
        if not isinstance(entry.key, Const) or not isinstance(value.key, Const):
            return None
    return None


def filled(item: Item, method: str, args: tuple[Argument, ...]) -> Value | None:
    """Return the dict after ``d[key].append(value)`` where we have not seen the key: it was there,
    or the dict is a ``defaultdict``. None if it is no such call."""
    if len(args) != 1 or args[0].name:
        return None
    base, new = item.base, Entry(None, args[0].value, args[0].at)
    if isinstance(base, Dict) and method == "append":
        entries, inside = base.entries, Seq("list", (receiver(UNKNOWN), new), item.line)
    elif isinstance(base, Call) and (made := _made_by_default(base)) == _FILLED_BY.get(method):
        entries, inside = (), Seq(made, (new,), item.line)
    else:
        return None
    return limited(Dict((*entries, Entry(item.key, inside)), base.line))


def _made_by_default(value: Call) -> str:
    """Return the builtin class that ``defaultdict(…)`` makes its items of; empty of all else."""
    args = [argument.value for argument in value.args]
    if not isinstance(value.func, Global) or value.func.name != "collections.defaultdict":
        return ""
    made = args[0].name if len(args) == 1 and isinstance(args[0], Global) else ""
    return made.removeprefix("builtins.")


def store(base: Value, keys: list[Value], value: Entry, line: int) -> Value:
    """Return the container after ``base[key]…[key] = value``."""
    key, *inner = keys
    base = opened(base)
    if inner:
        return _store_inside(base, key, inner, value, line)
    if isinstance(base, Seq):
        return _store_in_sequence(base, value)
    known = base.entries if isinstance(base, Dict) else (receiver(base),)
    since = base.line if isinstance(base, Dict) else line
    entries = known if isinstance(key, Const) is False else _less(known, key)
    new = Entry(key, value.value, value.at, key_at=value.key_at)
    return limited(Dict((*entries, new), since))


def _less(entries: tuple[Entry, ...], key: Value) -> tuple[Entry, ...]:
    return tuple(entry for entry in entries if entry.key != key)


def _store_in_sequence(base: Seq, value: Entry) -> Value:
    """Any item may be the one that was replaced."""
    kept = tuple(map(weaken, base.entries))
    return limited(Seq(base.cls, (*kept, Entry(None, value.value, value.at)), base.line))


def _store_inside(base: Value, key: Value, inner: list[Value], value: Entry, line: int) -> Value:
    if isinstance(base, (Dict, Seq)) and not isinstance(key, Const):
        last = inner[-1]
        return marked(base, INSIDE, (Argument("", last),) if isinstance(last, Const) else ())
    if not isinstance(base, Dict):
        return UNKNOWN
    for index, entry in enumerate(base.entries):
        if entry.key == key:
            changed = store(entry.value, inner, value, line)
            new = Entry(key, changed, entry.at, entry.maybe, key_at=entry.key_at)
            return Dict((*base.entries[:index], new, *base.entries[index + 1 :]), base.line)
    return base


def has_items(value: Value) -> bool:
    """Return whether iteration over the value is sure to give something."""
    return isinstance(value, (Dict, Seq)) and any(
        not entry.maybe and not entry.spread for entry in value.entries
    )


def some_of(value: Value, line: int) -> Value:
    """Return what a slice gives."""
    if isinstance(value, Seq):
        return Seq(value.cls, (Entry(None, value, spread=True),), line)
    return UNKNOWN if is_harmless(value) or isinstance(value, Dict) else Item(value, SLICE, line)
