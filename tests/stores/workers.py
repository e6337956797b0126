"""Some processes that share a store, all of them in this one."""

import asyncio
import socket
from collections.abc import Callable, Sequence
from typing import Any

from netra_backend.core.ports import Store
from netra_backend.core.samples import Family
from netra_backend.stores.keeper import Keeper
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.remote import RemoteStore


def as_store(remote: Any) -> Store:
    """Return it as what it is: its methods come from the port's own annotations."""
    return remote  # type: ignore[no-any-return]


class Workers:
    """Some workers with one keeper, all in this process."""

    def __init__(self, measure: Callable[[], Sequence[Family]] = list) -> None:
        self.kept = MemoryStore()
        self.keeper = Keeper(self.kept, measure)
        self.lost: list[int] = []

    async def worker(self) -> Any:
        ours, theirs = socket.socketpair()
        number = len(self.keeper._lines) + 1
        await self.keeper.serve(theirs, worker=number)
        remote = RemoteStore(ours, lost=lambda: self.lost.append(number))
        await remote.open()
        await settled()
        return remote


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0.001)
