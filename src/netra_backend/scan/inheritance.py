"""The classes that inherit a method: what it reads of ``self`` is theirs too."""

from collections import deque
from collections.abc import Iterator, Sequence

from netra_backend.scan.declarations import Function, Site, Trait
from netra_backend.scan.environment import children
from netra_backend.scan.heads import ClassRef, Scope, settled
from netra_backend.scan.project import Project, Source
from netra_backend.scan.values import Instance, Param, Value

MOST = 64
"""Heirs that are asked for one call: of a base of hundreds, the first are much like the rest."""


class Heirs:
    """The heirs of the classes in some files; which they are is looked up when it is asked for."""

    def __init__(self, project: Project, sources: Sequence[Source]) -> None:
        self._project = project
        self._sources = sources
        self._by_base: dict[str, list[Source]] = {}

    def scopes(self, source: Source, site: Site) -> Iterator[tuple[ClassRef, Scope]]:
        """Yield each heir of the method in which the call stands, and what the method is when
        ``self`` is one; none if the call has nothing to do with ``self``."""
        read = set(_params(site))
        function = source.function(site.function) if read else None
        receiver = "" if function is None else _receiver(function)
        if function is None or receiver not in read:
            return
        for heir in self._of(source, function.owner, site.function.rpartition(".")[2]):
            home = heir.source.scope
            itself = settled((Instance(heir.name), home)), home
            yield heir, Scope(source, function, {receiver: itself})

    def _of(self, source: Source, owner: str, method: str) -> Iterator[ClassRef]:
        """Yield the classes below `owner` whose instances have this very method."""
        pending = deque([owner])
        seen = {owner}
        while pending and len(seen) <= MOST:
            for heir in self._below(pending.popleft()):
                found = self._project.method(heir, method)
                if heir.name in seen or found is None or found.name != f"{owner}.{method}":
                    continue
                if found.source is source:
                    seen.add(heir.name)
                    pending.append(heir.name)
                    yield heir

    def _below(self, base: str) -> Iterator[ClassRef]:
        """Yield the classes that name the class as their base."""
        if not self._by_base:
            for source in self._sources:
                for name in source.bases():
                    self._by_base.setdefault(name, []).append(source)
        last = base.rpartition(".")[2]
        for source in self._by_base.get(last, ()):
            for name in source.derived(last):
                heir = ClassRef(f"{source.module}.{name}", source.declared.classes[name], source)
                if any(getattr(it, "name", "") == base for it in self._project.bases(heir)[1:]):
                    yield heir


def _receiver(function: Function) -> str:
    """Return what the method calls its instance, empty if it has none."""
    bound = function.traits & Trait.METHOD and not function.traits & Trait.CLASS
    return function.params[0].name if bound and function.params else ""


def _params(site: Site) -> Iterator[str]:
    """Yield the parameters that the call has anything to do with."""
    pending: list[Value] = [site.func, *(argument.value for argument in site.args)]
    while pending:
        value = pending.pop()
        if isinstance(value, Param):
            yield value.name
        pending.extend(children(value))
