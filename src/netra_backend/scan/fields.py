"""What a dataclass or a model consists of, over all classes that it inherits from."""

from typing import TYPE_CHECKING

from netra_backend.scan.arguments import argument_of, bind_arguments
from netra_backend.scan.commandline import Parsed
from netra_backend.scan.declarations import EXCLUDED
from netra_backend.scan.heads import (
    ClassRef,
    External,
    Found,
    Open,
    Scope,
    either,
    settled,
    suspended,
)
from netra_backend.scan.kinds import Kind
from netra_backend.scan.values import (
    UNKNOWN,
    Argument,
    Call,
    Const,
    Dict,
    Entry,
    Instance,
    Received,
    Union,
    Unknown,
    Value,
    union,
)

if TYPE_CHECKING:
    from netra_backend.scan.resolve import Resolver


_WITH_FIELDS = frozenset(
    {"collections.namedtuple", "typing.NamedTuple", "typing.TypedDict"}
    | {"typing_extensions.TypedDict"}
)

EVERYTHING = "*"
"""What is read of an instance of which all fields are."""


def setting(resolver: "Resolver", ref: ClassRef, name: str) -> bool:
    """Return whether the class or one that it inherits from has this setting."""
    return any(
        isinstance(item, ClassRef) and name in item.declared.settings
        for item in resolver.project.bases(ref)
    )


class Made(Instance, frozen=True, array_like=True, tag="M"):
    """An instance with what it was made of; lives in the link only."""

    given: tuple[Argument, ...] = ()


def made(ref: ClassRef | External, call: Call, scope: Scope) -> Made:
    """Return what the call of the class gives."""
    args = tuple(Argument(a.name, suspended(a.value, scope)) for a in call.args)
    return Made(ref.name, (), True, call.line, args)


def given(resolver: "Resolver", head: Made, ref: ClassRef, name: str) -> Found | None:
    """Return the field as it was given to the constructor, which others may have changed since."""
    if any(resolver.project.method(ref, it) is not None for it in ("__post_init__", "__init__")):
        return None
    names = list(fields(resolver, ref))
    position = names.index(name) if name in names else None
    argument = argument_of(head.given, name, position)
    if argument is None:
        return None
    return _perhaps(resolver.resolve(argument.value, ref.source.scope))


def item_given(
    resolver: "Resolver", head: Made, ref: ClassRef, name: str, position: int
) -> Found | None:
    """Return the item of a named tuple as it was given or is by default, None if unknown."""
    if any(argument.name in ("*", "**") for argument in head.given):
        return None
    argument = argument_of(head.given, name, position)
    found = (
        _default(resolver, ref, name)
        if argument is None
        else resolver.resolve(argument.value, ref.source.scope)
    )
    return None if isinstance(found[0], (Unknown, External, Open)) else found


def _default(resolver: "Resolver", ref: ClassRef, name: str) -> Found:
    for item in resolver.project.bases(ref):
        if isinstance(item, ClassRef) and name in item.declared.attributes:
            return resolver.resolve(item.declared.attributes[name].assigned, item.source.scope)
    return UNKNOWN, ref.source.scope


def given_to_init(
    resolver: "Resolver", head: Made, ref: ClassRef, own: str, name: str
) -> Found | None:
    """Return the parameter of the constructor, if it is that of the class with the attribute."""
    init = resolver.project.method(ref, "__init__")
    if init is None or init.name != own:
        return None
    home = init.source.scope
    bound = bind_arguments(init.function, head.given, home, home, (head, home))
    value = bound.get(name)
    return None if value is None else _perhaps(resolver.resolve(*value))


def as_made(
    resolver: "Resolver", head: Instance, ref: ClassRef, owner: ClassRef, value: Value
) -> tuple[Value, Scope]:
    """Return what methods of `owner` assign, and the scope that has what the constructor was given.

    What other instances are given is not there. Where several methods assign, nobody can tell
    which of the values from outside is.
    """
    home = owner.source.scope
    if isinstance(value, Union):
        return union([UNKNOWN if isinstance(it, Received) else it for it in value.options]), home
    own = owner.source.function(f"{owner.name[len(owner.source.module) + 1 :]}.__init__")
    init = resolver.project.method(ref, "__init__")
    if own is None or init is None:
        return value, home
    bound = {}
    if init.function is own and isinstance(head, Made):
        bound = bind_arguments(own, head.given, home, home, (head, home))
    return value, Scope(owner.source, own, bound)


def _perhaps(found: Found) -> Found:
    return either([found, (UNKNOWN, found[1])], found[1])


def own_dict(resolver: "Resolver", found: Found) -> Found:
    """Return ``vars(x)``: the fields of a dataclass for certain, what methods assign maybe."""
    if isinstance(found[0], Open):
        return found
    if isinstance(found[0], Parsed):
        return Dict(found[0].fields, found[0].line), found[1]
    ref = resolver.class_of(found)
    if ref is None:
        return UNKNOWN, found[1]
    certain = resolver.kind(found) is Kind.DATACLASS
    entries = [
        Entry(Const(name), settled(value), maybe=not certain)
        for name, value in fields(resolver, ref).items()
    ]
    for name, attribute in ref.declared.attributes.items():
        if attribute.inner:
            value = resolver.resolve(attribute.assigned, ref.source.scope)
            entries.append(Entry(Const(name), settled(value), maybe=True))
    return Dict(tuple(entries)), ref.source.scope


def declares_items(resolver: "Resolver", ref: ClassRef) -> bool:
    """Return whether what the class declares is in its instances: in typed dicts, named tuples."""
    return not resolver.project.ancestors(ref.name).isdisjoint(_WITH_FIELDS)


def is_excluded(resolver: "Resolver", ref: ClassRef, name: str) -> bool:
    """Return whether a model leaves the field out when it is dumped: ``Field(exclude=True)``."""
    return setting(resolver, ref, f"{EXCLUDED}{name}")


def fields(resolver: "Resolver", ref: ClassRef) -> dict[str, Found]:
    """Return the annotated fields of a dataclass, model or the like, inherited ones first."""
    resolver.read.add((ref.name, EVERYTHING))
    result: dict[str, Found] = {}
    for item in reversed(list(resolver.project.bases(ref))):
        if not isinstance(item, ClassRef):
            continue
        for name in item.declared.annotated:
            attribute = item.declared.attributes.get(name)
            if attribute is not None and not name.startswith("_"):
                result[name] = resolver.resolve(attribute.declared, item.source.scope)
    return result
