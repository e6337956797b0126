"""Which encoder a sink call really uses, after its ``default=``, ``cls=`` and the like."""

from collections.abc import Sequence

from msgspec import structs

from netra_backend.scan.arguments import argument_of
from netra_backend.scan.declarations import ParamKind, Trait
from netra_backend.scan.encoders import Encoder
from netra_backend.scan.fields import Made
from netra_backend.scan.heads import (
    OPEN,
    ClassRef,
    External,
    Found,
    FunctionRef,
    Open,
    Scope,
    suspended,
)
from netra_backend.scan.resolve import Resolver
from netra_backend.scan.sinks import BY_NAME, Sink
from netra_backend.scan.values import (
    NONE,
    UNKNOWN,
    Argument,
    Attr,
    Const,
    Dict,
    Global,
    Instance,
    Param,
    Unknown,
    Value,
    unmarked,
)

_ABSTRACT = ("collections.abc.", "numbers.", "typing.")
_ENCODERS = frozenset({"json.JSONEncoder", "json.encoder.JSONEncoder", "simplejson.JSONEncoder"})
_WRITING = frozenset({"__init__", "__new__", "encode", "iterencode"})
"""What an encoder that writes in ways of its own has."""
_PROTOCOLS = frozenset({"typing.Protocol", "typing_extensions.Protocol"})


def encoder_of(
    resolver: Resolver, sink: Sink, args: Sequence[Argument], scope: Scope
) -> tuple[Encoder, frozenset[str]] | None:
    """Return the encoder and the classes that a function of the call converts for it.

    None when the call has arguments with which nothing is sure.
    """
    encoder = sink.encoder
    if sink.position is None:
        return encoder, frozenset()  # the client decides how it writes ``json=``
    told = spelt_out(resolver, args, scope)
    if not isinstance(told, list):
        return None
    given = {argument.name: argument.value for argument in told}
    openers = [name for name in (*encoder.openers, *sink.openers) if name in given]
    if any(given[name] != NONE for name in openers):
        return None
    if any(given.get(name, Const(False)) != Const(False) for name in encoder.skipping):
        encoder = structs.replace(encoder, keys=frozenset())
    converted: frozenset[str] | None = frozenset()
    for name in encoder.converters:
        argument = argument_of(told, name, None)
        if argument is not None and converted is not None:
            handled = _handled(resolver, resolver.resolve(argument.value, scope))
            converted = None if handled is None else converted | handled
    if converted is None:
        return structs.replace(encoder, values=frozenset()), frozenset()
    return encoder, converted


def spelt_out(
    resolver: Resolver, args: Sequence[Argument], scope: Scope
) -> list[Argument] | Open | Unknown:
    """Return the arguments with those of each ``**`` under their names, `OPEN` where callers pass
    some of them, `UNKNOWN` where one may be there that nobody can tell.
    """
    told: list[Argument] = []
    for argument in args:
        named = [argument] if argument.name != "**" else _named(resolver, argument.value, scope)
        if not isinstance(named, list):
            return named
        told += named
    return told


def _named(resolver: Resolver, value: Value, scope: Scope) -> list[Argument] | Open | Unknown:
    bare = unmarked(value)
    changes = () if scope.function is None else scope.function.changes
    if bare is not value or (isinstance(bare, Param) and bare.name in changes):
        return UNKNOWN
    if isinstance(value, Attr):  # any code may assign to an attribute, and fill what is there
        return UNKNOWN
    head, home = resolver.resolve(value, scope)
    if isinstance(head, Open):
        return OPEN
    # an empty one that is no function's own ``**`` is there to be filled
    if not isinstance(head, Dict) or not (head.entries or isinstance(value, Param)):
        return UNKNOWN
    told: list[Argument] = []
    for entry in head.entries:
        if entry.spread:
            named = _named(resolver, entry.value, home)
            if not isinstance(named, list):
                return named
            told += named
        elif entry.maybe or not isinstance(entry.key, Const):
            return UNKNOWN
        else:
            told.append(Argument(str(entry.key.value), suspended(entry.value, home)))
    return told


def placed(sink: Sink, head: ClassRef | FunctionRef | External) -> Sink:
    """Return the sink with the position that the argument has in the function, if we have it."""
    if sink.position != BY_NAME:
        return sink
    if not isinstance(head, FunctionRef):
        return structs.replace(sink, position=None)
    params = head.function.params
    names = [it.name for it in params if it.kind is ParamKind.POSITIONAL]
    bound = head.receiver is not None
    place = names.index(sink.argument) - bound if sink.argument in names else None
    return structs.replace(sink, position=place)


def as_dumped(args: Sequence[Argument], receiver: Found | None) -> Sequence[Argument]:
    """Return what an encoder's own method is given as ``json.dumps`` would be given it."""
    head = None if receiver is None else receiver[0]
    if not isinstance(head, Instance) or not head.exact:
        return (*args, Argument("**", UNKNOWN))
    told = head.given if isinstance(head, Made) else ()
    return (*args, *told, Argument("cls", Global(head.cls)))


def _handled(resolver: Resolver, found: Found) -> frozenset[str] | None:
    """Return the names of the classes that the function converts, None for everything."""
    head, _ = found
    if head == NONE:
        return frozenset()
    if isinstance(head, (ClassRef, External)) and head.name in _ENCODERS:
        return frozenset()
    if isinstance(head, ClassRef):
        return _handled_by_class(resolver, head)
    return _handled_by(resolver, head) if isinstance(head, FunctionRef) else None


def _handled_by_class(resolver: Resolver, ref: ClassRef) -> frozenset[str] | None:
    """Return what an encoder converts: its own ``default`` and those above, to which it may turn.

    One that writes in ways of its own, or that inherits from what we cannot see, may take all.
    """
    converted: frozenset[str] = frozenset()
    for above in resolver.project.bases(ref):
        if isinstance(above, str):
            return converted if above in _ENCODERS else None
        own = {*above.declared.methods, *above.declared.attributes}
        if not _WRITING.isdisjoint(own):
            return None
        if "default" in own:
            method = resolver.project.method(above, "default")
            handled = None if method is None else _handled_by(resolver, method)
            if handled is None:
                return None
            converted |= handled
    return None


def _handled_by(resolver: Resolver, ref: FunctionRef) -> frozenset[str] | None:
    if ref.function.handled.everything or ref.function.traits & Trait.DECORATED:
        return None
    names = (c.name for c in ref.function.handled.classes if isinstance(c, Global))
    handled = frozenset(resolver.project.canonical(name, ref.source) for name in names)
    return None if any(_is_abstract(resolver, name) for name in handled) else handled


def _is_abstract(resolver: Resolver, name: str) -> bool:
    """Return whether classes are taken for instances of it that do not name it as their base."""
    if name == "os.PathLike" or name.startswith(_ABSTRACT):
        return True
    return not resolver.project.ancestors(name).isdisjoint(_PROTOCOLS)
