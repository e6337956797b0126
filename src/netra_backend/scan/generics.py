"""Generic classes of the project: what their type variables are in an instance of them."""

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from msgspec import structs

from netra_backend.scan.aliases import instance_of, parts, type_variable
from netra_backend.scan.heads import ClassRef, Found, settled
from netra_backend.scan.values import (
    UNKNOWN,
    Entry,
    Global,
    Instance,
    Item,
    Seq,
    Union,
    Value,
    union,
)

if TYPE_CHECKING:
    from netra_backend.scan.resolve import Resolver


_GENERIC = frozenset({"typing.Generic", "typing_extensions.Generic"})


def specialised(resolver: "Resolver", declared: Value, base: Found, owner: ClassRef) -> Value:
    """Return what an annotation in the class `owner` says of the instance `base` of it."""
    if declared is UNKNOWN or not any(isinstance(it, Item) for it in owner.declared.bases):
        return declared
    known = dict(_variables(resolver, base, owner))
    return _filled(declared, known) if known else declared


def _variables(resolver: "Resolver", base: Found, owner: ClassRef) -> Iterator[tuple[str, Value]]:
    head, scope = base
    ref = resolver.class_of(base)
    if ref is None or not isinstance(head, Instance):
        return
    names = list(_names(resolver, owner))
    if ref.name == owner.name:
        given = [settled(resolver.resolve(value, scope)) for value in head.args]
    else:
        given = list(_given_to_base(resolver, ref, owner))
    yield from zip(names, given, strict=False)


def _names(resolver: "Resolver", owner: ClassRef) -> Iterator[str]:
    """Yield the names of the type variables, in the order of ``Generic``, else of the bases."""
    bases = owner.declared.bases
    for base in [base for base in bases if _is_generic(base)] or bases:
        for value in parts(base.key) if isinstance(base, Item) else ():
            made = value
            if isinstance(value, Global):
                found = resolver.project.find(value.name, owner.source)
                made = found[0] if isinstance(found, tuple) else UNKNOWN
            name = type_variable(made)
            if name:
                yield name


def _is_generic(base: Value) -> bool:
    return isinstance(base, Item) and isinstance(base.base, Global) and base.base.name in _GENERIC


def _given_to_base(resolver: "Resolver", ref: ClassRef, owner: ClassRef) -> Iterator[Value]:
    """Yield what ``class Users(Page[User])`` gives to ``Page``."""
    for base in ref.declared.bases:
        if not isinstance(base, Item) or not isinstance(base.base, Global):
            continue
        if resolver.same_class(base.base.name, ref.source.scope) == owner.name:
            for value in parts(base.key):
                yield settled(resolver.resolve(instance_of(value), ref.source.scope))


def _filled(declared: Value, known: Mapping[str, Value]) -> Value:
    if isinstance(declared, Union):
        return union([_filled(option, known) for option in declared.options])
    if isinstance(declared, Seq):
        entries = tuple(Entry(None, _filled(entry.value, known)) for entry in declared.entries)
        return structs.replace(declared, entries=entries)
    if not isinstance(declared, Instance):
        return declared
    if not declared.args:
        return known.get(declared.cls.rpartition(".")[2], declared)
    args = tuple(_filled(argument, known) for argument in declared.args)
    return structs.replace(declared, args=args)
