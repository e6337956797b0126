"""Workers: how much more two workers can deliver than one process."""

from collections.abc import Iterator
from contextlib import ExitStack

from bench import fan_out, server
from bench.client import Client
from bench.server import Server
from bench.table import Row, row
from bench.workbench import Workbench

TITLE = "workers: one thread, 1,000 sockets, single frames; CPU of the busiest process per delivery"
ROUNDS = 5
WORKERS = 2


def ask(bench: Workbench) -> Iterator[Row]:
    """Answer in microseconds of the busiest process for a delivery anywhere, in turns.

    Where every process has a core to itself, the busiest one decides how much is delivered. The
    keeper of the store is one of them.
    """
    costs: dict[str, list[float]] = {"one process": [], f"{WORKERS} workers": []}
    shares: list[float] = []
    with ExitStack() as stack:
        sides: list[tuple[str, Server, Client]] = []
        for name, arguments in zip(costs, ((), (f"--workers={WORKERS}",)), strict=True):
            there = stack.enter_context(server.netra(bench, *arguments, NETRA_COALESCE_MS="0"))
            sockets = stack.enter_context(Client(bench, there, fan_out.SOCKETS))
            fan_out.follow(sockets)
            sides.append((name, there, sockets))
        for number in range(ROUNDS):
            for name, there, sockets in sides:
                run, look = f"run-{number}", there.process.cpu_of_all
                done = fan_out.deliver(sockets, run, burst=1, look=look)
                used = sorted(done.after[pid] - done.before.get(pid, 0.0) for pid in done.after)
                costs[name].append(used[-1] / done.frames)
                if len(used) > 1:
                    shares.append(used[-2] / used[-1])
    for name, figures in costs.items():
        yield row(name, "us", figures)
    one, several = costs.values()
    yield row(
        f"{WORKERS} workers / one",
        "times as much",
        [a / b for a, b in zip(one, several, strict=True)],
    )
    yield row("the other worker's share of the busiest one's", "", shares)
