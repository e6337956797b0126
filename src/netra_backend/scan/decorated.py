"""The functions that a decorator is given: what they return, it may write in their stead."""

from collections.abc import Iterator

from msgspec import structs

from netra_backend.scan.declarations import Function, Site, Trait
from netra_backend.scan.decorating import is_captured
from netra_backend.scan.environment import children
from netra_backend.scan.heads import FunctionRef
from netra_backend.scan.project import Project
from netra_backend.scan.resolve import Handed
from netra_backend.scan.signatures import decorates
from netra_backend.scan.sources import Source
from netra_backend.scan.values import Call, Global, Value

MOST = 32
"""Functions that are asked for one call in a decorator."""

_INSIDE = ".<locals>."
_STRANGE = Trait.ABSTRACT | Trait.CONTEXT | Trait.GENERATOR | Trait.OVERLOAD | Trait.PROPERTY


def handed_to(project: Project, source: Source, site: Site) -> Iterator[Handed]:
    """Yield each function that a decorator may be given in whose inner function the call is.

    Only those that it is the nearest to are: what others make of a function is not known.
    """
    decorator, _, inner = site.function.rpartition(_INSIDE)
    given = _given(source, decorator, inner)
    if not given or not any(_asks(argument.value, given) for argument in site.args):
        return
    outer, _, _ = decorator.rpartition(_INSIDE)
    if outer and not _returns(source, outer, decorator):
        return
    within = source.function(site.function)
    for ref in _of(project, source, outer or decorator, called=bool(outer)):
        if within is not None:
            yield Handed(given, within, ref)


def _of(project: Project, source: Source, decorator: str, *, called: bool) -> Iterator[FunctionRef]:
    """Yield the first functions below the decorator, as they are without it."""
    key, asked = decorates(decorator), 0
    for home in project.deriving(key):
        for name in home.derived(key):
            function = home.function(name)
            if function is None or asked == MOST:
                continue
            if _is_nearest(project, function, home, f"{source.module}.{decorator}", called):
                asked += 1
                bare = structs.replace(function, traits=function.traits & ~Trait.DECORATED)
                yield FunctionRef(f"{home.module}.{name}", bare, home)


def _given(source: Source, decorator: str, inner: str) -> str:
    """Return what the decorator calls the function it is given, empty if it is no decorator."""
    function = source.function(decorator) if decorator else None
    if function is None or not function.params or function.traits & Trait.METHOD:
        return ""
    returned = _returns(source, decorator, f"{decorator}{_INSIDE}{inner}")
    return function.params[0].name if returned else ""


def _returns(source: Source, outer: str, inner: str) -> bool:
    """Return whether the function returns the one that it defines."""
    function = source.function(outer)
    result = None if function is None else function.result
    return isinstance(result, Global) and result.name == f"{source.module}.{inner}"


def _asks(value: Value, given: str) -> bool:
    """Return whether the value is made by calling what was given."""
    if isinstance(value, Call) and is_captured(value.func, given):
        return True
    return any(_asks(part, given) for part in children(value))


def _is_nearest(
    project: Project, function: Function, home: Source, decorator: str, called: bool
) -> bool:
    if not function.decorators or function.traits & _STRANGE:
        return False
    value = function.decorators[-1]
    named = value.func if isinstance(value, Call) else value
    if isinstance(value, Call) is not called or not isinstance(named, Global):
        return False
    found = project.function_named(named.name, home)
    return found is not None and found.name == decorator
