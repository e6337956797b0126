"""Type aliases: ``PathLike = str | Path`` as what an instance of it is; type variables."""

import ast
from collections.abc import Mapping

from netra_backend.scan.values import (
    NONE,
    UNKNOWN,
    Argument,
    Attr,
    Call,
    Const,
    Entry,
    Global,
    Instance,
    Item,
    Seq,
    Value,
    union,
)

_FORMS: Mapping[str, str] = {
    f"{module}.{name}": name
    for module in ("typing", "typing_extensions")
    for name in ("Union", "Optional")
}
_NEW_TYPES = frozenset({"typing.NewType", "typing_extensions.NewType"})
_TYPE_VARIABLE = Global("typing.TypeVar")
_GENERIC_BASE = Global("typing.Generic")
_DEEPEST = 8

_PLAIN = {
    f"{module}.{alias}": f"builtins.{name}"
    for module in ("typing", "typing_extensions")
    for alias, name in (
        ("List", "list"),
        ("Dict", "dict"),
        ("Set", "set"),
        ("FrozenSet", "frozenset"),
        ("Tuple", "tuple"),
        ("Text", "str"),
    )
} | {
    "typing.Deque": "collections.deque",
    "typing.DefaultDict": "collections.defaultdict",
    "typing.OrderedDict": "collections.OrderedDict",
    "typing.Counter": "collections.Counter",
}
_PLAIN |= {
    f"typing.{name}": f"collections.abc.{name}"
    for name in (
        "AsyncGenerator",
        "AsyncIterable",
        "AsyncIterator",
        "Awaitable",
        "Collection",
        "Coroutine",
        "Generator",
        "Iterable",
        "Iterator",
    )
}
_PLAIN |= {
    f"{module}.{name}": f"builtins.{plain}"
    for module in ("typing", "collections.abc")
    for name, plain in (
        ("Sequence", "list"),
        ("MutableSequence", "list"),
        ("Mapping", "dict"),
        ("MutableMapping", "dict"),
    )
}
_GENERIC = frozenset(f"builtins.{name}" for name in ("dict", "frozenset", "list", "set"))


def plain_name(name: str) -> str:
    """Return the class that an annotation means, by its name: ``typing.List`` is a list.

    What takes any sequence or mapping is mostly given a list or dict.
    """
    return _PLAIN.get(name, name)


def aliased(value: Value) -> Value:
    """Return an instance of the union, list, dict or new type that a module's variable names.

    Unknown for everything else: an alias of a single class is looked through by its name.
    """
    return UNKNOWN if isinstance(value, Global) else _instance(value, 0)


def type_variable(value: Value) -> str:
    """Return the name of the type variable that the call makes, empty if it makes none."""
    if not isinstance(value, Call) or not isinstance(value.func, Global) or not value.args:
        return ""
    name = value.args[0].value
    made = value.func.name in ("typing.TypeVar", "typing_extensions.TypeVar")
    return name.value if made and isinstance(name, Const) and isinstance(name.value, str) else ""


def own_variables(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> dict[str, Value]:
    """Return what the names in the brackets of ``class Page[T]`` or ``def first[T]`` stand for."""
    made: dict[str, Value] = {}
    for one in getattr(node, "type_params", ()):  # Python 3.12
        called = Call(_TYPE_VARIABLE, (Argument("", Const(one.name)),))
        made[one.name] = called if type(one).__name__ == "TypeVar" else UNKNOWN
    return made


def generic_base(variables: Mapping[str, Value]) -> tuple[Value, ...]:
    """Return ``Generic[…]``, which a class with type variables of its own has for a base."""
    if not variables:
        return ()
    entries = tuple(Entry(None, variable) for variable in variables.values())
    return (Item(_GENERIC_BASE, Seq("tuple", entries)),)


def instance_of(value: Value) -> Value:
    """Return an instance of the type that stands in the brackets of a generic one."""
    return _instance(value, 1)


def _instance(value: Value, depth: int) -> Value:
    if depth > _DEEPEST:
        return UNKNOWN
    if isinstance(value, Global):
        return Instance(value.name, (), False, value.line)
    if isinstance(value, Item) and isinstance(value.base, Global):
        inner = [_instance(part, depth + 1) for part in parts(value.key)]
        form = _FORMS.get(value.base.name)
        if form is not None:
            return union([*inner, NONE] if form == "Optional" else inner)
        name = plain_name(value.base.name)
        known = depth or name in _GENERIC
        return Instance(name, tuple(inner), False, value.line) if known else UNKNOWN
    if isinstance(value, Call) and _is_new_type(value.func) and len(value.args) == 2:
        return _instance(value.args[1].value, depth + 1)
    if isinstance(value, Call) and isinstance(value.func, Attr) and value.func.name == "__or__":
        sides = (value.func.base, *(argument.value for argument in value.args))
        return union([_instance(side, depth + 1) for side in sides])
    return NONE if value == NONE and depth else UNKNOWN


def _is_new_type(func: Value) -> bool:
    return isinstance(func, Global) and func.name in _NEW_TYPES


def parts(key: Value) -> list[Value]:
    """Return the types in the brackets of a generic one."""
    return [entry.value for entry in key.entries] if isinstance(key, Seq) else [key]
