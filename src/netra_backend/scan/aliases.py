"""Type aliases: ``PathLike = str | Path`` as what an instance of it is."""

from collections.abc import Mapping

from netra_backend.scan.values import (
    NONE,
    UNKNOWN,
    Attr,
    Call,
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
_DEEPEST = 8


def aliased(value: Value) -> Value:
    """Return an instance of the union that the value of a module's variable names.

    Unknown for everything else: an alias of a single class is looked through by its name.
    """
    return UNKNOWN if isinstance(value, Global) else _instance(value, 0)


def _instance(value: Value, depth: int) -> Value:
    if depth > _DEEPEST:
        return UNKNOWN
    if isinstance(value, Global):
        return Instance(value.name, (), False, value.line)
    if isinstance(value, Item) and isinstance(value.base, Global):
        inner = [_instance(part, depth + 1) for part in _parts(value.key)]
        form = _FORMS.get(value.base.name)
        if form is not None:
            return union([*inner, NONE] if form == "Optional" else inner)
        return Instance(value.base.name, tuple(inner), False, value.line) if depth else UNKNOWN
    if isinstance(value, Call) and isinstance(value.func, Attr) and value.func.name == "__or__":
        sides = (value.func.base, *(argument.value for argument in value.args))
        return union([_instance(side, depth + 1) for side in sides])
    return NONE if value == NONE and depth else UNKNOWN


def _parts(key: Value) -> list[Value]:
    return [entry.value for entry in key.entries] if isinstance(key, Seq) else [key]
