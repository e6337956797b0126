"""Accept rate: how fast connections are opened, up to the first frame."""

import time
from collections.abc import Iterator
from contextlib import ExitStack

from bench import server
from bench.client import IN_FLIGHT, Client
from bench.server import Server
from bench.table import Row, row
from bench.workbench import Workbench

TITLE = f"accept rate: connections opened, {IN_FLIGHT} handshakes at a time"
ROUNDS = 5
CONNECTIONS = 1_000
REST = 0.6
"""Seconds for the server to clear up the connections of the round."""


def ask(bench: Workbench) -> Iterator[Row]:
    """Answer in connections a second and CPU microseconds of the server each, in turns.

    Netra's are authenticated by a token, one for all, and count when their ready frame has come.
    """
    with ExitStack() as stack:
        servers = {
            "Netra": stack.enter_context(server.netra(bench)),
            "plain Starlette loop on uvicorn": stack.enter_context(server.plain(bench)),
        }
        baseline = stack.enter_context(server.baseline(bench))
        if baseline is not None:
            servers["C baseline"] = baseline
        stack.enter_context(server.apart(servers.values()))
        rounds = [{who: _open(bench, at) for who, at in servers.items()} for _ in range(ROUNDS)]
    for who in servers:
        yield row(who, "/s", [one[who][0] for one in rounds], digits=0)
        yield row(f"{who}: CPU of one", "us", [one[who][1] for one in rounds], digits=0)
    for who in list(servers)[1:]:
        ratios = [one["Netra"][0] / one[who][0] for one in rounds]
        yield row(f"Netra / {who}", "", ratios)


def _open(bench: Workbench, at: Server) -> tuple[float, float]:
    """Return connections opened a second, and the server's CPU microseconds for one."""
    before = at.process.cpu_us
    with Client(bench, at, CONNECTIONS) as client:
        cpu = at.process.cpu_us - before
        seconds = client.opened.seconds
    time.sleep(REST)
    return CONNECTIONS / seconds, cpu / CONNECTIONS
