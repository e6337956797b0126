"""Where the outcome of a scan goes: results to standard output, remarks to standard error."""

import contextlib
import sys
from collections.abc import Iterable, Mapping
from typing import TextIO

import netra_backend
from netra_backend.cli.output import ReaderGone, wants_colour
from netra_backend.cli.scan_arguments import Format
from netra_backend.cli.scan_run import Outcome, Scan
from netra_backend.scan.finding import Finding
from netra_backend.scan.report import text


class Terminal:
    """Standard output and error; a reader who has gone is no fault."""

    def __init__(self, form: Format) -> None:
        self._form = form
        self._to: TextIO | None = sys.stdout
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="backslashreplace")

    def tell(self, outcome: Outcome, scan: Scan, titles: Mapping[str, str]) -> None:
        """Write the findings in the format that is asked for."""
        findings = outcome.findings
        if self._form is Format.TEXT:
            self._tell_text(findings, outcome, scan)
        elif self._form is Format.JSON:
            from netra_backend.scan.report import json  # noqa: PLC0415 - start time

            self.print(json.write(findings))
        elif self._form is Format.SARIF:
            from netra_backend.scan.report import sarif  # noqa: PLC0415 - start time

            self.print(sarif.write(findings, outcome.skipped, titles, netra_backend.__version__))
        else:
            from netra_backend.scan.report import github  # noqa: PLC0415 - start time

            self._print_all(github.write(findings, outcome.skipped))

    def tell_statistics(self, outcome: Outcome, titles: Mapping[str, str]) -> None:
        """Write how often each rule found something."""
        from netra_backend.scan.report import statistics  # noqa: PLC0415 - start time

        self._print_all(statistics.write(outcome.findings, titles))

    def tell_lost(self, outcome: Outcome) -> None:
        """Remark on files that were not scanned, a line each, and on all else that is odd."""
        for file in outcome.skipped:
            self.note(f"{text.printable(file.path)}: skipped: {text.printable(file.reason)}")
        for note in outcome.notes:
            self.note(note)

    def give_source(self, data: bytes) -> None:
        """Write a source to standard output, and from now on everything else to standard error."""
        self._flush_to(sys.stdout, data)
        self._to = sys.stderr

    def print(self, line: str, end: str = "\n") -> None:
        """Write to standard output, as UTF-8 where it is no terminal's own encoding."""
        self._flush_to(self._to, f"{line}{end}")

    def note(self, line: str) -> None:
        """Write a line to standard error."""
        self._flush_to(sys.stderr, f"{line}\n")

    def clear(self) -> None:
        """Clear the screen, if there is one."""
        if sys.stdout and sys.stdout.isatty():
            self.print("\x1b[2J\x1b[H", end="")

    def _tell_text(self, findings: tuple[Finding, ...], outcome: Outcome, scan: Scan) -> None:
        colour = wants_colour(self._to)
        lines_of = scan.reader(outcome.files)
        self._print_all(f"{shown}\n" for shown in text.write(findings, lines_of, colour=colour))
        self.print(text.summary(findings, outcome.scanned, len(outcome.skipped)))

    def _print_all(self, lines: Iterable[str]) -> None:
        whole = "".join(f"{line}\n" for line in lines)
        if whole:
            self.print(whole, end="")

    def _flush_to(self, stream: TextIO | None, what: str | bytes) -> None:
        if stream is None:  # closed before Python began
            return
        with contextlib.suppress(ReaderGone):
            if isinstance(what, bytes):
                stream.buffer.write(what)
            else:
                stream.write(what)
            stream.flush()
