"""The classes that inherit a method: what it reads of ``self`` is theirs too."""

from collections import deque
from collections.abc import Callable, Iterator, Set
from itertools import islice

from netra_backend.scan.declarations import Function, Site, Trait
from netra_backend.scan.fields import EVERYTHING
from netra_backend.scan.heads import ClassRef, Scope, settled
from netra_backend.scan.project import Project
from netra_backend.scan.resolve import Posing
from netra_backend.scan.sources import Source
from netra_backend.scan.values import Instance

MOST = 32
"""Heirs that are asked for one call: of a base of hundreds, the first are much like the rest.

Nothing is promised of the rest.
"""


def heirs_of(
    project: Project, source: Source, site: Site, read: Set[str]
) -> Iterator[tuple[ClassRef, Scope]]:
    """Yield each heir of the method in which the call stands that has anything of its own of
    what is `read` of ``self``, and what the method is when ``self`` is that heir.

    `project` remembers what was asked on the way.
    """
    function = source.function(site.function)
    receiver = "" if function is None else _receiver(function)
    if function is None or not receiver:
        return
    owner, method = function.owner, site.function.rpartition(".")[2]

    def has_it(heir: ClassRef) -> bool:
        found = project.method(heir, method)
        return found is not None and found.name == f"{owner}.{method}" and found.source is source

    for heir in islice(_below(project, owner, has_it), MOST):
        if not _differs(project, heir, owner, read):
            continue
        home = heir.source.scope
        itself = settled((Instance(heir.name), home)), home
        yield heir, Scope(source, function, {receiver: itself})


def posing_as(project: Project, read: Set[tuple[str, str]]) -> Iterator[Posing]:
    """Yield the classes that were `read` with each heir that has anything of its own of that.

    An heir with a method of its own is none the less one: it may call that of its base.
    """
    for owner in sorted({owner for owner, _ in read}):
        names = {name for its, name in read if its == owner}
        for heir in _below(project, owner, lambda _: True):
            if _differs(project, heir, owner, names):
                yield owner, heir


def _below(project: Project, owner: str, wanted: Callable[[ClassRef], bool]) -> Iterator[ClassRef]:
    """Yield the classes below `owner`, as far down as they are `wanted`."""
    pending, seen = deque([owner]), {owner}
    while pending:
        for heir in project.heirs(pending.popleft()):
            if heir.name not in seen and wanted(heir):
                seen.add(heir.name)
                pending.append(heir.name)
                yield heir


def _differs(project: Project, heir: ClassRef, owner: str, read: Set[str]) -> bool:
    """Return whether the heir, or a class between, declares anything of what is read."""
    above = project.ancestors(owner)
    own = [
        it.declared
        for it in project.bases(heir)
        if isinstance(it, ClassRef) and it.name not in above
    ]
    if EVERYTHING in read and any(it.attributes for it in own):
        return True
    return any(read & {*it.attributes, *it.methods} for it in own)


def _receiver(function: Function) -> str:
    """Return what the method calls its instance, empty if it has none."""
    bound = function.traits & Trait.METHOD and not function.traits & Trait.CLASS
    return function.params[0].name if bound and function.params else ""
