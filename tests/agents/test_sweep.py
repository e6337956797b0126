"""The sweep of two nodes that share a store: whose run is ended, and who only had to wait."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from netra_backend.agents.sweep import Sweep
from netra_backend.core.ids import RunKey, ThreadId, ThreadKey
from netra_backend.core.run import Lease, RunStatus
from netra_backend.errors import StoreFailed
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scenario import a_thread, start
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer
from tests.agents.running import ALICE, Running, running
from tests.conftest import Lines
from tests.faults.test_run_ends import given, key

pytestmark = pytest.mark.anyio

LEASE = 15_000
THIRD = LEASE // 3


class Stalling(MemoryStore):
    """A store that can be made to take no renewals, and to tell of adoptions."""

    stalls = False
    adopting: Callable[[str], Awaitable[None]] | None = None

    async def adopt(self, key: RunKey, holder: str, expires_at: int, now: int) -> Lease | None:
        if self.adopting is not None:
            await self.adopting(holder)
        return await super().adopt(key, holder, expires_at, now)

    async def renew(self, leases: Sequence[Lease], expires_at: int) -> Any:
        if self.stalls:
            raise StoreFailed("the disk does not answer")
        return await super().renew(leases, expires_at)


@dataclass
class Two:
    """Two nodes with a clock each; the second executes a run that waits at the gate."""

    store: Stalling
    one: Running
    two: Running
    gate: Gate

    async def look(self, *nodes: Running) -> None:
        """Have the nodes sweep, one after the other."""
        for node in nodes:
            await sweep_of(node).look()

    def passes(self, ms: int) -> None:
        """Set both clocks forward."""
        self.one.clock.now += ms
        self.two.clock.now += ms

    async def thirds(self, count: int, *nodes: Running) -> None:
        """Have the nodes sweep so many times, when it is due."""
        for _ in range(count):
            self.passes(THIRD)
            await self.look(*nodes)

    async def status(self) -> RunStatus:
        """Return how the run is."""
        run = await self.store.run(key("r1"))
        assert run is not None
        return run.status

    async def goes_on(self) -> None:
        """See that the run ends as its agent ends it, and is written by nobody else."""
        assert await self.status() is RunStatus.RUNNING
        self.gate.open()
        assert (await self.two.ended("r1")).status is RunStatus.FINISHED
        types = await self.two.types()
        assert [types.count(kind) for kind in ("RUN_FINISHED", "RUN_ERROR")] == [1, 0]


def sweep_of(node: Running) -> Sweep:
    return node.runner._sweep


@asynccontextmanager
async def two_nodes() -> AsyncIterator[Two]:
    store, gate = Stalling(), Gate()
    agents = {"agent": ScriptedAgent(answer("a", gate, "b"))}
    async with (
        running(agents, store=store, lease_ms=LEASE) as one,
        running(agents, store=store, lease_ms=LEASE) as two,
    ):
        nodes = Two(store, one, two, gate)
        await two.start(ALICE, given("r1"))
        await gate.reached()
        await nodes.thirds(2, one, two)
        yield nodes


async def test_a_run_whose_holder_renews_no_more_is_ended_by_another() -> None:
    async with two_nodes() as there:
        await there.thirds(2, there.one)
        assert await there.status() is RunStatus.RUNNING
        await there.thirds(1, there.one)
        assert await there.status() is RunStatus.INTERRUPTED
        there.gate.open()
        await there.look(there.two)
        (execution,) = there.two.runner.executions.values()
        await execution.stopped()
        assert await there.status() is RunStatus.INTERRUPTED, "who held it is refused"
        assert (await there.one.types()).count("RUN_ERROR") == 1


@pytest.mark.parametrize("gone", [LEASE, 86_400_000])
async def test_time_in_which_all_stood_still_runs_no_lease_out(gone: int) -> None:
    """A machine that slept, a store that did, a clock set forward: who looks first is no matter."""
    async with two_nodes() as there:
        there.passes(gone)
        await there.look(there.one, there.two)
        await there.thirds(4, there.one, there.two)
        await there.goes_on()


async def test_who_begins_after_such_a_time_ends_no_run_either() -> None:
    """As a worker that was being started when all stood still, and is faster than the others."""
    async with two_nodes() as there:
        there.passes(LEASE)
        agent, clock = ScriptedAgent(answer("c")), there.one.clock
        async with running(agent, store=there.store, lease_ms=LEASE, clock=clock) as new:
            await there.look(new)
            assert await there.status() is RunStatus.RUNNING
        await there.thirds(4, there.two)
        await there.goes_on()


@pytest.mark.parametrize("fails", [False, True])
async def test_a_clock_that_is_set_back_hides_no_such_time(fails: bool) -> None:
    """Before the node that looks has seen it; what it asks first may come too late to be taken."""
    async with two_nodes() as there:
        await there.thirds(2, there.one, there.two)
        there.passes(-20 * LEASE)
        await there.look(there.two)
        there.passes(2 * LEASE)
        there.store.stalls = fails
        await there.look(there.one)
        there.store.stalls = False
        await there.thirds(4, there.two, there.one)
        await there.goes_on()


async def test_time_in_which_the_store_takes_no_renewals_runs_no_lease_out() -> None:
    """Also by the eyes of a node that has nothing to renew, and can read what has run out."""
    async with two_nodes() as there:
        there.store.stalls = True
        await there.thirds(4, there.one, there.two)
        there.store.stalls = False
        await there.look(there.one)
        await there.thirds(1, there.two, there.one)
        await there.goes_on()


async def test_who_does_not_come_back_after_a_gap_is_ended_a_lease_later() -> None:
    async with two_nodes() as there:
        there.passes(10 * LEASE)
        await there.look(there.one)
        await there.thirds(2, there.one)
        assert await there.status() is RunStatus.RUNNING
        await there.thirds(1, there.one)
        assert await there.status() is RunStatus.INTERRUPTED


async def test_what_the_store_knows_to_be_over_is_ended_at_once() -> None:
    """Also after a gap: the process that keeps the store lets leases of dead workers end at 0."""
    async with two_nodes() as there:
        (execution,) = there.two.runner.executions.values()
        await there.store.renew([execution.lease], 0)
        there.passes(10 * LEASE)
        await there.look(there.one)
        assert await there.status() is RunStatus.INTERRUPTED


async def test_who_has_many_runs_to_end_renews_its_leases_meanwhile() -> None:
    """Those of a worker that has died, each of which takes its time."""
    async with two_nodes() as there:
        for number in range(8):
            await start(there.store, a_thread(), f"dead{number}", expires_at=0)

        async def takes_time(holder: str) -> None:
            if holder == there.two.runner._holder:
                await there.thirds(1, there.one)

        there.store.adopting = takes_time
        await there.look(there.two)
        there.store.adopting = None
        await there.goes_on()


async def test_that_the_store_fails_is_told_once_a_look(log_lines: Lines) -> None:
    """On a full disk the ends of all runs are to be written late, and none can be.

    That there is room again is told once.
    """

    def told(what: str) -> int:
        return sum(line["message"] == f"the sweep {what}" for line in log_lines())

    class Full(Stalling):
        is_full = True

        def append(self, events: Any, **more: Any) -> Any:
            if self.is_full:
                raise StoreFailed("no room")
            return super().append(events, **more)

    store = Full()
    async with running(ScriptedAgent(answer("a")), store=store, lease_ms=LEASE) as node:
        sweep = sweep_of(node)
        for name in ("r1", "r2", "r3"):
            lease = await start(store, a_thread(), name)
            run = await store.run(lease.run)
            assert run is not None
            sweep.end_failed(run, lease)
        for looks in (1, 2):
            await sweep.look()
            assert told("could not reach the store") == looks
        store.is_full = False
        for _ in range(2):
            await sweep.look()
            assert told("could not reach the store") == 2
            assert told("reaches the store again") == 1


class RenewsLate(MemoryStore):
    """Answers a renewal, once it was asked for one, when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def renew(self, leases: Sequence[Lease], expires_at: int) -> frozenset[RunKey]:
        self.asked.set()
        await self.let.wait()
        return await super().renew(leases, expires_at)


async def test_a_run_is_not_lost_for_one_of_its_name_in_a_deleted_thread() -> None:
    store, gate = RenewsLate(), Gate()
    async with running(ScriptedAgent(answer("a", gate)), store=store) as house:
        await house.start(ALICE, given("r"))
        looking = asyncio.create_task(house.runner._sweep.look())
        await store.asked.wait()
        await house.runner.delete_thread(ThreadKey(ALICE, ThreadId(given("r").thread_id)))
        await house.start(ALICE, given("r"))
        store.let.set()
        await looking
        gate.open()
        assert (await house.ended("r")).status is RunStatus.FINISHED


async def test_nor_for_one_whose_end_could_not_be_written() -> None:
    """Its lease is still to be renewed when the thread is deleted, and the name is in use again."""
    store, gate = MemoryStore(), Gate()
    async with running(ScriptedAgent(answer("a", gate)), store=store) as house:
        thread = ThreadKey(ALICE, ThreadId(given("r").thread_id))
        await house.start(ALICE, given("r"))
        sweep, (execution,) = sweep_of(house), house.runner.executions.values()
        sweep.end_failed(execution.run, execution.lease)
        await house.runner.delete_thread(thread)
        await house.start(ALICE, given("r"))
        await sweep.look()
        gate.open()
        assert (await house.ended("r")).status is RunStatus.FINISHED


class EndsLate(MemoryStore):
    """Takes the first append when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = asyncio.Event()
        self.let = asyncio.Event()

    async def append(self, events: Any, **more: Any) -> Any:
        if not self.asked.is_set():
            self.asked.set()
            await self.let.wait()
        return await super().append(events, **more)


async def test_a_run_is_not_forgotten_for_one_of_its_name_that_is_ended_late() -> None:
    store, thread = EndsLate(), a_thread()
    async with running(ScriptedAgent(answer("a")), store=store) as house:
        sweep = sweep_of(house)

        async def leave_unended() -> RunKey:
            lease = await start(store, thread, "r")
            run = await store.run(lease.run)
            assert run is not None
            sweep.end_failed(run, lease)
            return run.key

        await leave_unended()
        looking = asyncio.create_task(sweep.look())
        await store.asked.wait()
        await store.delete_thread(thread)
        key = await leave_unended()
        store.let.set()
        await looking
        await sweep.look()
        run = await store.run(key)
        assert run is not None
        assert run.status is RunStatus.FAILED
