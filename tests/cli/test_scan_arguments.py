"""The command line of ``netra scan``."""

import re
from pathlib import Path

import pytest

from netra_backend.cli.scan_arguments import Format, parse_arguments

ROOT = Path(__file__).parents[2]


def test_nothing_asked_is_the_folder_as_text() -> None:
    asked = parse_arguments([])
    assert asked.paths == (".",)
    assert asked.format is Format.TEXT
    assert asked.fail_on is None
    assert asked.notes is None
    assert asked.gitignore
    assert asked.cache


def test_everything_can_be_asked() -> None:
    reported = ["--format", "sarif", "--select", "JS1", "--ignore", "JS2", "--no-notes"]
    placed = ["--exclude", "a", "--exclude", "b", "--no-gitignore", "--force-exclude"]
    rest = ["--fail-on", "note", "--jobs", "3", "--python", ".venv", "--config", "p.toml"]
    asked = parse_arguments(["src", *reported, *placed, *rest])
    assert asked.paths == ("src",)
    assert asked.format is Format.SARIF
    assert (asked.select, asked.ignore, asked.exclude) == ("JS1", "JS2", ("a", "b"))
    assert asked.notes is False
    assert (asked.fail_on, asked.jobs, asked.python, asked.config) == ("note", 3, ".venv", "p.toml")
    assert not asked.gitignore
    assert asked.force_exclude
    assert parse_arguments(["-"]).stdin


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--format xml", "argument --format: invalid choice: 'xml'"),
        ("--fail-on fatal", "argument --fail-on: invalid choice: 'fatal'"),
        ("--jobs 0", "'0' is not a number of processes"),
        ("--jobs -1", "'-1' is not a number of processes"),
        ("--formt json", "unrecognized arguments: --formt"),
        ("--form json", "unrecognized arguments: --form"),
        ("--fix --diff", "--fix and --diff cannot be used together"),
        ("--diff --format json", "--diff has no --format json"),
        ("--statistics --format github", "--statistics has no --format github"),
        ("- src", "must be the only path"),
        ("src --stdin-filename a.py", "--stdin-filename is for the path -"),
        ("- --watch", "--watch cannot be used with -"),
        ("--watch --update-baseline", "--watch cannot be used with --update-baseline"),
    ],
)
def test_wrong_usage_says_what_and_leaves_with_2(
    arguments: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        parse_arguments(arguments.split())
    assert caught.value.code == 2
    assert said in capsys.readouterr().err


def test_the_help_fits_and_names_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse_arguments(["--help"])
    told = capsys.readouterr().out
    assert "exit codes: 0 nothing found" in told
    place, heading = re.findall(r'its keys are in (\S+), "(.+)"', told)[0]
    assert f"## {heading}\n" in (ROOT / place).read_text()
    assert all(len(line) <= 100 for line in told.splitlines())
