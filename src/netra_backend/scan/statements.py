"""Statements: one forward pass, in which paths part at branches and meet after them.

A loop's body is read once, with what holds in its first round: what is found there is true of
that round, and what only a later round would show is not found.
"""

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from netra_backend.scan import annotations
from netra_backend.scan.binding import bind, bind_attribute, delete, note_choice
from netra_backend.scan.changing import at_keys, note_change, note_rewritten
from netra_backend.scan.definitions import definition
from netra_backend.scan.environment import Names, assign, merge, path_of, replace
from netra_backend.scan.frame import Frame, Nested, has_default
from netra_backend.scan.imports import bind_imports
from netra_backend.scan.matching import Matching, takes_all
from netra_backend.scan.narrowing import narrowed, truth
from netra_backend.scan.values import (
    UNKNOWN,
    Argument,
    Const,
    Dict,
    Each,
    Entered,
    Entry,
    Global,
    Instance,
    Param,
    Seq,
    Value,
    union,
)

_CAUGHT = frozenset({"TypeError", "JSONEncodeError", "EncodeError", "PydanticSerializationError"})
_BROAD = frozenset({"Exception", "BaseException"})
_SUPPRESSORS = frozenset({"suppress", "raises", "assertRaises", "assertRaisesRegex"})

SHORT_TRY = 2
"""``except Exception`` after at most so many statements is taken for a guard of what they do;
around more it is the last resort of a whole function, and what fails in it still fails."""


def run(frame: Frame, body: Sequence[ast.stmt]) -> bool:
    """Read the statements; return whether what follows them is reached."""
    for statement in body:
        read = _STATEMENTS.get(type(statement))
        if read is not None and not read(frame, statement):
            return False
    return True


def _expression(frame: Frame, node: ast.Expr) -> bool:
    if not isinstance(node.value, ast.Constant):
        frame.value(node.value)
    return True


def _assign(frame: Frame, node: ast.Assign) -> bool:
    made = definition(frame, node)
    if made is not None:
        return _definition(frame, made)
    value = frame.value(node.value)
    if has_default(node.value):
        frame.defaulted.update(filter(None, map(path_of, node.targets)))
    for target in node.targets:
        bind(frame, target, value, node.value)
    return True


def _annotated(frame: Frame, node: ast.AnnAssign) -> bool:
    declared = annotations.read(node.annotation, frame.lookup)
    value = UNKNOWN if node.value is None else frame.value(node.value)
    if isinstance(node.target, ast.Name):
        frame.declared[node.target.id] = declared
        if node.value is None and frame.function:
            return True
    known = isinstance(value, (Const, Dict, Seq)) or (isinstance(value, Instance) and value.exact)
    if not known and declared is not UNKNOWN and node.value is not None:
        value = declared
    if isinstance(node.target, ast.Attribute):
        bind_attribute(frame, node.target, value, declared)
    elif node.value is not None or not isinstance(node.target, ast.Name):
        bind(frame, node.target, value, node.value)
    return True


def _augmented(frame: Frame, node: ast.AugAssign) -> bool:
    value = frame.value(node.value)
    target = node.target
    if isinstance(target, ast.Subscript):
        bind(frame, target, UNKNOWN)
        return True
    path = path_of(target)
    if not path:
        return True
    frame.touch(path)
    old = frame.names.get(path)
    if isinstance(old, (Dict, Seq)):
        spread = Entry(None, value, spread=True)
        new: Value = UNKNOWN
        if isinstance(old, Dict) and isinstance(node.op, ast.BitOr):
            new = Dict((*old.entries, spread), old.line)
        elif isinstance(old, Seq) and isinstance(node.op, ast.Add):
            new = Seq(old.cls, (*old.entries, spread), old.line)
        replace(frame.names, old, new)
    else:
        if isinstance(node.op, ast.BitOr) and isinstance(value, Dict) and old is not None:
            note_change(frame, old, at_keys("update", (Argument("", value),)))
        augmented = ast.BinOp(left=target, op=node.op, right=node.value)
        bind(frame, target, frame.value(ast.copy_location(augmented, node)))
    return True


def _return(frame: Frame, node: ast.Return) -> bool:
    frame.results.append(Const(None) if node.value is None else frame.value(node.value))
    return False


def _raise(frame: Frame, node: ast.Raise) -> bool:
    frame.visit([node.exc, node.cause])
    return False


def _assert(frame: Frame, node: ast.Assert) -> bool:
    frame.visit([node.test, node.msg])
    frame.names.update(narrowed(frame, node.test)[0])
    return True


def _delete(frame: Frame, node: ast.Delete) -> bool:
    for target in node.targets:
        delete(frame, target)
    return True


def _global(frame: Frame, node: ast.Global | ast.Nonlocal) -> bool:
    frame.global_names.update(node.names)
    return True


def _jump(frame: Frame, _node: ast.Break | ast.Continue) -> bool:
    if frame.exits:
        frame.exits[-1].append(frame.names)
    return False


def _definition(frame: Frame, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> bool:
    name = frame.prefix + node.name
    frame.nested.append(Nested(node, name, dict(frame.names) if frame.function else {}))
    if not isinstance(node, ast.ClassDef):
        frame.visit([*node.args.defaults, *node.args.kw_defaults])
    frame.visit([d for d in node.decorator_list if isinstance(d, ast.Call)])
    if frame.function:
        _note_nonlocal(frame, node)
    frame.names[node.name] = Global(f"{frame.file.module}.{name}", node.lineno)
    return True


def _note_nonlocal(frame: Frame, node: ast.stmt) -> None:
    inside = [name for it in ast.walk(node) if isinstance(it, ast.Nonlocal) for name in it.names]
    for name in frame.names.keys() & set(inside):
        frame.rebound_inside.add(name)
        assign(frame.names, name, UNKNOWN)


# --- branches ------------------------------------------------------------------------------


def _branch(frame: Frame, known: Names, body: Sequence[ast.stmt], start: Names) -> Names | None:
    """Read one branch from `start`; return the names at its end, None if it is not reached."""
    frame.names = {**start, **known}
    inside, frame.conditional = frame.conditional, True
    alive = run(frame, body)
    frame.conditional = inside
    return frame.names if alive else None


def _meet(frame: Frame, ends: Sequence[Names | None]) -> bool:
    """Go on with what holds on all paths that come here; those that do not are early exits."""
    alive = [names for names in ends if names is not None]
    if len(alive) < len(ends):
        frame.conditional = True
    if not alive:
        return False
    names = alive[0]
    for other in alive[1:]:
        names = merge(names, other)
    frame.names = names
    return True


def _if(frame: Frame, node: ast.If) -> bool:
    if path_of(node.test).rpartition(".")[2] == "TYPE_CHECKING":
        return run(frame, node.body)
    frame.value(node.test)
    positive, negative = narrowed(frame, node.test)
    start, required = frame.names, frame.required
    sure = truth(frame, node.test)
    name, flag = _flag(frame, node.test)
    ends = []
    for known, body, taken in ((positive, node.body, True), (negative, node.orelse, False)):
        if sure is not None and sure is not taken:
            with frame.unreached():
                _branch(frame, known, body, start)
            continue
        if name:
            frame.required = (*required, (name, taken is flag))
        ends.append(_branch(frame, known, body, start))
    frame.required = required
    return _meet(frame, ends)


def _flag(frame: Frame, test: ast.expr) -> tuple[str, bool]:
    """Return the parameter that is tested, and whether it is true then; else an empty name."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        name, truth = _flag(frame, test.operand)
        return name, not truth
    value = frame.names.get(test.id) if isinstance(test, ast.Name) else None
    return (value.name, True) if isinstance(value, Param) else ("", True)


def _for(frame: Frame, node: ast.For | ast.AsyncFor) -> bool:
    iterable = frame.value(node.iter)
    start = dict(frame.names)
    if frame.is_empty(node.iter):
        bind(frame, node.target, UNKNOWN)
        with frame.unreached():
            _branch(frame, {}, node.body, frame.names)
        frame.names = start
        return run(frame, node.orelse)
    item = UNKNOWN if iterable is UNKNOWN else Each(iterable, node.target.lineno)
    bind(frame, node.target, item)
    note_choice(frame, node, node.body)
    mark = len(frame.stored_by)
    goes_on = _loop(frame, node, start, frame.names)
    stored = frame.stored_by[mark:]
    for path in _rewritten(node, stored):
        replace(frame.names, frame.names.get(path, UNKNOWN), UNKNOWN)
    for path in {path for path, key in stored if key == path_of(node.target)}:
        note_rewritten(frame, path, iterable)
    return goes_on


def _rewritten(node: ast.For | ast.AsyncFor, stored: Sequence[tuple[str, str]]) -> set[str]:
    """Return the dicts whose items the loop replaces one by one, most likely to convert them."""
    if not stored:
        return set()
    keys = {part.id for part in ast.walk(node.target) if isinstance(part, ast.Name)}
    looped = {path_of(part) for part in ast.walk(node.iter) if isinstance(part, ast.expr)}
    return {path for path, key in stored if key in keys and path in looped}


def _while(frame: Frame, node: ast.While) -> bool:
    frame.value(node.test)
    positive, _ = narrowed(frame, node.test)
    endless = isinstance(node.test, ast.Constant) and bool(node.test.value)
    start = dict(frame.names)
    return _loop(frame, node, None if endless else start, {**frame.names, **positive})


def _loop(
    frame: Frame, node: ast.For | ast.AsyncFor | ast.While, skipped: Names | None, start: Names
) -> bool:
    frame.exits.append([])
    end = _branch(frame, {}, node.body, start)
    jumps = frame.exits.pop()
    ends = [names for names in (skipped, end, *jumps) if names is not None]
    if not ends:
        return False
    early = frame.conditional
    _meet(frame, ends)
    frame.conditional = early or _leaves(node.body)
    return run(frame, node.orelse)


def _leaves(body: Sequence[ast.stmt]) -> bool:
    """Return whether the function may end inside the statements."""
    return any(
        isinstance(part, (ast.Return, ast.Raise)) for item in body for part in ast.walk(item)
    )


def _with(frame: Frame, node: ast.With | ast.AsyncWith) -> bool:
    guards = 0
    for item in node.items:
        value = frame.value(item.context_expr)
        call = item.context_expr
        if isinstance(call, ast.Call) and _last_name(call.func) in _SUPPRESSORS:
            guards += 1
        if item.optional_vars is not None:
            entered = UNKNOWN if value is UNKNOWN else Entered(value, node.lineno)
            bind(frame, item.optional_vars, entered)
    frame.guarded += guards
    alive = run(frame, node.body)
    frame.guarded -= guards
    return alive or guards > 0


def _last_name(node: ast.expr) -> str:
    return path_of(node).rpartition(".")[2]


def _try(frame: Frame, node: ast.Try) -> bool:
    before = dict(frame.names)
    guard = any(_guards(handler, node.body) for handler in node.handlers)
    frame.guarded += guard
    inside = frame.conditional
    alive = run(frame, node.body)
    frame.guarded -= guard
    after = frame.names
    ends: list[Names | None] = [_branch(frame, {}, node.orelse, after) if alive else None]
    failed = merge(before, after)
    for handler in node.handlers:
        known = {handler.name: _caught(frame, handler)} if handler.name else {}
        ends.append(_branch(frame, known, handler.body, failed))
    frame.conditional = inside
    reached = _meet(frame, ends)
    if not reached:
        frame.names = dict(failed)
    return run(frame, node.finalbody) and reached


def _guards(handler: ast.ExceptHandler, body: Sequence[ast.stmt]) -> bool:
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {_last_name(kind) for kind in kinds if kind is not None}
    broad = handler.type is None or names & _BROAD
    return bool(names & _CAUGHT) or (bool(broad) and len(body) <= SHORT_TRY)


def _caught(frame: Frame, handler: ast.ExceptHandler) -> Value:
    if handler.type is None:
        return UNKNOWN
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = [annotations.dotted(kind, frame.lookup) for kind in kinds]
    line = handler.lineno
    return union([Instance(name, (), False, line) if name else UNKNOWN for name in names])


def _match(frame: Frame, node: ast.Match) -> bool:
    matching = Matching(frame, node)
    start = frame.names
    ends: list[Names | None] = []
    for case in node.cases:
        frame.names = {**start, **matching.known(case.pattern)}
        if case.guard is not None:
            frame.value(case.guard)
            frame.names.update(narrowed(frame, case.guard)[0])
        ends.append(_branch(frame, {}, case.body, frame.names))
    last = node.cases[-1]
    if last.guard is not None or not takes_all(last.pattern):
        ends.append(start)
    return _meet(frame, ends)


def _type_alias(frame: Frame, node: Any) -> bool:
    """``type Name = …``; of a generic one nothing is known."""
    assign(frame.names, node.name.id, UNKNOWN if node.type_params else frame.value(node.value))
    return True


_STATEMENTS: Mapping[type, Callable[[Frame, Any], bool]] = {
    ast.AnnAssign: _annotated,
    ast.Assert: _assert,
    ast.Assign: _assign,
    ast.AsyncFor: _for,
    ast.AsyncFunctionDef: _definition,
    ast.AsyncWith: _with,
    ast.AugAssign: _augmented,
    ast.Break: _jump,
    ast.ClassDef: _definition,
    ast.Continue: _jump,
    ast.Delete: _delete,
    ast.Expr: _expression,
    ast.For: _for,
    ast.FunctionDef: _definition,
    ast.Global: _global,
    ast.If: _if,
    ast.Import: bind_imports,
    ast.ImportFrom: bind_imports,
    ast.Match: _match,
    ast.Nonlocal: _global,
    ast.Raise: _raise,
    ast.Return: _return,
    ast.Try: _try,
    ast.TryStar: _try,
    ast.While: _while,
    ast.With: _with,
}
if hasattr(ast, "TypeAlias"):  # Python 3.12
    _STATEMENTS = {**_STATEMENTS, ast.TypeAlias: _type_alias}
