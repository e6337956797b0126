"""The keeper: what it owes the workers that are left when one is gone, and who is asked what."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec import msgpack

from netra_backend.core.ids import RunKey
from netra_backend.core.nodes import METRICS, Gathered
from netra_backend.core.ports import End
from netra_backend.core.positions import Position
from netra_backend.core.run import RunStatus
from netra_backend.core.samples import Family, Sample
from netra_backend.errors import LeaseLost, StoreFailed
from netra_backend.testing.scenario import FAR, a_thread, entries, event, start
from tests.eventually import until
from tests.stores.workers import Workers, as_store, settled


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
@pytest.mark.parametrize("deleted", [False, True])
async def test_an_end_that_a_worker_did_not_come_to_tell_is_told(deleted: bool) -> None:
    workers = Workers()
    one, two = [await workers.worker() for _ in range(2)]
    heard: list[tuple[object, list[object]]] = []
    two.bus.subscribe(lambda thread, entries: heard.append((thread, list(entries))))
    thread = a_thread()
    lease = await start(as_store(one), thread, "r")
    await one.append([event("end")], writer=lease, at=2, end=End(RunStatus.FINISHED))
    if deleted:
        await one.delete_thread(thread)
    last = (await entries(as_store(two), thread))[-1:]
    one._line._transport.abort()
    await until(lambda: heard == [(thread, last)])
    assert bool(last) is not deleted
    await two.close()


@pytest.mark.anyio
async def test_what_was_told_is_not_told_again() -> None:
    workers = Workers()
    one, two = [await workers.worker() for _ in range(2)]
    heard: list[object] = []
    two.bus.subscribe(lambda thread, entries: heard.append(thread))
    thread = a_thread()
    lease = await start(as_store(one), thread, "r")
    await one.append([event("end")], writer=lease, at=2, end=End(RunStatus.FINISHED))
    one.bus.publish(thread, await entries(as_store(one), thread))
    await until(lambda: heard == [thread])
    one._line._transport.abort()
    await until(lambda: len(workers.keeper._lines) == 1)
    await workers.keeper.settled()
    await settled()
    assert heard == [thread]
    await two.close()


def _figures(counted: float) -> bytes:
    samples = [Sample("c_total", (), counted)]
    return msgpack.encode([Family("c", "counter", "what was counted", samples)])


async def _measured(worker: Any) -> dict[tuple[str, str], float]:
    """Return what all workers have measured, by name and label."""
    families: Sequence[Family] = await worker.measured()
    samples = [sample for family in families for sample in family.samples]
    return {
        (sample.name, dict(sample.labels).get("worker", "")): sample.value for sample in samples
    }


@pytest.mark.anyio
async def test_what_is_measured_is_the_sum_of_all_who_are_or_were() -> None:
    workers = Workers(lambda: [Family("k", "counter", "the keeper's", [Sample("k_total", (), 7)])])
    one, two, begins = [await workers.worker() for _ in range(3)]
    for number, worker in enumerate((one, two), 1):
        await worker.probe()

        async def measure(question: bytes, number: int = number) -> bytes:
            return _figures(number)

        worker.let_answer(METRICS, measure)
    all_up = {("netra_worker_up", str(n)): float(n < 3) for n in (1, 2, 3)}
    for asked in (one, two):
        assert await _measured(asked) == {("c_total", ""): 3, ("k_total", ""): 7, **all_up}
    two._line._transport.abort()
    await until(lambda: len(workers.keeper._lines) == 2)
    del all_up["netra_worker_up", "2"]
    assert await _measured(one) == {("c_total", ""): 3, ("k_total", ""): 7, **all_up}

    async def fails(question: bytes) -> bytes:
        raise StoreFailed("nothing can be said")

    one.let_answer(METRICS, fails)
    all_up["netra_worker_up", "1"] = 0
    assert await _measured(one) == {("c_total", ""): 3, ("k_total", ""): 7, **all_up}
    for worker in (one, begins):
        await worker.close()


@pytest.mark.anyio
async def test_all_who_serve_are_asked_and_who_has_no_answer_is_missing() -> None:
    workers = Workers()
    one, two, three, begins = [await workers.worker() for _ in range(4)]
    for worker in (one, two, three):
        await worker.probe()

    async def answer(question: bytes) -> bytes:
        return question.upper()

    for worker in (one, three, begins):
        worker.let_answer("subject", answer)
    assert await one.ask("subject", b"what") == Gathered([(1, b"WHAT"), (3, b"WHAT")], [2])
    for worker in (one, two, three, begins):
        await worker.close()
    with pytest.raises(StoreFailed):
        await one.ask("subject", b"what")
    with pytest.raises(StoreFailed):
        await one.measured()
