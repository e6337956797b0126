"""Bursts: the same as fan-out for 8 frames that are there at once, as one write for a socket."""

from collections.abc import Iterator

from bench import fan_out
from bench.table import Row
from bench.workbench import Workbench

BURST = 8
TITLE = f"bursts: one thread, 1,000 sockets, {BURST} frames at once; server CPU per delivery"


def ask(bench: Workbench) -> Iterator[Row]:
    """Answer as fan-out does; the baseline joins the frames of a burst."""
    return fan_out.ask_for(bench, burst=BURST)
