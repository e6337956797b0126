"""Slices: turns of the event loop, shared by tasks that have much to compute."""

import asyncio
from collections import deque
from collections.abc import Generator
from time import perf_counter
from typing import TypeVar

SLICE = 0.002
"""Seconds that all of these tasks together take in a turn of the event loop."""

T = TypeVar("T")


class Slices:
    """Lets one task after the other compute for a `SLICE`, and the loop turn in between.

    So whoever else waits for the loop waits for one slice, however many tasks there are.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._until = 0.0

    async def spread(self, steps: Generator[None, None, T]) -> T:
        """Take the steps to their end, and return what they return.

        A step is not interrupted: who waits for the loop waits for a slice and its last step.
        """
        while True:
            try:
                next(steps)
            except StopIteration as end:
                result: T = end.value
                return result
            if perf_counter() >= self._until:
                await self.turn()

    async def turn(self) -> None:
        """Wait for a slice that nobody else has begun."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop:  # an application may be opened again in another one
            self._loop, self._waiting = loop, deque()
        if not self._waiting:
            loop.call_soon(self._begin)
        self._waiting.append(turn := loop.create_future())
        await turn

    def _begin(self) -> None:
        """Give a slice to who waits longest, and the next one a turn later."""
        while self._waiting and self._waiting[0].done():  # it was cancelled
            self._waiting.popleft()
        if not self._waiting:
            return
        self._until = perf_counter() + SLICE
        self._waiting.popleft().set_result(None)
        if self._waiting and self._loop is not None:
            self._loop.call_soon(self._begin)
