"""A real server with one finished thread, and the command ``netra`` as a process."""

import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.client import client
from tests.live import ServerProcess

Netra = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def netra(tmp_path: Path) -> Netra:
    """Return what runs ``netra ARGUMENTS`` to its end."""

    def run(*arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        clean = {key: value for key, value in os.environ.items() if not key.startswith("NETRA_")}
        return subprocess.run(
            [str(Path(sys.executable).with_name("netra")), *arguments],
            cwd=tmp_path,
            env={**clean, "COLUMNS": "200", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    """A running ``netra serve`` in which alice has asked the docs agent one thing, in ``t1``."""
    process = ServerProcess(tmp_path / "data")
    process.start()
    try:
        await process.wait_ready()
        async with client(process.socket_url, process.token("alice")) as alice:
            await alice.run("t1", "r1", "What survives a kill -9?")
            await alice.follow("t1")
            await alice.until("RUN_FINISHED")
        yield process
    finally:
        process.stop()
