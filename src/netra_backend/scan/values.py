"""Abstract values: what one file knows of an expression, and what another file must answer.

A value is either known (`Const`, `Instance`, `Dict`, `Seq`, `Text`) or symbolic: a path of names,
attributes, calls and items that `resolve` follows over all files. `UNKNOWN` is everything that
nobody can know, and what it touches becomes unknown too.

Lines are those of the expression; 0 means that there is none worth naming. The arrays and the
one-letter tags keep summaries small: a million lines of Python make some ten megabytes.
"""

from typing import TypeVar

from msgspec import Struct, structs


class Unknown(Struct, frozen=True, array_like=True, tag="?", gc=False):
    """Nothing is known, so nothing is said."""


class Const(Struct, frozen=True, array_like=True, tag="k", gc=False):
    """A literal that JSON accepts."""

    value: str | int | float | bool | None


class Instance(Struct, frozen=True, array_like=True, tag="i"):
    """An instance of the class with this dotted name, or of a subclass unless `exact`.

    `args` are the arguments of a generic class: of ``dict[str, UUID]`` two values.
    """

    cls: str
    args: "tuple[Value, ...]" = ()
    exact: bool = False
    line: int = 0


class Slot(Struct, frozen=True, array_like=True, tag="o", gc=False):
    """What a function without a name is given; `name` begins with where that stands."""

    name: str


class Lambda(Instance, frozen=True, array_like=True, tag="l"):
    """A function without a name: its positional parameters, as the slots that are in its result."""

    slots: tuple[str, ...] = ()
    result: "Value" = Unknown()


class Global(Struct, frozen=True, array_like=True, tag="g", gc=False):
    """What a dotted name stands for: a module, a class, a function or a module's variable."""

    name: str
    line: int = 0


class Param(Struct, frozen=True, array_like=True, tag="p", gc=False):
    """What the caller passes to the function in which the value stands."""

    name: str
    line: int = 0


class Captured(Struct, frozen=True, array_like=True, tag="u", gc=False):
    """What the `function` around was given by this name, perhaps to be called here."""

    name: str
    function: str


class Received(Struct, frozen=True, array_like=True, tag="r", gc=False):
    """What callers pass to a parameter of the `function`, by its qualified name in the file."""

    function: str
    name: str


class Attr(Struct, frozen=True, array_like=True, tag="a"):
    """An attribute."""

    base: "Value"
    name: str
    line: int = 0


class Item(Struct, frozen=True, array_like=True, tag="x"):
    """What a subscript gives."""

    base: "Value"
    key: "Value"
    line: int = 0


class Each(Struct, frozen=True, array_like=True, tag="e"):
    """What iteration gives; `asynchronous` is ``async for``."""

    base: "Value"
    line: int = 0


class Awaited(Struct, frozen=True, array_like=True, tag="w"):
    """What ``await`` gives."""

    base: "Value"
    line: int = 0


class Entered(Struct, frozen=True, array_like=True, tag="v"):
    """What ``with … as`` gives."""

    base: "Value"
    line: int = 0


class Present(Struct, frozen=True, array_like=True, tag="n"):
    """The value after a test has shown that it is not None."""

    base: "Value"


class Passed(Struct, frozen=True, array_like=True, tag="t"):
    """A container after it was handed to a function, which may have changed it."""

    base: "Value"
    func: "Value"
    place: int | str


class Argument(Struct, frozen=True, array_like=True):
    """An argument of a call: `name` is empty for positional ones, ``*`` and ``**`` for spreads.

    `at` is where the expression stands (`places`), 0 when it does not matter.
    """

    name: str
    value: "Value"
    at: int = 0


class Altered(Struct, frozen=True, array_like=True, tag="m"):
    """The value after a method was called on it that changes dicts, or argparse's parsers.

    `CHANGED` and `INSIDE` are only marks: of what changed it, `args` without a name are the keys
    that are something else since, those with one are functions by the place at which they got it.
    """

    base: "Value"
    method: str
    args: tuple[Argument, ...] = ()


class Call(Struct, frozen=True, array_like=True, tag="c"):
    """The result of a call."""

    func: "Value"
    args: tuple[Argument, ...] = ()
    line: int = 0
    at: int = 0


class Entry(Struct, frozen=True, array_like=True):
    """An item of a display. `key` is None in sequences, and in a dict for ``**value``.

    In a sequence a `spread` stands for ``*value``. `maybe` entries are there on some paths only.
    """

    key: "Value | None"
    value: "Value"
    at: int = 0
    maybe: bool = False
    spread: bool = False
    key_at: int = 0


class Dict(Struct, frozen=True, array_like=True, tag="d"):
    """A dict by its entries, later ones overwriting earlier ones."""

    entries: tuple[Entry, ...] = ()
    line: int = 0


class Seq(Struct, frozen=True, array_like=True, tag="s"):
    """A list, tuple, set or frozenset by its items."""

    cls: str
    entries: tuple[Entry, ...] = ()
    line: int = 0


class Text(Struct, frozen=True, array_like=True, tag="f"):
    """A string made of values: an f-string, or ``%`` with its arguments."""

    parts: tuple[Argument, ...] = ()


class Union(Struct, frozen=True, array_like=True, tag="|"):
    """One of these, by declaration or by the path taken."""

    options: "tuple[Value, ...]"


Value = (
    Unknown
    | Const
    | Instance
    | Slot
    | Lambda
    | Global
    | Param
    | Captured
    | Received
    | Attr
    | Item
    | Each
    | Awaited
    | Entered
    | Present
    | Passed
    | Altered
    | Call
    | Dict
    | Seq
    | Text
    | Union
)

Container = TypeVar("Container", bound=Dict | Seq)

UNKNOWN = Unknown()
NONE = Const(None)
CHANGED = "{}"
"""The mark of a value that was changed in ways of which we keep no more."""
INSIDE = "[]"
"""The mark of a value whose items were changed."""
CHOSEN = "?"
"""The mark of a value that was chosen from others by its key."""
_MOST_MARKS = 8
"""A value that was changed by more functions, or at more keys, is taken for changed everywhere."""
MAX_OPTIONS = 8
"""A union of more is cut, and what was cut is unknown."""

_PLAIN = frozenset(f"builtins.{name}" for name in ("str", "int", "float", "bool", "NoneType"))


def plain(name: str, line: int = 0) -> Instance:
    """Return an instance of a builtin class."""
    return Instance(f"builtins.{name}", (), True, line)


STR = plain("str")
INT = plain("int")
FLOAT = plain("float")
BOOL = plain("bool")
SLICE = plain("slice")
"""The key of ``x[1:3]``, whatever is left out at both ends."""


def is_harmless(value: Value) -> bool:
    """Return whether no encoder can refuse the value, or nobody can know: it need not be kept."""
    kind = type(value)
    if kind is Const or kind is Unknown or kind is Slot:
        return True
    if isinstance(value, Instance):
        return value.cls in _PLAIN
    if isinstance(value, Union):
        return all(is_harmless(option) for option in value.options)
    if isinstance(value, Text):
        return not value.parts
    if isinstance(value, Dict):
        return all(
            is_harmless(entry.value) and (entry.key is None or is_name(entry.key))
            for entry in value.entries
        )
    if isinstance(value, Seq):
        return value.cls in ("list", "tuple") and all(
            is_harmless(entry.value) for entry in value.entries
        )
    return False


def is_name(key: Value) -> bool:
    """Return whether the key is one that every encoder takes."""
    return isinstance(key, Const) and isinstance(key.value, str)


def union(options: list[Value]) -> Value:
    """Return one of these, flat and without repetition."""
    flat: list[Value] = []
    for option in options:
        for part in option.options if isinstance(option, Union) else (option,):
            if part not in flat:
                flat.append(part)
    if not flat:
        return UNKNOWN
    if len(flat) > MAX_OPTIONS:
        flat = [*flat[: MAX_OPTIONS - 1], UNKNOWN]
    return flat[0] if len(flat) == 1 else Union(tuple(flat))


def join(one: Value, other: Value) -> Value:
    """Return what is known where two paths meet."""
    if one is other:
        return one
    if isinstance(one, Dict) and isinstance(other, Dict):
        return _join_dicts(one, other)
    if isinstance(one, Seq) and isinstance(other, Seq) and one.cls == other.cls:
        return _join_sequences(one, other)
    return _grown(one, other) or _grown(other, one) or union([one, other])


def _grown(one: Value, other: Value) -> Value | None:
    """Return what the other is with the mark, or with what was stored in it, of one path."""
    if isinstance(one, Dict) and one.entries and one.entries[0].spread:
        start, *stored = one.entries
        if unmarked(start.value) == unmarked(other):
            return Dict((start, *map(weaken, stored)), one.line)
    bare, plain = unmarked(one), unmarked(other)
    same = bare == plain or (isinstance(bare, Present) and bare.base == plain)
    return _marked_as(one, other) if same and bare is not one else None


def _marked_as(value: Value, other: Value) -> Value:
    """Return the value with the marks of the other, too."""
    while isinstance(other, Altered) and other.method in (CHANGED, INSIDE):
        value, other = marked(value, other.method, other.args), other.base
    return value


def marked(value: Value, mark: str, by: tuple[Argument, ...] = ()) -> Value:
    """Return the value with the mark, which it bears once, for all that may have set it.

    Without any it is sure that the value was changed, and not at which keys.
    """
    part, above = value, []
    while isinstance(part, Altered) and part.method != mark:
        above.append(part)
        part = part.base
    if not isinstance(part, Altered):
        return Altered(value, mark, by)
    more = tuple(it for it in by if it not in part.args)
    if not part.args or (by and not more):
        return value
    few = by and len(part.args) + len(more) <= _MOST_MARKS
    value = Altered(part.base, mark, (*part.args, *more) if few else ())
    for it in reversed(above):
        value = Altered(value, it.method, it.args)
    return value


def unmarked(value: Value) -> Value:
    """Return the value as it was before it was changed."""
    while isinstance(value, Altered) and value.method in (CHANGED, INSIDE):
        value = value.base
    return value


def _join_dicts(one: Dict, other: Dict) -> Value:
    """Return the dict with the entries of both; what one path alone has is there only maybe."""
    shared = _common(one.entries, other.entries)
    rest = one.entries[shared:], other.entries[shared:]
    keys = [[e.key for e in side] for side in rest]
    entries = list(one.entries[:shared])
    for side, others in ((rest[0], rest[1]), (rest[1], keys[0])):
        for entry in side:
            if side is rest[0] and entry.key is not None and keys[1].count(entry.key) == 1:
                twin = next(e for e in rest[1] if e.key == entry.key)
                maybe = entry.maybe or twin.maybe
                value = join(entry.value, twin.value)
                entries.append(Entry(entry.key, value, entry.at, maybe, False, entry.key_at))
            elif side is rest[0] or entry.key is None or entry.key not in others:
                entries.append(weaken(entry))
    return Dict(tuple(entries), one.line)


def _join_sequences(one: Seq, other: Seq) -> Value:
    shared = _common(one.entries, other.entries)
    rest = one.entries[shared:] + other.entries[shared:]
    return Seq(one.cls, one.entries[:shared] + tuple(map(weaken, rest)), one.line)


def _common(one: tuple[Entry, ...], other: tuple[Entry, ...]) -> int:
    shared = 0
    for mine, yours in zip(one, other, strict=False):
        if mine is not yours and mine != yours:
            break
        shared += 1
    return shared


def weaken(entry: Entry) -> Entry:
    """Return the entry as one that is there on some paths only."""
    return Entry(entry.key, entry.value, entry.at, True, entry.spread, entry.key_at)


def loosened(container: Container) -> Container:
    """Return the container with entries that are there on some paths only."""
    return structs.replace(container, entries=tuple(map(weaken, container.entries)))
