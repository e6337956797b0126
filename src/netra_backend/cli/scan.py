"""``netra scan``: find values that JSON refuses before they take production down."""

import os
import sys
import warnings
from collections.abc import Sequence
from types import TracebackType

from msgspec.structs import replace

from netra_backend.cli.scan_arguments import Arguments, parse_arguments
from netra_backend.cli.scan_project import Project, load_project, settings_files
from netra_backend.cli.scan_run import Outcome, Scan
from netra_backend.cli.scan_terminal import Terminal
from netra_backend.errors import ConfigError
from netra_backend.scan.finding import Severity
from netra_backend.scan.titles import TITLES


def scan(arguments: Sequence[str]) -> int:
    """Scan as asked on the command line, and return the exit code.

    0: nothing at or above ``--fail-on``; 1: something; 2: wrong usage, no file
    that could be scanned, or a fault of the scanner.
    """
    sys.excepthook = _leave_with_2
    warnings.simplefilter("ignore")  # what the parser thinks of escapes in the scanned code
    asked = parse_arguments(arguments)
    terminal = Terminal(asked.format)
    if asked.explain is not None:
        from netra_backend.cli.scan_explain import explain  # noqa: PLC0415 - start time

        terminal.print(explain(asked.explain, TITLES))
        return 0
    if asked.watch:
        return _watch(asked, terminal)
    stdin = sys.stdin.buffer.read() if asked.stdin else None
    return _Task(asked, terminal, stdin).once()


class _Task:
    """What is asked, carried out once."""

    def __init__(self, asked: Arguments, terminal: Terminal, stdin: bytes | None = None) -> None:
        self._asked = asked
        self._terminal = terminal
        self._project = load_project(asked, TITLES)
        self._baseline = _baseline_file(asked, self._project)
        self.scan = Scan(asked, self._project, stdin)

    def once(self) -> int:
        """Scan, do with the findings what is asked, and return the exit code."""
        outcome = self._run()
        code = self._act(outcome)
        if outcome.skipped and not outcome.scanned:
            self._terminal.note("netra: nothing could be scanned")
            return 2
        return 2 if outcome.failed else code

    def _run(self) -> Outcome:
        outcome = self.scan.run()
        if self._baseline is None or self._asked.update_baseline:
            return outcome
        from netra_backend.cli.scan_baseline import forgive  # noqa: PLC0415 - start time

        forgiven = forgive(self._baseline, outcome, self.scan.reader(outcome.files))
        return replace(
            outcome,
            findings=forgiven.new,
            notes=(*outcome.notes, *forgiven.notes(self._baseline)),
        )

    def _act(self, outcome: Outcome) -> int:
        asked = self._asked
        if asked.update_baseline:
            return self._update_baseline(outcome)
        if asked.fix:
            return self._fix(outcome)
        if asked.diff:
            return self._diff(outcome)
        self._terminal.tell_lost(outcome)
        if asked.statistics:
            self._terminal.tell_statistics(outcome, TITLES)
        else:
            self._terminal.tell(outcome, self.scan, TITLES)
        return self._code(outcome)

    def _update_baseline(self, outcome: Outcome) -> int:
        from netra_backend.cli.scan_baseline import update  # noqa: PLC0415 - start time

        if self._baseline is None:
            raise ConfigError(
                "--update-baseline needs --baseline FILE, or baseline in [tool.netra.scan]"
            )
        self._terminal.tell_lost(outcome)
        count = update(self._baseline, outcome, self.scan.reader(outcome.files))
        self._terminal.note(f"{self._baseline} now forgives {count} finding{'s' * (count != 1)}")
        return 0

    def _fix(self, outcome: Outcome) -> int:
        from netra_backend.cli.scan_fix import fix  # noqa: PLC0415 - start time

        repaired = fix(self.scan, outcome, self._run)
        outcome = repaired.outcome
        self._terminal.tell_lost(outcome)
        for file in repaired.unwritten:
            self._terminal.note(f"{file.path}: not fixed: {file.reason}")
        if self.scan.stdin is not None:
            self._terminal.give_source(self.scan.stdin)
        self._terminal.tell(outcome, self.scan, TITLES)
        self._terminal.note(f"Fixed {repaired.count}.")
        return 2 if repaired.unwritten else self._code(outcome)

    def _diff(self, outcome: Outcome) -> int:
        from netra_backend.cli.scan_fix import diffs  # noqa: PLC0415 - start time

        self._terminal.tell_lost(outcome)
        for line in diffs(self.scan, outcome):
            self._terminal.print(line, end="")
        return self._code(outcome)

    def _code(self, outcome: Outcome) -> int:
        least = Severity(self._project.options.fail_on).rank
        return int(any(finding.severity.rank >= least for finding in outcome.findings))


def _watch(asked: Arguments, terminal: Terminal) -> int:
    """Scan whenever a file or a setting has changed, until Ctrl-C."""
    from netra_backend.cli.scan_watch import snapshot, wait_for_change  # noqa: PLC0415 - start time

    task = _Task(asked, terminal)
    try:
        while True:
            before = snapshot(_watched(asked, task))
            terminal.clear()
            try:
                task = _Task(asked, terminal)
                task.once()
            except ConfigError as error:
                # A setting is being edited; the next time it is saved may mend it.
                terminal.note(f"netra: {error}")
            terminal.note("Watching for changes; Ctrl-C ends it.")
            wait_for_change(before, lambda: _watched(asked, task))  # noqa: B023 - used at once
    except KeyboardInterrupt:
        return 0


def _watched(asked: Arguments, task: _Task) -> list[str]:
    """Return the files that a scan reads, there or not."""
    return [*task.scan.names(), *settings_files(asked)]


def _baseline_file(asked: Arguments, project: Project) -> str | None:
    """Return where the baseline is: as asked, else as the project says."""
    if asked.baseline is not None:
        return asked.baseline
    named = project.options.baseline
    return None if named is None else f"{project.root}/{named}"


def _leave_with_2(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """End the process after an error that nothing has foreseen: 1 would mean findings."""
    import traceback  # noqa: PLC0415 - start time

    traceback.print_exception(kind, error, trace)
    sys.stderr.write("netra: internal error of the scanner; please report the lines above\n")
    sys.stderr.flush()
    os._exit(2)
