"""Findings as GitHub's workflow commands, which become annotations on a pull request.

https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands
"""

from collections.abc import Iterable, Iterator

from netra_backend.scan.finding import Finding, Severity
from netra_backend.scan.skipped import Skipped

_COMMANDS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def write(findings: Iterable[Finding], skipped: Iterable[Skipped] = ()) -> Iterator[str]:
    """Yield a line for each finding, and one for each file that could not be scanned."""
    for finding in findings:
        place: dict[str, str | int] = {
            "title": f"Netra ({finding.rule})",
            "file": finding.path,
            "line": finding.line,
            "col": finding.column + 1,
            "endLine": finding.end_line,
        }
        command = _COMMANDS[finding.severity]
        yield _command(command, place, f"{finding.rule} {finding.message}")
    for file in skipped:
        yield _command("warning", {"title": "Netra", "file": file.path}, f"skipped: {file.reason}")


def _command(name: str, place: dict[str, str | int], message: str) -> str:
    properties = ",".join(f"{key}={_property(str(value))}" for key, value in place.items())
    return f"::{name} {properties}::{_data(message)}"


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
