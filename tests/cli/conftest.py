"""A real server with one finished thread, and the command ``netra`` as a process, new or forked."""

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.client import client
from tests.forked import Forked
from tests.live import BOUND, ServerProcess

Netra = Callable[..., "subprocess.CompletedProcess[str]"]


def clean(environment: dict[str, str]) -> dict[str, str]:
    """Return the environment of a command, in which nothing but this is set for Netra."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("NETRA_")}
    return {**inherited, "COLUMNS": "200", **environment}


@pytest.fixture
def installed(tmp_path: Path) -> Netra:
    """Return what runs the installed command ``netra ARGUMENTS`` to its end."""

    def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [str(Path(sys.executable).with_name("netra")), *arguments],
            cwd=tmp_path,
            env=clean(environment),
            capture_output=True,
            text=True,
            timeout=BOUND,
            check=False,
        )

    return run


@pytest.fixture
def netra(tmp_path: Path) -> Netra:
    """Return what runs ``netra ARGUMENTS`` to its end, in a process that has it imported."""

    def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        with TemporaryDirectory() as folder:
            output, errors = Path(folder, "output"), Path(folder, "errors")
            process = Forked(
                arguments, cwd=tmp_path, env=clean(environment), output=output, errors=errors
            )
            code = process.wait(BOUND)
            return subprocess.CompletedProcess(
                arguments, code, output.read_text(), errors.read_text()
            )

    return run


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A running ``netra serve`` in which alice has asked the docs agent one thing, in ``t1``."""
    process = ServerProcess(tmp_path_factory.mktemp("server") / "data")
    process.start()
    try:
        asyncio.run(ask(process))
        yield process
    finally:
        process.stop()


async def ask(server: ServerProcess) -> None:
    """Ask the docs agent one thing as alice, and see the end of the answer."""
    await server.wait_ready()
    async with client(server.socket_url, server.token("alice")) as alice:
        await alice.run("t1", "r1", "What survives a kill -9?")
        await alice.follow("t1")
        await alice.until("RUN_FINISHED")
