"""What a project's own decorators do with the function that they are given."""

from collections.abc import Iterator, Sequence

from msgspec import Struct

from netra_backend.scan.declarations import Function, Parameter, ParamKind, Site, Trait
from netra_backend.scan.heads import FunctionRef
from netra_backend.scan.project import Project
from netra_backend.scan.sources import Source
from netra_backend.scan.values import (
    Argument,
    Awaited,
    Call,
    Captured,
    Dict,
    Entry,
    Global,
    Param,
    Union,
    Value,
)


class Handing(Struct, frozen=True):
    """What stands between a function's callers and the function.

    `arguments` is whether it gets what they pass, `sure` whether it is called at all, `result`
    whether they get what it returns; `awaits` is whether that is so of coroutines only. `calls`
    are the calls of the function in a decorator that pass something else.
    """

    arguments: bool = True
    result: bool = True
    sure: bool = True
    awaits: bool = False
    calls: tuple[tuple[Source, Site], ...] = ()


NOTHING = Handing(False, False, False)
"""What is known of decorators of other people."""


class Decorators:
    """Reads what decorates functions, and remembers what each decorator does."""

    def __init__(self, project: Project) -> None:
        self._project = project
        self._known: dict[tuple[str, str, bool], Handing] = {}

    def of(self, function: Function, source: Source) -> Handing:
        """Return what all decorators of the function do together, the nearest first."""
        whole = Handing()
        for value in reversed(function.decorators):
            if not whole.arguments:
                return whole
            one = self._decorator(value, source)
            whole = Handing(
                one.arguments,
                whole.result and one.result,
                whole.sure and one.sure,
                whole.awaits or one.awaits,
                whole.calls + one.calls,
            )
        return whole

    def _decorator(self, value: Value, source: Source) -> Handing:
        called = isinstance(value, Call)
        named = value.func if isinstance(value, Call) else value
        if not isinstance(named, Global):
            return NOTHING
        key = source.path, named.name, called
        if key not in self._known:
            self._known[key] = NOTHING  # what decorates itself is nobody's business
            found = self._project.function_named(named.name, source)
            if called and found is not None:
                found = self._returned(found)
            self._known[key] = NOTHING if found is None else self._handing(found)
        return self._known[key]

    def _handing(self, decorator: FunctionRef) -> Handing:
        given = _first(decorator.function)
        if given is None or decorator.function.traits & _STRANGE:
            return NOTHING
        if decorator.function.result == Param(given):
            return Handing()
        inner = self._returned(decorator)
        if inner is None or inner.function.traits & _STRANGE:
            return NOTHING
        sites = list(_calls(inner, given))
        if not sites:
            return NOTHING
        changed = tuple((inner.source, s) for s in sites if not _hands_on(inner.function, s))
        return Handing(
            not changed,
            not changed and _gives(inner.function, given),
            not any(site.conditional for site in sites),
            bool(inner.function.traits & Trait.ASYNC),
            changed,
        )

    def _returned(self, ref: FunctionRef) -> FunctionRef | None:
        """Return the function that the function defines and returns."""
        result = ref.function.result
        if not isinstance(result, Global) or not result.name.startswith(f"{ref.name}.<locals>."):
            return None
        found = self._project.find(result.name, ref.source)
        return found if isinstance(found, FunctionRef) else None


def is_captured(value: Value, name: str) -> bool:
    """Return whether the value is what the function around was given by the name."""
    return isinstance(value, Captured) and value.name == name


_STRANGE = Trait.DECORATED | Trait.OVERLOAD | Trait.GENERATOR | Trait.PROPERTY


def _first(function: Function) -> str | None:
    """Return the name of the parameter that takes the function."""
    bound = function.traits & Trait.METHOD
    params = function.params[1:] if bound else function.params
    return params[0].name if params and params[0].kind is ParamKind.POSITIONAL else None


def _calls(inner: FunctionRef, given: str) -> Iterator[Site]:
    """Yield the calls of what was given to the decorator, in the function it returns."""
    if given not in inner.source.calls():
        return
    own = inner.name[len(inner.source.module) + 1 :]
    for site in inner.source.sites(given):
        inside = site.function == own or site.function.startswith(f"{own}.")
        if inside and is_captured(site.func, given):
            yield site


def _hands_on(function: Function, site: Site) -> bool:
    """Return whether the call passes the parameters of the function, each in its place."""
    params: Sequence[Parameter] = function.params
    return len(params) == len(site.args) and all(map(_is_handed_on, params, site.args))


def _is_handed_on(parameter: Parameter, argument: Argument) -> bool:
    value: Value = Param(parameter.name)
    match parameter.kind:
        case ParamKind.VARIADIC:
            return argument.name == "*" and argument.value == value
        case ParamKind.KEYWORDS:
            spread = Dict((Entry(None, value, spread=True),))
            return argument.name == "**" and argument.value == spread
        case ParamKind.KEYWORD:
            return argument.name == parameter.name and argument.value == value
    return argument.name in ("", parameter.name) and argument.value == value


def _gives(function: Function, given: str) -> bool:
    """Return whether the function returns what the call of the given one returns."""
    result = function.result
    options = result.options if isinstance(result, Union) else (result,)
    if function.traits & Trait.ASYNC:
        if not all(isinstance(option, Awaited) for option in options):
            return False
        options = tuple(option.base for option in options if isinstance(option, Awaited))
    return all(isinstance(it, Call) and is_captured(it.func, given) for it in options)
