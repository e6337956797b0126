"""The command line's root."""

import subprocess
import sys
from importlib.metadata import version

import pytest

import netra_backend
from tests.cli.conftest import Netra


def test_help_names_every_command(netra: Netra) -> None:
    done = netra("--help")
    assert done.returncode == 0
    assert all(name in done.stdout for name in ("serve", "tail", "replay", "token", "scan"))


def test_the_version_is_that_of_the_distribution(installed: Netra) -> None:
    assert installed("--version").stdout == f"netra {version('netra-backend')}\n"
    assert netra_backend.__version__ == version("netra-backend")


def test_an_unknown_command_is_refused(netra: Netra) -> None:
    done = netra("srve")
    assert done.returncode == 2
    assert "srve" in done.stderr


def test_an_error_of_ours_is_one_line(installed: Netra) -> None:
    done = installed("scan", "nowhere")
    assert done.returncode == 2
    assert done.stderr == "netra: there is no file or folder 'nowhere'\n"


@pytest.mark.parametrize(
    ("command", "absent"),
    [
        ("scan", "typer rich click starlette uvicorn pydantic jwt ag_ui asyncio sqlite3 inspect"),
        ("token", "uvicorn websockets"),
        ("serve", "uvicorn starlette websockets ag_ui netra_backend.agents"),
    ],
)
def test_a_command_loads_only_what_it_needs(command: str, absent: str) -> None:
    code = (
        "import sys\nfrom netra_backend.cli.app import run\n"
        "try:\n    run(sys.argv[1:])\nexcept SystemExit:\n    pass\nprint(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, command, "--help"], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not loaded & set(absent.split())


def test_at_the_end_no_garbage_is_looked_for() -> None:
    code = (
        "import atexit, gc, sys\nfrom netra_backend.cli.app import main\n"
        "atexit.register(lambda: print(gc.get_freeze_count()))\nmain()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "--version"], capture_output=True, text=True, check=True
    )
    assert int(done.stdout.split()[-1]) > 1_000
