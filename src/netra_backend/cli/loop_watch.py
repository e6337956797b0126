"""The watch of the event loop: notices that something holds it up, and where that stands.

An agent or a tool that computes, or waits, without giving the loop back stops every connection and
every other run of the process. Nothing in the loop can tell of it while it lasts; a thread can.
"""

import asyncio
import sys
import threading
import time
import traceback

from netra_backend import jsonlog
from netra_backend.agents.importing import INSTALLED
from netra_backend.server.metrics import LOOP_BLOCKED

log = jsonlog.get_logger(__name__)

LOOKS = 4
"""Looks at the loop in the time after which it counts as blocked."""

PAUSE = 10.0
"""Seconds between two lines at least; the metric counts what is left out."""

FRAMES = 8
"""The innermost calls of the loop's thread that a line shows, besides one of the user's code."""


class LoopWatch:
    """Warns when the running loop has not turned for `limit` seconds. Use it as a context manager.

    Where the whole process stood still (SIGSTOP, a machine without time for it) nobody is warned:
    the watch was late itself, and the process has used no time.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        self._stopped = threading.Event()
        self._turned = threading.Event()
        self._told = -PAUSE
        self._thread = threading.Thread(
            target=jsonlog.carry(self._watch), name="loop watch", daemon=True
        )

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stopped.set()  # the thread looks at it soon; it may be waiting for the loop to turn

    def _watch(self) -> None:
        while not self._stopped.wait(self._limit / LOOKS):
            asked, used = time.monotonic(), time.process_time()
            self._turned.clear()
            try:
                self._loop.call_soon_threadsafe(self._turned.set)
            except RuntimeError:
                return  # the loop is closed
            if self._turned.wait(self._limit):
                continue
            is_late = time.monotonic() - asked >= 2 * self._limit
            if not (is_late and time.process_time() - used < self._limit):
                self._wait_for_turn(asked)

    def _wait_for_turn(self, asked: float) -> None:
        """Tell where the loop's thread stands, and for how long in the end."""
        tells = not self._stopped.is_set() and time.monotonic() - self._told >= PAUSE
        if tells:
            self._told = time.monotonic()
            about = {"seconds": self._limit, "task": self._task(), "at": self._place()}
            log.warning("the event loop is blocked", extra=about)
        while not self._turned.wait(self._limit):
            if self._stopped.is_set():
                return
        seconds = round(time.monotonic() - asked, 3)
        LOOP_BLOCKED.observe(seconds)
        if tells:
            log.warning("the event loop was blocked", extra={"seconds": seconds})

    def _place(self) -> list[str]:
        """Return the innermost calls of the loop's thread, the innermost last.

        What the user has written may have called a library that calls many others, so the innermost
        call of the user's own code is among them.
        """
        frame = sys._current_frames().get(self._watched)
        walk = list(traceback.walk_stack(frame)) if frame is not None else []
        theirs = [one for one in walk if not one[0].f_code.co_filename.startswith(INSTALLED)]
        shown = walk[:FRAMES] + [one for one in theirs[:1] if one not in walk[:FRAMES]]
        calls = [(frame.f_code, line) for frame, line in reversed(shown)]
        return [f"{code.co_filename}:{line} in {code.co_name}" for code, line in calls]

    def _task(self) -> str | None:
        """Return the name of the task that is being executed; that of a run is ``run ID``."""
        task = asyncio.current_task(self._loop)
        return None if task is None else task.get_name()
