"""Waiting for what nothing announces."""

import asyncio
from collections.abc import Callable

from tests.live import BOUND

TURN = 0.002
"""Seconds between two looks."""


async def until(reached: Callable[[], object], bound: float = BOUND, *, looks: int = 1) -> None:
    """Return when `reached()` was true so many looks in a row; TimeoutError if it does not."""
    seen = 0
    async with asyncio.timeout(bound):
        while (seen := seen + 1 if reached() else 0) < looks:  # noqa: ASYNC110
            await asyncio.sleep(TURN)
