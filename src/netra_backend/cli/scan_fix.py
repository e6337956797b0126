"""Carries out the fixes of a scan on its files."""

from collections.abc import Callable, Iterable, Iterator
from itertools import groupby

from msgspec import Struct

from netra_backend.cli.scan_record import File
from netra_backend.cli.scan_run import Outcome, Scan
from netra_backend.cli.scan_source import Source, Unreadable, decode, write_source
from netra_backend.scan.finding import Finding
from netra_backend.scan.fix import Fixed, apply_fixes, diff
from netra_backend.scan.skipped import Skipped

MOST_ROUNDS = 5
"""Fixes that touch the same place are carried out one round after the other."""


class Repaired(Struct, frozen=True):
    """What is left after the fixes, how many were carried out, and what could not be written."""

    outcome: Outcome
    count: int
    unwritten: tuple[Skipped, ...]


class _Change(Struct, frozen=True):
    file: File
    source: Source
    fixed: Fixed


def fix(scan: Scan, outcome: Outcome, again: Callable[[], Outcome]) -> Repaired:
    """Carry out fixes until none is left, and return what was found `again` after the last.

    Text from standard input is replaced in `scan.stdin`.
    """
    count = 0
    unwritten: list[Skipped] = []
    for _ in range(MOST_ROUNDS):
        written = 0
        for change in _changes(scan, outcome):
            try:
                _write(scan, change)
                written += len(change.fixed.done)
            except Unreadable as error:
                unwritten.append(Skipped(change.file.path, str(error)))
        if not written or unwritten:
            break
        count += written
        outcome = again()
    return Repaired(outcome, count, tuple(unwritten))


def diffs(scan: Scan, outcome: Outcome) -> Iterator[str]:
    """Yield what the first round of fixes would change, as a unified diff."""
    for change in _changes(scan, outcome):
        yield from diff(change.file.path, change.source.text, change.fixed.source)


def _changes(scan: Scan, outcome: Outcome) -> Iterator[_Change]:
    fixable = [finding for finding in outcome.findings if finding.fix is not None]
    for path, findings in groupby(fixable, key=lambda finding: finding.path):
        change = _change(scan, outcome.files[path], findings)
        if change is not None and change.fixed.done:
            yield change


def _change(scan: Scan, file: File, findings: Iterable[Finding]) -> _Change | None:
    try:
        source = decode(scan.source_of(file))
    except Unreadable:
        return None
    return _Change(file, source, apply_fixes(source.text, findings))


def _write(scan: Scan, change: _Change) -> None:
    data = change.source.encode(change.fixed.source)
    if scan.stdin is None:
        write_source(change.file.name, data)
    else:
        scan.stdin = data
