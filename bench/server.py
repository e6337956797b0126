"""The servers under measurement: Netra as ``netra serve`` runs it, the plain loop, the baseline."""

import os
import shutil
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import msgspec

from bench.process import Process
from bench.workbench import Workbench
from netra_backend.cli.token import make_token
from netra_backend.config import Settings

START_SECONDS = 30.0
USER = "bench"
BUN = "bun"
PEERS = (BUN, "picows", "websockets", "starlette", "fastapi", "socketio")
"""The program of peer.bun.js, and the modules of peers.py's servers."""
SOCKETIO_PATH = "/socket.io/?EIO=4&transport=websocket"
SOCKETIO_CONNECT = "40"
"""What a client of Socket.IO says after the first packet to be connected."""
MANY = 100_000
"""Connections and runs that one user may have here: all of a question's are the same user's."""


class Server(NamedTuple):
    """A running server: its process, and what a client needs to open ``/ws``."""

    process: Process
    port: int
    headers: tuple[str, ...] = ()
    ready_frames: int = 0
    path: str = "/ws"
    greeting: str = ""
    """What a client has to say once it is open; it is answered by one frame."""


@contextmanager
def netra(bench: Workbench, *arguments: str, **variables: str) -> Iterator[Server]:
    """Run ``netra serve`` with the agent under load, its log in a new data directory.

    `arguments` are added to the command; `variables` are ``NETRA_*`` settings. All others are at
    their defaults.
    """
    data_dir = bench.file("data")
    set_here = {
        "NETRA_AUTH": "dev",
        "NETRA_CONNECTIONS_PER_USER": str(MANY),
        "NETRA_RUNS_PER_USER": str(MANY),
        **variables,
    }
    kept = {key: value for key, value in os.environ.items() if not key.startswith("NETRA_")}
    command = [
        str(Path(sys.executable).with_name("netra")),
        "serve",
        "bench.agent:stream",
        "--port=0",
        f"--data-dir={data_dir}",
        *arguments,
    ]
    with Process(command, stderr=bench.file("netra.log"), environment=kept | set_here) as process:
        said = "every worker serves" if any("--workers" in one for one in arguments) else "serving"
        pattern = rf'"{said}".*"http://127\.0\.0\.1:(\d+)"'
        address = process.await_stderr(pattern, START_SECONDS)
        token = make_token(Settings(data_dir=data_dir), USER)
        headers = (f"Authorization: Bearer {token}", "Sec-WebSocket-Protocol: netra.v1")
        yield Server(process, int(address[1]), headers, ready_frames=1)


@contextmanager
def plain(bench: Workbench) -> Iterator[Server]:
    """Run the plain loop on Starlette and uvicorn."""
    command = [sys.executable, "-m", "bench.plain"]
    with Process(command, stderr=bench.file("plain.log")) as process:
        yield Server(process, int(process.read_line(START_SECONDS)))


@contextmanager
def peer(bench: Workbench, name: str) -> Iterator[Server | None]:
    """Run a server of `PEERS`; None where it is not installed."""
    program = shutil.which(BUN)
    if (program if name == BUN else find_spec(name)) is None:
        yield None
        return
    command = [sys.executable, "-m", "bench.peers", name]
    if name == BUN:
        command = [str(program), str(Path(__file__).with_name("peer.bun.js"))]
    with Process(command, stderr=bench.file(f"{name}.log")) as process:
        port = _Listening.decode(process.read_line(START_SECONDS)).port
        if name == "socketio":
            yield Server(process, port, (), 1, SOCKETIO_PATH, SOCKETIO_CONNECT)
        else:
            yield Server(process, port)


@contextmanager
def baseline(bench: Workbench) -> Iterator[Server | None]:
    """Run the C baseline; None where there is no gcc."""
    if bench.baseline is None:
        yield None
        return
    with Process([str(bench.baseline)], stderr=bench.file("baseline.log")) as process:
        yield Server(process, _Listening.decode(process.read_line(START_SECONDS)).port)


@contextmanager
def apart(servers: Iterable[Server]) -> Iterator[None]:
    """Give the servers one core, and what is begun inside the block the others, if there are any.

    Else the system wakes a client now and then where its server runs, which has to stop for it:
    measured at a quarter of the time of a fan-out beside a busy machine.
    """
    first, *others = sorted(os.sched_getaffinity(0))
    for at in servers:
        at.process.pin({first})
    os.sched_setaffinity(0, others or {first})
    try:
        yield
    finally:
        os.sched_setaffinity(0, {first, *others})


class _Port(msgspec.Struct):
    port: int


_Listening = msgspec.json.Decoder(_Port)
