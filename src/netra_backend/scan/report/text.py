"""Findings for a terminal: a line that editors and grep understand, and the code below it."""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence

from netra_backend.scan.finding import Finding, Severity
from netra_backend.scan.options import UNUSED_IGNORE

LinesOf = Callable[[str], Sequence[str]]
"""Returns the lines of a file; none of a file that cannot be read any more."""

MOST_LINES = 3
"""Lines shown of a call that is longer."""

_COLOURS = {Severity.ERROR: "31", Severity.WARNING: "33", Severity.NOTE: "36"}
_MEANINGS = {
    Severity.ERROR: "error: raises when it is executed",
    Severity.WARNING: "warning: raises for some of the values",
    Severity.NOTE: "note: does not raise",
}
_CONTROL = r"[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]"


def write(findings: Iterable[Finding], lines_of: LinesOf, *, colour: bool = False) -> Iterator[str]:
    """Yield each finding as a few lines, with ANSI colours if `colour`."""
    for finding in findings:
        yield "\n".join(_finding(finding, lines_of, colour=colour))


def printable(text: str) -> str:
    """Return the text without what could steer a terminal: control characters are escaped."""
    if text.isascii() and text.isprintable():
        return text
    return re.sub(_CONTROL, lambda match: match.group().encode("unicode_escape").decode(), text)


def place(finding: Finding) -> str:
    """Return where the finding is, as ``path:line:column`` with columns from 1."""
    return f"{printable(finding.path)}:{finding.line}:{finding.column + 1}"


def summary(findings: Sequence[Finding], files: int, skipped: int = 0) -> str:
    """Return in one line what was found in how many files, and where it is explained."""
    counts = Counter(finding.severity for finding in findings)
    parts = [_count(counts[kind], kind.value) for kind in Severity if counts[kind]]
    found = f"Found {', '.join(parts)}" if parts else "Nothing found"
    left_out = f"; {skipped} skipped" if skipped else ""
    fixable = sum(finding.fix is not None for finding in findings)
    repair = f" {fixable} can be fixed with --fix." if fixable else ""
    rules = Counter(finding.rule for finding in findings)
    why = f" Why: netra scan --explain {max(rules, key=rules.__getitem__)}" if rules else ""
    return f"{found} in {_count(files, 'file')}{left_out}.{repair}{why}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _finding(finding: Finding, lines_of: LinesOf, *, colour: bool) -> Iterator[str]:
    paint = _Paint(_COLOURS[finding.severity]) if colour else _Paint(None)
    yield f"{place(finding)}: {paint.strong(finding.rule)} {printable(finding.message)}"
    shown = list(_code(finding, lines_of))
    width = max((len(number) for number, _ in shown), default=0)
    for number, text in shown:
        line = f"{number:>{width}} | {text}".rstrip()
        yield line if number else paint.weak(line)
    if finding.fix is not None:
        yield f"{'':>{width}} = fix: {printable(finding.fix.message)}"


def _code(finding: Finding, lines_of: LinesOf) -> Iterator[tuple[str, str]]:
    """Yield line numbers and lines: where the value is from, where it goes, and a pointer."""
    lines = lines_of(finding.path)
    origin = finding.origin
    if origin is not None and origin.path != finding.path:
        there = lines_of(origin.path)
        if 1 <= origin.line <= len(there):
            yield str(origin.line), _shown(there[origin.line - 1])
            yield "", f"^ from {printable(origin.path)}"
    elif origin is not None and origin.line < finding.line and origin.line <= len(lines):
        yield str(origin.line), _shown(lines[origin.line - 1])
        if origin.line + 1 < finding.line:
            yield "", "..."
    last = min(finding.end_line, finding.line + MOST_LINES - 1, len(lines))
    for number in range(finding.line, last + 1):
        yield str(number), _shown(lines[number - 1])
        if number == finding.line:
            indent = _width(lines[number - 1][: finding.column])
            yield "", f"{' ' * indent}^ {_meaning(finding)}"


def _meaning(finding: Finding) -> str:
    unused = finding.rule == UNUSED_IGNORE
    return finding.severity.value if unused else _MEANINGS[finding.severity]


def _shown(line: str) -> str:
    return printable(line.rstrip("\r\n").replace("\t", "    "))


def _width(text: str) -> int:
    """Return the columns of a terminal that the text takes; a wide character takes two."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(_shown(text)) + wide


class _Paint:
    """ANSI colours, or none."""

    def __init__(self, colour: str | None) -> None:
        self._colour = colour

    def strong(self, text: str) -> str:
        """Return the text in bold and in the colour of its severity."""
        return text if self._colour is None else f"\x1b[1;{self._colour}m{text}\x1b[0m"

    def weak(self, text: str) -> str:
        """Return the text in the colour of its severity."""
        return text if self._colour is None else f"\x1b[{self._colour}m{text}\x1b[0m"
