"""Fan-out: what it costs to deliver one frame of a thread to each of 1,000 sockets."""

from collections.abc import Iterator
from contextlib import ExitStack

import msgspec

from bench import server
from bench.agent import Pace, run_input
from bench.client import Client
from bench.server import Server
from bench.table import Row, row
from bench.workbench import Workbench

TITLE = "fan-out: one thread, 1,000 sockets, single frames; server CPU per delivery"
ROUNDS = 5
SOCKETS = 1_000
FRAMES = 100
"""Deltas a round."""
PERIOD = 0.03
"""Seconds between two: enough for a frame to reach all sockets before the next."""
DELTA_SIZE = 86
"""Characters, so that a frame has about the 210 bytes of the baseline's."""
ROUND_SECONDS = 60.0
THREAD = "fan-out"


class _Fan(msgspec.Struct):
    """What the baseline answers."""

    deliveries: int
    short_sends: int
    cpu_us: float
    wall_us: float


def ask(bench: Workbench) -> Iterator[Row]:
    """Answer in microseconds per delivery, and as the ratio of both in the same round.

    Deltas are not coalesced here, so that each is a frame of its own. Netra's time is all that
    its process used from before the run to after it: agent, log and delivery.
    """
    ours: list[float] = []
    sizes: list[float] = []
    theirs: list[float] = []
    with ExitStack() as stack:
        netra = stack.enter_context(server.netra(bench, NETRA_COALESCE_MS="0"))
        followers = stack.enter_context(Client(bench, netra, SOCKETS))
        _follow(followers)
        baseline = stack.enter_context(server.baseline(bench))
        sockets = baseline and stack.enter_context(Client(bench, baseline, SOCKETS))
        for number in range(ROUNDS):
            cost, size = _deliver(netra, followers, f"run-{number}")
            ours.append(cost)
            sizes.append(size)
            if baseline is not None and sockets is not None:
                theirs.append(_send(baseline, sockets))
    yield row("Netra", "us", ours)
    if theirs:
        yield row("C send()", "us", theirs)
        yield row("Netra / C", "", [a / b for a, b in zip(ours, theirs, strict=True)])
    yield row("Netra's frames", "bytes", sizes, digits=0)


def _follow(followers: Client) -> None:
    """Make the thread by a short run, then follow it on every socket."""
    followers.send(_run("first", events=1), to=0)
    followers.settle()
    followers.send({"type": "follow", "request": "follow", "thread": THREAD})
    followers.settle()


def _deliver(netra: Server, followers: Client, run: str) -> tuple[float, float]:
    """Return microseconds per delivery of one run, and bytes of its frames."""
    followers.reset()
    before = netra.process.cpu_us
    followers.send(_run(run, events=FRAMES), to=0)
    followers.await_marks(FRAMES * SOCKETS, ROUND_SECONDS)
    report = followers.settle()
    return (netra.process.cpu_us - before) / report.frames, report.bytes / report.frames


def _send(baseline: Server, sockets: Client) -> float:
    """Return microseconds per delivery of as many rounds of the baseline."""
    sockets.reset()
    baseline.process.write_line(f"fan {FRAMES} {PERIOD * 1e6:.0f}")
    fan = msgspec.json.decode(baseline.process.read_line(ROUND_SECONDS), type=_Fan)
    received = sockets.settle().frames
    assert received == fan.deliveries == FRAMES * SOCKETS, f"{received} frames of {fan}"
    return fan.cpu_us / fan.deliveries


def _run(run: str, *, events: int) -> dict[str, object]:
    pace = Pace(events=events, period=PERIOD, size=DELTA_SIZE)
    return {"type": "run", "request": run, "input": run_input(THREAD, run, pace)}
