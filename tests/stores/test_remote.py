"""A store that another process keeps: the same contract, and what a line adds to it."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from netra_backend.core.ids import RunKey
from netra_backend.core.ports import End, Store
from netra_backend.core.positions import Position
from netra_backend.core.run import RunStatus
from netra_backend.errors import LeaseLost, StoreFailed
from netra_backend.stores.keeper import Keeper
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.remote import RemoteStore
from netra_backend.testing.log_contract import LogContract
from netra_backend.testing.scenario import FAR, a_thread, entries, event, start


class Kept(RemoteStore):
    """A remote store whose keeper is in this process, with the store that it keeps."""

    def __init__(self, store: Store) -> None:
        ours, self._theirs = socket.socketpair()
        super().__init__(ours)
        self.kept = store
        self.keeper = Keeper(store)

    async def open(self) -> None:
        await self.kept.open()
        await self.keeper.serve(self._theirs)
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


def as_store(remote: Any) -> Store:
    """Return it as what it is: its methods come from the port's own annotations."""
    return remote  # type: ignore[no-any-return]


class Workers:
    """Some workers with one keeper, all in this process."""

    def __init__(self) -> None:
        self.kept = MemoryStore()
        self.keeper = Keeper(self.kept)
        self.lost: list[int] = []

    async def worker(self) -> Any:
        ours, theirs = socket.socketpair()
        await self.keeper.serve(theirs)
        number = len(self.keeper._lines)
        remote = RemoteStore(ours, lost=lambda: self.lost.append(number))
        await remote.open()
        await settled()
        return remote


async def settled() -> None:
    for _ in range(20):
        await asyncio.sleep(0.001)


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
async def test_the_runs_of_a_worker_that_is_gone_are_orphans_at_once() -> None:
    workers = Workers()
    one, two = [await workers.worker() for _ in range(2)]
    thread, other = a_thread(), a_thread()
    lease = await start(as_store(one), thread, "r", expires_at=FAR)
    kept = await start(as_store(two), other, "r", expires_at=FAR)
    unanswered = one.append([event("a")], writer=lease, at=2)
    one._line._transport.close()  # what was said before is still done
    with pytest.raises(StoreFailed, match="gone"):
        await unanswered
    await settled()
    await workers.keeper.settled()
    assert [run.key for run in await two.orphans(1)] == [lease.run]
    adopted = await two.adopt(lease.run, "node-2", FAR, 1)
    assert adopted.fence > lease.fence
    assert len(await entries(as_store(two), thread)) == 2
    await two.append([event("b")], writer=kept, at=3)
    with pytest.raises(StoreFailed):
        await one.append([event("late")], writer=lease, at=3)
    assert workers.lost == [1]
    with pytest.raises(LeaseLost):
        await two.append([event("late")], writer=lease, at=3)
    await two.close()


@pytest.mark.anyio
async def test_a_keeper_remembers_no_lease_of_a_run_that_has_ended() -> None:
    workers = Workers()
    one = await workers.worker()
    lease = await start(as_store(one), a_thread(), "r")
    (line,) = workers.keeper._lines
    assert list(line.leases) == [lease.run]
    await one.append([event("end")], writer=lease, at=2, end=End(RunStatus.FINISHED))
    assert not line.leases
    await one.close()


@pytest.mark.anyio
async def test_a_run_is_cancelled_where_it_is_executed() -> None:
    workers = Workers()
    one, two, three = [await workers.worker() for _ in range(3)]
    key = RunKey(a_thread().owner, "r")  # type: ignore[arg-type]
    assert await one.cancel(key) is None

    async def cancels(run: RunKey) -> Position | None:
        return Position(1, 9) if run == key else None

    three.join(cancels)
    assert await one.cancel(key) == Position(1, 9)
    assert await three.cancel(key) is None, "who asks is not asked"

    async def hangs(run: RunKey) -> Position | None:
        await asyncio.Event().wait()
        return None

    for other in (two, three):
        other.join(hangs)
    waiting = asyncio.ensure_future(one.cancel(key))
    await settled()
    for worker in (two, three):
        worker._line._transport.abort()
    assert await waiting is None
    await one.close()


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
    with pytest.raises(StoreFailed):
        await one.probe()
    assert workers.lost == [1]
