"""Processes that an agent forks, and a server that is killed while they live."""

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.client import Client, client
from tests.live import ServerProcess

AGENT = """
import asyncio
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

from netra_backend.agents.base import Text

pool = ProcessPoolExecutor(1, get_context("fork"))


async def agent(given):
    if given.messages[-1].content == "pool":
        said = await asyncio.get_running_loop().run_in_executor(pool, os.getpid)
    elif child := os.fork():
        _, status = await asyncio.to_thread(os.waitpid, child, 0)
        said = os.waitstatus_to_exitcode(status)
    else:
        await asyncio.sleep(60)
    text = Text()
    for events in (text.start(), text.add(str(said)), text.end()):
        for event in events:
            yield event
"""


@asynccontextmanager
async def serving(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    (tmp_path / "forking.py").write_text(AGENT)
    server = ServerProcess(tmp_path / "data", ("forking:agent",), cwd=tmp_path)
    server.start()
    try:
        await server.wait_ready()
        yield server
    finally:
        server.kill()


async def said(person: Client, run: str, wish: str) -> int:
    """Return the number that the agent says."""
    await person.run("t", run, wish)
    await person.follow("t")
    frame = await person.until_frame(
        lambda f: f["chunk"]["type"] == "TEXT_MESSAGE_CONTENT" and f["thread"] == "t"
    )
    return int(frame["chunk"]["delta"])


@pytest.mark.anyio
async def test_what_an_agent_has_forked_keeps_neither_port_nor_sockets_nor_data(
    tmp_path: Path,
) -> None:
    async with serving(tmp_path) as server, client(server.socket_url, server.token()) as person:
        child = await said(person, "r", "pool")
        try:
            server.kill()
            assert await person.closed(bound=5) == 1006
            server.start()
            await server.wait_ready()
        finally:
            os.kill(child, signal.SIGKILL)


@pytest.mark.anyio
async def test_a_fork_that_comes_back_to_the_loop_ends_there(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, client(server.socket_url, server.token()) as person:
        assert await said(person, "r", "fork") == 1
        await person.until("RUN_FINISHED")


ENDS = """
import os, signal, socket
from netra_backend.cli.forks import close_in_forks

ours, theirs = socket.socketpair()
close_in_forks(ours.fileno())
if not (child := os.fork()):
    signal.pause()
ours.close()
theirs.settimeout(5)
try:
    print(theirs.recv(1))
finally:
    os.kill(child, signal.SIGKILL)
"""


def test_the_line_to_the_keeper_ends_with_its_worker() -> None:
    done = subprocess.run([sys.executable, "-c", ENDS], capture_output=True, text=True, check=True)
    assert done.stdout == "b''\n"


LEAVES = """
import asyncio, os, socket, sys
from netra_backend.cli.forks import leave_to_parent

server, loop = socket.create_server(("127.0.0.1", 0)), asyncio.new_event_loop()
loop.set_debug(True)
leave_to_parent(server.getsockname()[1], loop)

def fork():
    if not (child := os.fork()):
        os._exit(os.path.exists(f"/dev/fd/{server.fileno()}"))
    return os.waitpid(child, 0)[1]

in_thread = loop.run_until_complete(asyncio.wait_for(loop.run_in_executor(None, fork), 5))
loop.close()
print(in_thread, fork())
"""


def test_a_fork_of_another_thread_or_after_the_loop_leaves_the_port_too() -> None:
    # Python 3.12 and later warn of any fork beside a thread.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", LEAVES]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("0 0\n", "")
