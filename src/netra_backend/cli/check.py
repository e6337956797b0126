"""``netra check``: whether a data directory is whole."""

import contextlib
import sys
from collections.abc import Iterator
from enum import StrEnum
from typing import Annotated

import msgspec
import typer
from msgspec import Struct
from rich.console import Console
from rich.progress import Progress

from netra_backend.cli.output import ReaderGone
from netra_backend.cli.settings import directory_of
from netra_backend.core.audit import Finding
from netra_backend.stores.sqlite_inspection import Inspection, inspection

SHOWN_RUNS = 20
"""Open runs that are named; of more it is told how many."""


class Format(StrEnum):
    """How it is told."""

    TEXT = "text"
    JSON = "json"


class OpenRun(Struct, frozen=True):
    """A run that has not ended."""

    thread: str
    run: str


class Report(Struct):
    """What was found, as ``--format json`` tells it."""

    database: str
    version: int
    whole: bool = True
    threads: int = 0
    entries: int = 0
    runs: int = 0
    open_runs: list[OpenRun] = []
    findings: list[Finding] = []


def check(
    data_dir: Annotated[
        str | None, typer.Option(metavar="PATH", help="The data directory, or a copy.")
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="How it is told.")] = Format.TEXT,
) -> None:
    """Say whether a data directory is whole, without changing it; a server may run on it.

    Exit code 0: it is whole. 1: something is wrong. 2: it cannot be read.
    """
    with inspection(directory_of(data_dir)) as inspected:
        report = Report(str(inspected.file), inspected.version)
        for finding in _findings(inspected, report):
            report.whole = False
            report.findings.append(finding)
            if form is Format.TEXT:
                _say(line_of(finding))
    if form is Format.JSON:
        _say(msgspec.json.encode(report).decode())
    else:
        for line in summary_of(report):
            _say(line)
    raise typer.Exit(0 if report.whole else 1)


def _findings(inspected: Inspection, report: Report) -> Iterator[Finding]:
    """Yield what is wrong, and count in `report` what there is; a terminal sees how far it is."""
    console = Console(stderr=True)
    with Progress(
        console=console,
        transient=True,
        disable=not console.is_terminal,
        redirect_stdout=sys.stdout.isatty(),  # only a terminal has both, one above the other
    ) as progress:
        task = progress.add_task("the file", total=None)
        yield from inspected.file_findings()
        progress.update(task, description="threads", total=inspected.thread_count())
        for seen in inspected.threads():
            if isinstance(seen, Finding):
                yield seen
                continue
            report.threads += 1
            report.entries += seen.entries
            report.runs += seen.runs
            report.open_runs += [OpenRun(seen.thread, run) for run in seen.open_runs]
            yield from seen.findings
            progress.advance(task)


def line_of(finding: Finding) -> str:
    """Return a finding as a line: thread, position and what."""
    where = [part for part in (finding.thread, finding.position) if part is not None]
    return f"{' '.join(where) or 'the file'}: {finding.what}"


def summary_of(report: Report) -> Iterator[str]:
    """Yield what is open, and last whether all is whole."""
    if report.open_runs:
        named = [f"{one.run} in {one.thread}" for one in report.open_runs[:SHOWN_RUNS]]
        more = len(report.open_runs) - len(named)
        names = ", ".join(named) + (f" and {more} more" if more else "")
        yield (
            f"{_count(len(report.open_runs), 'run')} open, which is no fault: {names}. A running "
            "server goes on with them; the next one to start ends them as interrupted."
        )
    there = (
        f"{_count(report.threads, 'thread')}, {_count(report.runs, 'run')}, "
        f"{_count(report.entries, 'entry', 'entries')}"
    )
    if report.whole:
        yield f"{report.database} is whole: {there}."
    else:
        found = _count(len(report.findings), "finding")
        yield f"{report.database} is not whole: {found} in {there}."


def _count(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _say(line: str) -> None:
    """Write a line, in which what could steer a terminal is escaped; nobody has to read it.

    Raises Unwritable: a verdict that could not be told is none.
    """
    shown = "".join(c if c.isprintable() else ascii(c)[1:-1] for c in line)
    encoding = sys.stdout.encoding or "utf-8"
    with contextlib.suppress(ReaderGone):
        sys.stdout.write(shown.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        sys.stdout.flush()
