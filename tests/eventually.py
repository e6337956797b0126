"""Waiting for what nothing announces."""

import asyncio
from collections.abc import Callable

from tests.live import BOUND

TURN = 0.002
"""Seconds between the first two looks, and between those that have seen it."""
LONGEST = 0.01
"""Seconds between two looks when it takes long: five workers wait on two cores."""


async def until(reached: Callable[[], object], bound: float = BOUND, *, looks: int = 1) -> None:
    """Return when `reached()` was true so many looks in a row; TimeoutError if it does not."""
    seen = 0
    pause = TURN
    async with asyncio.timeout(bound):
        while (seen := seen + 1 if reached() else 0) < looks:
            await asyncio.sleep(pause)
            pause = TURN if seen else min(2 * pause, LONGEST)
