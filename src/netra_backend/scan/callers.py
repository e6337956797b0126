"""What the calls that are seen, in all files, bring to a parameter that says nothing of itself.

Others may call as well, so whatever they bring is there maybe.
"""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING

from netra_backend.scan.arguments import bind_arguments, completed
from netra_backend.scan.declarations import Function, Site, Trait
from netra_backend.scan.fields import given, made
from netra_backend.scan.heads import (
    Alternatives,
    CallerScope,
    ClassRef,
    Found,
    FunctionRef,
    Partial,
    Scope,
    brought,
    either,
)
from netra_backend.scan.project import Project
from netra_backend.scan.sources import Source
from netra_backend.scan.values import UNKNOWN, Argument, Call, Received

if TYPE_CHECKING:
    from netra_backend.scan.resolve import Resolver

MOST = 48
"""Calls of one name that are looked at: of more, nothing is said of the rest."""
MOST_HEIRS = 16
"""Classes that inherit a constructor whose calls are looked at as well."""

Led = tuple[Sequence[Argument], Found | None]
"""The arguments with which a function is called, and what it is called on."""


def received(resolver: "Resolver", value: Received, scope: Scope) -> Found:
    """Return what callers pass to the parameter, and what it is by default."""
    source = scope.source
    function = source.function(value.function)
    if function is None:
        return UNKNOWN, scope
    if scope.bound is not None and scope.function is function:
        argument = scope.bound.get(value.name)
        return _perhaps([] if argument is None else [resolver.resolve(*argument)], scope)
    if not source.reported or not _is_called_plainly(resolver, function, source):
        return UNKNOWN, scope
    itself = "" if scope.itself is None else scope.itself.name
    what = f"{value.function}({value.name}) {itself}", source.path
    return resolver.asked(
        what, scope, lambda: _perhaps(list(_passed(resolver, value, function, scope)), scope)
    )


def constructed(resolver: "Resolver", owner: ClassRef, name: str) -> Found:
    """Return what callers pass to a field whose annotation says nothing."""
    home = owner.source.scope
    if not owner.source.reported:
        return UNKNOWN, home
    what = f"{owner.name}.{name}", owner.source.path
    return resolver.asked(what, home, lambda: _perhaps(list(_given(resolver, owner, name)), home))


def _given(resolver: "Resolver", owner: ClassRef, name: str) -> Iterator[Found]:
    """Yield what each call that makes an instance passes to the field."""
    for source, site in _calls(resolver.project, owner.name.rpartition(".")[2], owner):
        caller = CallerScope(source, site.function, site.line)
        for head, _ in _options(resolver.resolve(site.func, caller)):
            if not isinstance(head, ClassRef):
                continue
            if owner.name not in resolver.project.ancestors(head.name):
                continue
            instance = made(head, Call(site.func, site.args, site.line), caller)
            found = given(resolver, instance, head, name)
            if found is not None:
                yield brought(found, (source.path, site.line))


def led_to(
    resolver: "Resolver", found: Found, args: Sequence[Argument], name: str, source: Source
) -> Led | None:
    """Return how a call of `found` with these arguments calls the function, None if it does not."""
    head = found[0]
    if isinstance(head, Partial):
        return led_to(resolver, head.func, completed(args, head.args), name, source)
    if isinstance(head, ClassRef):
        method = resolver.project.method(head, "__init__")
        if method is None or method.name != name or method.source is not source:
            return None
        return args, (head, source.scope)
    if isinstance(head, FunctionRef) and head.name == name and head.source is source:
        return args, head.receiver
    return None


def _passed(
    resolver: "Resolver", value: Received, function: Function, scope: Scope
) -> Iterator[Found]:
    """Yield what each call passes, and the default."""
    source = scope.source
    home, name = source.scope, f"{source.module}.{value.function}"
    default = next((it.default for it in function.params if it.name == value.name), None)
    if default is not None:
        yield brought(resolver.resolve(default, home), (source.path, function.line))
    for caller_source, site in _sites(resolver.project, value.function, function, source):
        place = caller_source.path, site.line
        caller = CallerScope(caller_source, site.function, site.line)
        for found in _options(resolver.resolve(site.func, caller)):
            led = led_to(resolver, found, site.args, name, source)
            if led is None or not _may_be(resolver, led[1], scope.itself):
                continue
            bound = bind_arguments(function, led[0], caller, home, led[1])
            argument = bound.get(value.name)
            if argument is not None and argument[1] is caller:
                yield brought(resolver.resolve(*argument), place)


def _may_be(resolver: "Resolver", receiver: Found | None, itself: ClassRef | None) -> bool:
    """Return whether what a method is called on may be an instance of the class."""
    if itself is None or receiver is None:
        return True
    head = receiver[0]
    ref = head if isinstance(head, ClassRef) else resolver.class_of(receiver)
    if ref is None or itself.name in resolver.project.ancestors(ref.name):
        return True
    sure = isinstance(head, ClassRef) or getattr(head, "exact", False)
    return not sure and ref.name in resolver.project.ancestors(itself.name)


def _sites(
    project: Project, qualified: str, function: Function, source: Source
) -> Iterator[tuple[Source, Site]]:
    """Yield the calls that may lead to the function."""
    owner, _, last = qualified.rpartition(".")
    declared = source.declared.classes.get(owner) if last == "__init__" else None
    if declared is None:
        yield from islice(project.sites(last), MOST)
        return
    ref = ClassRef(function.owner, declared, source)
    yield from _calls(project, owner.rpartition(".")[2], ref)
    for heir in islice(project.heirs(ref.name), MOST_HEIRS):
        if "__init__" in heir.declared.methods and "__init__" in heir.source.calls():
            yield from ((heir.source, it) for it in heir.source.sites("__init__")[:MOST])


def _calls(project: Project, name: str, owner: ClassRef) -> Iterator[tuple[Source, Site]]:
    """Yield the calls of the class, and of those below it that have no constructor of their own."""
    yield from islice(project.sites(name), MOST)
    for heir in islice(project.heirs(owner.name), MOST_HEIRS):
        if "__init__" not in heir.declared.methods:
            yield from islice(project.sites(heir.name.rpartition(".")[2]), MOST)


def _is_called_plainly(resolver: "Resolver", function: Function, source: Source) -> bool:
    """Return whether what callers pass comes to the function as it is."""
    if function.traits & (Trait.OVERLOAD | Trait.PROPERTY):
        return False
    return (
        not function.traits & Trait.DECORATED or resolver.decorators.of(function, source).arguments
    )


def _perhaps(options: list[Found], scope: Scope) -> Found:
    return either([*options, (UNKNOWN, scope)], scope)


def _options(found: Found) -> Sequence[Found]:
    return found[0].options if isinstance(found[0], Alternatives) else (found,)
