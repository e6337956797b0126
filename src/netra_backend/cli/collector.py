"""The collector: when Python looks for cycles of dead objects, so that nobody waits long for it.

A server holds very many small, long-lived objects, and the loop stands still while they are looked
at: about half a microsecond for each. With Python's own thresholds that also took a fifth of the
CPU time of 1,000 streaming runs (bench/end_to_end).
"""

import asyncio
import gc
import resource
import time
from collections.abc import Callable

YOUNG = 10_000
"""New objects after which they are looked at: some milliseconds."""
ROUNDS = 5
"""After so many times those that have survived once are looked at as well."""
NEVER = 1 << 30
GROWN = 2_000_000
"""Objects that must have survived until all are looked at, once the server has little to do."""
OVERGROWN = 10_000_000
"""The same however much it has to do. Without cycles it would be about a gigabyte."""
PERIOD = 5.0
"""Seconds between two looks at whether it is time."""
SWOLLEN = 1.5
"""How many times what it was after the last whole look the process may have grown to."""
AT_LEAST = 64 << 20
"""Bytes that it may grow by in any case."""
IDLE = 0.1
"""The part of a core up to which a server has little to do."""


def calm() -> None:
    """Look at few objects at a time, and at what start-up has made never again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, ROUNDS, NEVER)


async def collect_in_peace(cpu: Callable[[], float] = time.process_time) -> None:
    """Look at all objects when many have survived and the server is idle. Runs until cancelled.

    However much it has to do, also when they have become very many, or the process has grown:
    the dead may be few, and hold what is large. Whole collections take a third of a second where
    10,000 followers are connected.
    """
    counted, used, resident = _survivals(), cpu(), _resident()
    while True:
        await asyncio.sleep(PERIOD)
        before, used = used, cpu()
        is_idle = used - before < IDLE * PERIOD
        are_many = _survivals() - counted > (GROWN if is_idle else OVERGROWN)
        if are_many or _resident() > max(SWOLLEN * resident, resident + AT_LEAST):
            gc.collect()
            counted, used, resident = _survivals(), cpu(), _resident()


def _resident() -> int:
    """Return the bytes of memory that the process has, 0 where the system does not say."""
    try:
        with open("/proc/self/statm", "rb") as numbers:  # noqa: PTH123 - a line, every few seconds
            return int(numbers.read().split()[1]) * resource.getpagesize()
    except OSError:
        return 0


def _survivals() -> int:
    """Return how many objects may have survived twice so far."""
    return int(gc.get_stats()[1]["collections"]) * YOUNG * ROUNDS
