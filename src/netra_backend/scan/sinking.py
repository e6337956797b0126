"""Which encoder a sink call really uses, after its ``default=``, ``cls=`` and the like."""

from collections.abc import Sequence

from msgspec import structs

from netra_backend.scan.arguments import argument_of
from netra_backend.scan.encoders import Encoder
from netra_backend.scan.heads import ClassRef, External, Found, FunctionRef, Scope
from netra_backend.scan.resolve import Resolver
from netra_backend.scan.sinks import Sink
from netra_backend.scan.values import NONE, Argument, Const, Global

_ABSTRACT = ("collections.abc.", "numbers.", "typing.")
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
    given = {argument.name: argument.value for argument in args}
    if "**" in given:
        return None
    openers = [name for name in (*encoder.openers, *sink.openers) if name in given]
    if any(given[name] != NONE for name in openers):
        return None
    if any(given.get(name, Const(False)) != Const(False) for name in encoder.skipping):
        encoder = structs.replace(encoder, keys=frozenset())
    converted: frozenset[str] | None = frozenset()
    for name in encoder.converters:
        argument = argument_of(args, name, None)
        if argument is not None and converted is not None:
            handled = _handled(resolver, resolver.resolve(argument.value, scope))
            converted = None if handled is None else converted | handled
    if converted is None:
        return structs.replace(encoder, values=frozenset()), frozenset()
    return encoder, converted


def _handled(resolver: Resolver, found: Found) -> frozenset[str] | None:
    """Return the names of the classes that the function converts, None for everything."""
    head, _ = found
    if head == NONE:
        return frozenset()
    if isinstance(head, (ClassRef, External)) and head.name in ("json.JSONEncoder",):
        return frozenset()
    if isinstance(head, ClassRef):
        method = resolver.project.method(head, "default")
        if method is None:
            bases = [b if isinstance(b, str) else b.name for b in resolver.project.bases(head)]
            return frozenset() if "json.JSONEncoder" in bases else None
        head = method
    if not isinstance(head, FunctionRef) or head.function.handled.everything:
        return None
    names = (c.name for c in head.function.handled.classes if isinstance(c, Global))
    handled = frozenset(resolver.project.canonical(name, head.source) for name in names)
    return None if any(_is_abstract(resolver, name) for name in handled) else handled


def _is_abstract(resolver: Resolver, name: str) -> bool:
    """Return whether classes are taken for instances of it that do not name it as their base."""
    if name == "os.PathLike" or name.startswith(_ABSTRACT):
        return True
    return not resolver.project.ancestors(name).isdisjoint(_PROTOCOLS)
