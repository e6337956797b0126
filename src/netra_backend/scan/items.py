"""What subscripts, iteration and ``await`` give."""

from typing import TYPE_CHECKING

from netra_backend.scan.heads import (
    ClassRef,
    External,
    Found,
    Open,
    either,
)
from netra_backend.scan.kinds import ITERABLES, Kind
from netra_backend.scan.values import (
    INT,
    SLICE,
    STR,
    UNKNOWN,
    Const,
    Dict,
    Each,
    Entry,
    Instance,
    Item,
    Seq,
    Union,
    Value,
    loosened,
    union,
)

if TYPE_CHECKING:
    from netra_backend.scan.heads import Head
    from netra_backend.scan.resolve import Resolver


def item(resolver: "Resolver", base: Found, key: "Head") -> Found:
    """Return ``base[key]``."""
    head, scope = base
    if isinstance(head, Open):
        return base
    if isinstance(head, Dict):
        return resolver.resolve(_dict_item(head, key), scope)
    if isinstance(head, Seq):
        return resolver.resolve(_sequence_item(head, key), scope)
    if isinstance(head, ClassRef):
        if resolver.project.kind(head.name, head.source) is Kind.ENUM:
            return Instance(head.name, (), True), scope
        return base  # Generic[T]
    if isinstance(head, External):
        return (head if head.name.startswith("builtins.") else UNKNOWN), scope
    if isinstance(head, Instance):
        return _instance_item(resolver, base, head, key)
    return UNKNOWN, scope


def _dict_item(head: Dict, key: "Head") -> Value:
    if not isinstance(key, Const):
        return UNKNOWN
    possible: list[Value] = []
    for entry in reversed(head.entries):
        if entry.key == key:
            possible.append(entry.value)
            return union([*possible, UNKNOWN] if entry.maybe or possible[1:] else possible)
        if entry.spread and not entry.maybe:
            return union([*possible, UNKNOWN]) if possible else Item(entry.value, key)
        if entry.spread or entry.key is None:
            return UNKNOWN
        if not isinstance(entry.key, Const):
            possible.append(entry.value)
    return union([*possible, UNKNOWN])


def _sequence_item(head: Seq, key: "Head") -> Value:
    if key == SLICE:
        return loosened(head)
    sure = not any(entry.maybe or entry.spread for entry in head.entries)
    if sure and isinstance(key, Const) and type(key.value) is int:
        index = key.value
        if -len(head.entries) <= index < len(head.entries):
            return head.entries[index].value
    values = [Each(e.value) if e.spread else e.value for e in head.entries]
    return union(values) if values else UNKNOWN


def _instance_item(resolver: "Resolver", base: Found, head: Instance, key: "Head") -> Found:
    scope = base[1]
    kind = resolver.kind(base)
    if key == SLICE:
        return base if kind in (Kind.ARRAY, Kind.TEXT) else (UNKNOWN, scope)
    if kind is Kind.MAPPING:
        ref = resolver.class_of(base)
        if ref is not None and isinstance(key, Const) and isinstance(key.value, str):
            attribute = ref.declared.attributes.get(key.value)
            if attribute is not None and resolver.informative(attribute.declared, ref.source.scope):
                return resolver.resolve(attribute.declared, ref.source.scope)
        return _argument(resolver, base, 1)
    if kind is Kind.ARRAY and not (head.cls == "builtins.tuple" and _is_mixed(head)):
        return _argument(resolver, base, 0)
    return (STR if kind is Kind.TEXT else UNKNOWN), scope


def _is_mixed(head: Instance) -> bool:
    """Return whether a tuple has items of several types: which one stands where is not kept."""
    return any(isinstance(argument, Union) for argument in head.args)


def _argument(resolver: "Resolver", base: Found, index: int) -> Found:
    head, scope = base
    if isinstance(head, Instance) and index < len(head.args):
        return resolver.resolve(head.args[index], scope)
    return UNKNOWN, scope


def each(resolver: "Resolver", base: Found) -> Found:
    """Return what iteration over the value gives."""
    head, scope = base
    if isinstance(head, Open):
        return base
    if isinstance(head, Seq):
        values: list[Value] = [Each(e.value) if e.spread else e.value for e in head.entries]
        return either([resolver.resolve(value, scope) for value in values], scope)
    if isinstance(head, Dict):
        keys = [Each(e.value) if e.key is None else e.key for e in head.entries]
        return either([resolver.resolve(key, scope) for key in keys], scope)
    if isinstance(head, ClassRef) and resolver.project.kind(head.name, head.source) is Kind.ENUM:
        return Instance(head.name, (), True), scope
    if isinstance(head, Instance):
        return _each_of_instance(resolver, base, head)
    return UNKNOWN, scope


def _each_of_instance(resolver: "Resolver", base: Found, head: Instance) -> Found:
    scope = base[1]
    match head.cls:
        case "builtins.dict_items" | "builtins.zip":
            return Seq("tuple", tuple(Entry(None, arg) for arg in head.args)), scope
        case "builtins.enumerate" if head.args:
            return Seq("tuple", (Entry(None, INT), Entry(None, head.args[0]))), scope
        case "builtins.str":
            return STR, scope
        case "builtins.range" | "builtins.bytes" | "builtins.bytearray":
            return INT, scope
    if head.args and (head.cls in ITERABLES or resolver.kind(base) in _ITERABLES):
        return resolver.resolve(head.args[0], scope)
    return UNKNOWN, scope


_ITERABLES = frozenset({Kind.ARRAY, Kind.MAPPING, Kind.SET, Kind.DEQUE, Kind.ITERATOR, Kind.VIEW})


def awaited(resolver: "Resolver", base: Found) -> Found:
    """Return what ``await`` gives."""
    head, scope = base
    if isinstance(head, Open):
        return base
    if isinstance(head, Instance) and head.args:
        kind = resolver.kind(base)
        if kind is Kind.COROUTINE or head.cls == "collections.abc.Awaitable":
            return resolver.resolve(head.args[-1], scope)
        if kind is Kind.FUTURE:
            return resolver.resolve(head.args[0], scope)
    return UNKNOWN, scope
