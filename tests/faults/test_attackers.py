"""One attacker of each kind costs an honest client no half a second, and the server no 10 MB.

What bounds each of them is tried, and seen to be needed, in ``test_attacks``; here the whole of
``netra serve`` runs with its own limits, while another process attacks it.
"""

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Iterator
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from tests.client import BOUND, Client, client
from tests.conftest import Tell
from tests.live import ServerProcess

pytestmark = pytest.mark.anyio

ATTACKERS = Path(__file__).with_name("attackers.py")
ECHO = Path(__file__).parents[2] / "examples" / "echo_agent.py"
KINDS = ("silent", "slow", "fragments", "sizes", "deaf", "pings", "pongs")
MEMORY = 10_000_000
WORST = 0.5
"""Seconds that an echo may take while somebody attacks."""
NOISE = 5
"""So many times what it takes without an attack is the machine's fault."""
ALONE = 0.5
PAUSE = 0.01
"""Seconds between two echoes: the server allows 100 a second."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    home = tmp_path_factory.mktemp("attacked")
    (home / "echo_agent.py").write_text(ECHO.read_text(encoding="utf-8"), encoding="utf-8")
    running = ServerProcess(home / "data", ("echo_agent:agent",), cwd=home)
    running.start()
    try:
        asyncio.run(running.wait_ready())
        yield running
    finally:
        running.stop()


class Seen(NamedTuple):
    """The worst echo of an honest client, in seconds, and the most memory of the server."""

    echo: float
    memory: int


async def watch(honest: Client, server: psutil.Process, until: Awaitable[object]) -> Seen:
    """Let the client echo until then; return what was seen."""
    loop = asyncio.get_running_loop()
    over = asyncio.ensure_future(until)
    worst, most = 0.0, 0
    while not over.done():
        began = loop.time()
        answer = await honest.command("ping")
        worst = max(worst, loop.time() - began)
        assert answer["type"] == "pong"
        most = max(most, server.memory_info().rss)
        await asyncio.sleep(PAUSE)
    await over
    return Seen(worst, most)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_attacker_hurts_nobody_else(kind: str, server: ServerProcess, tell: Tell) -> None:
    assert server.process is not None
    process = psutil.Process(server.process.pid)
    command = [sys.executable, str(ATTACKERS), kind, str(server.port), server.token("mallory")]
    async with client(server.socket_url, server.token("alice")) as honest:
        before = await watch(honest, process, asyncio.sleep(ALONE))
        with subprocess.Popen(command, stderr=subprocess.PIPE) as attacker:
            try:
                ended = asyncio.to_thread(attacker.communicate, timeout=BOUND)
                attacked = await watch(honest, process, ended)
            finally:
                attacker.kill()
        after = await watch(honest, process, asyncio.sleep(ALONE))
    assert attacker.returncode == 0
    alone = max(before.echo, after.echo)
    grown = attacked.memory - before.memory
    tell(
        f"{kind}: worst echo {attacked.echo * 1e3:.0f} ms, alone {alone * 1e3:.0f} ms; "
        f"{grown / 1e6:+.1f} MB"
    )
    assert grown < MEMORY
    assert attacked.echo < max(WORST, NOISE * alone)
