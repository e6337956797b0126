"""Annotations as values: what an instance of the annotated type is."""

import ast
from collections.abc import Callable

from netra_backend.scan.aliases import aliased, plain_name, type_variable
from netra_backend.scan.values import (
    NONE,
    UNKNOWN,
    Entry,
    Global,
    Instance,
    Seq,
    Value,
    union,
)

Lookup = Callable[[str], Value]
"""Gives the value of a name where the annotation stands."""

_TRANSPARENT = frozenset(
    f"{module}.{name}"
    for module in ("typing", "typing_extensions")
    for name in ("Annotated", "Final", "ClassVar", "Required", "NotRequired", "ReadOnly")
) | {"dataclasses.InitVar"}
"""Forms whose first argument is the type."""

VARIABLE = "typing.TypeVar."
"""Stands before the name of a type variable where a class would have its module."""

_TYPING = frozenset({"typing", "typing_extensions"})
_DEEPEST = 20


def read(node: ast.expr | None, lookup: Lookup, depth: int = 0) -> Value:
    """Return an instance of the annotated type, or unknown."""
    if node is None or depth > _DEEPEST:
        return UNKNOWN
    if isinstance(node, ast.Constant):
        return _constant(node, lookup, depth)
    if isinstance(node, (ast.Name, ast.Attribute)):
        meant = lookup(node.id) if isinstance(node, ast.Name) else UNKNOWN
        variable = type_variable(meant)
        if variable:
            return Instance(f"{VARIABLE}{variable}", (), False, node.lineno)
        alias = aliased(meant)
        return alias if alias is not UNKNOWN else _instance(dotted(node, lookup), node.lineno)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr):
        return _union([node.left, node.right], lookup, depth)
    if isinstance(node, ast.Subscript):
        return _generic(node, lookup, depth)
    return UNKNOWN


def dotted(node: ast.expr, lookup: Lookup) -> str:
    """Return the dotted name that a name or attribute stands for, or an empty string."""
    if isinstance(node, ast.Name):
        value = lookup(node.id)
        return value.name if isinstance(value, Global) else ""
    if isinstance(node, ast.Attribute):
        base = dotted(node.value, lookup)
        return f"{base}.{node.attr}" if base else ""
    return ""


def _instance(name: str, line: int) -> Value:
    name = plain_name(name)
    module, _, last = name.rpartition(".")
    if module in _TYPING and last == "Self":
        return Instance("typing.Self", (), False, line)
    if not name or module in _TYPING or name == "builtins.object":
        return UNKNOWN
    if last == "None":
        return NONE
    return Instance(name, (), False, line)


def _constant(node: ast.Constant, lookup: Lookup, depth: int) -> Value:
    if node.value is None:
        return NONE
    if not isinstance(node.value, str):
        return UNKNOWN
    try:
        parsed = ast.parse(node.value.strip(), mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return UNKNOWN
    for part in ast.walk(parsed):
        if isinstance(part, ast.expr):
            part.lineno = node.lineno
    return read(parsed, lookup, depth + 1)


def _union(parts: list[ast.expr], lookup: Lookup, depth: int) -> Value:
    return union([read(part, lookup, depth + 1) for part in parts])


def _generic(node: ast.Subscript, lookup: Lookup, depth: int) -> Value:
    name = dotted(node.value, lookup)
    inner = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
    module, _, last = name.rpartition(".")
    if name in _TRANSPARENT and any(_converts(part) for part in inner[1:]):
        return UNKNOWN
    if name in _TRANSPARENT and inner:
        return read(inner[0], lookup, depth + 1)
    if module in _TYPING and last == "Optional":
        return union([read(inner[0], lookup, depth + 1), NONE])
    if module in _TYPING and last == "Union":
        return _union(inner, lookup, depth)
    if module in _TYPING and last == "Literal":
        return _literal(inner)
    base = _instance(name, node.lineno)
    if not isinstance(base, Instance):
        return UNKNOWN
    args = tuple(
        UNKNOWN
        if isinstance(part, ast.Constant) and part.value is Ellipsis
        else read(part, lookup, depth + 1)
        for part in inner
    )
    if base.cls == "builtins.tuple":
        if len(inner) != 2 or not _is_ellipsis(inner[1]):
            return Seq("tuple", tuple(Entry(None, arg) for arg in args), node.lineno)
        args = (args[0],)
    return Instance(base.cls, args, False, node.lineno)


def _converts(node: ast.expr) -> bool:
    """Return whether what stands beside a type may make something else of it.

    pydantic's serializers and validators do, and what is only named may be one.
    """
    if not isinstance(node, ast.Call):
        return isinstance(node, (ast.Name, ast.Attribute))
    name = str(getattr(node.func, "attr", "") or getattr(node.func, "id", ""))
    if name == "Field":
        return any(word.arg in ("exclude", None) for word in node.keywords)
    return name.endswith(("Serializer", "Validator")) and name != "BeforeValidator"


def _is_ellipsis(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is Ellipsis


def _literal(parts: list[ast.expr]) -> Value:
    values: list[Value] = []
    for part in parts:
        if isinstance(part, ast.Constant) and isinstance(part.value, (str, int, type(None))):
            values.append(Instance(f"builtins.{type(part.value).__name__}"))
        else:
            return UNKNOWN
    return union(values)
