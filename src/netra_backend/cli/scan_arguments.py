"""What ``netra scan`` is asked on the command line."""

import argparse
import os
from collections.abc import Sequence
from enum import Enum

from msgspec import Struct

EPILOG = """\
exit codes: 0 nothing found, 1 findings at or above --fail-on, 2 wrong usage or internal error.
[tool.netra.scan] in the nearest pyproject.toml says the rest;
its keys are in docs/scan.md, "Configure it".
"""


class Format(Enum):
    """How findings are told."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


class Arguments(Struct, frozen=True):
    """The command line, understood; None is what pyproject.toml decides."""

    paths: tuple[str, ...]
    format: Format
    select: str | None
    ignore: str | None
    exclude: tuple[str, ...]
    fail_on: str | None
    notes: bool | None
    fix: bool
    diff: bool
    baseline: str | None
    update_baseline: bool
    statistics: bool
    watch: bool
    explain: str | None
    python: str | None
    config: str | None
    stdin_filename: str | None
    gitignore: bool
    force_exclude: bool
    jobs: int | None
    cache: bool
    cache_dir: str | None

    @property
    def stdin(self) -> bool:
        """Whether the source comes from standard input."""
        return self.paths == ("-",)


def parse_arguments(arguments: Sequence[str]) -> Arguments:
    """Return what is asked; on wrong usage print why and leave with code 2."""
    parser = _parser()
    given = vars(parser.parse_args(arguments))
    given["format"] = Format(given["format"])
    given["paths"] = tuple(given["paths"] or (".",))
    given["exclude"] = tuple(given["exclude"])
    asked = Arguments(**given)
    problem = _conflict(asked)
    if problem:
        parser.error(problem)
    return asked


def _conflict(asked: Arguments) -> str | None:
    """Return what cannot be asked together."""
    alone = {
        "--fix": asked.fix,
        "--diff": asked.diff,
        "--update-baseline": asked.update_baseline,
        "--statistics": asked.statistics,
    }
    chosen = [name for name, given in alone.items() if given]
    if len(chosen) > 1:
        return f"{chosen[0]} and {chosen[1]} cannot be used together"
    if asked.statistics and asked.format is not Format.TEXT:
        return f"--statistics has no --format {asked.format.value}"
    if asked.diff and asked.format is not Format.TEXT:
        return f"--diff has no --format {asked.format.value}"
    if "-" in asked.paths and not asked.stdin:
        return "- (standard input) must be the only path"
    if asked.stdin_filename is not None and not asked.stdin:
        return "--stdin-filename is for the path - (standard input)"
    if asked.watch and (asked.stdin or asked.update_baseline):
        return f"--watch cannot be used with {'-' if asked.stdin else '--update-baseline'}"
    return None


def _jobs(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of processes")
    return int(text)


def _formatter(prog: str) -> argparse.HelpFormatter:
    """Return a formatter that knows its width, or argparse would import shutil to ask for it."""
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() else 100
    return argparse.RawDescriptionHelpFormatter(prog, width=max(width, 40))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="netra scan",
        description="Find values that JSON refuses, on their way into JSON. Reads code, never "
        "runs it.",
        epilog=EPILOG,
        formatter_class=_formatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add("paths", nargs="*", metavar="PATH", help="files or folders (default: .), or - for stdin")
    what = parser.add_argument_group("what is reported")
    what.add_argument("--select", metavar="RULES", help="only these: JS001,JS1 or ALL")
    what.add_argument("--ignore", metavar="RULES", help="not these")
    what.add_argument(
        "--notes",
        action=argparse.BooleanOptionalAction,
        help="report what cannot raise but reads ambiguously (default: yes, unless CI is set)",
    )
    what.add_argument(
        "--fail-on",
        choices=("error", "warning", "note"),
        help="the lowest severity that makes the exit code 1 (default: warning)",
    )
    what.add_argument("--baseline", metavar="FILE", help="report only what is not in this file")
    what.add_argument(
        "--update-baseline", action="store_true", help="write what is found to the baseline"
    )
    how = parser.add_argument_group("how it is reported")
    how.add_argument(
        "--format", choices=[it.value for it in Format], default="text", help="(default: text)"
    )
    how.add_argument("--statistics", action="store_true", help="count findings by rule")
    how.add_argument("--fix", action="store_true", help="repair what can safely be repaired")
    how.add_argument("--diff", action="store_true", help="show what --fix would change")
    how.add_argument("--watch", action="store_true", help="scan again whenever a file changes")
    how.add_argument("--explain", metavar="RULE", help="print the page of a rule, and stop")
    where = parser.add_argument_group("where it looks")
    where.add_argument("--config", metavar="FILE", help="a pyproject.toml, instead of the nearest")
    where.add_argument(
        "--python", metavar="ENV", help="the environment with the project's dependencies"
    )
    where.add_argument(
        "--exclude", metavar="PATTERN", action="append", default=[], help="as in .gitignore"
    )
    where.add_argument(
        "--force-exclude", action="store_true", help="leave out excluded files also when named"
    )
    where.add_argument(
        "--no-gitignore", dest="gitignore", action="store_false", help="scan what git ignores"
    )
    where.add_argument("--stdin-filename", metavar="PATH", help="what the text on stdin is")
    speed = parser.add_argument_group("speed")
    speed.add_argument("--jobs", type=_jobs, metavar="N", help="processes (default: one a core)")
    speed.add_argument("--cache-dir", metavar="DIR", help="(default: .netra_cache)")
    speed.add_argument("--no-cache", dest="cache", action="store_false", help="keep nothing")
    return parser
