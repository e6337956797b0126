"""The contract of `core.ports.Queue` as tests: runs that wait for their thread."""

import asyncio
from functools import partial

from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId
from netra_backend.core.ports import Store
from netra_backend.core.queue import QueuedRun
from netra_backend.core.roles import Role
from netra_backend.errors import ErrorCode
from netra_backend.testing.scenario import (
    Contract,
    a_thread,
    event,
    expect,
    expect_refusal,
    new_run,
    scenario,
)


def _waiting(thread: ThreadKey, run: str) -> QueuedRun:
    return QueuedRun(RunKey(thread.owner, RunId(run)), thread, "agent", b"{}", 7)


class QueueContract(Contract):
    """Runs that were accepted and have not begun."""

    @scenario
    async def test_runs_wait_in_order_until_they_are_created(self, store: Store) -> None:
        """What waits is listed by thread and in all; creating a run takes it out."""
        thread = a_thread()
        beside = ThreadKey(thread.owner, ThreadId("beside"))
        runs = [_waiting(thread, name) for name in ("b", "a", "c")]
        other = _waiting(beside, "other")
        for key in (thread, beside):
            await store.open_thread(key, "", 1)
        for run in (*runs, other):
            expect(await store.enqueue(run, 3), run)
        expect(list(await store.queued(thread)), runs)
        expect(
            [run for run in await store.queued() if run.thread.owner == thread.owner],
            [*runs, other],
        )
        expect(await store.queued_run(runs[1].key), runs[1])
        expect(await store.run(runs[1].key), None)
        await store.create_run(new_run(thread, "b"), [event("started")])
        expect(list(await store.queued(thread)), runs[1:])
        expect(await store.queued_run(runs[0].key), None)
        expect(await store.cancel_queued(runs[0].key), False)

    @scenario
    async def test_a_run_waits_once(self, store: Store) -> None:
        """Twenty calls keep one; a key that waits in another thread is a conflict."""
        thread = a_thread()
        beside = ThreadKey(thread.owner, ThreadId("beside"))
        for key in (thread, beside):
            await store.open_thread(key, "", 1)
        run = _waiting(thread, "r")
        kept = await asyncio.gather(*(store.enqueue(run, 1) for _ in range(20)))
        expect(kept, [run] * 20)
        await expect_refusal(
            ErrorCode.RUN_CONFLICT, lambda: store.enqueue(_waiting(beside, "r"), 9)
        )
        await expect_refusal(ErrorCode.TOO_MANY, lambda: store.enqueue(_waiting(thread, "s"), 1))
        unknown = _waiting(ThreadKey(thread.owner, ThreadId("none")), "s")
        await expect_refusal(ErrorCode.NOT_FOUND, lambda: store.enqueue(unknown, 9))
        expect(list(await store.queued(thread)), [run])

    @scenario
    async def test_a_name_is_used_in_one_thread(self, store: Store) -> None:
        """What waits in one thread cannot begin in another, and what has begun cannot wait."""
        thread = a_thread()
        beside = ThreadKey(thread.owner, ThreadId("beside"))
        for key in (thread, beside):
            await store.open_thread(key, "", 1)
        run = await store.enqueue(_waiting(thread, "r"), 9)
        there = new_run(beside, "r")
        await expect_refusal(ErrorCode.RUN_CONFLICT, lambda: store.create_run(there, [event("no")]))
        expect(await store.run(run.key), None)
        expect(list(await store.queued(thread)), [run])
        await store.create_run(new_run(thread, "r"), [event("yes")])
        for again in (_waiting(thread, "r"), _waiting(beside, "r")):
            await expect_refusal(ErrorCode.RUN_CONFLICT, partial(store.enqueue, again, 9))
        expect(list(await store.queued(beside)), [])

    @scenario
    async def test_a_cancelled_run_begins_only_to_end(self, store: Store) -> None:
        """Nor does one of its name that somebody else starts in the thread."""
        thread, name = a_thread(), "r"
        await store.open_thread(thread, "", 1)
        await store.set_member(thread, UserId("another"), Role.WRITE, 9)
        await store.enqueue(_waiting(thread, name), 9)
        await store.cancel_queued(_waiting(thread, name).key)
        for user in (thread.owner, UserId("another")):
            new = new_run(thread, name, user=user)
            create = partial(store.create_run, new, [event("no")])
            await expect_refusal(ErrorCode.THREAD_BUSY, create)
        expect([run.cancelled for run in await store.queued(thread)], [True])
        created = await store.create_run(new_run(thread, name, ends=True), [event("yes")])
        expect(created.lease is not None, True)
        expect(list(await store.queued(thread)), [])

    @scenario
    async def test_a_cancelled_run_keeps_its_place(self, store: Store) -> None:
        """It is marked, for its end has to be written; deleting the thread forgets it."""
        thread = a_thread()
        await store.open_thread(thread, "", 1)
        for name in ("r", "s"):
            await store.enqueue(_waiting(thread, name), 9)
        expect(await store.cancel_queued(_waiting(thread, "r").key), True)
        expect(await store.cancel_queued(_waiting(thread, "none").key), False)
        expect([run.cancelled for run in await store.queued(thread)], [True, False])
        await store.delete_thread(thread)
        expect(list(await store.queued(thread)), [])
        expect(await store.queued_run(_waiting(thread, "s").key), None)
