"""A problem as a finding: which rule it breaks, what is said of it, and how it is repaired."""

from netra_backend.scan.declarations import Site
from netra_backend.scan.finding import Edit, Finding, Fix, Origin, Severity
from netra_backend.scan.places import Place, unpack
from netra_backend.scan.problem import Problem
from netra_backend.scan.rule import Repair, Rule
from netra_backend.scan.rules import RULES

_BY_KIND = {kind: rule for rule in RULES.values() for kind in rule.kinds}
_KEY = next(rule for rule in RULES.values() if rule.key_kinds)
_DUMP = RULES["JS017"]
_TEXT = RULES["JS202"]
_INTERNAL = frozenset({"CoroutineType", "GeneratorType", "AsyncGeneratorType", "FunctionType"})
"""Names of classes that say no more than the kind."""


def tell(
    problem: Problem,
    site: Site,
    path: str,
    label: str,
    through: str,
    rule: Rule | None = None,
    heir: str = "",
) -> Finding:
    """Return the finding for a problem of the call `site` in the file `path`.

    `label` is what the value reaches, `through` the function that takes it there, `heir` the
    class that ``self`` is then. The rule is the one for the kind of the value, unless it is given.
    """
    place = unpack(abs(site.at)) if site.at else Place(site.line, 0, site.line, 0)
    rule = rule or rule_of(problem)
    origin = _origin(problem, path, place.line)
    return Finding(
        path,
        place.line,
        place.column,
        place.end_line,
        rule.code,
        problem.severity,
        _message(rule, problem, label, through, _where(heir) + _said(origin, path)),
        problem.path.removeprefix("."),
        origin,
        repair(rule, problem, path),
    )


def _origin(problem: Problem, path: str, line: int) -> Origin | None:
    """Return the nearest place that says more than the finding's own; stubs say nothing."""
    for source, start in problem.origins:
        if (source, start) != (path, line) and not source.startswith("<"):
            return Origin(source, start)
    return None


def rule_of(problem: Problem) -> Rule:
    """Return the rule that the problem breaks."""
    if problem.severity is Severity.NOTE:
        return _TEXT
    if problem.is_key:
        return _KEY
    return _DUMP if problem.dump_at else _BY_KIND[problem.kind]


def _where(heir: str) -> str:
    return f" when self is a {heir}" if heir else ""


def _said(origin: Origin | None, path: str) -> str:
    if origin is None:
        return ""
    where = f"line {origin.line}" if origin.path == path else f"{origin.path}:{origin.line}"
    return f" (value from {where})"


def _message(rule: Rule, problem: Problem, label: str, through: str, ending: str) -> str:
    noun = rule.noun.format(kind=problem.kind.value)
    telling = problem.name.lower() not in noun.lower().split() and problem.name not in _INTERNAL
    name = f" {problem.name}" if telling else ""
    reaches = "may reach" if problem.severity is Severity.WARNING else "reaches"
    path = problem.path.removeprefix(".")
    if problem.is_key:
        place = f' as a key of "{path}"' if path else " as a key"
    else:
        place = f' as "{path}"' if path else ""
    via = f" through {through}()" if through else ""
    return f"{noun}{name} {reaches} {label}{via}{place}{ending}"


def repair(rule: Rule, problem: Problem, path: str) -> Fix | None:
    """Return the fix, where the expression stands in the same file and surely has that value."""
    if problem.severity is Severity.WARNING:
        return None
    if problem.dump_at:
        return _dump_in_json_mode(problem, path)
    if not problem.at or problem.at_source != path:
        return None
    for option in rule.repairs:
        if problem.kind in option.kinds and (option.keys or not problem.is_key):
            return Fix(option.message, edits(option, problem.at))
    return None


def _dump_in_json_mode(problem: Problem, path: str) -> Fix | None:
    if problem.dump_source != path or not problem.dump_text:
        return None
    place = unpack(problem.dump_at)
    line, column = place.end_line, place.end_column - 1
    return Fix("Dump it in JSON mode", (Edit(line, column, line, column, problem.dump_text),))


def edits(option: Repair, at: int) -> tuple[Edit, ...]:
    """Return the edits around the expression; a negative place needs parentheses for a suffix."""
    place = unpack(abs(at))
    before, after = option.before, option.after
    if at < 0 and not before:
        before, after = "(", f"){after}"
    start = Edit(place.line, place.column, place.line, place.column, before)
    end = Edit(place.end_line, place.end_column, place.end_line, place.end_column, after)
    return (start, end) if before else (end,)
