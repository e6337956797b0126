"""Gaps: how long the event loop does not come back while 10,000 followers are served."""

import resource
import time
from collections.abc import Iterator

from bench import server
from bench.agent import Pace, run_input
from bench.client import Client
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
    """Answer in milliseconds: a run in the server looks at its clock every millisecond."""
    allowed, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(FOLLOWERS, allowed - SPARE)
    gaps: list[float] = []
    calm: list[float] = []
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
            calm.append(_gap(watcher, f"calm-{number}", 2.0))
            pace = Pace(events=FRAMES, period=PERIOD, size=86)
            followers.send(_run(THREAD, f"run-{number}", pace), to=0)
            gaps.append(_gap(watcher, f"busy-{number}", FRAMES * PERIOD))
            followers.settle()
    yield Row("followers", f"{count:,}")
    yield row("largest gap", "ms", gaps, digits=1)
    yield row("largest gap while nothing is delivered", "ms", calm, digits=1)


def _gap(watcher: Client, name: str, seconds: float) -> float:
    """Return the largest gap of the next `seconds`, with the way of one frame to here."""
    watcher.reset()
    watcher.send(_run(name, name, Pace(watch=seconds)))
    watcher.send({"type": "follow", "request": name, "thread": name})
    time.sleep(seconds)
    return watcher.await_marks(1, 60.0).max_us / 1e3


def _run(thread: str, run: str, pace: Pace) -> dict[str, object]:
    return {"type": "run", "request": run, "input": run_input(thread, run, pace)}
