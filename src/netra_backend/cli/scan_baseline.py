"""The file of findings that old code is forgiven."""

import os
from collections.abc import Callable, Iterator, Sequence

from msgspec import Struct

from netra_backend.cli.scan_run import Outcome
from netra_backend.errors import ConfigError
from netra_backend.scan.baseline import (
    Baseline,
    Entry,
    Identify,
    make_baseline,
    parse_baseline,
    subtract,
    write_baseline,
)
from netra_backend.scan.finding import Finding

Lines = Callable[[str], Sequence[str]]


class Forgiven(Struct, frozen=True):
    """The findings that are new, how many are not, and what the file forgives in vain."""

    new: tuple[Finding, ...]
    count: int
    stale: tuple[Entry, ...]

    def notes(self, file: str) -> Iterator[str]:
        """Yield what is worth a remark."""
        if self.count:
            yield f"{file} forgives {self.count} of what was found"
        if self.stale:
            count = sum(entry.count for entry in self.stale)
            yield f"{file} forgives {count} that are no longer found; see --update-baseline"


def forgive(file: str, outcome: Outcome, lines_of: Lines) -> Forgiven:
    """Return what is not in the baseline. Raises ConfigError if it cannot be read."""
    baseline = _read(file)
    new, left = subtract(outcome.findings, baseline, _identify(file, outcome, lines_of))
    looked_at = {_relative(os.fsdecode(it.name), file) for it in outcome.files.values()}
    stale = tuple(entry for entry in left if entry.path in looked_at)
    return Forgiven(tuple(new), len(outcome.findings) - len(new), stale)


def update(file: str, outcome: Outcome, lines_of: Lines) -> int:
    """Write what was found to the baseline, and return how many findings it now forgives.

    What it says of files that were not scanned this time, and still exist, stays.
    """
    looked_at = {_relative(os.fsdecode(it.name), file) for it in outcome.files.values()}
    before = _read(file).findings if os.path.exists(file) else ()
    kept = tuple(
        entry
        for entry in before
        if entry.path not in looked_at
        and os.path.exists(os.path.join(os.path.dirname(file), entry.path))
    )
    made = make_baseline(outcome.findings, _identify(file, outcome, lines_of), kept)
    try:
        with open(file, "wb") as opened:
            opened.write(write_baseline(made))
    except OSError as error:
        raise ConfigError(f"{file} cannot be written: {error.strerror}") from error
    return sum(entry.count for entry in made.findings)


def _read(file: str) -> Baseline:
    try:
        with open(file, "rb") as opened:
            return parse_baseline(opened.read(), file)
    except FileNotFoundError as error:
        raise ConfigError(
            f"there is no baseline {file}; write one with --update-baseline"
        ) from error
    except OSError as error:
        raise ConfigError(f"{file} cannot be read: {error.strerror}") from error


def _identify(file: str, outcome: Outcome, lines_of: Lines) -> Identify:
    def identify(finding: Finding) -> tuple[str, str]:
        lines = lines_of(finding.path)
        code = lines[finding.line - 1] if finding.line <= len(lines) else ""
        return _relative(os.fsdecode(outcome.files[finding.path].name), file), code

    return identify


def _relative(name: str, baseline: str) -> str:
    path = os.path.relpath(name, os.path.dirname(baseline) or ".").replace(os.sep, "/")
    return os.fsencode(path).decode("utf-8", "backslashreplace")
