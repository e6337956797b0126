"""The deadline of a stop: a process that was told to end does, whatever holds it up."""

import os
import threading
from collections.abc import Iterable

from netra_backend import jsonlog

log = jsonlog.get_logger(__name__)

SLACK = 0.5
"""Seconds beyond what runs and agents are given, for saying goodbye to the clients."""

FLUSHED = 0.2
"""Seconds that the log has for its last lines."""


def end_in(seconds: float) -> None:
    """End the process as it is when it still runs after `seconds` and `SLACK`.

    A thread does it, for what holds the process up may be its event loop: an agent that computes.
    What was acknowledged is in the log, and runs that have not ended are ended as after a kill. It
    may be called where a signal is taken.
    """
    timer = threading.Timer(seconds + SLACK, end_now)
    timer.daemon = True
    timer.start()


def end_now(tasks: Iterable[str] = ()) -> None:
    """End the process as it is, and say so, with the names of the tasks that do not stop."""
    about = {"tasks": sorted(tasks)}
    log.error("something does not stop; the process ends without it", extra=about)
    jsonlog.flush(FLUSHED)
    os._exit(0)
