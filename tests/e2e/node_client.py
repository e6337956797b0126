"""A published client under Node, driven by a test: see tests/e2e/node/drive.mjs."""

import asyncio
import itertools
import json
import shutil
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.e2e.node_folder import NODE, node_folder

BOUND = 60.0
"""Seconds after which a wait for Node has failed."""

LINE = 2**24
"""Bytes of one line that Node may tell."""


class Call:
    """A call that Node carries out: what it tells meanwhile, and its result."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Any] = asyncio.Queue()
        self._result: asyncio.Future[Any] = asyncio.get_running_loop().create_future()

    async def event(self) -> Any:
        """Return the next thing that is told; raise if the call ends before."""
        waiting = asyncio.ensure_future(self._events.get())
        await asyncio.wait({waiting, self._result}, timeout=BOUND, return_when="FIRST_COMPLETED")
        if waiting.done():
            return waiting.result()
        waiting.cancel()
        raise AssertionError(f"nothing was told: {self._result}")

    async def result(self) -> Any:
        """Return the result."""
        return await asyncio.wait_for(asyncio.shield(self._result), BOUND)

    def take(self, told: dict[str, Any]) -> None:
        if "event" in told:
            self._events.put_nowait(told["event"])
        elif self._result.done():
            pass
        elif "failure" in told:
            self._result.set_exception(AssertionError(told["failure"]))
        else:
            self._result.set_result(told["result"])


class NodeClient:
    """A Node process that runs one driver."""

    def __init__(self, process: Process) -> None:
        self._process = process
        self._ids = itertools.count(1)
        self._calls: dict[int, Call] = {}
        self._errors = b""
        self._reading = [
            asyncio.create_task(self._read()),
            asyncio.create_task(self._read_errors()),
        ]

    def begin(self, name: str, **args: Any) -> Call:
        """Start a call of the driver."""
        id = next(self._ids)
        call = self._calls[id] = Call()
        if self._reading[0].done():
            call.take({"failure": f"Node has ended: {self._errors.decode()[-2_000:]}"})
        assert self._process.stdin is not None
        line = json.dumps({"id": id, "call": name, "args": args})
        self._process.stdin.write(f"{line}\n".encode())
        return call

    async def call(self, name: str, **args: Any) -> Any:
        """Return the result of a call of the driver."""
        return await self.begin(name, **args).result()

    async def end(self) -> None:
        """End the process."""
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        await asyncio.wait(self._reading)

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            told = json.loads(line)
            self._calls[told["id"]].take(told)
        await asyncio.wait({self._reading[1]})
        for call in self._calls.values():
            call.take({"failure": f"Node has ended: {self._errors.decode()[-2_000:]}"})

    async def _read_errors(self) -> None:
        assert self._process.stderr is not None
        self._errors = await self._process.stderr.read()


def script_folder(path: Path) -> Path:
    """Return a new folder in `path` with the drivers and the packages that they import."""
    packages = node_folder() / "node_modules"
    folder = path / "node"
    folder.mkdir()
    (folder / "node_modules").symlink_to(packages)
    for script in NODE.glob("*.mjs"):
        shutil.copy(script, folder)
    return folder


@asynccontextmanager
async def node_client(folder: Path, driver: str, url: str, token: str) -> AsyncIterator[NodeClient]:
    """Run the driver ``<driver>.mjs`` of `folder` against the server, and end it."""
    process = await asyncio.create_subprocess_exec(
        "node",
        str(folder / f"{driver}.mjs"),
        url,
        token,
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        limit=LINE,
    )
    client = NodeClient(process)
    try:
        yield client
    finally:
        await client.end()
