"""A file as a `Module`: its statements are run once, then the bodies of what they define."""

import ast
import builtins
from collections.abc import Callable, Mapping

from msgspec import Raw, msgpack

from netra_backend.scan import annotations
from netra_backend.scan.aliases import own_variables
from netra_backend.scan.calling import call
from netra_backend.scan.classes import ClassBody
from netra_backend.scan.declarations import Function, Module, Parameter, ParamKind, Site, Trait
from netra_backend.scan.environment import HEAVIEST, weight
from netra_backend.scan.expressions import EXPRESSIONS
from netra_backend.scan.frame import File, Frame, Nested
from netra_backend.scan.grounding import ground, outside
from netra_backend.scan.kinds import KINDS
from netra_backend.scan.places import Lines
from netra_backend.scan.signatures import (
    Definition,
    annotated,
    decorates,
    decorators,
    handled,
    parameters,
    traits,
)
from netra_backend.scan.statements import run
from netra_backend.scan.storing import grounded, with_items
from netra_backend.scan.values import (
    NONE,
    UNKNOWN,
    Altered,
    Attr,
    Call,
    Captured,
    Const,
    Dict,
    Entry,
    Global,
    Instance,
    Item,
    Param,
    Passed,
    Seq,
    Union,
    Value,
    loosened,
    union,
    unmarked,
)

_EVALUATORS = {**EXPRESSIONS, ast.Call: call}
_BUILTINS = frozenset(dir(builtins))
_encode = msgpack.Encoder().encode

Lookup = Callable[[str], Value]


class Pending:
    """A definition whose body is not read yet, with the scopes around it."""

    __slots__ = ("nested", "outer", "owner", "scope")

    def __init__(
        self, nested: Nested, scope: Frame, outer: Lookup, owner: ClassBody | None
    ) -> None:
        self.nested = nested
        self.scope = scope
        self.outer = outer
        self.owner = owner
        if variables := own_variables(nested.node):
            self.scope = Frame(scope.file, scope.function, scope.prefix, scope.lookup)
            self.scope.names.update(variables)
            self.outer = lambda name: variables.get(name) or outer(name)


class Reader:
    """Reads one file."""

    def __init__(self, module: str, package: str, source: str) -> None:
        self.file = File(_EVALUATORS, module, package, Lines(source))
        self.functions: dict[str, Function] = {}
        self.classes: dict[str, ClassBody] = {}
        self._changed: set[str] = set()
        self._rebound: set[str] = set()
        self._stored: dict[str, list[Entry]] = {}
        self._top = Frame(self.file, "", "", self._builtin)

    def read(self, tree: ast.Module) -> Module:
        """Return what the file declares."""
        run(self._top, tree.body)
        pending = [Pending(n, self._top, self._global, None) for n in self._top.nested]
        while pending:
            item = pending.pop()
            if isinstance(item.nested.node, ast.ClassDef):
                pending.extend(self._class(item, item.nested.node))
            else:
                pending.extend(self._function(item, item.nested.node))
        return Module(
            names=self._names(),
            functions={name: Raw(_encode(it)) for name, it in self.functions.items()},
            classes={name: body.result() for name, body in self.classes.items()},
            stars=tuple(self.file.stars),
            exports=self._exports(),
        )

    # --- scopes --------------------------------------------------------------------------

    def _builtin(self, name: str) -> Value:
        if name in _BUILTINS:
            return Global(f"builtins.{name}")
        return Global(f"{self.file.module}.{name}") if self.file.stars else UNKNOWN

    def _global(self, name: str) -> Value:
        """What a name of the module stands for inside a function, which runs later."""
        value = self._top.names.get(name)
        if value is None:
            return self._builtin(name)
        anew = name in self._top.bound_anew
        if isinstance(value, (Global, Const)) and value != NONE and not anew:
            return value
        return Global(f"{self.file.module}.{name}")

    def _closure(
        self,
        frame: Frame,
        nested: Nested,
        outer: Lookup,
        params: Mapping[str, Value],
        known: Mapping[str, Value],
    ) -> Lookup:
        """What a name stands for inside a nested function: containers may have changed by then.

        Of a name that was bound anew, nobody can tell which value it has when that is called.
        """

        def look(name: str) -> Value:
            value = frame.names.get(name)
            if value is None:
                return outer(name)
            if _is_another(nested.names.get(name, value), value):
                return UNKNOWN
            if isinstance(value, (Passed, Union)):
                return UNKNOWN
            if isinstance(value, Param) and self._may_be_called(params.get(name, UNKNOWN)):
                return Captured(name, frame.function)
            value = ground(value, known)
            return loosened(value) if isinstance(value, (Dict, Seq)) else value

        return look

    def _may_be_called(self, declared: Value) -> bool:
        """Return whether the annotation is one of functions, or says nothing."""
        if not isinstance(declared, Instance):
            return declared is UNKNOWN
        module, _, name = declared.cls.rpartition(".")
        meant = self._top.names.get(name) if module == self.file.module else None
        variable = isinstance(meant, Call) and last_name(meant.func) == "TypeVar"
        variable |= declared.cls.startswith(annotations.VARIABLE)
        return name == "Callable" or variable

    # --- definitions ---------------------------------------------------------------------

    def _class(self, item: Pending, node: ast.ClassDef) -> list[Pending]:
        name = f"{self.file.module}.{item.nested.name}"
        frame = Frame(self.file, "", f"{item.nested.name}.", item.outer)
        body = ClassBody(name, node, item.scope, frame)
        run(frame, node.body)
        self._changed |= frame.changed_globals & self._top.names.keys()
        self._rebound |= frame.rebound_globals
        self.classes[item.nested.name] = body
        body.finish()
        return [Pending(nested, frame, item.outer, body) for nested in frame.nested]

    def _function(self, item: Pending, node: Definition) -> list[Pending]:
        owner = item.owner.name if item.owner is not None else ""
        found = traits(node, owner)
        params = parameters(item.scope, node, owner, found)
        frame = Frame(self.file, item.nested.name, f"{item.nested.name}.<locals>.", item.outer)
        self._bind_parameters(frame, params, owner, found)
        alive = run(frame, node.body)
        if alive:
            frame.results.append(NONE)
        declared_params = {p.name: annotated(p) for p in params}
        known = outside(item.nested.name, declared_params, found)
        if item.owner is not None:
            for attribute in frame.assigned_to_self:
                item.owner.assign(*attribute, known)
                if item.nested.name.endswith("_post_init__"):
                    item.owner.remake(attribute[0], attribute[2], known)
        for kept in grounded(frame.stored, known):
            name = kept.path.rpartition(".")[2]
            if name == kept.path:
                self._stored.setdefault(name, []).append(kept.entry)
            elif item.owner is not None:
                item.owner.store(name, kept.entry)
        self._changed |= frame.changed_globals
        self._rebound |= frame.rebound_globals
        self.functions[item.nested.name] = self._declare(frame, node, params, found, owner, item)
        return [
            Pending(it, frame, self._closure(frame, it, item.outer, declared_params, known), None)
            for it in frame.nested
        ]

    @staticmethod
    def _bind_parameters(
        frame: Frame, params: tuple[Parameter, ...], owner: str, found: int
    ) -> None:
        for parameter in params:
            value: Value = Param(parameter.name)
            if parameter.kind is ParamKind.KEYWORDS:
                value = Dict((Entry(None, value, spread=True),))  # a dict of its own
            frame.names[parameter.name] = value
            if _names_class(parameter.annotation):
                frame.classed.add(parameter.name)
        if found & Trait.METHOD and params:
            if found & Trait.CLASS:
                frame.names[params[0].name] = Global(owner)
            else:
                frame.receiver = params[0].name
                frame.owner = owner

    def _declare(
        self,
        frame: Frame,
        node: Definition,
        params: tuple[Parameter, ...],
        found: int,
        owner: str,
        item: Pending,
    ) -> Function:
        other = self.functions.get(item.nested.name)
        if other is not None and not (other.traits | found) & (Trait.PROPERTY | Trait.DECORATED):
            found |= Trait.OVERLOAD  # which of them a call means depends on where it stands
        if frame.yields:
            found |= Trait.GENERATOR
        if _is_stub(node):
            found |= Trait.ABSTRACT
        return Function(
            params,
            found,
            annotations.read(node.returns, item.scope.lookup),
            _bounded(union(frame.results)),
            _bounded(union(frame.yields)),
            tuple(sorted(frame.changes)),
            owner,
            node.lineno,
            handled(frame, node),
            decorators(item.scope, node) if found & Trait.DECORATED else (),
        )

    # --- the module's own names ----------------------------------------------------------

    def _names(self) -> dict[str, Value]:
        names: dict[str, Value] = {}
        for name, value in self._top.names.items():
            own = isinstance(value, Global) and value.name == f"{self.file.module}.{name}"
            if own or "." in name:
                continue
            declared = self._top.declared.get(name, UNKNOWN)
            names[name] = _bounded(self._at_large(name, value, declared))
        for name, declared in self._top.declared.items():
            names.setdefault(name, declared)
        return names

    def _at_large(self, name: str, value: Value, declared: Value) -> Value:
        """What functions find in a variable of the module, which others may have changed."""
        container = isinstance(unmarked(value), (Dict, Seq, Passed))
        stored = self._stored.get(name, [])
        if declared is not UNKNOWN and (not container or name in self._changed):
            return declared if not stored or _says_items(declared) else with_items(value, stored)
        if container and name in self._rebound:
            return UNKNOWN
        if container and name in self._changed:
            return with_items(_emptied(unmarked(value)), stored)
        anew = name in self._rebound or name in self._top.bound_anew
        return union([value, UNKNOWN]) if anew else value

    def _exports(self) -> tuple[str, ...] | None:
        value = self._top.names.get("__all__")
        if not isinstance(value, Seq):
            return None
        names = [entry.value for entry in value.entries]
        return tuple(n.value for n in names if isinstance(n, Const) and isinstance(n.value, str))


def _says_items(declared: Value) -> bool:
    """Return whether the annotation says what is in a container."""
    args = declared.args if isinstance(declared, Instance) else ()
    return bool(args) and UNKNOWN not in args


def _is_another(before: Value, after: Value) -> bool:
    """Return whether a name was bound anew: not whether its container was changed."""
    if before == after:
        return False
    if isinstance(before, (Dict, Seq)) and type(before) is type(after):
        return before.line != getattr(after, "line", 0)
    return not isinstance(after, (Altered, Passed))


def _emptied(value: Value) -> Value:
    """Return a container of which only the class is sure."""
    if isinstance(value, Dict):
        return Instance("builtins.dict", (), True, value.line)
    return (
        Instance(f"builtins.{value.cls}", (), True, value.line)
        if isinstance(value, Seq)
        else UNKNOWN
    )


def _bounded(value: Value) -> Value:
    return value if weight(value) <= HEAVIEST else UNKNOWN


def _names_class(declared: Value) -> bool:
    """Return whether an annotation names a class other than those that everybody has."""
    if isinstance(declared, Union):
        return any(map(_names_class, declared.options))
    if not isinstance(declared, Instance):
        return False
    if declared.cls.startswith(annotations.VARIABLE):
        return False
    return declared.cls not in KINDS or any(map(_names_class, declared.args))


def _is_stub(node: Definition) -> bool:
    """Return whether the body is ``...``, or only raises."""
    body = node.body
    if ast.get_docstring(node, clean=False) is not None:
        body = body[1:]
    if not body:
        return True
    first = body[0]
    return len(body) == 1 and (
        isinstance(first, (ast.Raise, ast.Pass))
        or (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant))
    )


def grouped(sites: list[Site]) -> dict[str, list[Site]]:
    """Return the calls by the last name of what is called, but for those of heavy arguments."""
    groups: dict[str, list[Site]] = {}
    for site in sites:
        name = last_name(site.func)
        if name and sum(weight(a.value) for a in site.args) <= HEAVIEST:
            groups.setdefault(name, []).append(site)
            if any(argument.name in ("json", "**") for argument in site.args):
                groups.setdefault(with_json(name), []).append(site)
    return groups


def by_decorator(functions: Mapping[str, Function]) -> dict[str, tuple[str, ...]]:
    """Return the names of the functions by that of their nearest decorator."""
    found: dict[str, list[str]] = {}
    for name, function in functions.items():
        nearest = function.decorators[-1] if function.decorators else UNKNOWN
        last = last_name(nearest.func if isinstance(nearest, Call) else nearest)
        if last:
            found.setdefault(decorates(last), []).append(name)
    return {name: tuple(those) for name, those in found.items()}


def by_base(module: Module) -> dict[str, tuple[str, ...]]:
    """Return the names of the classes by the last name of what they inherit from."""
    found: dict[str, tuple[str, ...]] = {}
    for name, declared in module.classes.items():
        for base in declared.bases:
            last = last_name(base.base if isinstance(base, Item) else base)
            if last:
                found[last] = (*found.get(last, ()), name)
    return found


def with_json(name: str) -> str:
    """Return the name of the group of the calls that have, or may have, an argument ``json=``.

    The methods of HTTP clients are called ``get`` and ``post``, as much else is.
    """
    return f"{name}(json=)"


def last_name(func: Value) -> str:
    """Return the last name of what is called; of a ``partial``, that of its function."""
    if isinstance(func, Global):
        return func.name.rpartition(".")[2]
    if isinstance(func, Captured):
        return func.name
    if isinstance(func, Attr):
        return func.name
    if isinstance(func, Union):
        return last_name(func.options[0])
    if isinstance(func, Call) and last_name(func.func) == "partial" and func.args:
        return last_name(func.args[0].value)
    return ""
