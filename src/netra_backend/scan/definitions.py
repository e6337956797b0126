"""Definitions that are written as assignments: lambdas with a name, and the functional forms of
enums and named tuples."""

import ast
from keyword import iskeyword

from netra_backend.scan.frame import Frame
from netra_backend.scan.values import Global

Definition = ast.FunctionDef | ast.ClassDef

_ENUMS = frozenset(f"enum.{name}" for name in ("Enum", "Flag", "IntEnum", "IntFlag", "StrEnum"))
_NAMED_TUPLES = frozenset({"collections.namedtuple", "typing.NamedTuple"})
_LAST_NAMES = frozenset(name.rpartition(".")[2] for name in _ENUMS | _NAMED_TUPLES)
_SAYING_NOTHING = frozenset({"boundary", "module", "qualname", "start"})
"""Arguments of the functional form that do not matter for what the members are."""


def definition(frame: Frame, node: ast.Assign) -> Definition | None:
    """Return the function or class that the assignment makes, None if it makes neither."""
    target = node.targets[0]
    if not isinstance(target, ast.Name):
        return None
    if isinstance(node.value, ast.Lambda):
        return _function(node.value, target.id)
    if not isinstance(node.value, ast.Call):
        return None
    made = _meant(frame, node.value.func)
    if made in _ENUMS:
        return _enum(node.value, target.id)
    return _named_tuple(node.value, target.id) if made in _NAMED_TUPLES else None


def _function(node: ast.Lambda, name: str) -> ast.FunctionDef:
    result = ast.copy_location(ast.Return(node.body), node.body)
    found = ast.FunctionDef(name=name, args=node.args, body=[result], decorator_list=[])
    return ast.copy_location(found, node)


def _meant(frame: Frame, func: ast.expr) -> str:
    """Return the dotted name of what may have a functional form, empty for everything else."""
    name = getattr(func, "attr", None) or getattr(func, "id", None)
    meant = frame.value(func) if name in _LAST_NAMES else None
    return meant.name if isinstance(meant, Global) else ""


def _enum(node: ast.Call, name: str) -> ast.ClassDef | None:
    """Return ``Enum("Level", "LOW HIGH")`` as a class; the values of its members are not read."""
    given = {word.arg: word.value for word in node.keywords}
    listed = given.pop("names", None)
    mixin = given.pop("type", None)
    if listed is None and len(node.args) == 2:
        listed = node.args[1]
    if listed is None or not given.keys() <= _SAYING_NOTHING:
        return None
    made = _class(node, name, _members(listed), " = 1")
    if made is not None and mixin is not None:
        made.bases.insert(0, mixin)
    return made


def _named_tuple(node: ast.Call, name: str) -> ast.ClassDef | None:
    """Return ``namedtuple("Point", "x y")`` as a class with these fields; defaults are not read."""
    words = {word.arg: word.value for word in node.keywords}
    listed = node.args[1] if len(node.args) == 2 else words.get("field_names")
    made = None if listed is None else _class(node, name, _members(listed), ": object")
    if made is not None and isinstance(listed, (ast.List, ast.Tuple)):
        for field, item in zip(made.body, listed.elts, strict=True):
            if isinstance(field, ast.AnnAssign) and isinstance(item, (ast.List, ast.Tuple)):
                field.annotation = item.elts[-1]
    return made


def _class(node: ast.Call, name: str, members: list[str], rest: str) -> ast.ClassDef | None:
    """Return a class with these members, each with the same rest; None if they are not known."""
    if not members or not all(it.isidentifier() and not iskeyword(it) for it in members):
        return None
    body = "".join(f"\n {member}{rest}" for member in members)
    (made,) = ast.parse(f"class {name}:{body}").body
    if not isinstance(made, ast.ClassDef):
        return None
    for part in ast.walk(made):
        if isinstance(part, (ast.stmt, ast.expr)):
            ast.copy_location(part, node)
    made.bases = [node.func]
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
