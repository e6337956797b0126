"""Stopping: a run of another node is cancelled there, and only one that has not ended is asked for.

Runs of this node are cancelled in ``test_runner``.
"""

import asyncio
from typing import Any

import pytest

from netra_backend.agents.starting import Starting
from netra_backend.agents.stopping import Stopping
from netra_backend.agents.waiting import Waiting
from netra_backend.core.ids import RunId, RunKey
from netra_backend.core.nodes import Cancel
from netra_backend.core.ports import End
from netra_backend.core.positions import Position
from netra_backend.core.queue import QueuedRun
from netra_backend.core.run import Run, RunStatus
from netra_backend.errors import ErrorCode, Refused
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing import ScriptedAgent, asking
from netra_backend.testing.scenario import a_thread, event, start
from netra_backend.testing.scripted_agent import endless
from tests.agents.running import ALICE, executing, running

pytestmark = pytest.mark.anyio


class OtherNode:
    """A node that executes everything it is asked for, or nothing."""

    def __init__(self, position: Position | None) -> None:
        self.position = position
        self.asked: list[RunKey] = []
        self.joined: list[Cancel] = []

    def join(self, cancel: Cancel) -> None:
        self.joined.append(cancel)

    async def cancel(self, run: RunKey) -> Position | None:
        self.asked.append(run)
        return self.position


async def never(*_: Any) -> Any:
    raise AssertionError("nothing waits here")


def stopping(store: MemoryStore, node: OtherNode | None) -> Stopping:
    made = Stopping(store, Waiting(store, begin=never, now=lambda: 1), executing(), Starting())
    made.nodes = node
    return made


async def test_a_run_of_another_node_is_cancelled_there() -> None:
    store, node = MemoryStore(), OtherNode(Position(1, 5))
    await store.open()
    lease = await start(store, a_thread(), "r")
    assert await stopping(store, node).cancel(lease.run) == Position(1, 5)
    await stopping(store, node).stop_in(lease.thread)
    assert node.asked == [lease.run] * 2


async def test_a_run_that_has_ended_is_asked_for_nowhere() -> None:
    store, node = MemoryStore(), OtherNode(None)
    await store.open()
    lease = await start(store, a_thread(), "r")
    end = await store.append([event("end")], writer=lease, at=2, end=End(RunStatus.FINISHED))
    assert await stopping(store, node).cancel(lease.run) == end
    await stopping(store, node).stop_in(lease.thread)
    await stopping(store, node).stop_in(a_thread())
    assert node.asked == []


@pytest.mark.parametrize("node", [None, OtherNode(None)], ids=["alone", "with another"])
async def test_a_run_that_nobody_executes_is_being_ended(node: OtherNode | None) -> None:
    store = MemoryStore()
    await store.open()
    lease = await start(store, a_thread(), "r")
    with pytest.raises(Refused) as refused:
        await stopping(store, node).cancel(lease.run)
    assert refused.value.code is ErrorCode.STORE_FAILED


async def test_a_run_that_is_deleted_while_it_is_looked_for_elsewhere_is_not_found() -> None:
    store = MemoryStore()
    await store.open()
    lease = await start(store, a_thread(), "r")

    class Deleting(OtherNode):
        async def cancel(self, run: RunKey) -> Position | None:
            await store.delete_thread(lease.thread)
            return None

    with pytest.raises(Refused) as refused:
        await stopping(store, Deleting(None)).cancel(lease.run)
    assert refused.value.code is ErrorCode.NOT_FOUND


async def test_a_queued_run_whose_thread_is_replaced_just_then_is_cancelled_in_the_old_one() -> (
    None
):
    store, thread = MemoryStore(), a_thread()
    await start(store, thread, "r")
    queued = QueuedRun(RunKey(thread.owner, RunId("waits")), thread, "agent", b"{}", 1)
    await store.enqueue(queued, 1)
    epoch = (await store.thread(thread)).head.epoch
    cancel = store.cancel_queued

    async def cancel_then_replace(key: RunKey) -> bool:
        cancelled = await cancel(key)
        await store.delete_thread(thread)
        await store.open_thread(thread, "", 1)
        return cancelled

    store.cancel_queued = cancel_then_replace
    assert (await stopping(store, None).cancel(queued.key)).epoch == epoch


async def test_what_is_starting_here_is_waited_for() -> None:
    store = MemoryStore()
    await store.open()
    lease = await start(store, a_thread(), "r")
    starting, waiting = Starting(), Waiting(store, begin=never, now=lambda: 1)
    task = asyncio.create_task(starting.work(lease.run, asyncio.sleep(0.01)))
    await asyncio.sleep(0)
    made = Stopping(store, waiting, executing(), starting)
    assert await made.cancel_here(lease.run) is None
    assert not starting.keys()
    await task


class FindsLate(MemoryStore):
    """Answers the first question for a run when the test says so, with what is true by then."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def run(self, key: RunKey) -> Run | None:
        if not self.asked.is_set():
            self.asked.set()
            await self.let.wait()
        return await super().run(key)


async def test_a_run_that_begins_while_it_is_looked_for_is_cancelled() -> None:
    store = FindsLate()
    async with running(ScriptedAgent(endless()), store=store) as house:
        cancelling = asyncio.create_task(house.runner.cancel(RunKey(ALICE, RunId("r"))))
        await store.asked.wait()
        await house.start(ALICE, asking("hi", thread_id="t1", run_id="r"))
        store.let.set()
        position = await cancelling
        run = await house.ended("r")
        assert run.status is RunStatus.CANCELLED
        assert run.ended is not None
        assert position.offset == run.ended.offset - 1
