"""A store that another process keeps: the same contract, and what a line adds to it."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from netra_backend.core.ports import Store
from netra_backend.errors import StoreFailed
from netra_backend.stores.keeper import Keeper
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.remote import RemoteStore
from netra_backend.testing.log_contract import LogContract
from netra_backend.testing.scenario import a_thread, entries, event, start
from tests.stores.workers import Workers, as_store, settled


class Kept(RemoteStore):
    """A remote store whose keeper is in this process, with the store that it keeps."""

    def __init__(self, store: Store) -> None:
        ours, self._theirs = socket.socketpair()
        super().__init__(ours)
        self.kept = store
        self.keeper = Keeper(store)

    async def open(self) -> None:
        await self.kept.open()
        await self.keeper.serve(self._theirs, worker=1)
        await super().open()

    async def close(self) -> None:
        await super().close()
        await asyncio.sleep(0)
        await self.keeper.settled()
        await self.kept.close()


class TestRemoteStore(LogContract):
    """The contract, over a line."""

    def make_store(self, directory: Path) -> Store:
        """Return a store whose keeper is in this process."""
        return as_store(Kept(MemoryStore()))


@pytest.mark.anyio
async def test_what_one_worker_publishes_the_others_hear_once_and_in_order() -> None:
    workers = Workers()
    one, two, three = [await workers.worker() for _ in range(3)]
    heard: list[list[tuple[Any, Any]]] = [[], [], []]
    for notes, worker in zip(heard, (one, two, three), strict=True):
        worker.bus.subscribe(lambda thread, entries, notes=notes: notes.append((thread, entries)))
    thread = a_thread()
    lease = await start(as_store(one), thread, "r")
    await one.append([event("a")], writer=lease, at=2)
    log = await entries(as_store(two), thread)
    one.bus.publish(thread, log[:1])
    assert heard[0] == [(thread, log[:1])], "who publishes hears it at once"
    one.bus.publish(thread, log[1:])
    one.bus.publish(thread, ())
    await settled()
    assert heard[0] == [(thread, log[:1]), (thread, log[1:]), (thread, ())]
    assert heard[1] == heard[2] == [(thread, log[:1]), (thread, log[1:]), (thread, [])]
    for worker in (one, two, three):
        await worker.close()


@pytest.mark.anyio
async def test_when_the_keeper_is_gone_nobody_waits_for_ever() -> None:
    workers = Workers()
    one = await workers.worker()

    async def never() -> None:
        await asyncio.Event().wait()

    workers.kept.probe = never  # type: ignore[method-assign]
    waiting = one.probe()
    await settled()
    (line,) = workers.keeper._lines
    line.cut()
    with pytest.raises(StoreFailed, match="gone"):
        await waiting
    with pytest.raises(StoreFailed, match="gone"):
        await one.probe()
    assert workers.lost == [1]
