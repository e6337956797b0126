"""What a function's head says: parameters, decorators, and what a ``default=`` function handles."""

import ast

from netra_backend.scan import annotations
from netra_backend.scan.declarations import Handled, Parameter, ParamKind, Trait
from netra_backend.scan.environment import path_of
from netra_backend.scan.frame import Frame
from netra_backend.scan.matching import options, takes_all
from netra_backend.scan.values import UNKNOWN, Call, Const, Global, Instance, Value, union

Definition = ast.FunctionDef | ast.AsyncFunctionDef

_DECORATORS = {
    "staticmethod": Trait.STATIC,
    "classmethod": Trait.CLASS,
    "property": Trait.PROPERTY,
    "cached_property": Trait.PROPERTY,
    "abstractmethod": Trait.ABSTRACT,
    "overload": Trait.OVERLOAD,
    "contextmanager": Trait.CONTEXT,
    "asynccontextmanager": Trait.CONTEXT,
    "cache": Trait.NONE,
    "lru_cache": Trait.NONE,
    "final": Trait.NONE,
    "override": Trait.NONE,
    "computed_field": Trait.NONE,
    "deprecated": Trait.NONE,
    "no_grad": Trait.NONE,
    "on_exception": Trait.NONE,
    "on_predicate": Trait.NONE,
    "retry": Trait.NONE,
    "wraps": Trait.NONE,
}
"""Decorators by their last name, and what they make of a function; others may do anything.

Those of tenacity and backoff call it again, with the same arguments.
"""


def traits(node: Definition, owner: str) -> int:
    """Return what the function is."""
    found = Trait.ASYNC if isinstance(node, ast.AsyncFunctionDef) else Trait.NONE
    for decorator in node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = path_of(target).rpartition(".")[2]
        found |= _DECORATORS.get(name, Trait.DECORATED)
    if owner and not found & Trait.STATIC:
        found |= Trait.METHOD
    if node.name in ("__new__", "__init_subclass__", "__class_getitem__"):
        found |= Trait.CLASS
    return found


def decorators(frame: Frame, node: Definition) -> tuple[Value, ...]:
    """Return the decorators that may do anything; `frame` is the scope of the definition."""
    found: list[Value] = []
    for decorator in node.decorator_list:
        called = isinstance(decorator, ast.Call)
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        if path_of(target).rpartition(".")[2] not in _DECORATORS:
            value = frame.value(target) if path_of(target) else UNKNOWN
            found.append(Call(value) if called else value)
    return tuple(found)


def decorates(name: str) -> str:
    """Return under which name functions are found that are decorated by what is named so."""
    return f"@{name.rpartition('.')[2]}"


def parameters(frame: Frame, node: Definition, owner: str, found: int) -> tuple[Parameter, ...]:
    """Return the parameters; `frame` is the scope in which the function is defined."""
    own = node.args
    positional = [*own.posonlyargs, *own.args]
    defaults: list[ast.expr | None] = [None] * (len(positional) - len(own.defaults))
    defaults.extend(own.defaults)
    result = []
    for index, (arg, default) in enumerate(zip(positional, defaults, strict=True)):
        annotation = _annotation(frame, arg)
        if index == 0 and found & Trait.METHOD:
            annotation = UNKNOWN if found & Trait.CLASS else Instance(owner)
        result.append(
            Parameter(arg.arg, ParamKind.POSITIONAL, annotation, _default(frame, default))
        )
    if own.vararg is not None:
        result.append(Parameter(own.vararg.arg, ParamKind.VARIADIC, _annotation(frame, own.vararg)))
    for arg, default in zip(own.kwonlyargs, own.kw_defaults, strict=True):
        annotation = _annotation(frame, arg)
        result.append(Parameter(arg.arg, ParamKind.KEYWORD, annotation, _default(frame, default)))
    if own.kwarg is not None:
        result.append(Parameter(own.kwarg.arg, ParamKind.KEYWORDS, _annotation(frame, own.kwarg)))
    return tuple(result)


def _annotation(frame: Frame, arg: ast.arg) -> Value:
    return annotations.read(arg.annotation, frame.lookup)


def _default(frame: Frame, node: ast.expr | None) -> Value | None:
    """Return a default that needs no evaluation; of others nothing is known."""
    if node is None:
        return None
    if isinstance(node, (ast.Constant, ast.Name, ast.Attribute)):
        return frame.value(node)
    return UNKNOWN


def annotated(parameter: Parameter) -> Value:
    """Return what the annotation says of the parameter inside the function."""
    declared = parameter.annotation
    if parameter.kind is ParamKind.VARIADIC:
        return UNKNOWN if declared is UNKNOWN else Instance("builtins.tuple", (declared,))
    if parameter.kind is ParamKind.KEYWORDS:
        key = Instance("builtins.str")
        return UNKNOWN if declared is UNKNOWN else Instance("builtins.dict", (key, declared))
    if declared is not UNKNOWN and parameter.default == Const(None):
        return union([declared, Const(None)])
    return declared


def handled(frame: Frame, node: Definition) -> Handled:
    """Return what the function converts when it is used as ``default=``.

    It refuses the rest only if it is a row of ``if isinstance(o, …): return …``, or of ``case``
    for classes, that ends in ``raise`` or ``super().default(o)``; of any other form we believe
    that it handles everything.
    """
    names = [arg.arg for arg in (*node.args.posonlyargs, *node.args.args)]
    if not names or len(names) > 2:
        return Handled()
    classes: list[Value] = []
    *pending, last = node.body
    if isinstance(last, ast.Match) and takes_all(last.cases[-1].pattern):
        pending.append(ast.Match(last.subject, last.cases[:-1]))
        last = last.cases[-1].body[-1]
    if not _refuses(last):
        return Handled()
    while pending:
        statement = pending.pop(0)
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            continue
        if isinstance(statement, ast.If):
            tested = _tested(frame, statement.test, names[-1])
            pending = [*statement.orelse, *pending]
        else:
            tested = _matched(frame, statement, names[-1])
        if tested is None:
            return Handled()
        classes.extend(tested)
    return Handled(tuple(classes), everything=False)


def _refuses(last: ast.stmt) -> bool:
    if isinstance(last, ast.Raise):
        return True
    return (
        isinstance(last, ast.Return)
        and isinstance(last.value, ast.Call)
        and isinstance(last.value.func, ast.Attribute)
        and last.value.func.attr == "default"
    )


def _matched(frame: Frame, statement: ast.stmt, name: str) -> list[Value] | None:
    if not isinstance(statement, ast.Match) or path_of(statement.subject) != name:
        return None
    tops = [it for case in statement.cases for it in options(case.pattern)]
    values = [frame.value(it.cls) for it in tops if isinstance(it, ast.MatchClass)]
    known = len(values) == len(tops) and all(isinstance(value, Global) for value in values)
    return values if known else None


def _tested(frame: Frame, test: ast.expr, name: str) -> list[Value] | None:
    if not (isinstance(test, ast.Call) and path_of(test.func) == "isinstance"):
        return None
    if len(test.args) != 2 or path_of(test.args[0]) != name:
        return None
    kinds = test.args[1].elts if isinstance(test.args[1], ast.Tuple) else [test.args[1]]
    values = [frame.value(kind) for kind in kinds]
    return values if all(isinstance(value, Global) for value in values) else None
