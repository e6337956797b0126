"""What the tests of ``netra scan`` share: projects on disk, and a scan inside this process."""

from collections.abc import Mapping
from pathlib import Path

from netra_backend.cli.scan_arguments import Arguments, parse_arguments
from netra_backend.cli.scan_project import Project, load_project
from netra_backend.cli.scan_run import Outcome, Scan
from netra_backend.scan.titles import TITLES

UNUSED = "x = 1  # netra: ignore\n"
"""A source with one finding: a comment that ignores nothing, JS100 in line 1, repairable."""


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Write the files, by their paths in the folder, and return the folder."""
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text.encode())
    return folder


def asked(*arguments: object) -> Arguments:
    """Return the command line, understood; without a cache."""
    return parse_arguments([*map(str, arguments), "--no-cache"])


def project(*arguments: object) -> Project:
    """Return the project that a scan with these arguments would load."""
    return load_project(asked(*arguments), TITLES)


def make_scan(*arguments: object, stdin: bytes | None = None) -> Scan:
    """Return a scan that is ready to run."""
    return Scan(asked(*arguments), project(*arguments), stdin)


def run(*arguments: object, stdin: bytes | None = None) -> Outcome:
    """Return what a scan finds."""
    return make_scan(*arguments, stdin=stdin).run()


def places(outcome: Outcome, folder: Path) -> list[tuple[str, int, str]]:
    """Return the path from `folder`, the line and the rule of every finding."""
    return [
        (Path(it.path).absolute().relative_to(folder).as_posix(), it.line, it.rule)
        for it in outcome.findings
    ]
