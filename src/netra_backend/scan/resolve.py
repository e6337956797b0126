"""Follows names, attributes, calls and items over all files until a value is known, or is not.

Every step returns the value and the scope in which what is inside it is to be read. Depth and
the number of steps are bounded; beyond them a value is unknown.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any

from msgspec import Struct

from netra_backend.scan.altering import altered, passed
from netra_backend.scan.attributes import attribute
from netra_backend.scan.callers import received
from netra_backend.scan.commandline import says_little
from netra_backend.scan.declarations import Function
from netra_backend.scan.decorating import Decorators
from netra_backend.scan.heads import (
    OPEN,
    CallerScope,
    ClassRef,
    External,
    Found,
    FunctionRef,
    Open,
    Scope,
    Settled,
    Suspended,
    either,
    over,
)
from netra_backend.scan.invocation import invoke
from netra_backend.scan.items import awaited, each, item
from netra_backend.scan.kinds import ITERABLES, KINDS, Kind
from netra_backend.scan.project import Project
from netra_backend.scan.signatures import annotated
from netra_backend.scan.values import (
    UNKNOWN,
    Altered,
    Attr,
    Awaited,
    Call,
    Captured,
    Const,
    Each,
    Entered,
    Global,
    Instance,
    Item,
    Param,
    Passed,
    Present,
    Received,
    Seq,
    Slot,
    Union,
    Unknown,
    Value,
)

DEEPEST = 40
MOST_STEPS = 1_000
"""For one call that is judged; only generated code needs as many."""
MOST_STEPS_OF_CALLERS = 300
"""To find out what all callers pass to one parameter."""

_CONTAINERS = (Kind.MAPPING, Kind.ARRAY)

Posing = tuple[str, ClassRef]
"""The name of a class, and one of its heirs."""


class Handed(Struct, frozen=True):
    """A function that a decorator is given by a `name`, which the function `within` reads."""

    name: str
    within: Function
    ref: FunctionRef


class Resolver:
    """Resolves values; `safe` are functions whose result no encoder refuses."""

    def __init__(self, project: Project, safe: Collection[str]) -> None:
        self.project = project
        self.safe = frozenset(safe)
        self.decorators = Decorators(project)
        self._depth = 0
        self._within: dict[tuple[str, str], int] = {}
        self._asked: dict[tuple[str, str], Found] = {}
        self.restart()
        self.asked_callers = False
        """Whether a container was taken as its annotation says, though callers know it better."""

    def restart(self, posing: Posing | None = None, handed: Handed | None = None) -> None:
        """Count steps from 0 again, and note from now on what is `read` of instances of classes.

        `posing` is a class and one of its heirs: whatever may be an instance of the class is taken
        for one of the heir. `handed` is what a decorator is given.
        """
        self._steps = 0
        self._posing = posing
        self.handed = handed
        self.read: set[tuple[str, str]] = set()

    def resolve(self, value: Value, scope: Scope) -> Found:
        """Return what the value is."""
        step = _STEPS.get(type(value))
        if step is None:
            return value, scope  # type: ignore[return-value]  # it is known as it stands
        self._steps += 1
        if self._depth >= DEEPEST or self._steps > MOST_STEPS:
            return UNKNOWN, scope
        self._depth += 1
        try:
            return step(self, value, scope)
        finally:
            self._depth -= 1

    def once(self, what: tuple[str, str], most: int, step: Callable[[], Found]) -> Found | None:
        """Return what the step gives, None if it is being taken `most` times already.

        ``self.count += 1`` makes a value of itself, which would use up all steps.
        """
        times = self._within.get(what, 0)
        if times >= most:
            return None
        self._within[what] = times + 1
        try:
            return step()
        finally:
            self._within[what] = times

    def kind(self, found: Found) -> Kind:
        """Return the kind of an instance; of anything else, unknown."""
        head, scope = found
        if isinstance(head, Instance):
            return self.project.kind(head.cls, scope.source)
        return Kind.UNKNOWN

    def class_of(self, found: Found) -> ClassRef | None:
        """Return the declared class of an instance."""
        head, scope = found
        if not isinstance(head, Instance):
            return None
        ref = self.project.class_named(head.cls, scope.source)
        if not isinstance(ref, ClassRef):
            return None
        poses = self._posing is not None and not head.exact and ref.name == self._posing[0]
        return self._posing[1] if poses and self._posing is not None else ref

    def informative(self, declared: Value, scope: Scope) -> bool:
        """Return whether the annotation says all that an encoder wants to know."""
        if isinstance(declared, Union):
            return all(self.informative(option, scope) for option in declared.options)
        if isinstance(declared, (Const, Settled)):
            return True
        if isinstance(declared, Seq):
            return all(self.informative(entry.value, scope) for entry in declared.entries)
        if not isinstance(declared, Instance):
            return False
        kind = self.project.kind(declared.cls, scope.source)
        container = kind in (Kind.MAPPING, Kind.ARRAY) and declared.cls in KINDS
        if container or declared.cls in ITERABLES:
            return bool(declared.args) and all(self.informative(a, scope) for a in declared.args)
        if kind is Kind.UNKNOWN:
            meant = self.project.alias(declared.cls, scope.source)
            if meant is not None:
                return self.informative(*meant)
            return self.class_of((declared, scope)) is not None
        return True

    def asked(self, what: tuple[str, str], scope: Scope, step: Callable[[], Found]) -> Found:
        """Return what the step finds out about all callers, which is remembered.

        It may take a part of the steps that are left, and says nothing of what is read here.
        """
        known = self._asked.get(what)
        if known is not None:
            return known
        self._asked[what] = UNKNOWN, scope  # what is asked for again meanwhile is circular
        kept = self._steps, self._posing, self.handed, self.read, self.asked_callers
        self._steps = max(self._steps, MOST_STEPS - MOST_STEPS_OF_CALLERS)
        self._posing, self.handed, self.read = None, None, set()
        try:
            found = self._asked[what] = step()
        finally:
            self._steps, self._posing, self.handed, self.read, self.asked_callers = kept
        return found

    def same_class(self, name: str, near: Scope) -> str:
        """Return the name under which a class is declared."""
        return self.project.canonical(name, near.source)


def _instance(resolver: Resolver, value: Instance, scope: Scope) -> Found:
    meant = resolver.project.alias(value.cls, scope.source)
    return (value, scope) if meant is None else resolver.resolve(*meant)


def _global(resolver: Resolver, value: Global, scope: Scope) -> Found:
    found = resolver.project.find(value.name, scope.source)
    if isinstance(found, tuple):
        return resolver.resolve(*found)
    if isinstance(found, (ClassRef, FunctionRef)):
        return found, found.source.scope
    return found, scope


def _param(resolver: Resolver, value: Param, scope: Scope) -> Found:
    params = () if scope.function is None else scope.function.params
    parameter = next((p for p in params if p.name == value.name), None)
    if parameter is None:
        return UNKNOWN, scope
    home = scope.source.scope
    declared = annotated(parameter)
    known = resolver.informative(declared, home)
    argument = None if scope.bound is None else scope.bound.get(value.name)
    if argument is not None:
        passed = resolver.resolve(*argument)
        if not isinstance(passed[0], (Unknown, External, Open)):
            return passed
        if isinstance(passed[0], Open) and not known:
            return passed
    if known:
        found = resolver.resolve(declared, home)
        asks = resolver.kind(found) in _CONTAINERS or says_little(declared)
        resolver.asked_callers |= scope.bound is None and asks
        return found
    if isinstance(scope, CallerScope):
        return resolver.resolve(Received(scope.name, parameter.name), scope)
    return (OPEN if scope.bound is None else UNKNOWN), scope


def _attr(resolver: Resolver, value: Attr, scope: Scope) -> Found:
    base = resolver.resolve(value.base, scope)
    return over(base, lambda found: attribute(resolver, found, value.name, value.line))


def _item(resolver: Resolver, value: Item, scope: Scope) -> Found:
    base = resolver.resolve(value.base, scope)
    key = resolver.resolve(value.key, scope)
    return over(base, lambda found: item(resolver, found, key[0]))


def _each(resolver: Resolver, value: Each, scope: Scope) -> Found:
    return over(resolver.resolve(value.base, scope), lambda found: each(resolver, found))


def _awaited(resolver: Resolver, value: Awaited, scope: Scope) -> Found:
    return over(resolver.resolve(value.base, scope), lambda found: awaited(resolver, found))


def _call(resolver: Resolver, value: Call, scope: Scope) -> Found:
    func = resolver.resolve(value.func, scope)
    return over(func, lambda found: invoke(resolver, found, value, scope))


def _union(resolver: Resolver, value: Union, scope: Scope) -> Found:
    return either([resolver.resolve(option, scope) for option in value.options], scope)


def _present(resolver: Resolver, value: Present, scope: Scope) -> Found:
    def keep(found: Found) -> Found:
        return (UNKNOWN, found[1]) if found[0] == Const(None) else found

    head, home = resolver.resolve(value.base, scope)
    options = getattr(head, "options", None)
    if options is None:
        return keep((head, home))
    return either([option for option in options if option[0] != Const(None)], home)


def _entered(resolver: Resolver, value: Entered, scope: Scope) -> Found:
    def enter(found: Found) -> Found:
        head, home = found
        if isinstance(head, Instance) and head.cls == "contextlib.entered" and head.args:
            return resolver.resolve(head.args[0], home)
        if isinstance(head, Instance) and head.cls == "builtins.file":
            return found
        for name in ("__enter__", "__aenter__"):
            ref = resolver.class_of(found)
            method = None if ref is None else resolver.project.method(ref, name)
            if method is not None:
                bound = FunctionRef(method.name, method.function, method.source, found)
                entered = invoke(resolver, (bound, home), Call(UNKNOWN), home)
                return awaited(resolver, entered) if name == "__aenter__" else entered
        return UNKNOWN, home

    return over(resolver.resolve(value.base, scope), enter)


def _captured(resolver: Resolver, value: Captured, scope: Scope) -> Found:
    handed = resolver.handed
    if handed is None or value.name != handed.name or scope.function is not handed.within:
        return received(resolver, Received(value.function, value.name), scope)
    return handed.ref, handed.ref.source.scope


def _slot(resolver: Resolver, value: Slot, scope: Scope) -> Found:
    return resolver.resolve(scope.slots.get(value.name, UNKNOWN), scope)


_STEPS: Mapping[type, Callable[[Resolver, Any, Scope], Found]] = {
    Altered: altered,
    Attr: _attr,
    Awaited: _awaited,
    Call: _call,
    Captured: _captured,
    Each: _each,
    Entered: _entered,
    Global: _global,
    Instance: _instance,
    Item: _item,
    Param: _param,
    Passed: passed,
    Present: _present,
    Received: received,
    Suspended: lambda resolver, value, _scope: resolver.resolve(value.value, value.scope),
    Slot: _slot,
    Settled: lambda _resolver, value, _scope: value.found,
    Union: _union,
}
