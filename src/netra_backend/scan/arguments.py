"""The arguments of a call by the parameters that take them."""

from collections.abc import Mapping, Sequence

from netra_backend.scan.declarations import Function, Parameter, ParamKind
from netra_backend.scan.heads import Found, Scope, settled, suspended
from netra_backend.scan.values import (
    UNKNOWN,
    Argument,
    Call,
    Const,
    Dict,
    Entry,
    Item,
    Param,
    Seq,
    Value,
    union,
)

Bound = dict[str, tuple[Value, Scope]]


def _positional(args: Sequence[Argument], scope: Scope) -> list[Argument]:
    told = [it for argument in args for it in _spelt_out(argument, scope)]
    return [it for it in told if it.name in ("", "*")]


def _spelt_out(argument: Argument, scope: Scope) -> Sequence[Argument]:
    """Return what ``*`` brings of a sequence that is written there, or of the caller's own."""
    if argument.name != "*":
        return (argument,)
    if isinstance(argument.value, Param) and scope.bound is not None:
        return _handed_on(argument.value, scope.bound)
    items = argument.value.entries if isinstance(argument.value, Seq) else ()
    if not items or any(it.maybe or it.spread for it in items):
        return (argument,)
    return [Argument("", it.value, it.at) for it in items]


def _handed_on(value: Param, bound: Mapping[str, tuple[Value, Scope]]) -> Sequence[Argument]:
    """Return what the function around the call got as ``*args``."""
    got, home = bound.get(value.name, (UNKNOWN, None))
    if home is None or not isinstance(got, Seq) or any(it.maybe for it in got.entries):
        return (Argument("*", UNKNOWN),)
    told: list[Argument] = []
    for entry in got.entries:
        if entry.spread and isinstance(entry.value, Param) and home.bound is not None:
            told += _handed_on(entry.value, home.bound)
        else:
            told.append(Argument("*" if entry.spread else "", suspended(entry.value, home)))
    return told


def bind_arguments(
    function: Function, args: Sequence[Argument], scope: Scope, home: Scope, receiver: Found | None
) -> Bound:
    """Return what each parameter is in the call. `scope` is the caller's, `home` the function's
    module's, in which defaults are read."""
    bound = _bound_to(function, receiver)
    params = [parameter for parameter in function.params if parameter.name not in bound]
    positional = _positional(args, scope)
    brought = 0
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
        elif spread or (uncertain and parameter.kind is ParamKind.POSITIONAL):
            left = positional if parameter.kind is ParamKind.POSITIONAL else []
            bound[parameter.name] = (_handed(parameter.name, left, brought, spread), scope)
            brought += 1
        else:
            bound[parameter.name] = _default(parameter, home)
    return bound


def _bound_to(function: Function, receiver: Found | None) -> Bound:
    """Return the parameter that takes what a method is called on."""
    first = function.params[0] if function.params else None
    if receiver is None or first is None or first.kind is not ParamKind.POSITIONAL:
        return {}
    return {first.name: (settled(receiver), receiver[1])}


def _handed(name: str, left: list[Argument], place: int, spread: list[Value]) -> Value:
    """Return what ``**`` has under the name, or what a ``*`` may have at the place."""
    options: list[Value] = [Item(spread[-1], Const(name))] if spread else []
    if left and left[0].value != UNKNOWN:
        options += [Item(left[0].value, Const(place)), UNKNOWN]
    return union(options)


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


def completed(args: Sequence[Argument], first: Sequence[Argument]) -> Sequence[Argument]:
    """Return the arguments of a call of a ``partial``, which has the `first` ones already."""
    named = {argument.name for argument in args if argument.name not in ("", "*", "**")}
    return (*(argument for argument in first if argument.name not in named), *args)


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
