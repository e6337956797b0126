"""The turnstile: who may read a long thread now, and what those before have made of it."""

import asyncio
from bisect import bisect_left, insort
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf

from netra_backend.core.prelude import NO_PRELUDE


class Turnstile:
    """Lets one after the other read a thread: who comes later finds what those before told.

    Of those who wait, the next is who wants the least beyond what was told last, else the least of
    all: so many who want different old parts read the thread once together, and nobody waits for
    ever.
    """

    def __init__(self) -> None:
        self.told = NO_PRELUDE
        """Of those who read an old part: what was told last, for those who wait behind."""
        self._taken = False
        self._waiting: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0

    @asynccontextmanager
    async def alone(self, upto: int | None) -> AsyncIterator[None]:
        """Be the one who reads, up to an offset."""
        if self._taken:
            await self._wait(inf if upto is None else upto)
        self._taken = True
        try:
            yield
        finally:
            self._leave()

    async def _wait(self, upto: float) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._count += 1
        insort(self._waiting, (upto, self._count, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # it was given the turn, and cannot take it
                self._leave()
            raise

    def _leave(self) -> None:
        """Let the next one read, who is not there until it goes on: the turnstile stays taken."""
        while self._waiting:
            beyond = bisect_left(self._waiting, (self.told.offset,))
            _, _, turn = self._waiting.pop(beyond % len(self._waiting))
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False
