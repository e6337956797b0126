"""The arguments of a call by the parameters that take them."""

from collections.abc import Sequence

from netra_backend.scan.declarations import Function, Parameter, ParamKind
from netra_backend.scan.heads import Found, Scope, settled
from netra_backend.scan.values import (
    UNKNOWN,
    Argument,
    Call,
    Const,
    Dict,
    Entry,
    Item,
    Seq,
    Value,
)

Bound = dict[str, tuple[Value, Scope]]


def _spelt_out(argument: Argument) -> Sequence[Argument]:
    """Return what ``*`` brings of a sequence that is written there."""
    items = argument.value.entries if isinstance(argument.value, Seq) else ()
    if argument.name != "*" or not items or any(it.maybe or it.spread for it in items):
        return (argument,)
    return [Argument("", it.value, it.at) for it in items]


def bind_arguments(
    function: Function, args: Sequence[Argument], scope: Scope, home: Scope, receiver: Found | None
) -> Bound:
    """Return what each parameter is in the call. `scope` is the caller's, `home` the function's
    module's, in which defaults are read."""
    bound: Bound = {}
    params = list(function.params)
    if receiver is not None and params and params[0].kind is ParamKind.POSITIONAL:
        bound[params.pop(0).name] = (settled(receiver), receiver[1])
    positional = [it for argument in args for it in _spelt_out(argument) if it.name in ("", "*")]
    named = {a.name: a.value for a in args if a.name not in ("", "*", "**")}
    spread = [argument.value for argument in args if argument.name == "**"]
    uncertain = False
    for parameter in params:
        if parameter.kind is ParamKind.POSITIONAL and positional and not uncertain:
            if positional[0].name == "*":
                uncertain = True
            else:
                bound[parameter.name] = (positional.pop(0).value, scope)
                continue
        if parameter.kind is ParamKind.VARIADIC:
            entries = tuple(Entry(None, a.value, a.at, spread=a.name == "*") for a in positional)
            bound[parameter.name] = (UNKNOWN if uncertain else Seq("tuple", entries), scope)
            positional = []
        elif parameter.kind is ParamKind.KEYWORDS:
            bound[parameter.name] = (_keywords(named, spread), scope)
        elif parameter.name in named:
            bound[parameter.name] = (named.pop(parameter.name), scope)
        elif spread:
            bound[parameter.name] = (Item(spread[-1], Const(parameter.name)), scope)
        elif not uncertain:
            bound[parameter.name] = _default(parameter, home)
    return bound


def _keywords(named: dict[str, Value], spread: list[Value]) -> Value:
    entries = [Entry(Const(name), value) for name, value in named.items()]
    return Dict((*(Entry(None, value, spread=True) for value in spread), *entries))


def _default(parameter: Parameter, home: Scope) -> tuple[Value, Scope]:
    return (UNKNOWN if parameter.default is None else parameter.default), home


def keyword_dict(args: Sequence[Argument]) -> Argument | None:
    """Return the keyword arguments as one that is a dict, None if there are none."""
    named = [argument for argument in args if argument.name not in ("", "*")]
    entries = [
        Entry(None if a.name == "**" else Const(a.name), a.value, a.at, spread=a.name == "**")
        for a in named
    ]
    return Argument("", Dict(tuple(entries))) if entries else None


def argument_of(args: Sequence[Argument], name: str, position: int | None) -> Argument | None:
    """Return the argument that is passed by the name, or at the position.

    What has a name only may be in a ``**`` too.
    """
    for argument in args:
        if argument.name == name:
            return argument
    if position is None:
        spread = [argument.value for argument in args if argument.name == "**"]
        return Argument(name, Item(spread[-1], Const(name))) if spread else None
    if any(a.name == "*" for a in args[: position + 1]):
        return None
    positional = [argument for argument in args if not argument.name]
    return positional[position] if position < len(positional) else None


def first(call: Call) -> Value:
    """Return the first argument by position, UNKNOWN if there is none."""
    argument = argument_of(call.args, "", 0)
    return UNKNOWN if argument is None else argument.value
