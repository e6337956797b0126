"""A real server for tests: in this process on a free port, or as a process that can be killed."""

import asyncio
import json
import os
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast
from urllib.error import URLError
from urllib.request import urlopen

import uvicorn
from starlette.types import ASGIApp

from netra_backend.config import Settings
from netra_backend.core.ids import UserId
from netra_backend.core.ports import Store
from netra_backend.server.app import create_app
from netra_backend.server.auth import DevAuth, Hook
from netra_backend.server.http_protocol import HttpProtocol
from netra_backend.server.kept_keys import dev_key
from netra_backend.server.lane import Protocol
from netra_backend.server.netra_app import NetraApp
from netra_backend.stores.remote import RemoteStore
from tests.forked import Forked
from tests.ports import free_port

BOUND = 60.0
"""Seconds after which a wait in a test has failed."""


def token(data_dir: Path, user: str) -> str:
    """Return a development token for `user` of the server with this data directory."""
    return DevAuth(dev_key(data_dir)).token(UserId(user))


class Reachable:
    """What listens on a port of this machine."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"


@dataclass
class Live(Reachable):
    """A server that runs in this process."""

    app: NetraApp
    data_dir: Path
    port: int

    def token(self, user: str = "alice") -> str:
        return token(self.data_dir, user)


class _Server(uvicorn.Server):
    """uvicorn, which leaves the signals to the test run and stops at once when it is told to."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.stopping = asyncio.Event()

    def capture_signals(self) -> AbstractContextManager[None]:
        return nullcontext()

    async def main_loop(self) -> None:
        await self.on_tick(0)
        await self.stopping.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Do what uvicorn does, without its pauses of 100 ms: there are hundreds of servers."""
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.shutdown()
        try:
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while self.server_state.connections or self.server_state.tasks:  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
        except TimeoutError:
            for task in self.server_state.tasks:
                task.cancel()
        await self.lifespan.shutdown()


@asynccontextmanager
async def serving(
    app: ASGIApp, ws: Any, *, send_buffer: int | None = None, **options: Any
) -> AsyncIterator[int]:
    """Run an application under uvicorn in this event loop; return the port.

    With a small `send_buffer`, in bytes, the system takes little for a client that hangs.
    """
    listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if send_buffer is not None:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
    settings: dict[str, Any] = {"ws_per_message_deflate": False, "proxy_headers": False}
    settings |= {"timeout_graceful_shutdown": 2, **options}
    server = _Server(uvicorn.Config(app, ws=ws, log_config=None, lifespan="on", **settings))
    running = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        async with asyncio.timeout(BOUND):
            while not server.started:
                if running.done():
                    running.result()
                await asyncio.sleep(0.005)
        yield int(listener.getsockname()[1])
    finally:
        server.stopping.set()
        await asyncio.wait_for(running, BOUND)
        listener.close()


@asynccontextmanager
async def live(
    agents: Mapping[str, object] | None,
    data_dir: Path,
    *,
    store: Store | None = None,
    direct: bool = True,
    send_buffer: int | None = None,
    authenticate: Hook | None = None,
    agentcore: bool = False,
    nodes: RemoteStore | None = None,
    uvicorn: Mapping[str, Any] | None = None,
    **settings: Any,
) -> AsyncIterator[Live]:
    """Run a server in this event loop; `direct` chooses our lane or ASGI's ``send``.

    `uvicorn` are options of its `Config`. With `nodes` it is one of the workers of a keeper.
    """
    served = Settings(data_dir=data_dir, **settings)
    app = create_app(
        agents,
        settings=served,
        store=store if nodes is None else cast(Store, nodes),
        bus=None if nodes is None else nodes.bus,
        nodes=nodes,
        authenticate=authenticate,
        agentcore=agentcore,
    )
    pings = {"ws_ping_interval": served.ping_seconds, "ws_ping_timeout": served.ping_seconds}
    ws = Protocol if direct else "websockets-sansio"
    http = HttpProtocol if direct else "auto"
    options = {"http": http, **pings, **(uvicorn or {})}
    async with serving(app, ws, send_buffer=send_buffer, **options) as port:
        try:
            yield Live(app, data_dir, port)
        finally:
            await app.drain(0)


@dataclass
class ServerProcess(Reachable):
    """``netra serve`` as a process of its own, on a port that stays the same across restarts."""

    data_dir: Path
    arguments: tuple[str, ...] = ()
    cwd: Path | None = None
    environment: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    process: Forked | None = None

    @property
    def log_file(self) -> Path:
        return self.data_dir.parent / f"{self.data_dir.name}.log"

    def log_lines(self) -> list[dict[str, Any]]:
        """Return the lines of JSON that its log has until now."""
        text = self.log_file.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.splitlines() if line.startswith("{")]

    def token(self, user: str = "alice") -> str:
        return token(self.data_dir, user)

    def start(self) -> None:
        """Start the server; `wait_ready` says when it answers."""
        command = ["serve", *self.arguments]
        command += ["--port", str(self.port), "--data-dir", str(self.data_dir)]
        environment = {k: v for k, v in os.environ.items() if not k.startswith("NETRA_")}
        self.process = Forked(
            command,
            cwd=self.cwd or Path.cwd(),
            env={**environment, "NETRA_LOG_FORMAT": "json", **self.environment},
            output=self.log_file,
        )

    async def wait_ready(self, bound: float = BOUND) -> float:
        """Return the seconds until ``/health/ready`` answered 200."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        while loop.time() - began < bound:
            assert self.process is not None
            if self.process.poll() is not None:
                raise AssertionError(f"the server exited: {self.log_file.read_text()[-2000:]}")
            if await asyncio.to_thread(self._ready):
                return loop.time() - began
            await asyncio.sleep(0.02)
        raise AssertionError(f"not ready in {bound} s: {self.log_file.read_text()[-2000:]}")

    def kill(self) -> None:
        """Kill the process with SIGKILL."""
        self.stop(signal.SIGKILL)

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; return the exit code."""
        if self.process is None:
            return 0
        process, self.process = self.process, None
        process.send_signal(how)
        return process.wait(BOUND)

    def _ready(self) -> bool:
        try:
            with urlopen(f"{self.url}/health/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except (URLError, OSError):
            return False
