"""The settings of a command, where an option says something else."""

from pathlib import Path

import pytest

from netra_backend.cli.settings import settings_with
from netra_backend.config import AuthMode
from tests.cli.conftest import Netra


@pytest.mark.parametrize(
    "command", [["serve"], ["check"], ["token", "alice"], ["tail", "t1"], ["replay", "t1"]]
)
def test_no_command_takes_an_empty_data_directory_for_the_working_one(
    netra: Netra, command: list[str]
) -> None:
    done = netra(*command, "--data-dir", "")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", "netra: --data-dir is empty\n")


def test_an_option_wins_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("data_dir = 'there'\nauth = 'dev'")
    assert settings_with(None, file).data_dir == Path("there")
    settings = settings_with("here", file, auth=AuthMode.AGENTCORE)
    assert (settings.data_dir, settings.auth) == (Path("here"), AuthMode.AGENTCORE)
