"""The deadline of a stop: a process that was told to end does, whatever holds it up.

The seconds below are counted from when what runs and agents are given is over, and the last of
them is before the one second that the documentation promises: first a process that serves ends
itself, then the keeper of several kills those that did not, then it ends itself.
"""

import os
import threading
from collections.abc import Callable, Iterable

from netra_backend import jsonlog

log = jsonlog.get_logger(__name__)

SLACK = 0.4
"""For the goodbye to the clients and the end of the store, after which who serves ends itself."""

KILLED = 0.75
"""When the keeper kills the workers that are left: only those that are frozen are."""

KEPT = 0.85
"""When the keeper ends itself."""

FLUSHED = 0.1
"""How long the log has for its last lines, after which nothing waits for them."""


def end_in(seconds: float, code: int = 0) -> None:
    """End the process as it is, with this exit code, when it still runs after `seconds`.

    A thread does it, for what holds the process up may be its event loop: an agent that computes.
    What was acknowledged is in the log, and runs that have not ended are ended as after a kill. It
    may be called where a signal is taken, and only by who owns the process.
    """
    _after(seconds + FLUSHED, lambda: os._exit(code))
    _after(seconds, lambda: _end(code))


def end_now(tasks: Iterable[str] = ()) -> None:
    """End the process as it is, and say so, with the names of the tasks that do not stop."""
    _after(FLUSHED, lambda: os._exit(0))
    _end(0, tasks)


def _end(code: int, tasks: Iterable[str] = ()) -> None:
    """Say so and end the process. Another thread must end it too: a handler of the log may hang.

    Python waits for all threads at its end: those of an agent's `to_thread`, and of a pool of
    processes.
    """
    main = threading.main_thread()
    waited = [each for each in threading.enumerate() if not each.daemon and each is not main]
    threads = sorted(f"{each.name} ({type(each).__name__})" for each in waited)
    about = {"tasks": sorted(tasks), "threads": threads}
    log.error("something does not stop; the process ends without it", extra=about)
    jsonlog.flush(FLUSHED)
    os._exit(code)


def _after(seconds: float, do: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, do)
    timer.daemon = True
    timer.start()
