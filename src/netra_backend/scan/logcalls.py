"""Log calls: what their text renders ambiguously, and what their fields become."""

from collections.abc import Iterable, Iterator

from msgspec import Struct, structs

from netra_backend.scan.declarations import Site
from netra_backend.scan.encoders import STDLIB, Encoder
from netra_backend.scan.finding import Finding, Severity
from netra_backend.scan.heads import Scope
from netra_backend.scan.judge import Judge
from netra_backend.scan.kinds import Kind
from netra_backend.scan.problem import Problem
from netra_backend.scan.resolve import Resolver
from netra_backend.scan.rules import RULES
from netra_backend.scan.sources import Source
from netra_backend.scan.telling import tell
from netra_backend.scan.values import Argument, Attr, Call, Global, Instance, Param, Text, Value

_TEXT = RULES["JS201"]
_FIELD = RULES["JS203"]
_EXTRA = RULES["JS101"]

FIELD_LOGGERS = frozenset(
    {
        "structlog.get_logger",
        "structlog.getLogger",
        "structlog.stdlib.get_logger",
        "loguru.logger",
    }
)
"""Loggers whose keyword arguments are fields."""

_NO_FIELDS = frozenset({"exc_info", "stack_info", "stacklevel", "extra", "", "*", "**", "event"})


class Formatter(Struct, frozen=True):
    """What a project's log formatter writes the fields of a record with."""

    encoder: Encoder
    converted: frozenset[str] = frozenset()


def is_log_call(site: Site) -> bool:
    """Return whether the call is one of something that is named as a logger."""
    if isinstance(site.func, Global):
        parts = site.func.name.split(".")
        return len(parts) > 1 and "log" in parts[-2].lower()
    return isinstance(site.func, Attr) and _is_logger(site.func.base)


def _is_logger(base: Value) -> bool:
    if isinstance(base, Call):
        return _is_logger(base.func)
    name = base.name if isinstance(base, (Global, Attr, Param)) else ""
    return "log" in name.rpartition(".")[2].lower()


def notes(resolver: Resolver, source: Source, site: Site) -> Iterator[Finding]:
    """Yield what the call renders ambiguously; nothing of it raises."""
    scope = Scope(source, source.function(site.function))
    for argument in _texts(site):
        found = resolver.resolve(argument.value, scope)
        head = found[0]
        if isinstance(head, Instance) and resolver.kind(found) is Kind.ENUM:
            problem = Problem(
                Kind.ENUM,
                head.cls.rpartition(".")[2],
                Severity.NOTE,
                "",
                False,
                ((found[1].source.path, head.line),) if head.line else (),
                argument.at,
                source.path,
            )
            yield tell(problem, site, source.path, "the text of a log call", "", _TEXT)
    fields = [argument for argument in site.args if argument.name not in _NO_FIELDS]
    if fields and _takes_fields(resolver, site.func, scope):
        yield from _fields(resolver, source, site, scope, fields)


def _texts(site: Site) -> Iterator[Argument]:
    """Yield what is put into the message: parts of an f-string, and arguments of ``%s``."""
    positional = [argument for argument in site.args if not argument.name]
    for index, argument in enumerate(positional):
        if isinstance(argument.value, Text):
            yield from argument.value.parts
        elif index:
            yield argument


def _takes_fields(resolver: Resolver, func: Value, scope: Scope) -> bool:
    """Return whether the call is one of structlog's or loguru's loggers."""
    base: Value = func
    for _ in range(8):
        if isinstance(base, Attr):
            base = base.base
        elif isinstance(base, Call):
            base = base.func
        elif isinstance(base, Global):
            if any(base.name == name or base.name.startswith(f"{name}.") for name in FIELD_LOGGERS):
                return True
            owner = base.name.rpartition(".")[0] if base is func else base.name
            found = resolver.project.find(owner, scope.source)
            if not isinstance(found, tuple) or found[0] == base:
                return False
            base, scope = found
        else:
            return False
    return False


def _fields(
    resolver: Resolver, source: Source, site: Site, scope: Scope, fields: Iterable[Argument]
) -> Iterator[Finding]:
    for argument in fields:
        judge = Judge(resolver, STDLIB)
        for problem in judge.problems(argument.value, scope, argument.at):
            if problem.is_key or problem.severity is not Severity.ERROR:
                continue
            said = structs.replace(
                problem, severity=Severity.NOTE, path=f".{argument.name}{problem.path}"
            )
            yield tell(said, site, source.path, "a log line by its repr", "", _FIELD)


def lost(resolver: Resolver, source: Source, site: Site, formatter: Formatter) -> Iterator[Finding]:
    """Yield what the formatter refuses in ``extra=``: the call returns, and the line is lost."""
    scope = Scope(source, source.function(site.function))
    for argument in site.args:
        if argument.name != "extra":
            continue
        judge = Judge(resolver, formatter.encoder, formatter.converted)
        for problem in judge.problems(argument.value, scope, argument.at):
            if problem.severity is Severity.NOTE:
                continue
            said = structs.replace(problem, severity=Severity.WARNING)
            yield tell(said, site, source.path, "the JSON log formatter", "", _EXTRA)
