"""Slow peers: what those who do not read cost the others who follow the same thread."""

from collections.abc import Iterator

from bench import server
from bench.agent import Pace, run_input
from bench.client import Client
from bench.server import Server
from bench.table import Row, row
from bench.workbench import Workbench

TITLE = "slow peers: one thread, 100 sockets that read, without and with 50 that do not"
ROUNDS = 5
HONEST = 100
SLOW = 50
PACE = Pace(events=300, period=0.02, size=16_384)
"""About 5 MB for each socket: more than the system keeps for one that does not read."""
ROUND_SECONDS = 120.0
THREAD = "slow"


def ask(bench: Workbench) -> Iterator[Row]:
    """Answer by the latency of each delta at the sockets that read; deltas are not coalesced.

    Those that do not read are the sockets of a process that is stopped, so that they stand as
    they do when a telephone is put away.
    """
    alone: list[float] = []
    beside: list[float] = []
    with server.netra(bench, NETRA_COALESCE_MS="0") as netra, Client(bench, netra, HONEST) as some:
        some.send(_run("first", Pace(events=1)), to=0)
        some.settle()
        _follow(some)
        for number in range(ROUNDS):
            alone.append(_p99(some, f"alone-{number}"))
            beside.append(_p99_beside(bench, netra, some, f"beside-{number}"))
    yield row("latency p99, all read", "ms", alone)
    yield row(f"latency p99, {SLOW} others do not", "ms", beside)
    yield row("with / without", "", [b / a for a, b in zip(alone, beside, strict=True)])


def _p99_beside(bench: Workbench, netra: Server, some: Client, run: str) -> float:
    with Client(bench, netra, SLOW) as slow:
        _follow(slow)
        with slow.frozen():
            return _p99(some, run)


def _p99(some: Client, run: str) -> float:
    """Return the 99th percentile of the latencies of one run, in milliseconds."""
    some.reset()
    some.send(_run(run, PACE), to=0)
    report = some.await_marks(PACE.events * HONEST, ROUND_SECONDS)
    some.settle()
    return report.p99_us / 1e3


def _follow(clients: Client) -> None:
    clients.send({"type": "follow", "request": "follow", "thread": THREAD})
    clients.settle()


def _run(run: str, pace: Pace) -> dict[str, object]:
    return {"type": "run", "request": run, "input": run_input(THREAD, run, pace)}
