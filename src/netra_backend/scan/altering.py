"""What is left of a value that methods, functions and assignments to its items have changed."""

from typing import TYPE_CHECKING

from msgspec import structs

from netra_backend.scan.commandline import with_argument
from netra_backend.scan.containers import mutate, receiver
from netra_backend.scan.declarations import Trait
from netra_backend.scan.fields import declares_items
from netra_backend.scan.heads import (
    Alternatives,
    Found,
    FunctionRef,
    Open,
    Scope,
    over,
    settled,
)
from netra_backend.scan.kinds import Kind
from netra_backend.scan.values import (
    CHANGED,
    CHOSEN,
    INSIDE,
    UNKNOWN,
    Altered,
    Argument,
    Const,
    Dict,
    Entry,
    Instance,
    Passed,
    Seq,
    Value,
    loosened,
)

if TYPE_CHECKING:
    from netra_backend.scan.resolve import Resolver


def passed(resolver: "Resolver", value: Passed, scope: Scope) -> Found:
    """A function that we have read and that changes nothing leaves the container as it was."""
    base = resolver.resolve(value.base, scope)
    func = resolver.resolve(value.func, scope)[0]
    if isinstance(func, FunctionRef) and not func.source.is_stub:
        return (UNKNOWN, base[1]) if _changes(func, value.place) else base
    return _weakened(base)


def altered(resolver: "Resolver", value: Altered, scope: Scope) -> Found:
    """Return the value after what was done to it."""

    def alter(found: Found) -> Found:
        head, home = found
        if value.method == "add_argument":
            return with_argument(resolver, found, value.args, scope)
        if value.method in (CHANGED, INSIDE):
            return _marked(resolver, value, found, scope)
        if value.method == "clear":
            return _emptied(resolver, found)
        if isinstance(head, Open) or resolver.kind(found) is Kind.MAPPING:
            head = Dict((receiver(settled(found)),))
        if not isinstance(head, Dict):
            return found
        args = [Argument(a.name, _settled(resolver.resolve(a.value, scope))) for a in value.args]
        return mutate(head, value.method, tuple(args))[0], home  # type: ignore[return-value]

    base = resolver.resolve(value.base, scope)
    if value.method == CHOSEN:
        options = base[0].options if isinstance(base[0], Alternatives) else (base,)
        return base if len(set(map(resolver.kind, options))) == 1 else (UNKNOWN, base[1])
    return over(base, alter)


def _emptied(resolver: "Resolver", found: Found) -> Found:
    """Return what is left of a container that was cleared."""
    head, home = found
    if isinstance(head, (Dict, Seq)):
        return structs.replace(head, entries=()), home
    kind = resolver.kind(found)
    if isinstance(head, Open) or kind is Kind.MAPPING:
        return Dict(()), home
    if isinstance(head, Instance) and kind in (Kind.ARRAY, Kind.DEQUE, Kind.SET):
        return Instance(head.cls, (), head.exact, head.line), home
    return found


def _marked(resolver: "Resolver", value: Altered, found: Found, scope: Scope) -> Found:
    """Return what is left of a value that was changed, or whose items were."""
    keys = tuple(it for it in value.args if not it.name)
    told = [_changed_by(resolver, it, scope) for it in value.args if it.name]
    if value.args and True not in told:
        if not keys:
            return _weakened(found) if None in told else found
    else:
        keys = ()
    if isinstance(found[0], Instance):
        inside = _holds_fields(resolver, found) if True in told else value.method == INSIDE
        return _undeclared(resolver, found, inside)
    return _inside(found, keys) if value.method == INSIDE else _without(found, keys)


def _inside(found: Found, keys: tuple[Argument, ...]) -> Found:
    """Return the container with items that were changed at the keys; without any, in any way."""
    head, home = found
    if not isinstance(head, (Dict, Seq)):
        return found
    entries = tuple(_changed(entry, keys, deep=True) for entry in head.entries)
    if isinstance(head, Dict):
        return Dict(entries, head.line), home
    return Seq(head.cls, entries, head.line), home


def _changed(entry: Entry, keys: tuple[Argument, ...], *, deep: bool) -> Entry:
    """Return the entry with a value that was changed at the keys, or anywhere in it if `deep`."""
    value: Value = Altered(entry.value, INSIDE, keys) if deep and keys else entry.value
    method = INSIDE if deep and entry.spread else CHANGED
    return Entry(
        entry.key, Altered(value, method, keys), entry.at, entry.maybe, entry.spread, entry.key_at
    )


def _without(found: Found, keys: tuple[Argument, ...]) -> Found:
    """Return the container without what it had at the keys."""
    head, home = found
    if not isinstance(head, (Dict, Seq)):
        return found
    gone = [key.value for key in keys]
    texts = all(isinstance(key, Const) and isinstance(key.value, str) for key in gone)
    if not gone or (isinstance(head, Seq) and not texts):
        return UNKNOWN, home
    if isinstance(head, Seq):
        return found
    kept = [it for it in head.entries if it.key not in gone]
    entries = [_changed(it, keys, deep=False) if it.spread else it for it in kept]
    return Dict(tuple(entries), head.line), home


def _weakened(found: Found) -> Found:
    """Return the container as one that something else may have changed."""
    head, home = found
    return (loosened(head), home) if isinstance(head, (Dict, Seq)) else found


def _changed_by(resolver: "Resolver", given: Argument, scope: Scope) -> bool | None:
    """Return whether a function changes what it is given at this place, None if it is not read."""
    place = int(given.name) if given.name.isdigit() else given.name
    head = resolver.resolve(given.value, scope)[0]
    options = head.options if isinstance(head, Alternatives) else ((head, scope),)
    refs = [it[0] for it in options if isinstance(it[0], FunctionRef)]
    if any(_changes(ref, place) for ref in refs):
        return True
    return None if len(refs) < len(options) or any(it.source.is_stub for it in refs) else False


def _holds_fields(resolver: "Resolver", found: Found) -> bool:
    """Return whether the items of a container are typed dicts: what they hold may be changed."""
    head, home = found
    args = head.args if isinstance(head, Instance) else ()
    classes = [resolver.class_of((arg, home)) for arg in args if isinstance(arg, Instance)]
    return any(ref is not None and declares_items(resolver, ref) for ref in classes)


def _undeclared(resolver: "Resolver", found: Found, inside: bool) -> Found:
    """Return the value without what its annotation says of items that were changed since."""
    head, home = found
    if not isinstance(head, Instance):
        return found
    if head.args:
        bare = Instance(head.cls, (), head.exact, head.line)
        return (bare, home) if inside else found
    ref = resolver.class_of(found)
    if ref is None or not declares_items(resolver, ref):
        return found
    cls = "dict" if resolver.kind(found) is Kind.MAPPING else "tuple"
    return Instance(f"builtins.{cls}", (), False, head.line), home


def _settled(found: Found) -> Value:
    return found[0] if isinstance(found[0], Const) else settled(found)


def _changes(ref: FunctionRef, place: int | str) -> bool:
    function = ref.function
    if function.traits & (Trait.DECORATED | Trait.ABSTRACT):
        return True
    if isinstance(place, str):
        return place in function.changes or all(p.name != place for p in function.params)
    index = place + (1 if ref.receiver is not None else 0)
    return index >= len(function.params) or function.params[index].name in function.changes
