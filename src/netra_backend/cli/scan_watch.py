"""Waits for files to change, by looking: it works on every file system, mounted ones too."""

import os
import time
from collections.abc import Callable, Iterable
from typing import TypeAlias

INTERVAL = 0.5
"""Seconds between two looks."""

REST = 0.1
"""Seconds in which nothing may change before files count as written: none is read half-written."""

MOST_RESTS = 20
"""After as many looks the files are taken as they are: something writes one all the time."""

Snapshot: TypeAlias = dict[str, tuple[int, int]]


def snapshot(files: Iterable[str]) -> Snapshot:
    """Return what changes when a file does: its time in nanoseconds and its size in bytes."""
    seen: Snapshot = {}
    for file in files:
        try:
            status = os.stat(file)
        except OSError:
            continue
        seen[file] = (status.st_mtime_ns, status.st_size)
    return seen


def wait_for_change(
    before: Snapshot, look: Callable[[], Iterable[str]], pause: Callable[[float], None] = time.sleep
) -> None:
    """Return when a file was changed, added or removed since `before`, and is at rest again."""
    while (after := snapshot(look())) == before:
        pause(INTERVAL)
    for _ in range(MOST_RESTS):
        pause(REST)
        newest = snapshot(look())
        if newest == after:
            return
        after = newest
