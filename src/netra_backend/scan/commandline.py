"""argparse: what ``parse_args()`` gives for the arguments whose ``type=`` says it.

Whoever is given the result may put anything into it, so what is said of it is true of some runs
only.
"""

from typing import TYPE_CHECKING

from netra_backend.scan.arguments import argument_of
from netra_backend.scan.heads import ClassRef, External, Found, FunctionRef, Scope, either, settled
from netra_backend.scan.values import (
    NONE,
    STR,
    UNKNOWN,
    Argument,
    Call,
    Const,
    Entry,
    Instance,
    Seq,
    Value,
)

if TYPE_CHECKING:
    from netra_backend.scan.resolve import Resolver

PARSER = "argparse.ArgumentParser"
NAMESPACE = "argparse.Namespace"

Callee = ClassRef | FunctionRef | External


class Parser(Instance, frozen=True, array_like=True, tag="P"):
    """A parser that was told of arguments; lives in the link only."""

    fields: tuple[Entry, ...] = ()


class Parsed(Instance, frozen=True, array_like=True, tag="N"):
    """What a parser gives; lives in the link only."""

    fields: tuple[Entry, ...] = ()


def says_little(declared: Value) -> bool:
    """Return whether the annotation leaves out what we want to know."""
    return isinstance(declared, Instance) and declared.cls in (PARSER, NAMESPACE)


def with_argument(
    resolver: "Resolver", found: Found, args: tuple[Argument, ...], scope: Scope
) -> Found:
    """Return a parser that knows one argument more; anything else as it is."""
    head, home = found
    name = _destination(args)
    if not isinstance(head, Instance) or not name:
        return found
    if PARSER not in resolver.project.ancestors(resolver.same_class(head.cls, home)):
        return found
    known = head.fields if isinstance(head, Parser) else ()
    value = _value(resolver, args, scope)
    entry = Entry(Const(name), settled(either([value, (UNKNOWN, scope)], scope)), maybe=True)
    return Parser(head.cls, head.args, head.exact, head.line, (*known, entry)), home


def parsed(_resolver: "Resolver", callee: Callee, call: Call, scope: Scope) -> Found:
    """``parse_args()``: a namespace."""
    receiver = None if isinstance(callee, ClassRef) else callee.receiver
    known = () if receiver is None else getattr(receiver[0], "fields", ())
    return Parsed(NAMESPACE, (), True, call.line, known), scope


def parsed_and_rest(resolver: "Resolver", callee: Callee, call: Call, scope: Scope) -> Found:
    """``parse_known_args()``: a namespace and what is left over."""
    namespace = Entry(None, settled(parsed(resolver, callee, call, scope)))
    rest = Entry(None, Instance("builtins.list", (STR,), True))
    return Seq("tuple", (namespace, rest), call.line), scope


def field(resolver: "Resolver", head: Parsed, name: str, scope: Scope) -> Found:
    """Return an attribute of the namespace."""
    values = [entry.value for entry in head.fields if entry.key == Const(name)]
    return resolver.resolve(values[-1], scope) if values else (UNKNOWN, scope)


def _destination(args: tuple[Argument, ...]) -> str:
    """Return the name under which the argument is kept, empty if that cannot be told."""
    given = argument_of(args, "dest", None)
    names = [given] if given is not None else [a for a in args if not a.name]
    texts = [a.value.value for a in names if isinstance(a.value, Const)]
    words = [text for text in texts if isinstance(text, str)]
    long = [word for word in words if word.startswith("--")]
    return (long or words or [""])[0].lstrip("-").replace("-", "_")


def _value(resolver: "Resolver", args: tuple[Argument, ...], scope: Scope) -> Found:
    given = {argument.name: argument.value for argument in args}
    made = Call(given["type"], (Argument("", STR),))
    value = resolver.resolve(made, scope)
    if "nargs" in given and given["nargs"] != Const("?"):
        return Instance("builtins.list", (settled(value),), True), scope
    return either([value, resolver.resolve(given.get("default", NONE), scope)], scope)


def told(args: tuple[Argument, ...]) -> tuple[Argument, ...]:
    """Return what matters of the arguments of ``add_argument()``; nothing for most calls."""
    names = ("", "type", "default", "nargs", "dest")
    kinds = [argument.value for argument in args if argument.name == "type"]
    if not kinds or kinds[0] is UNKNOWN or any(a.name == "action" for a in args):
        return ()
    return tuple(argument for argument in args if argument.name in names)
