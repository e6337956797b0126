"""Descriptors: a server takes as many connections as it is set to, or says why it cannot."""

import os
import resource
import socket
import subprocess
import sys
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from tests.client import client
from tests.eventually import until
from tests.live import ServerProcess

pytestmark = pytest.mark.anyio

FEW, CLIENTS = 100, 130


def start(server: ServerProcess, connections: int, limits: tuple[int, int]) -> None:
    """Start the server as a shell would that has these soft and hard limits."""
    arguments = ["--port", str(server.port), "--data-dir", str(server.data_dir)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("NETRA_")}
    environment |= {"NETRA_LOG_FORMAT": "json", "NETRA_CONNECTIONS": str(connections)}
    with server.log_file.open("ab") as log:
        server.process = subprocess.Popen(  # type: ignore[assignment]  # it has Forked's methods
            [sys.executable, "-m", "netra_backend.cli", "serve", *arguments],
            env=environment,
            stdout=log,
            stderr=log,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, limits),  # noqa: PLW1509
        )


async def test_more_descriptors_are_asked_for_than_a_shell_gives(tmp_path: Path) -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    server = ServerProcess(tmp_path / "data")
    start(server, CLIENTS + 10, (FEW, hard))
    try:
        await server.wait_ready()
        async with AsyncExitStack() as stack:
            for _ in range(CLIENTS):
                there = await stack.enter_async_context(client(server.socket_url, server.token()))
            assert there.ready["user"] == "alice"
    finally:
        server.stop()
    assert "the system allows" not in server.log_file.read_text()


async def test_a_system_that_allows_fewer_is_named_at_the_start_and_when_it_matters(
    tmp_path: Path,
) -> None:
    server = ServerProcess(tmp_path / "data")
    start(server, CLIENTS, (FEW // 2, FEW))

    def told(message: str) -> list[tuple[str, int]]:
        lines = server.log_lines()
        return [(x["level"], x["descriptors"]) for x in lines if x["message"].startswith(message)]

    try:
        await server.wait_ready()
        with ExitStack() as stack:
            for _ in range(FEW):
                there = socket.create_connection(("127.0.0.1", server.port))
                stack.enter_context(there)
            await until(lambda: told("no descriptor is left"))
        await until(lambda: told("there are descriptors again"))
    finally:
        server.stop()
    assert told("the system allows fewer") == [("WARNING", FEW)]
    assert told("no descriptor is left") == [("ERROR", FEW)]
    assert told("there are descriptors again") == [("WARNING", FEW)]
