"""Comments that silence findings: ``# netra: ignore[JS001]``, or ``# netra: ignore`` for all rules.

Rules without brackets, which are easily written, silence no more than they name, and are a finding.

On the first or the last line of a statement a comment covers the whole statement; on a line
between it covers what reaches over that line. A comment that silences nothing is a finding
itself (JS100), so that none is left behind to hide the next fault.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from token import COMMENT, DEDENT, ENDMARKER, INDENT, NEWLINE, NL
from typing import TYPE_CHECKING

from msgspec import Struct

from netra_backend.scan.finding import Edit, Finding, Fix, Severity
from netra_backend.scan.lines import split_lines
from netra_backend.scan.options import UNUSED_IGNORE

if TYPE_CHECKING:
    from tokenize import TokenInfo

_IGNORE = (
    r"(?i)(?P<mark>#\s*netra:\s*ignore(?![-\w])"
    r"(?:(?P<rules>\s*\[[^\]#]*\]?)|\s*:?\s*(?P<bare>JS\d{3}(?:[\s,]+JS\d{3})*)\b)?)[^#]*"
)
_LAYOUT = {NL, COMMENT, INDENT, DEDENT, ENDMARKER}

Enabled = Callable[[str, str], bool]
"""Says of a path and a rule whether the rule is on there."""


class Ignore(Struct, frozen=True):
    """One comment. `rules` is None where it names none, and so means all.

    The statement it belongs to reaches from `first_line` to `last_line`; `problem` says why the
    comment can silence nothing. `removal` takes it away, with what is said after it. `meant` is how
    it should be written, if that is not how it is.
    """

    line: int
    column: int
    end_column: int
    first_line: int
    last_line: int
    rules: tuple[str, ...] | None
    removal: Edit
    problem: str | None = None
    meant: str = ""

    def covers(self, finding: Finding) -> bool:
        """Return whether it silences the finding, of the same file."""
        if self.problem or not (self.rules is None or finding.rule in self.rules):
            return False
        if self.line in (self.first_line, self.last_line):
            return self.first_line <= finding.line <= self.last_line
        return finding.line <= self.line <= finding.end_line


def find_ignores(source: str) -> tuple[Ignore, ...]:
    """Return the comments in order; of a source that cannot be read, those before the fault."""
    if "netra:" not in source:
        return ()
    import tokenize  # noqa: PLC0415 - start time

    lines = iter(split_lines(source))
    found: list[Ignore] = []
    try:
        for statement in _statements(tokenize.generate_tokens(lambda: next(lines, ""))):
            found += _of_statement(statement)
    except (tokenize.TokenError, SyntaxError):
        pass
    return tuple(found)


def suppress(
    findings: Iterable[Finding], ignores: Mapping[str, tuple[Ignore, ...]], enabled: Enabled
) -> list[Finding]:
    """Return the findings that no comment covers, and one for each comment that covers nothing.

    `ignores` are the comments by path. A comment is not unused when it names a rule that is off.
    """
    used: set[tuple[str, Ignore, str]] = set()
    kept = []
    for finding in findings:
        covering = [it for it in ignores.get(finding.path, ()) if it.covers(finding)]
        used.update((finding.path, ignore, finding.rule) for ignore in covering)
        if not covering:
            kept.append(finding)
    for path, comments in ignores.items():
        if enabled(path, UNUSED_IGNORE):
            kept += _unused(path, comments, used, enabled)
    return sorted(kept, key=lambda found: (found.path, found.line, found.column, found.rule))


def _statements(tokens: "Iterable[TokenInfo]") -> "Iterator[list[TokenInfo]]":
    """Yield the tokens of one statement after the other; comments between them stand alone."""
    statement: list[TokenInfo] = []
    for token in tokens:
        statement.append(token)
        only_layout = all(it.type in _LAYOUT for it in statement)
        if token.type == NEWLINE or (token.type == NL and only_layout):
            yield statement
            statement = []
    yield statement


def _of_statement(tokens: "list[TokenInfo]") -> Iterator[Ignore]:
    code = [token for token in tokens if token.type not in {*_LAYOUT, NEWLINE}]
    for token in tokens:
        if token.type != COMMENT:
            continue
        line, column = token.start
        first, last = (code[0].start[0], code[-1].end[0]) if code else (line, line)
        for match in re.finditer(_IGNORE, token.string):
            rules, problem = _rules(match["rules"])
            meant = ""
            if match["bare"]:
                rules = tuple(re.findall(r"JS\d{3}", match["bare"].upper()))
                meant = _written(rules)
            if not code:
                problem = "it stands on a line of its own, and not on the statement it is for"
            yield Ignore(
                line,
                column + match.start(),
                column + match.end("mark"),
                first,
                last,
                rules,
                _removal(token, match),
                problem,
                meant,
            )


def _removal(token: "TokenInfo", match: re.Match[str]) -> Edit:
    """Return what takes the comment away: with the blanks before it, or the whole of its line."""
    line, column = token.start
    start, end = column + match.start(), column + match.end()
    if match.end() < len(token.string):
        return Edit(line, start, line, end, "")
    before = _line_of(token)[:start].rstrip()
    return Edit(line, len(before), line, end, "") if before else Edit(line, 0, line + 1, 0, "")


def _line_of(token: "TokenInfo") -> str:
    """Return the source line on which the token stands; `token.line` may hold a whole string."""
    return split_lines(token.line)[-1]


def _rules(text: str | None) -> tuple[tuple[str, ...] | None, str | None]:
    """Return the rules in brackets, and what is wrong with them."""
    if text is None:
        return None, None
    inside = text.strip().removeprefix("[")
    if not inside.endswith("]"):
        return (), "the bracket is not closed"
    rules = tuple(part.strip().upper() for part in inside[:-1].split(",") if part.strip())
    if not rules:
        return (), "it names no rule"
    odd = [rule for rule in rules if not re.fullmatch(r"JS\d{3}", rule)]
    return rules, f"{odd[0]} is no rule" if odd else None


def _unused(
    path: str, comments: Iterable[Ignore], used: set[tuple[str, Ignore, str]], enabled: Enabled
) -> Iterator[Finding]:
    for ignore in comments:
        if ignore.rules is not None and UNUSED_IGNORE in ignore.rules:
            continue
        idle = _idle(path, ignore, used, enabled)
        if ignore.problem or idle is None:
            reason = ignore.problem or "nothing is found here"
            message = f"comment ignores nothing: {reason}"
            yield _finding(path, ignore, message, Fix("Remove the comment", (ignore.removal,)))
        elif idle:
            message = f"comment ignores {', '.join(idle)}, which is not found here"
            rest = [rule for rule in ignore.rules or () if rule not in idle]
            fix = Fix(f"Leave {', '.join(rest)}", (_rewritten(ignore, _written(rest)),))
            yield _finding(path, ignore, message, fix)
        elif ignore.meant:
            message = "comment names rules without brackets"
            fix = Fix(f"Write {ignore.meant}", (_rewritten(ignore, ignore.meant),))
            yield _finding(path, ignore, message, fix)


def _written(rules: Iterable[str]) -> str:
    return f"# netra: ignore[{', '.join(rules)}]"


def _rewritten(ignore: Ignore, text: str) -> Edit:
    """Return what writes the comment anew, and leaves what is said after it."""
    return Edit(ignore.line, ignore.column, ignore.line, ignore.end_column, text)


def _idle(
    path: str, ignore: Ignore, used: set[tuple[str, Ignore, str]], enabled: Enabled
) -> list[str] | None:
    """Return the rules that the comment names in vain; None if it is of no use at all."""
    if ignore.rules is None:
        silenced = any((path, ignore) == it[:2] for it in used)
        return [] if silenced or not enabled(path, "JS") else None
    idle = [r for r in ignore.rules if (path, ignore, r) not in used and enabled(path, r)]
    return None if len(idle) == len(ignore.rules) else idle


def _finding(path: str, ignore: Ignore, message: str, fix: Fix) -> Finding:
    return Finding(
        path,
        ignore.line,
        ignore.column,
        ignore.line,
        UNUSED_IGNORE,
        Severity.WARNING,
        message,
        fix=fix,
    )
