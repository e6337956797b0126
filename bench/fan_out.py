"""Fan-out: what it costs to deliver one frame of a thread to each of 1,000 sockets."""

from collections.abc import Iterator
from contextlib import ExitStack

import msgspec

from bench import server
from bench.agent import Pace, run_input
from bench.client import Client, Report
from bench.server import PEERS, Server
from bench.table import Row, row
from bench.workbench import Workbench

TITLE = "fan-out: one thread, 1,000 sockets, single frames; server CPU per delivery"
ROUNDS = 5
SOCKETS = 1_000
FRAMES = 100
"""Frames that each socket gets in a round."""
PERIOD = 0.03
"""Seconds between two: enough for a frame to reach all sockets before the next."""
DELTA_SIZE = 86
"""Characters, so that a frame has about the 210 bytes of the baseline's."""
ROUND_SECONDS = 120.0
THREAD = "fan-out"


class _Fan(msgspec.Struct):
    """What the baseline and the peers answer."""

    deliveries: int
    short_sends: int = 0
    cpu_us: float = 0
    wall_us: float = 0


def ask(bench: Workbench) -> Iterator[Row]:
    """Answer for single frames."""
    return ask_for(bench, burst=1)


def ask_for(bench: Workbench, *, burst: int) -> Iterator[Row]:
    """Answer in microseconds per delivery, and as ratios of the figures of the same round.

    Deltas are not coalesced here, so that each is a frame of its own. The time is all that the
    server's process used from before the round to after it: for Netra agent, log and delivery.
    """
    costs: dict[str, list[float]] = {}
    sizes: list[float] = []
    with ExitStack() as stack:
        netra = stack.enter_context(server.netra(bench, NETRA_COALESCE_MS="0"))
        followers = stack.enter_context(Client(bench, netra, SOCKETS))
        follow(followers)
        others: dict[str, tuple[Server, Client]] = {}
        baseline = stack.enter_context(server.baseline(bench))
        if baseline is not None:
            others["C send()"] = baseline, stack.enter_context(Client(bench, baseline, SOCKETS))
        for name in PEERS:
            peer = stack.enter_context(server.peer(bench, name))
            if peer is None:
                yield Row(name, "not installed")
                continue
            others[name] = peer, stack.enter_context(Client(bench, peer, SOCKETS))
        for number in range(ROUNDS):
            cost, size = _deliver(netra, followers, f"run-{number}", burst)
            costs.setdefault("Netra", []).append(cost)
            sizes.append(size)
            for name, (there, sockets) in others.items():
                costs.setdefault(name, []).append(_send(there, sockets, burst))
    for name, figures in costs.items():
        yield row(name, "us", figures)
    for name, figures in list(costs.items())[1:]:
        ratios = [a / b for a, b in zip(costs["Netra"], figures, strict=True)]
        yield row(f"Netra / {name}", "", ratios)
    yield row("Netra's frames", "bytes", sizes, digits=0)


def follow(followers: Client) -> None:
    """Make the thread by a short run, then follow it on every socket."""
    followers.send(_run("first", Pace(events=1, size=DELTA_SIZE)), to=0)
    followers.settle()
    followers.send({"type": "follow", "request": "follow", "thread": THREAD})
    followers.settle()


def _deliver(netra: Server, followers: Client, run: str, burst: int) -> tuple[float, float]:
    """Return microseconds per delivery of one run, and bytes of its frames."""
    before = netra.process.cpu_us
    report = deliver(followers, run, burst=burst)
    return (netra.process.cpu_us - before) / report.frames, report.bytes / report.frames


def deliver(followers: Client, run: str, *, burst: int) -> Report:
    """Return what one run brought to all sockets."""
    followers.reset()
    events = FRAMES // burst
    pace = Pace(events=events, period=PERIOD, size=DELTA_SIZE, burst=burst)
    followers.send(_run(run, pace), to=0)
    followers.await_marks(events * burst * SOCKETS, ROUND_SECONDS)
    return followers.settle()


def _send(there: Server, sockets: Client, burst: int) -> float:
    """Return microseconds per delivery of as many rounds of another server."""
    sockets.reset()
    before = there.process.cpu_us
    there.process.write_line(f"fan {FRAMES // burst} {PERIOD * 1e6:.0f} {burst}")
    fan = msgspec.json.decode(there.process.read_line(ROUND_SECONDS), type=_Fan)
    received = sockets.settle().frames
    assert received == fan.deliveries, f"{received} frames of {fan}"
    return (there.process.cpu_us - before) / fan.deliveries


def _run(run: str, pace: Pace) -> dict[str, object]:
    return {"type": "run", "request": run, "input": run_input(THREAD, run, pace)}
