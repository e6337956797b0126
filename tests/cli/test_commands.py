"""The commands that typer parses."""

import sys

import pytest

from netra_backend.cli.commands import BOXED_WIDTH, COMMANDS, make_app, run_typer
from tests.cli.conftest import Netra


def test_only_the_command_that_is_asked_for_is_there() -> None:
    for name in COMMANDS:
        names = [command.name for command in make_app((name,)).registered_commands]
        assert names == [name, "scan"]


def test_without_a_command_the_help_is_shown(netra: Netra) -> None:
    done = netra()
    assert all(name in done.stdout for name in (*COMMANDS, "scan"))


@pytest.mark.parametrize("name", COMMANDS)
def test_the_usage_of_a_command_names_the_program(netra: Netra, name: str) -> None:
    assert f"netra {name}" in netra(name, "--help").stdout


@pytest.mark.parametrize("columns", [20, BOXED_WIDTH - 1, BOXED_WIDTH])
def test_the_options_can_be_read_on_a_narrow_terminal(netra: Netra, columns: int) -> None:
    helps = netra("serve", "--help", COLUMNS=str(columns)).stdout
    for option in ("--agent", "--host", "--port", "--data-dir", "--workers", "--agentcore"):
        assert f"{option} " in helps


def test_what_nobody_catches_is_left_to_the_log(capsys: pytest.CaptureFixture[str]) -> None:
    """typer's own hook prints a traceback among the log's lines of JSON."""
    before = sys.excepthook
    try:
        with pytest.raises(SystemExit):
            run_typer(["--version"])
        assert sys.excepthook is before
    finally:
        sys.excepthook = before
    assert capsys.readouterr().out.startswith("netra ")
