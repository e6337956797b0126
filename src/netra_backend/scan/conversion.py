"""The fix that a file has already: the ``default=`` function that its other calls give."""

from msgspec import structs

from netra_backend.scan.declarations import Site
from netra_backend.scan.finding import Edit, Finding, Fix, Severity
from netra_backend.scan.heads import Scope
from netra_backend.scan.judge import Judge
from netra_backend.scan.places import unpack
from netra_backend.scan.resolve import Resolver
from netra_backend.scan.sinking import encoder_of
from netra_backend.scan.sinks import Sink
from netra_backend.scan.sources import Source
from netra_backend.scan.values import Argument, Global


class Conversions:
    """The functions that each file passes as ``default=``."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._known: dict[str, tuple[Argument, ...]] = {}

    def offered(
        self, finding: Finding, source: Source, site: Site, sink: Sink, scope: Scope
    ) -> Finding:
        """Return the finding with ``default=`` as its fix, if that takes the value."""
        if finding.fix is not None or finding.severity is not Severity.ERROR or site.at <= 0:
            return finding
        if any(a.name in sink.encoder.converters for a in site.args) or sink.openers or sink.own:
            return finding
        for default in self._defaults(source):
            if self._takes(finding, sink, (*site.args, default), scope):
                place = unpack(site.at)
                line, column = place.end_line, place.end_column - 1
                name = _own_name(default, source)
                edit = Edit(line, column, line, column, f", default={name}")
                return structs.replace(finding, fix=Fix(f"Convert it with {name}", (edit,)))
        return finding

    def _takes(
        self, finding: Finding, sink: Sink, args: tuple[Argument, ...], scope: Scope
    ) -> bool:
        encoder = encoder_of(self._resolver, sink, args, scope)
        if encoder is None or not args:
            return False
        problems = Judge(self._resolver, *encoder).problems(args[0].value, scope, args[0].at)
        return all(problem.path.removeprefix(".") != finding.value_path for problem in problems)

    def _defaults(self, source: Source) -> tuple[Argument, ...]:
        known = self._known.get(source.path)
        if known is None:
            names = [name for name in ("dumps", "dump") if name in source.calls()]
            found = (a for n in names for site in source.sites(n) for a in site.args)
            own = [a for a in found if a.name == "default" and _own_name(a, source)]
            known = self._known[source.path] = tuple(structs.replace(a, at=0) for a in own[:3])
        return known


def _own_name(default: Argument, source: Source) -> str:
    """Return the name of a function of the module itself: it is known where the call stands."""
    if not isinstance(default.value, Global):
        return ""
    module, _, name = default.value.name.rpartition(".")
    return name if module == source.module and name in source.declared.functions else ""
