"""A baseline: the findings that old code is forgiven, so that only new ones are reported.

A finding is known again by its file, its rule, the path of its value and the text of its line,
not by the line's number: code above may come and go. Of several that look the same, as many are
forgiven as there were.
"""

from collections import Counter
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct

from netra_backend.errors import ConfigError
from netra_backend.scan.finding import Finding

VERSION = 1

Identify = Callable[[Finding], tuple[str, str]]
"""Returns the path of the finding, relative to the baseline's folder, and its line of source."""


class Entry(Struct, frozen=True, forbid_unknown_fields=True):
    """What is forgiven, and how often; `path` is relative to the baseline's folder."""

    path: str
    rule: str
    code: str
    value_path: str = ""
    count: int = 1


class Baseline(Struct, frozen=True, forbid_unknown_fields=True):
    """The file, as JSON."""

    version: int
    findings: tuple[Entry, ...]


def parse_baseline(text: bytes, where: str) -> Baseline:
    """Return the baseline in `text`. Raises ConfigError naming the file and the place in it."""
    try:
        baseline = msgspec.json.decode(text, type=Baseline)
    except msgspec.DecodeError as error:
        raise ConfigError(f"{where} is no baseline: {error}") from error
    if baseline.version != VERSION:
        raise ConfigError(
            f"{where} has version {baseline.version} and this scanner reads {VERSION}; "
            "write it again with --update-baseline"
        )
    return baseline


def make_baseline(
    findings: Iterable[Finding], identify: Identify, kept: Iterable[Entry] = ()
) -> Baseline:
    """Return the baseline that forgives all of them, and also what is `kept`."""
    counts = Counter(_entry(finding, identify) for finding in findings)
    entries = (msgspec.structs.replace(it, count=count) for it, count in counts.items())
    ordered = sorted([*entries, *kept], key=lambda it: (it.path, it.rule, it.value_path, it.code))
    return Baseline(VERSION, tuple(ordered))


def write_baseline(baseline: Baseline) -> bytes:
    """Return the baseline as JSON, a line for each field: small changes make small diffs."""
    return msgspec.json.format(msgspec.json.encode(baseline), indent=1) + b"\n"


def subtract(
    findings: Iterable[Finding], baseline: Baseline, identify: Identify
) -> tuple[list[Finding], list[Entry]]:
    """Return the findings that the baseline does not forgive, and what it forgives in vain."""
    left = {msgspec.structs.replace(it, count=1): it.count for it in baseline.findings}
    new = []
    for finding in findings:
        entry = _entry(finding, identify)
        if left.get(entry, 0) > 0:
            left[entry] -= 1
        else:
            new.append(finding)
    stale = [msgspec.structs.replace(it, count=count) for it, count in left.items() if count > 0]
    return new, stale


def _entry(finding: Finding, identify: Identify) -> Entry:
    path, line = identify(finding)
    return Entry(path, finding.rule, " ".join(line.split()), finding.value_path)
