"""The whole-program step: from each sink back to its callers, and from those to theirs.

A function that hands a parameter to a sink is a sink itself for its callers; they are found by
its last name, so that only the calls that may matter are ever looked at.
"""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from msgspec import structs

from netra_backend.scan.calling import LOG_METHODS
from netra_backend.scan.conversion import Conversions
from netra_backend.scan.declarations import Function, Site, Trait
from netra_backend.scan.decorated import handed_to
from netra_backend.scan.deferring import may_call, surely_calls
from netra_backend.scan.finding import Finding, Severity
from netra_backend.scan.heads import (
    Scope,
    SiteScope,
)
from netra_backend.scan.inheritance import MOST, heirs_of, posing_as
from netra_backend.scan.logcalls import Formatter, lost
from netra_backend.scan.modules import with_json
from netra_backend.scan.notebook import Notebook, log_calls, notes_on
from netra_backend.scan.options import Encoder as EncoderName
from netra_backend.scan.options import LogEncoder, Options
from netra_backend.scan.problem import Problem, weakened
from netra_backend.scan.project import Project, file_fact
from netra_backend.scan.resolve import Handed, Posing, Resolver
from netra_backend.scan.sinking import encoder_of
from netra_backend.scan.sinks import BY_NAME, ENCODERS, SINKS, Sink
from netra_backend.scan.sources import Files, Source
from netra_backend.scan.targets import Targets, options_of
from netra_backend.scan.telling import tell
from netra_backend.scan.values import Argument, Unknown
from netra_backend.scan.verdict import Judged, certain, covered, repairable, told_of
from netra_backend.scan.wrappers import Told, Wrapper, called_as, page_of

LONGEST_CHAIN = 6
"""How many functions may lie between a value and its sink."""


_NO_ENCODER = frozenset({LogEncoder.AUTO, LogEncoder.NONE, LogEncoder.TOTAL})


class Linker:
    """One link over all files."""

    def __init__(self, files: Files, options: Options, notebook: Notebook) -> None:
        self._files = files
        self._safe = tuple(map(files.own_name, options.safe))
        self._notebook = notebook
        self._sinks = dict(SINKS)
        for own in options.sinks:
            label = own.name.rpartition(".")[2]
            encoder = ENCODERS[own.encoder]
            self._sinks[files.own_name(own.name)] = Sink(
                label, encoder, own.argument or "", BY_NAME if own.argument else 0
            )
        self._start_afresh()
        self._notes = options.notes is not False
        self._log_encoder = options.log_encoder
        self._declared_formatter: Formatter | None = None
        if options.log_encoder not in _NO_ENCODER:
            encoder = ENCODERS[EncoderName(options.log_encoder.value)]
            self._declared_formatter = Formatter(encoder)
        self._formatters: dict[str, Formatter] = {}
        self._wrappers: deque[Wrapper] = deque()
        self._decorated: list[tuple[Source, Site, Wrapper]] = []
        self._seen: set[tuple[str, str, int, str]] = set()
        self._led_on = False
        """Whether more came of a call than findings."""

    def findings(self) -> Iterator[Finding]:
        """Yield what is found, in no order."""
        for name in sorted({_called(name, sink) for name, sink in self._sinks.items()}):
            for source in self._files.calling(name):
                yield from self._judge_group(source, name, None)
        while self._wrappers:
            wrapper = self._wrappers.popleft()
            name = called_as(wrapper)
            for source in self._files.calling(name):
                yield from self._judge_group(source, name, wrapper)
        self._start_afresh()
        for source, site, wrapper in self._decorated:
            yield from self._judge_decorator(source, site, wrapper)
        self._start_afresh()
        yield from self._log_calls()

    def _start_afresh(self) -> None:
        """Forget what was looked up: what is judged from now on depends on what it asks for."""
        self._project = Project(self._files)
        self._resolver = Resolver(self._project, self._safe)
        self._conversions = Conversions(self._resolver)
        self._targets = Targets(self._resolver, self._sinks)

    def _judge_group(self, source: Source, name: str, wrapper: Wrapper | None) -> list[Finding]:
        """Judge the calls of what is named so in a file, unless it is known what comes of them."""
        page = page_of(source, name, wrapper)
        known = self._notebook.recall(page)
        if known is not None:
            return list(known)
        self._start_afresh()
        self._led_on = False
        sites = source.sites(name)
        found = [it for site in sites for it in self._judge(source, site, wrapper)]
        if not self._led_on:
            read = {source, *(() if wrapper is None else (it.source for it in wrapper.chain))}
            facts = self._project.asked.union(file_fact(it.path) for it in read)
            self._notebook.keep(page, found, facts)
        return found

    def _log_calls(self) -> Iterator[Finding]:
        logging = {it.path: it for name in LOG_METHODS for it in self._files.calling(name)}
        for source in logging.values():
            if not source.reported:
                continue
            if self._notes:
                yield from notes_on(source, self._files, self._safe, self._notebook)
            shown = self._formatters.get(_package(source), self._declared_formatter)
            if shown is None:
                continue
            for site in log_calls(source):
                self._resolver.restart()
                yield from lost(self._resolver, source, site, shown)

    def _notice_formatter(
        self, function: Function | None, sink: Sink, args: Sequence[Argument], scope: Scope
    ) -> None:
        """Note a formatter that writes JSON: it decides what ``extra=`` may hold in its package."""
        if self._log_encoder is not LogEncoder.AUTO or function is None or not function.owner:
            return
        if "logging.Formatter" in self._project.ancestors(function.owner):
            encoder = encoder_of(self._resolver, sink, args, scope)
            if encoder is not None and encoder[0].values:
                self._led_on = True
                self._formatters[_package(scope.source)] = Formatter(*encoder)

    def _judge(self, source: Source, site: Site, wrapper: Wrapper | None) -> Iterator[Finding]:
        scope = SiteScope(source, site.function)
        said: set[Told] = set()
        group = list(self._judged(site, wrapper, scope))
        read = frozenset(self._resolver.read)
        doubtful = self._doubtful(group, site, wrapper, scope) if source.reported else ()
        for judged in group:
            target, problems = judged.target, judged.problems
            known = frozenset(it for problem in problems for it in covered(problem))
            said |= known
            if isinstance(target, Sink):
                self._notice_formatter(scope.function, target, judged.args, scope)
            if judged.open and scope.function is not None:
                sure = judged.sole or isinstance(site.told, Unknown)
                call = site if sure else structs.replace(site, conditional=True)
                self._follow(source, call, scope.function, target, known)
            if source.reported:
                for problem in problems:
                    if told_of(problem) in judged.known:
                        continue
                    doubted = (problem.path, problem.is_key) in doubtful
                    told = repairable(weakened(problem) if doubted else problem, scope)
                    finding = _tell(told, site, source.path, target)
                    if isinstance(target, Sink) and judged.sole:
                        finding = self._conversions.offered(finding, source, site, target, scope)
                    yield finding
        owner = f"{source.module}.{site.function.rpartition('.')[0]}"
        own = frozenset(name for its, name in read if its == owner)
        if source.reported and own:
            yield from self._judge_heirs(source, site, wrapper, said, own)
        decorated = handed_to(self._project, source, site)
        for handed in decorated if source.reported else ():
            group = list(self._judged(site, wrapper, scope, handed=handed))
            home = handed.ref.source.path, handed.ref.function.line
            yield from _more(group, source, site, said, home)

    def _doubtful(
        self, group: Sequence[Judged], site: Site, wrapper: Wrapper | None, scope: Scope
    ) -> set[tuple[str, bool]]:
        """Return where the call raises, but not for every heir of what it reads."""
        found = certain(group)
        sure, read = set(found), frozenset(self._resolver.read)
        for asked, posing in enumerate(posing_as(self._project, read) if found else ()):
            sure &= certain(self._judged(site, wrapper, scope, posing)) if asked < MOST else set()
            if not sure:
                break
        self._resolver.restart()
        return found - sure

    def _judge_heirs(
        self,
        source: Source,
        site: Site,
        wrapper: Wrapper | None,
        said: set[Told],
        read: frozenset[str],
    ) -> Iterator[Finding]:
        """Judge the call as the classes that inherit the method see it: for some values of self."""
        for heir, scope in heirs_of(self._project, source, site, read):
            group = list(self._judged(site, wrapper, scope))
            home = heir.source.path, heir.declared.line
            yield from _more(group, source, site, said, home, _last(heir.name))

    def _judge_decorator(self, source: Source, site: Site, wrapper: Wrapper) -> Iterator[Finding]:
        """Judge what a decorator hands to one of the functions that it decorates."""
        self._resolver.restart()
        scope = SiteScope(source, site.function)
        for problem in self._targets.verdict(wrapper, site.args, scope, None).problems:
            if source.reported and told_of(weakened(problem)) not in wrapper.known:
                weak = weakened(repairable(problem, scope))
                yield _tell(weak, site, source.path, wrapper)

    def _judged(
        self,
        site: Site,
        wrapper: Wrapper | None,
        scope: Scope,
        posing: Posing | None = None,
        handed: Handed | None = None,
    ) -> Iterator[Judged]:
        """Yield what the call may hand a value to, and what comes of it."""
        self._resolver.restart(posing, handed)
        told = (
            ()
            if isinstance(site.told, Unknown)
            else options_of(self._resolver.resolve(site.told, scope))
        )
        if told and not any(map(may_call, told)):
            return
        heads = options_of(self._resolver.resolve(site.func, scope))
        sole = len(heads) == 1 and all(map(surely_calls, told))
        for found in heads:
            target, args, receiver = self._targets.of(found, site.args, wrapper)
            if target is None:
                continue
            verdict = self._targets.verdict(target, args, scope, receiver)
            problems = verdict.problems
            if not sole:
                problems = tuple(map(weakened, problems))
            yield Judged(target, args, problems, verdict.open, sole)

    def _follow(
        self,
        source: Source,
        site: Site,
        function: Function,
        target: Sink | Wrapper,
        known: frozenset[Told],
    ) -> None:
        """Note the function as a wrapper, so that its callers are judged."""
        self._led_on = True
        length = 1 if isinstance(target, Sink) else target.length + 1
        if length > LONGEST_CHAIN or function.traits & Trait.OVERLOAD:
            return
        sink = target if isinstance(target, Sink) else target.sink
        key = (source.path, site.function, site.line, sink.label)
        if key in self._seen:
            return
        self._seen.add(key)
        name = f"{source.module}.{site.function}"
        if name in self._sinks:
            return
        handing = self._resolver.decorators.of(function, source)
        if not handing.sure:
            site = structs.replace(site, conditional=True)
        wrapper = Wrapper(name, source, function, site, target, known, length)
        if handing.arguments:
            self._wrappers.append(wrapper)
        self._decorated.extend((home, call, wrapper) for home, call in handing.calls)


def _more(
    group: Iterable[Judged],
    source: Source,
    site: Site,
    said: set[Told],
    home: tuple[str, int],
    heir: str = "",
) -> Iterator[Finding]:
    """Yield what the call is found to do in a case of its own that is declared at `home`."""
    for judged in group:
        said |= judged.known
        for found in judged.problems:
            problem = structs.replace(weakened(found), at=0, origins=(*found.origins, home))
            if told_of(problem) in said or problem.severity is Severity.NOTE:
                continue
            said.update(covered(problem))
            yield _tell(problem, site, source.path, judged.target, heir)


def _called(name: str, sink: Sink) -> str:
    """Return the name of the group of calls in which those of the sink are."""
    last = name.rpartition(".")[2]
    return with_json(last) if sink.position is None and sink.argument == "json" else last


def _package(source: Source) -> str:
    return source.module.partition(".")[0]


def _tell(
    problem: Problem, site: Site, path: str, target: Sink | Wrapper, heir: str = ""
) -> Finding:
    label = (target if isinstance(target, Sink) else target.sink).label
    return tell(problem, site, path, label, _through(target), heir=heir)


def _through(target: Sink | Wrapper) -> str:
    return "" if isinstance(target, Sink) else _last(target.name)


def _last(name: str) -> str:
    return name.rpartition(".")[2]
