"""LaneRoom: who waits until a lane takes more. Most lanes have nobody, and no object for it."""

import asyncio


class LaneRoom:
    """Those who wait for room in one lane; `queue` is held by the one whose turn it is."""

    __slots__ = ("_waiting", "queue")

    def __init__(self) -> None:
        self.queue = asyncio.Lock()
        self._waiting: list[asyncio.Future[None]] = []

    async def wait(self) -> None:
        """Return when something has changed."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        await waiter

    def tell(self) -> None:
        """Something has changed: there is room, or there will never be."""
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
