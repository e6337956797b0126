"""The command line's root."""

from tests.cli.conftest import Netra


def test_help_names_every_command(netra: Netra) -> None:
    done = netra("--help")
    assert done.returncode == 0
    for command in ("serve", "tail", "replay", "token"):
        assert command in done.stdout
        assert netra(command, "--help").returncode == 0


def test_an_unknown_command_is_refused(netra: Netra) -> None:
    done = netra("srve")
    assert done.returncode == 2
    assert "srve" in done.stderr
