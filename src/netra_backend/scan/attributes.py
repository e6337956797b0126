"""Attributes of classes and instances: what annotations declare, and what code assigns."""

from typing import TYPE_CHECKING

from netra_backend.scan.callers import constructed
from netra_backend.scan.commandline import Parsed, field
from netra_backend.scan.declarations import Attribute, Trait
from netra_backend.scan.fields import Made, as_made, given, given_to_init, own_dict, setting
from netra_backend.scan.generics import specialised
from netra_backend.scan.heads import (
    Alternatives,
    ClassRef,
    External,
    Found,
    FunctionRef,
    Open,
    Scope,
    Super,
    brought,
    either,
)
from netra_backend.scan.invocation import call_function
from netra_backend.scan.kinds import VAGUE, Kind
from netra_backend.scan.values import (
    STR,
    UNKNOWN,
    Call,
    Const,
    Dict,
    Global,
    Instance,
    Seq,
    Text,
    Union,
    Value,
)

if TYPE_CHECKING:
    from netra_backend.scan.resolve import Resolver


def attribute(resolver: "Resolver", base: Found, name: str, line: int = 0) -> Found:
    """Return the attribute of what was found."""
    head, scope = base
    if isinstance(head, Open):
        return base
    if isinstance(head, ClassRef):
        return _of_class(resolver, head, name, line)
    if isinstance(head, Super):
        return _inherited(resolver, head, name, scope)
    if isinstance(head, Instance):
        return _of_instance(resolver, base, head, name)
    if isinstance(head, External):
        return External(f"{head.name}.{name}"), scope
    if isinstance(head, (Dict, Seq)):
        cls = "dict" if isinstance(head, Dict) else head.cls
        return External(f"builtins.{cls}.{name}", base), scope
    if isinstance(head, Text) or (isinstance(head, Const) and isinstance(head.value, str)):
        return External(f"builtins.str.{name}", base), scope
    return UNKNOWN, scope


def _inherited(resolver: "Resolver", head: Super, name: str, scope: Scope) -> Found:
    """Return the method of the nearest class above; what we cannot see may come first."""
    for above in resolver.project.bases(head.owner)[1:]:
        if isinstance(above, str):
            return External(f"{above}.{name}", head.receiver), scope
        if name in above.declared.methods:
            method = resolver.project.method(above, name)
            return (UNKNOWN, scope) if method is None else _method(resolver, method, head.receiver)
    return UNKNOWN, scope


def _of_class(resolver: "Resolver", ref: ClassRef, name: str, line: int) -> Found:
    home = ref.source.scope
    if name == "__members__" and resolver.project.kind(ref.name, ref.source) is Kind.ENUM:
        return Instance("builtins.dict", (STR, Instance(ref.name, (), True)), True, line), home
    found = _nearest(resolver, ref, name)
    if isinstance(found, FunctionRef):
        receiver = (ref, home) if found.function.traits & Trait.CLASS else None
        return FunctionRef(found.name, found.function, found.source, receiver), home
    if found is None:
        return External(f"{ref.name}.{name}"), home
    attribute, owner = found
    if resolver.project.kind(ref.name, ref.source) is Kind.ENUM:
        member = not name.startswith("_") and attribute.assigned is not UNKNOWN
        return (Instance(ref.name, (), True, line) if member else UNKNOWN), home
    return _plain_data(resolver, attribute, owner)


def _declared(resolver: "Resolver", ref: ClassRef, name: str) -> tuple[Attribute, ClassRef] | None:
    for item in resolver.project.bases(ref):
        if isinstance(item, ClassRef):
            attribute = item.declared.attributes.get(name)
            if attribute is not None:
                return attribute, item
    return None


def _nearest(
    resolver: "Resolver", ref: ClassRef, name: str
) -> FunctionRef | tuple[Attribute, ClassRef] | None:
    """Return what the class has of this name: of its nearest base, and there rather the method."""
    method, found = resolver.project.method(ref, name), _declared(resolver, ref, name)
    if method is None or found is None:
        return method or found
    lineage = [getattr(it, "name", it) for it in resolver.project.bases(ref)]
    above = lineage.index(method.name.rpartition(".")[0])
    if lineage.index(found[1].name) >= above:
        return method
    # of a property that is assigned to, the setter says what becomes of it
    return (Attribute(inner=True), found[1]) if found[0].inner else found


def _plain_data(resolver: "Resolver", attribute: Attribute, owner: ClassRef) -> Found:
    """Return an attribute of a class body, unless it may be a descriptor."""
    home = owner.source.scope
    declared = resolver.informative(attribute.declared, home)
    head, scope = resolver.resolve(attribute.declared if declared else attribute.assigned, home)
    if isinstance(head, Instance):
        kind = resolver.kind((head, scope))
        if kind in VAGUE or kind is Kind.CALLABLE:
            return UNKNOWN, home
        return head, scope
    return (
        (head, scope) if isinstance(head, (ClassRef, Const, Text, Dict, Seq)) else (UNKNOWN, home)
    )


def _of_instance(resolver: "Resolver", base: Found, head: Instance, name: str) -> Found:
    if name == "__dict__":
        return own_dict(resolver, base)
    if isinstance(head, Parsed):
        return field(resolver, head, name, base[1])
    known = _given(resolver, base, head, name) if isinstance(head, Made) else None
    if known is None:
        return _of_declared(resolver, base, head, name)
    return known if base[1].brought is None else brought(known, base[1].brought)


def _given(resolver: "Resolver", base: Found, head: Made, name: str) -> Found | None:
    """Return the field as the constructor was given it, if the annotation says too little."""
    ref = resolver.class_of(base)
    found = None if ref is None else _declared(resolver, ref, name)
    if ref is None or found is None:
        return None
    attribute, owner = found
    if resolver.informative(attribute.declared, owner.source.scope):
        return None
    own = f"{owner.name}.__init__"
    if attribute.param:
        return given_to_init(resolver, head, ref, own, attribute.param)
    return given(resolver, head, ref, name)


def _of_declared(resolver: "Resolver", base: Found, head: Instance, name: str) -> Found:
    scope = base[1]
    kind = resolver.kind(base)
    if kind is Kind.ENUM and name in ("name", "_name_"):
        return STR, scope
    if kind is Kind.ENUM and name in ("value", "_value_"):
        return UNKNOWN, scope
    ref = resolver.class_of(base)
    if ref is None:
        return External(f"{resolver.same_class(head.cls, scope)}.{name}", base), scope
    if not head.exact:
        resolver.read.add((ref.name, name))
    found = _nearest(resolver, ref, name)
    if isinstance(found, FunctionRef):
        return _method(resolver, found, base)
    if found is None:
        return External(f"{_external_owner(resolver, ref)}.{name}", base), scope
    attribute, owner = found
    if kind is Kind.ENUM and _is_member(attribute, name):
        return Instance(head.cls, (), True, head.line), scope  # a member, through a member
    value = _field(resolver, attribute, owner, name, base)
    if kind in (Kind.MODEL, Kind.MODEL_1) and setting(resolver, ref, "use_enum_values"):
        return _without_enums(resolver, value)
    return value


def _is_member(attribute: Attribute, name: str) -> bool:
    """Return whether the body of an enum surely makes a member by assigning to the name."""
    plain = isinstance(attribute.assigned, (Const, Seq)) or (
        isinstance(attribute.assigned, Call) and attribute.assigned.func == Global("enum.auto")
    )
    return plain and not attribute.inner and not name.startswith("_")


def _method(resolver: "Resolver", method: FunctionRef, base: Found) -> Found:
    scope = base[1]
    if method.function.traits & Trait.STATIC:
        return method, scope
    bound = FunctionRef(method.name, method.function, method.source, base)
    if method.function.traits & Trait.PROPERTY:
        return call_function(resolver, bound, (), scope)
    return bound, scope


def _external_owner(resolver: "Resolver", ref: ClassRef) -> str:
    """Return the nearest base without declaration, whose methods may be sinks."""
    unknown = [item for item in resolver.project.bases(ref) if isinstance(item, str)]
    return unknown[0] if unknown else ref.name


def _without_enums(resolver: "Resolver", found: Found) -> Found:
    if isinstance(found[0], Alternatives) or resolver.kind(found) is Kind.ENUM:
        return UNKNOWN, found[1]
    return found


def _of_column(resolver: "Resolver", declared: Value, home: Scope) -> Found | None:
    """Return what an instance has where its class has a column, None if that is none.

    A column converts what it reads in its own way, and has None before it is written.
    """
    if not isinstance(declared, Instance) or declared.cls != "sqlalchemy.orm.Mapped":
        return None
    return either([*(resolver.resolve(it, home) for it in declared.args), (UNKNOWN, home)], home)


def _field(
    resolver: "Resolver", attribute: Attribute, owner: ClassRef, name: str, base: Found
) -> Found:
    """Return an attribute of an instance: what is declared, else what is assigned."""
    home = owner.source.scope
    declared = specialised(resolver, attribute.declared, base, owner)
    column = _of_column(resolver, declared, home)
    if column is not None:
        return column
    if resolver.informative(declared, home):
        return resolver.resolve(declared, home)
    assigned_to = specialised(resolver, attribute.assigned, base, owner)
    if assigned_to is not attribute.assigned:
        return resolver.resolve(assigned_to, home)
    key = f"{owner.name}.{name}", owner.source.path

    def assigned() -> Found:
        if attribute.inner or isinstance(attribute.assigned, Union):
            return resolver.resolve(*_as_assigned(resolver, attribute, owner, base))
        return _plain_data(resolver, attribute, owner)

    found = resolver.once(key, 1, assigned) or (UNKNOWN, home)
    if attribute.declared != UNKNOWN or not _is_of_any(resolver, owner, name, base):
        return found
    return either([found, constructed(resolver, owner, name)], home)


def _is_of_any(resolver: "Resolver", owner: ClassRef, name: str, base: Found) -> bool:
    """Return whether the field is whatever the constructor was given, somewhere."""
    if name not in owner.declared.annotated or getattr(base[0], "exact", False):
        return False
    return resolver.kind(base) in (Kind.DATACLASS, Kind.ATTRS, Kind.MODEL)


def _as_assigned(
    resolver: "Resolver", attribute: Attribute, owner: ClassRef, base: Found
) -> tuple[Value, Scope]:
    """Return what methods assign, and where it is to be read."""
    head, ref = base[0], resolver.class_of(base)
    if ref is None or not isinstance(head, Instance):
        return attribute.assigned, owner.source.scope
    if head.exact:
        return as_made(resolver, head, ref, owner, attribute.assigned)
    scope = Scope(owner.source)
    scope.itself = ref if ref.name != owner.name else None
    return attribute.assigned, scope
