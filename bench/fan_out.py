"""Fan-out: what it costs to deliver one frame of a thread to each of 1,000 sockets."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Generic, TypeVar

import msgspec

from bench import server
from bench.agent import Pace, run_input
from bench.client import Client
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
REST = 2.0
"""Seconds between a run's begin and its deltas, and between these and its end."""
ROUND_SECONDS = 120.0
THREAD = "fan-out"


T = TypeVar("T")


class Delivery(msgspec.Struct, Generic[T]):
    """Frames that came, their bytes, the reads that took them; how a process was around them."""

    frames: int
    bytes: int
    reads: int
    before: T
    after: T


class _Cost(msgspec.Struct):
    """What a round of Netra cost: a frame in microseconds and bytes, and a burst in reads."""

    us: float
    size: float
    reads: float


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
    server's process used from before the first delta to after the last: agent, log and delivery.
    """
    costs: dict[str, list[float]] = {}
    ours: list[_Cost] = []
    with ExitStack() as stack:
        netra = stack.enter_context(server.netra(bench, NETRA_COALESCE_MS="0"))
        there: dict[str, Server] = {}
        baseline = stack.enter_context(server.baseline(bench))
        if baseline is not None:
            there["C send()"] = baseline
        for name in PEERS:
            peer = stack.enter_context(server.peer(bench, name))
            if peer is None:
                yield Row(name, "not installed")
                continue
            there[name] = peer
        stack.enter_context(server.apart((netra, *there.values())))
        followers = stack.enter_context(Client(bench, netra, SOCKETS))
        follow(followers)
        sockets = {
            name: stack.enter_context(Client(bench, at, SOCKETS)) for name, at in there.items()
        }
        for number in range(ROUNDS):
            ours.append(_deliver(netra, followers, f"run-{number}", burst))
            costs.setdefault("Netra", []).append(ours[-1].us)
            for name, at in there.items():
                costs.setdefault(name, []).append(_send(at, sockets[name], burst))
    for name, figures in costs.items():
        yield row(name, "us", figures)
    for name, figures in list(costs.items())[1:]:
        ratios = [a / b for a, b in zip(costs["Netra"], figures, strict=True)]
        yield row(f"Netra / {name}", "", ratios)
    yield row("Netra's frames", "bytes", [cost.size for cost in ours], digits=0)
    yield row(f"reads of a socket for Netra's {burst}", "", [cost.reads for cost in ours])


def follow(followers: Client) -> None:
    """Make the thread by a short run, then follow it on every socket."""
    followers.send(_run("first", Pace(events=1, size=DELTA_SIZE)), to=0)
    followers.settle()
    followers.send({"type": "follow", "request": "follow", "thread": THREAD})
    followers.settle()


def _deliver(netra: Server, followers: Client, run: str, burst: int) -> _Cost:
    """Return what the deliveries of one run cost."""
    process = netra.process
    done = deliver(followers, run, burst=burst, look=lambda: process.cpu_us)
    return _Cost(
        us=(done.after - done.before) / done.frames,
        size=done.bytes / done.frames,
        reads=done.reads / (SOCKETS * (FRAMES // burst)),
    )


def deliver(followers: Client, run: str, *, burst: int, look: Callable[[], T]) -> Delivery[T]:
    """Return what the deltas of one run brought to all sockets, and what `look` said around them.

    The frames of the run's begin and end are not among them. There is one of these for some
    deltas only, but each is a write of its own, as dear as that of a whole burst.
    """
    followers.reset()
    events = FRAMES // burst
    pace = Pace(events=events, period=PERIOD, size=DELTA_SIZE, burst=burst, rest=REST)
    followers.send(_run(run, pace), to=0)
    followers.await_frames(1 + 2 * SOCKETS, ROUND_SECONDS)  # accepted; run and message begin
    begun, before = followers.report(), look()
    report = followers.await_marks(events * burst * SOCKETS, ROUND_SECONDS)
    after = look()
    followers.await_frames(report.frames + 2 * SOCKETS, ROUND_SECONDS)
    assert begun.marks == 0, "the deltas came before all had seen the run begin"
    frames, size = report.frames - begun.frames, report.bytes - begun.bytes
    return Delivery(frames, size, report.reads - begun.reads, before, after)


def _send(there: Server, sockets: Client, burst: int) -> float:
    """Return microseconds per delivery of as many rounds of another server."""
    sockets.reset()
    before = there.process.cpu_us
    there.process.write_line(f"fan {FRAMES // burst} {PERIOD * 1e6:.0f} {burst}")
    fan = msgspec.json.decode(there.process.read_line(ROUND_SECONDS), type=_Fan)
    sockets.await_frames(fan.deliveries, ROUND_SECONDS)
    received = sockets.settle().frames
    assert received == fan.deliveries, f"{received} frames of {fan}"
    return (there.process.cpu_us - before) / fan.deliveries


def _run(run: str, pace: Pace) -> dict[str, object]:
    return {"type": "run", "request": run, "input": run_input(THREAD, run, pace)}
