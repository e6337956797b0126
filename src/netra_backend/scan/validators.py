"""Validators of models: the fields of which they may make something of another type.

pydantic's ``field_validator`` (and ``validator`` of pydantic 1) gives a field what the method
returns, whatever the field's annotation promises.
"""

import ast
from collections.abc import Iterator

from netra_backend.scan.environment import path_of

EVERY = "*"
"""The name under which a validator is for all fields."""

_DECORATORS = frozenset({"field_validator", "validator"})


def remade(node: ast.ClassDef) -> frozenset[str]:
    """Return the names of the fields that validators of this class may turn into another type.

    A validator does not that is called before the field's type is looked at, says that it returns
    what the field is, or only ever returns what it was given.
    """
    types = {
        item.target.id: ast.unparse(item.annotation)
        for item in node.body
        if isinstance(item, ast.AnnAssign) and isinstance(item.target, ast.Name)
    }
    return frozenset(
        name
        for method in node.body
        if isinstance(method, ast.FunctionDef) and not _returns_the_given(method)
        for name in _fields(method)
        if method.returns is None or ast.unparse(method.returns) != types.get(name)
    )


def _fields(method: ast.FunctionDef) -> Iterator[str]:
    for decorator in method.decorator_list:
        if isinstance(decorator, ast.Call) and _is_validator(decorator):
            for name in decorator.args:
                yield str(name.value) if isinstance(name, ast.Constant) else EVERY


def _is_validator(call: ast.Call) -> bool:
    """Return whether it has the last word on the field."""
    early = [
        word
        for word in call.keywords
        if isinstance(word.value, ast.Constant)
        and (word.arg, word.value.value) in (("mode", "before"), ("pre", True))
    ]
    return path_of(call.func).rpartition(".")[2] in _DECORATORS and not early


def _returns_the_given(method: ast.FunctionDef) -> bool:
    names = {argument.arg for argument in (*method.args.posonlyargs, *method.args.args)}
    for inner in ast.walk(method):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            names.discard(inner.id)
    returned = [inner.value for inner in ast.walk(method) if isinstance(inner, ast.Return)]
    return all(isinstance(value, ast.Name) and value.id in names for value in returned)
