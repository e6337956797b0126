"""The commands that typer parses."""

import pytest

from netra_backend.cli.commands import COMMANDS, make_app
from tests.cli.conftest import Netra


def test_only_the_command_that_is_asked_for_is_there() -> None:
    for name in COMMANDS:
        names = [command.name for command in make_app((name,)).registered_commands]
        assert names == [name, "scan"]


@pytest.mark.parametrize("arguments", [(), ("--help",)])
def test_help_names_every_command_and_the_scan(netra: Netra, arguments: tuple[str, ...]) -> None:
    done = netra(*arguments)
    assert all(name in done.stdout for name in (*COMMANDS, "scan"))


def test_the_usage_of_a_command_names_the_program(netra: Netra) -> None:
    assert "netra token" in netra("token", "--help").stdout
