"""The workbench: a temporary directory with the programs that the questions use."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

SOURCES = Path(__file__).parent
BUILD_SECONDS = 60


class Workbench(NamedTuple):
    """Where the questions work. `baseline` is the C server, None where there is no gcc."""

    directory: Path
    client: list[str]
    baseline: Path | None

    def file(self, name: str) -> Path:
        """Return a path in the directory that nothing has yet."""
        number = sum(1 for _ in self.directory.iterdir())
        return self.directory / f"{number:03}-{name}"


def build(directory: Path) -> Workbench:
    """Return a workbench in `directory`, with the C programs built there if there is gcc."""
    if shutil.which("gcc") is None:
        return Workbench(directory, [sys.executable, "-m", "bench.slow_client"], None)
    client = _compile("client", directory)
    return Workbench(directory, [str(client)], _compile("baseline", directory))


def _compile(name: str, directory: Path) -> Path:
    program = directory / name
    command = ["gcc", "-O2", "-Wall", "-o", str(program), str(SOURCES / f"{name}.c")]
    subprocess.run(command, check=True, timeout=BUILD_SECONDS)
    return program
