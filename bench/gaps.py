"""Gaps: how long the event loop does not come back while 10,000 followers are served."""

import resource
from collections.abc import Iterator
from typing import NamedTuple

from bench import server
from bench.agent import Pace, run_input
from bench.client import Client
from bench.process import Process
from bench.table import Row, row
from bench.workbench import Workbench

TITLE = "gaps: the event loop's largest gap while one thread is delivered to its followers"
ROUNDS = 3
FOLLOWERS = 10_000
SPARE = 1_000
"""Descriptors that a process needs besides its connections."""
FRAMES = 10
PERIOD = 0.3
THREAD = "gaps"


def ask(bench: Workbench) -> Iterator[Row]:
    """Answer in milliseconds: a run in the server looks at its clocks every millisecond."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(FOLLOWERS, allowed - SPARE)
    busy: list[Gap] = []
    calm: list[Gap] = []
    with (
        server.netra(bench) as netra,
        Client(bench, netra, count, sources=4) as followers,
        Client(bench, netra, 1) as watcher,
    ):
        followers.send(_run(THREAD, "first", Pace(events=1)), to=0)
        followers.settle()
        followers.send({"type": "follow", "request": "follow", "thread": THREAD})
        followers.settle()
        for number in range(ROUNDS):
            calm.append(_gap(netra.process, watcher, f"calm-{number}", 2.0))
            pace = Pace(events=FRAMES, period=PERIOD, size=86)
            followers.send(_run(THREAD, f"run-{number}", pace), to=0)
            busy.append(_gap(netra.process, watcher, f"busy-{number}", FRAMES * PERIOD))
            followers.settle()
    yield Row("followers", f"{count:,}")
    for what, gaps in (("", busy), (" while nothing is delivered", calm)):
        yield row(f"largest gap{what}", "ms", [gap.wall for gap in gaps], digits=1)
        yield row("  most CPU time in one", "ms", [gap.cpu for gap in gaps], digits=1)


class Gap(NamedTuple):
    """The largest gap, and the most CPU time that the loop used in one, in milliseconds."""

    wall: float
    cpu: float


def _gap(netra: Process, watcher: Client, name: str, seconds: float) -> Gap:
    """Return the largest gap of the next `seconds`."""
    watcher.send(_run(name, name, Pace(watch=seconds)))
    found = netra.await_stderr(rf"largest gap of {name}: (\d+) ns, CPU (\d+) ns", seconds + 60.0)
    return Gap(int(found[1]) / 1e6, int(found[2]) / 1e6)


def _run(thread: str, run: str, pace: Pace) -> dict[str, object]:
    return {"type": "run", "request": run, "input": run_input(thread, run, pace)}
