"""Carries out fixes: edits of the text, which leave everything else as it was."""

import ast
from collections.abc import Iterable, Iterator, Sequence
from difflib import unified_diff

from msgspec import Struct

from netra_backend.scan.finding import Edit, Finding
from netra_backend.scan.lines import split_lines


class Fixed(Struct, frozen=True):
    """A source after its fixes. `left` are the findings whose fix was not carried out."""

    source: str
    done: tuple[Finding, ...]
    left: tuple[Finding, ...]


def apply_fixes(source: str, findings: Iterable[Finding]) -> Fixed:
    """Return the source with the fixes of its findings carried out.

    Of fixes that touch the same place, the first is carried out and the others are left for the
    next time. A fix is left too if the source would not parse with it.
    """
    fixable = [finding for finding in findings if finding.fix is not None]
    done, left = _choose(source, fixable)
    fixed = _edited(source, done)
    if done and not _parses(fixed):
        done, unfit = _those_that_parse(source, done)
        left += unfit
        fixed = _edited(source, done)
    return Fixed(fixed, tuple(done), tuple(left))


def diff(path: str, before: str, after: str) -> Iterator[str]:
    """Yield the lines of a unified diff that `patch` and `git apply` take."""
    old, new = split_lines(before), split_lines(after)
    for line in unified_diff(old, new, path, path):
        ended = line.endswith(("\n", "\r"))
        yield line if ended else f"{line}\n\\ No newline at end of file\n"


def _choose(source: str, findings: Sequence[Finding]) -> tuple[list[Finding], list[Finding]]:
    spans = _Spans(source)
    taken: list[_Span] = []
    done: list[Finding] = []
    left: list[Finding] = []
    for finding in findings:
        wanted = spans.of(finding)
        if wanted is None or any(a != b and a.meets(b) for a in wanted for b in taken):
            left.append(finding)
        else:
            taken += wanted
            done.append(finding)
    return done, left


def _edited(source: str, findings: Sequence[Finding]) -> str:
    spans = _Spans(source)
    edits = {span for finding in findings for span in spans.of(finding) or ()}
    for span in sorted(edits, key=lambda it: it.start, reverse=True):
        source = source[: span.start] + span.text + source[span.end :]
    return source


def _those_that_parse(
    source: str, findings: Sequence[Finding]
) -> tuple[list[Finding], list[Finding]]:
    done: list[Finding] = []
    unfit: list[Finding] = []
    for finding in findings:
        fits = _parses(_edited(source, [*done, finding]))
        (done if fits else unfit).append(finding)
    return done, unfit


def _parses(source: str) -> bool:
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


class _Span(Struct, frozen=True):
    """An edit in offsets of the source."""

    start: int
    end: int
    text: str

    def meets(self, other: "_Span") -> bool:
        """Return whether the two touch the same characters, or insert at the same place."""
        if self.start == other.start:
            return True
        return self.start < other.end and other.start < self.end


class _Spans:
    """Turns edits into spans of one source."""

    def __init__(self, source: str) -> None:
        self._lines = split_lines(source)
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line))

    def of(self, finding: Finding) -> list[_Span] | None:
        """Return the spans of the finding's fix; None if there is none or it lies outside."""
        if finding.fix is None:
            return None
        spans = [self._span(edit) for edit in finding.fix.edits]
        return None if None in spans else [span for span in spans if span is not None]

    def _span(self, edit: Edit) -> _Span | None:
        start = self._offset(edit.line, edit.column)
        end = self._offset(edit.end_line, edit.end_column)
        if start is None or end is None or end < start:
            return None
        return _Span(start, end, edit.text)

    def _offset(self, line: int, column: int) -> int | None:
        """Return the offset of a place; the place after the last line counts, as a line's start."""
        if not 1 <= line <= len(self._starts):
            return None
        length = len(self._lines[line - 1]) if line <= len(self._lines) else 0
        return self._starts[line - 1] + column if 0 <= column <= length else None
