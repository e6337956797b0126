"""What calls return."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netra_backend.scan.arguments import bind_arguments
from netra_backend.scan.commandline import Parsed, Parser, says_little
from netra_backend.scan.declarations import Trait
from netra_backend.scan.fields import Made, declares_items, made
from netra_backend.scan.generics import specialised
from netra_backend.scan.heads import (
    ClassRef,
    External,
    Found,
    FunctionRef,
    Open,
    Scope,
    either,
    settled,
    suspended,
)
from netra_backend.scan.kinds import KINDS, VAGUE, Kind
from netra_backend.scan.library import RESULTS
from netra_backend.scan.values import (
    UNKNOWN,
    Argument,
    Call,
    Const,
    Dict,
    Entry,
    Instance,
    Lambda,
    Value,
)

if TYPE_CHECKING:
    from netra_backend.scan.resolve import Resolver


_KEEPING = frozenset({Kind.DATACLASS, Kind.OBJECT})
"""Kinds of classes that keep what they are made of as it is."""

_OWN_NEW = VAGUE | {Kind.ARRAY}
"""Kinds of classes whose ``__new__`` may give anything, of anything."""

_MOST_RECURSION = 4
"""``f(f(x))`` is no recursion, and is read from the outside in."""


def invoke(resolver: "Resolver", func: Found, call: Call, scope: Scope) -> Found:
    """Return what the call of `func` returns; the arguments are read in `scope`."""
    head = func[0]
    if isinstance(head, Open):
        return func
    if isinstance(head, Lambda):
        return _call_lambda(resolver, head, call, scope, func[1])
    if not isinstance(head, (ClassRef, FunctionRef, External)) or head.name in resolver.safe:
        return UNKNOWN, scope
    result = RESULTS.get(head.name)
    if result is not None:
        return result(resolver, head, call, scope)
    if isinstance(head, ClassRef):
        return _construct(resolver, head, call, scope)
    if isinstance(head, FunctionRef):
        return call_function(resolver, head, call.args, scope)
    return _call_external(resolver, head, call, scope)


def _call_lambda(
    resolver: "Resolver", head: Lambda, call: Call, scope: Scope, home: Scope
) -> Found:
    """Return what a function without a name gives, unless a name in it was bound anew since."""
    starred = any(argument.name == "*" for argument in call.args)
    given = [suspended(it.value, scope) for it in call.args if not it.name and not starred]
    inner = home.with_slots(dict(zip(head.slots, given, strict=False)))
    return either([resolver.resolve(head.result, inner), (UNKNOWN, home)], home)


def _construct(resolver: "Resolver", ref: ClassRef, call: Call, scope: Scope) -> Found:
    kind = resolver.project.kind(ref.name, ref.source)
    if kind is Kind.MAPPING and declares_items(resolver, ref):
        entries = tuple(
            Entry(None, a.value, spread=True)
            if a.name in ("", "*", "**")
            else Entry(Const(a.name), a.value, a.at)
            for a in call.args
        )
        return Dict(entries, call.line), scope
    if kind in _OWN_NEW and resolver.project.method(ref, "__new__") is not None:
        return UNKNOWN, scope
    if (call.args and _keeps(resolver, ref, kind)) or kind is Kind.ARRAY:
        return made(ref, call, scope), ref.source.scope
    return Instance(ref.name, (), True, call.line), ref.source.scope


def _keeps(resolver: "Resolver", ref: ClassRef, kind: Kind) -> bool:
    """Return whether it matters what the instances of the class are made of."""
    encodes = kind is Kind.UNKNOWN and "json.JSONEncoder" in resolver.project.ancestors(ref.name)
    return kind in _KEEPING or encodes


def _call_external(resolver: "Resolver", head: External, call: Call, scope: Scope) -> Found:
    """Return an instance, if it is a well-known class that is called."""
    name = resolver.project.canonical(head.name, scope.source)
    if name in KINDS and head.receiver is None:
        return Instance(name, (), True, call.line), scope
    return UNKNOWN, scope


def _itself(ref: FunctionRef) -> Value:
    """Return an instance of the class that the method is called on."""
    if ref.receiver is None:
        return UNKNOWN
    head, scope = ref.receiver
    if isinstance(head, ClassRef):
        return settled((Instance(head.name), scope))
    return settled((Instance(head.cls), scope)) if isinstance(head, Instance) else UNKNOWN


def _better(resolver: "Resolver", ref: FunctionRef, inner: Scope) -> Found | None:
    """Return what the function returns, where its code says more of it than the annotation."""
    declared = ref.function.declared
    if not isinstance(declared, Instance):
        return None
    kind = resolver.kind((declared, ref.source.scope))
    if kind is not Kind.DATACLASS and not says_little(declared):
        return None
    key = ref.name, ref.source.path
    found = resolver.once(key, 1, lambda: resolver.resolve(ref.function.result, inner))
    return found if found is not None and isinstance(found[0], (Made, Parser, Parsed)) else None


def _declared(resolver: "Resolver", ref: FunctionRef) -> Value:
    """Return what the annotation says, of a method for the instance that it is called on."""
    declared, owner = ref.function.declared, ref.function.owner
    if ref.receiver is None or not owner or not isinstance(ref.receiver[0], Instance):
        return declared
    home = resolver.project.class_named(owner, ref.source)
    return (
        specialised(resolver, declared, ref.receiver, home)
        if isinstance(home, ClassRef)
        else declared
    )


def _returns_its_own(resolver: "Resolver", ref: FunctionRef) -> bool:
    """Return whether callers get what the function returns, for all that decorates it."""
    found = ref.function.traits
    if not found & Trait.DECORATED:
        return True
    handing = resolver.decorators.of(ref.function, ref.source)
    return handing.result and bool(found & Trait.ASYNC or not handing.awaits)


def call_function(
    resolver: "Resolver", ref: FunctionRef, args: Sequence[Argument], scope: Scope
) -> Found:
    """Return what the function returns: as declared, or else as its returns say."""
    function, home = ref.function, ref.source.scope
    found = function.traits
    recursive = scope.function is function  # what converts its own parts is best left alone
    if recursive or found & Trait.OVERLOAD or not _returns_its_own(resolver, ref):
        return UNKNOWN, scope
    inner = Scope(ref.source, function, bind_arguments(function, args, scope, home, ref.receiver))
    if found & Trait.GENERATOR:
        cls = "contextlib.entered" if found & Trait.CONTEXT else "types.GeneratorType"
        return Instance(cls, (function.yields,), True), inner
    if isinstance(function.declared, Instance) and function.declared.cls == "typing.Self":
        value = _itself(ref)
    elif resolver.informative(declared := _declared(resolver, ref), home):
        better = None if found & Trait.ASYNC else _better(resolver, ref, inner)
        if better is not None:
            return better
        value, inner = declared, home
    elif found & Trait.ABSTRACT:
        return UNKNOWN, scope
    else:
        value = function.result
    if found & Trait.ASYNC:
        return Instance("types.CoroutineType", (value,), True), inner
    key = ref.name, ref.source.path
    result = resolver.once(key, _MOST_RECURSION, lambda: resolver.resolve(value, inner))
    return result or (UNKNOWN, scope)
