"""End to end: 1,000 runs that stream at once, from the agent through the log to the socket."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from statistics import median

from msgspec import Struct

from bench import server
from bench.agent import Pace, run_input
from bench.client import Client, Report
from bench.process import Process
from bench.table import Row, row
from bench.workbench import Workbench

TITLE = "end to end: 1,000 runs at 30 events/s each, each with its own thread and socket"
ROUNDS = 5
RUNS = 1_000
CLIMB = (50, 100, 150, 200, 250, 300, 400, 500, 750, RUNS, 1_250, 1_500)
"""Runs that are tried one after the other, until one step is too many."""
CLIMB_ROUNDS = 3
LIMIT_MS = 50.0
"""The latency that 99 of 100 events must stay under, in the median of the rounds of a step."""
RATE = 30
"""Deltas a second of one run: about what a model yields."""
WARM = 1.0
WINDOW = 3.0
"""Seconds that are measured, after `WARM` seconds of streaming."""
EVENTS = int(RATE * (WARM + WINDOW + 0.5))
END_SECONDS = 60.0

Start = Callable[[Client, str, Pace], int]
"""Starts a run on every connection of a client; ``{n}`` in its name becomes their numbers.

Returns how many frames come on each before the run waits at its gate.
"""


class Window(Struct, frozen=True):
    """What one server did in the measured seconds, and its CPU time in them."""

    report: Report
    cpu_us: float

    @property
    def rate(self) -> float:
        """Events that arrived, a second."""
        return self.report.marks / self.report.seconds

    @property
    def cores(self) -> float:
        """How many cores the server kept busy."""
        return self.cpu_us / 1e6 / self.report.seconds


def ask(bench: Workbench) -> Iterator[Row]:
    """Answer for Netra with its default settings and for the plain loop, in turns.

    An event counts when it has arrived; latency is from where the agent yields it to there.
    """
    ours: list[Window] = []
    plains: list[Window] = []
    with ExitStack() as stack:
        netra = stack.enter_context(server.netra(bench))
        plain = stack.enter_context(server.plain(bench))
        stack.enter_context(server.apart((netra, plain)))
        many_of_netra, one_of_netra, many_of_plain, one_of_plain = (
            stack.enter_context(Client(bench, there, count))
            for there in (netra, plain)
            for count in (RUNS, 1)
        )
        for number in range(ROUNDS):
            name = f"round-{number}"
            ours.append(_window(netra.process, many_of_netra, one_of_netra, _run, name))
            plains.append(_window(plain.process, many_of_plain, one_of_plain, _run_plain, name))
        yield from _rows("Netra", ours)
        yield from _rows("plain Starlette loop, no log", plains)
        pairs = zip(ours, plains, strict=True)
        ratios = [(a.rate / a.cores) / (b.rate / b.cores) for a, b in pairs]
        yield row("events a core, Netra / plain loop", "", ratios)
        yield from _climb(bench, netra, one_of_netra)


def _climb(bench: Workbench, netra: server.Server, opener: Client) -> Iterator[Row]:
    """Answer with how many runs 99 of 100 events stay under the limit; the last step is too many.

    The next step shows by the cores that are used whether CPU time is what stops it.
    """
    most = 0
    for runs in CLIMB:
        with Client(bench, netra, runs) as client:
            windows = [
                _window(netra.process, client, opener, _run, f"climb-{runs}-{number}")
                for number in range(CLIMB_ROUNDS)
            ]
        p99 = [window.report.p99_us / 1e3 for window in windows]
        yield row(f"Netra, {runs:,} runs: latency p99", "ms", p99)
        yield row("  p50", "ms", [window.report.p50_us / 1e3 for window in windows])
        yield row("  cores used", "", [window.cores for window in windows])
        if median(p99) >= LIMIT_MS:
            break
        most = runs
    yield Row(f"most runs with a p99 under {LIMIT_MS:.0f} ms", f"{most:,}")


def _window(process: Process, client: Client, opener: Client, start: Start, name: str) -> Window:
    """Start all runs, let them stream together, measure a while, and wait for their end."""
    client.reset()
    begun = start(client, f"{name}-{{n}}", Pace(EVENTS, 1 / RATE, waits_for=name))
    client.await_frames(begun * client.connections, END_SECONDS)
    client.settle()
    start(opener, f"{name}-open", Pace(opens=name))
    client.await_marks(client.connections, END_SECONDS)
    time.sleep(WARM)
    warm = client.reset()
    cpu_us = process.cpu_us
    time.sleep(WINDOW)
    report = client.reset()
    window = Window(report, process.cpu_us - cpu_us)
    client.await_marks(client.connections * EVENTS - warm.marks - report.marks, END_SECONDS)
    client.settle()
    return window


def _run(client: Client, name: str, pace: Pace) -> int:
    client.send({"type": "run", "request": "run", "input": run_input(name, name, pace)})
    client.send({"type": "follow", "request": "follow", "thread": name})
    return 4  # accepted, followed, RUN_STARTED, TEXT_MESSAGE_START


def _run_plain(client: Client, name: str, pace: Pace) -> int:
    client.send(run_input(name, name, pace))
    return 1  # TEXT_MESSAGE_START


def _rows(who: str, windows: list[Window]) -> Iterator[Row]:
    reports = [window.report for window in windows]
    yield row(f"{who}: events", "/s", [w.rate for w in windows], digits=0)
    yield row(f"{who}: cores used", "", [w.cores for w in windows])
    yield row(f"{who}: events a core", "/s", [w.rate / w.cores for w in windows], digits=0)
    yield row(f"{who}: latency p50", "ms", [r.p50_us / 1e3 for r in reports])
    yield row(f"{who}: latency p99", "ms", [r.p99_us / 1e3 for r in reports])
    yield row(f"{who}: frames", "/s", [r.frames / r.seconds for r in reports], digits=0)
    yield row(f"{who}: client's cores", "", [r.cpu_us / 1e6 / r.seconds for r in reports])
