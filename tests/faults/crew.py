"""A crew: a server of several workers, each a process that can be killed or frozen alone."""

import os
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.faults.busy_agent import write_busy_agent
from tests.live import ServerProcess
from tests.person import Person


@asynccontextmanager
async def workers(
    tmp_path: Path, count: int = 2, *, agent: str | None = None, **environment: str
) -> AsyncIterator[ServerProcess]:
    """Return a server with so many workers, of the busy agent if there are no others."""
    agents = (agent or write_busy_agent(tmp_path)).split()
    server = ServerProcess(
        tmp_path / "data",
        (*agents, "--workers", str(count)),
        cwd=tmp_path,
        environment=environment,
    )
    server.start()
    try:
        await server.wait_ready()
        yield server
    finally:
        server.stop(signal.SIGKILL)


def processes(server: ServerProcess) -> list[psutil.Process]:
    """Return the workers that there are."""
    assert server.process is not None
    return psutil.Process(server.process.pid).children()


def keeper_of(server: ServerProcess) -> int:
    """Return the id of the process that keeps the store."""
    assert server.process is not None
    return server.process.pid


@contextmanager
def frozen(*pids: int) -> Iterator[None]:
    """Let these processes stand still; in the end they go on in this order."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)


def worker_of(server: ServerProcess, person: Person) -> psutil.Process | None:
    """Return the worker that has the person's connection, None when none has."""
    return worker_at(server, person.client.socket.local_address[1])


def worker_at(server: ServerProcess, port: int) -> psutil.Process | None:
    """Return the worker that is connected to this port of a client, None when none is."""
    for process in processes(server):
        if any(c.raddr and c.raddr.port == port for c in process.net_connections("tcp")):
            return process
    return None


async def apart(server: ServerProcess, stack: AsyncExitStack) -> tuple[Person, Person]:
    """Return two connections of one user that two workers have."""
    people: list[Person] = []
    for number in range(64):
        person = await stack.enter_async_context(Person(server, f"alice {number}"))
        others = [p for p in people if worker_of(server, p) != worker_of(server, person)]
        if others:
            return others[0], person
        people.append(person)
    raise AssertionError("one worker has all connections")


def warnings(server: ServerProcess) -> list[dict[str, Any]]:
    """Return what the log has until now for who is on call."""
    return [line for line in server.log_lines() if line["level"] not in ("DEBUG", "INFO")]
