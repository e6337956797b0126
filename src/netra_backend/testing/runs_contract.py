"""The contract of `core.ports.Runs` as tests: runs and their leases."""

import asyncio

from msgspec.structs import replace

from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey
from netra_backend.core.ports import Created, End, Store
from netra_backend.core.run import RunStatus
from netra_backend.errors import ErrorCode
from netra_backend.testing.scenario import (
    FAR,
    Contract,
    a_thread,
    dense,
    entries,
    event,
    expect,
    expect_error,
    expect_refusal,
    new_run,
    scenario,
    start,
    there,
)


class RunsContract(Contract):
    """Creating runs, and who may execute them."""

    @scenario
    async def test_create_run_is_idempotent(self, store: Store) -> None:
        """Twenty calls at once: one creates and gets the lease, all get the same run."""
        thread = a_thread()
        await store.open_thread(thread, "", 1)
        new = new_run(thread, "r", at=4)
        first = [event("started"), event("second")]
        outcomes = await asyncio.gather(*(store.create_run(new, first) for _ in range(20)))
        leases = [created.lease for created in outcomes if created.lease is not None]
        expect(len(leases), 1)
        expect((leases[0].run, leases[0].thread), (new.key, thread))
        expect((leases[0].holder, leases[0].expires_at), ("node-1", FAR))
        run = outcomes[0].run
        expect({created.run for created in outcomes}, {run})
        expect((run.key, run.thread, run.agent), (new.key, thread, "agent"))
        expect((run.status, run.correlation, run.ended), (RunStatus.RUNNING, "c-r", None))
        expect(run.started.offset, 1)
        expect(there(await store.thread(thread)).updated_at, 4)
        expect([entry.event for entry in await entries(store, thread)], first)
        await store.append([event("end")], writer=leases[0], at=5, end=End(RunStatus.FINISHED))
        again = await store.create_run(new, first)
        expect(again, Created(there(await store.run(new.key)), None))
        expect(len(await entries(store, thread)), 3)

    @scenario
    async def test_a_thread_has_one_active_run(self, store: Store) -> None:
        """A second run is refused until the first has ended, and writes nothing."""
        thread = a_thread()
        lease = await start(store, thread, "r1")
        second = new_run(thread, "r2")
        await expect_refusal(ErrorCode.THREAD_BUSY, lambda: store.create_run(second, [event("no")]))
        expect(await store.run(second.key), None)
        await store.append([event("end")], writer=lease, at=2, end=End(RunStatus.CANCELLED))
        created = await store.create_run(second, [event("yes")])
        expect(created.run.started.offset, 3)
        expect(await store.last_run(thread), created.run)
        dense(await entries(store, thread))

    @scenario
    async def test_a_run_belongs_to_one_thread(self, store: Store) -> None:
        """A run key that another thread has is a conflict; an unknown thread is not found."""
        thread = a_thread()
        await start(store, thread, "r")
        beside = ThreadKey(thread.owner, ThreadId("beside"))
        await store.open_thread(beside, "", 1)
        await expect_refusal(
            ErrorCode.RUN_CONFLICT, lambda: store.create_run(new_run(beside, "r"), [event("no")])
        )
        unknown = new_run(ThreadKey(thread.owner, ThreadId("none")), "r9")
        await expect_refusal(ErrorCode.NOT_FOUND, lambda: store.create_run(unknown, [event("no")]))
        expect(await store.run(unknown.key), None)
        expect(await store.last_run(beside), None)
        await expect_error(ValueError, lambda: store.create_run(new_run(beside, "r8"), []))

    @scenario
    async def test_a_run_for_a_thread_is_not_created_in_the_next_one_of_its_key(
        self, store: Store
    ) -> None:
        """A run names the epoch of its thread; one of another epoch is not found."""
        thread = a_thread()
        epoch = (await store.open_thread(thread, "", 1)).head.epoch
        await store.delete_thread(thread)
        again = (await store.open_thread(thread, "", 1)).head.epoch
        late, new = (replace(new_run(thread, "r"), epoch=one) for one in (epoch, again))
        await expect_refusal(ErrorCode.NOT_FOUND, lambda: store.create_run(late, [event("no")]))
        expect(list(await store.read(thread, 0, 9)), [])
        created = await store.create_run(new, [event("yes")])
        expect(created.run.started.epoch, again)

    @scenario
    async def test_orphans_are_runs_with_an_expired_lease(self, store: Store) -> None:
        """A lease is over at `expires_at`; renewing moves that; adopting and ending remove it."""
        owner = a_thread().owner
        names = ("a", "b", "c")
        leases = [
            await start(store, ThreadKey(owner, ThreadId(name)), name, expires_at=expires_at)
            for name, expires_at in zip(names, (10, 30, 20), strict=True)
        ]

        async def orphans(now: int) -> list[str]:
            return [run.key.id for run in await store.orphans(now)]

        expect(await orphans(9), [])
        expect(await orphans(10), ["a"])
        expect(await orphans(30), ["a", "b", "c"])
        expect(await store.renew(leases[:1], 40), frozenset())
        expect(await orphans(30), ["b", "c"])
        adopted = await store.adopt(leases[1].run, "node-2", 50, 30)
        expect(adopted is not None and adopted.expires_at == 50, True)
        await store.append([event("end")], writer=leases[2], at=30, end=End(RunStatus.TIMED_OUT))
        expect(await orphans(49), ["a"])
        expect(await orphans(50), ["a", "b"])

    @scenario
    async def test_an_orphan_is_adopted_once(self, store: Store) -> None:
        """Of twenty who try, one gets the lease; a living, ended or unknown run is none."""
        thread = a_thread()
        lease = await start(store, thread, "r", expires_at=10)
        expect(await store.adopt(lease.run, "node-2", FAR, 9), None)
        outcomes = await asyncio.gather(
            *(store.adopt(lease.run, f"node-{n}", FAR, 10) for n in range(20))
        )
        (adopted,) = [outcome for outcome in outcomes if outcome is not None]
        await store.append([event("end")], writer=adopted, at=11, end=End(RunStatus.INTERRUPTED))
        expect(await store.adopt(lease.run, "node-3", FAR, FAR), None)
        expect(await store.adopt(RunKey(thread.owner, RunId("none")), "node-3", FAR, FAR), None)
