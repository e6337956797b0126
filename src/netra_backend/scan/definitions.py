"""Definitions that are written as assignments: lambdas with a name, enums in functional form."""

import ast
from keyword import iskeyword

from netra_backend.scan.frame import Frame
from netra_backend.scan.values import Global

Definition = ast.FunctionDef | ast.ClassDef

_ENUMS = frozenset({"Enum", "Flag", "IntEnum", "IntFlag", "StrEnum"})
_SAYING_NOTHING = frozenset({"boundary", "module", "qualname", "start"})
"""Arguments of the functional form that do not matter for what the members are."""


def definition(frame: Frame, node: ast.Assign) -> Definition | None:
    """Return the function or class that the assignment makes, None if it makes neither."""
    target = node.targets[0]
    if not isinstance(target, ast.Name):
        return None
    if isinstance(node.value, ast.Lambda):
        return _function(node.value, target.id)
    if isinstance(node.value, ast.Call) and _makes_enum(frame, node.value.func):
        return _enum(node.value, target.id)
    return None


def _function(node: ast.Lambda, name: str) -> ast.FunctionDef:
    result = ast.copy_location(ast.Return(node.body), node.body)
    found = ast.FunctionDef(name=name, args=node.args, body=[result], decorator_list=[])
    return ast.copy_location(found, node)


def _makes_enum(frame: Frame, func: ast.expr) -> bool:
    """Return whether the function is a class of the standard library's enums."""
    name = getattr(func, "attr", None) or getattr(func, "id", None)
    if name not in _ENUMS:
        return False
    meant = frame.value(func)
    return isinstance(meant, Global) and meant.name.rpartition(".")[0] == "enum"


def _enum(node: ast.Call, name: str) -> ast.ClassDef | None:
    """Return ``Enum("Level", "LOW HIGH")`` as a class; the values of its members are not read."""
    given = {word.arg: word.value for word in node.keywords}
    listed = given.pop("names", None)
    mixin = given.pop("type", None)
    if listed is None and len(node.args) == 2:
        listed = node.args[1]
    if listed is None or not given.keys() <= _SAYING_NOTHING:
        return None
    members = _members(listed)
    if not members or not all(it.isidentifier() and not iskeyword(it) for it in members):
        return None
    body = "".join(f"\n {member} = 1" for member in members)
    (made,) = ast.parse(f"class {name}:{body}").body
    if not isinstance(made, ast.ClassDef):
        return None
    for part in ast.walk(made):
        if isinstance(part, (ast.stmt, ast.expr)):
            ast.copy_location(part, node)
    made.bases = [node.func] if mixin is None else [mixin, node.func]
    return made


def _members(node: ast.expr) -> list[str]:
    """Return the names of the members, none if they are not written there."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value.replace(",", " ").split()
    keys: list[ast.expr | None] = []
    if isinstance(node, ast.Dict):
        keys = [*node.keys]
    elif isinstance(node, (ast.List, ast.Tuple)):
        keys = [
            it.elts[0] if isinstance(it, (ast.Tuple, ast.List)) and it.elts else it
            for it in node.elts
        ]
    names = [it.value for it in keys if isinstance(it, ast.Constant)]
    texts = [it for it in names if isinstance(it, str)]
    return texts if len(texts) == len(keys) else []
