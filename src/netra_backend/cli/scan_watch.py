"""Waits for files to change, by looking: it works on every file system, mounted ones too."""

import os
import time
from collections.abc import Callable, Iterable
from typing import TypeAlias

INTERVAL = 0.5
"""Seconds between two looks."""

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
    """Return when a file was changed, added or removed since `before`."""
    while snapshot(look()) == before:
        pause(INTERVAL)
