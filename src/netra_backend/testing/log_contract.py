"""The contract of `core.ports` as tests: every store passes them, also one of your own.

::

    class TestMyStore(LogContract):
        def make_store(self, directory: Path) -> Store:
            return MyStore(directory)

pytest collects such a class. Each test runs in an event loop of its own, on a store that was
opened in a fresh directory and is closed afterwards. The clock is the tests': 1, 2, 3.
"""

import asyncio
from collections.abc import Awaitable
from functools import partial

import msgspec
from ag_ui.core import EventType

from netra_backend.core.events import Entry, Event
from netra_backend.core.ids import ThreadId, ThreadKey
from netra_backend.core.pages import READ_BYTES
from netra_backend.core.ports import End, Store
from netra_backend.core.positions import Position
from netra_backend.core.resume import reaches_end
from netra_backend.core.run import IllegalMove, Lease, RunStatus
from netra_backend.errors import LeaseLost, Refused
from netra_backend.testing.backlog_contract import BacklogContract
from netra_backend.testing.interrupts_contract import InterruptsContract
from netra_backend.testing.members_contract import MembersContract
from netra_backend.testing.queue_contract import QueueContract
from netra_backend.testing.reference_contract import ReferenceContract
from netra_backend.testing.revocations_contract import RevocationsContract
from netra_backend.testing.runs_contract import RunsContract
from netra_backend.testing.scenario import (
    FAR,
    a_thread,
    dense,
    entries,
    event,
    expect,
    expect_error,
    new_run,
    question,
    scenario,
    start,
    there,
)
from netra_backend.testing.threads_contract import ThreadsContract
from netra_backend.testing.tickets_contract import TicketsContract


class LogContract(
    BacklogContract,
    ThreadsContract,
    MembersContract,
    RunsContract,
    InterruptsContract,
    QueueContract,
    TicketsContract,
    RevocationsContract,
    ReferenceContract,
):
    """Subclass it, say in `make_store` which store, and let pytest find the subclass."""

    @scenario
    async def test_entries_come_back_in_order_as_they_were_given(self, store: Store) -> None:
        """What is read is what was appended: positions, run, time, type and bytes."""
        thread = a_thread()
        lease = await start(store, thread, "r")
        raw = Event(EventType.RAW, b' {"type": "RAW",\n"x": "\xc3\xa9\\u0000"}')
        last = await store.append([event("a"), raw], writer=lease, at=7)
        log = await entries(store, thread)
        dense(log)
        expect(log[-1].position, last)
        expect([entry.event for entry in log], [event("started"), event("a"), raw])
        expect([entry.at for entry in log], [1, 7, 7])
        expect({entry.run for entry in log}, {"r"})
        expect(there(await store.thread(thread)).head, last)

    @scenario
    async def test_read_takes_after_and_limit(self, store: Store) -> None:
        """A page starts right behind `after` and has at most `limit` entries."""
        thread = a_thread()
        lease = await start(store, thread, "r")
        await store.append([event(str(n)) for n in range(2, 11)], writer=lease, at=2)
        for after, limit, want in ((0, 3, [1, 2, 3]), (8, 5, [9, 10]), (10, 5, []), (3, 0, [])):
            page = await store.read(thread, after, limit)
            expect([entry.position.offset for entry in page], want)
        expect(list(await store.read(thread, 2**63 - 1, 10)), [])
        expect(list(await store.read(a_thread(), 0, 10)), [])
        for after, limit in ((-1, 1), (0, -1)):
            await expect_error(ValueError, partial(store.read, thread, after, limit))

    @scenario
    async def test_an_answer_ends_with_what_makes_it_long(self, store: Store) -> None:
        """However large events are, and wherever the first large one is, an answer is bounded."""
        thread = a_thread()
        lease = await start(store, thread, "r")
        sizes = [10] * 20 + [READ_BYTES // 4] * 9 + [3 * READ_BYTES, 10, 10]
        for n, size in enumerate(sizes):
            await store.append([event(f"{n}{'x' * size}")], writer=lease, at=2)
        got: list[Entry] = []
        while page := await store.read(thread, len(got), 1_000):
            after = Position(page[0].position.epoch, len(got))
            backlog = await store.backlog(thread, thread.owner, after, 1_000)
            expect(list(backlog.entries if backlog else ()), list(page))
            *before, last = (len(entry.event.data) for entry in page)
            got += page
            ended = len(got) == len(sizes) + 1
            expect(sum(before) < READ_BYTES, True)
            expect(sum(before) + last >= READ_BYTES or ended, True)
            expect(reaches_end(page, 1_000), ended)
        dense(got)
        expect(len(got), len(sizes) + 1)

    @scenario
    async def test_threads_do_not_see_each_other(self, store: Store) -> None:
        """Logs of one owner, and of two owners with the same names, are apart."""
        one = a_thread()
        beside = ThreadKey(one.owner, ThreadId("t2"))
        foreign = ThreadKey(a_thread().owner, one.id)
        leases = [
            await start(store, thread, run)
            for thread, run in ((one, "r"), (beside, "r2"), (foreign, "r"))
        ]
        for number, lease in enumerate(leases):
            for _ in range(5):
                await store.append([event(str(number))], writer=lease, at=2)
        for number, thread in enumerate((one, beside, foreign)):
            log = await entries(store, thread)
            dense(log)
            expect([entry.event for entry in log], [event("started")] + [event(str(number))] * 5)

    @scenario
    async def test_appends_apply_in_the_order_of_the_calls(self, store: Store) -> None:
        """A caller that does not wait between its appends finds them in its order."""
        thread = a_thread()
        lease = await start(store, thread, "r")
        calls = [store.append([event(str(n))], writer=lease, at=n) for n in range(300)]
        positions = await asyncio.gather(*calls)
        expect([position.offset for position in positions], list(range(2, 302)))
        log = await entries(store, thread)
        dense(log)
        expect([entry.event for entry in log[1:]], [event(str(n)) for n in range(300)])

    @scenario
    async def test_concurrent_writers_get_dense_logs(self, store: Store) -> None:
        """Fifty threads with four batches each at once: no gap, no stranger, no torn batch."""
        owner = a_thread().owner
        threads = [ThreadKey(owner, ThreadId(f"t{n}")) for n in range(50)]
        leases = [await start(store, thread, f"r-{thread.id}") for thread in threads]

        async def write(lease: Lease) -> None:
            for batch in range(4):
                texts = [f"{lease.thread.id} {batch} {n}" for n in range(3)]
                await store.append([event(text) for text in texts], writer=lease, at=2)

        await asyncio.gather(*map(write, leases))
        for thread in threads:
            log = await entries(store, thread)
            dense(log)
            want = [event(f"{thread.id} {batch} {n}") for batch in range(4) for n in range(3)]
            expect([entry.event for entry in log[1:]], want)

    @scenario
    async def test_batches_to_one_thread_do_not_interleave(self, store: Store) -> None:
        """Fifty writers with one lease: each one's three events stand together."""
        thread = a_thread()
        lease = await start(store, thread, "r")
        batches = [[event(f"{batch} {n}") for n in range(3)] for batch in range(50)]
        positions = await asyncio.gather(
            *(store.append(batch, writer=lease, at=2) for batch in batches)
        )
        log = await entries(store, thread)
        dense(log)
        for batch, position in zip(batches, positions, strict=True):
            page = log[position.offset - 3 : position.offset]
            expect([entry.event for entry in page], batch)

    @scenario
    async def test_a_large_batch_is_one_append(self, store: Store) -> None:
        """5,000 events and an event of 2 MB go in as given."""
        thread = a_thread()
        lease = await start(store, thread, "r")
        batch = [event(str(n)) for n in range(5000)] + [event("x" * 2_000_000)]
        last = await store.append(batch, writer=lease, at=2)
        expect(last.offset, 5002)
        log = await entries(store, thread)
        dense(log)
        expect([entry.event for entry in log[1:]] == batch, True)

    @scenario
    async def test_an_empty_append_is_an_error(self, store: Store) -> None:
        """An append without events is a ValueError and changes nothing."""
        thread = a_thread()
        lease = await start(store, thread, "r")
        await expect_error(ValueError, lambda: store.append([], writer=lease, at=2))
        end = End(RunStatus.FINISHED)
        await expect_error(ValueError, lambda: store.append([], writer=lease, at=2, end=end))
        expect(there(await store.run(lease.run)).status, RunStatus.RUNNING)

    @scenario
    async def test_an_old_fence_is_refused(self, store: Store) -> None:
        """Who lost the lease can neither append, nor end, nor renew; the successor can."""
        thread = a_thread()
        old = await start(store, thread, "r", expires_at=10)
        new = await store.adopt(old.run, "node-2", FAR, 10)
        if new is None:
            raise AssertionError("an orphan could not be adopted")
        expect(new.fence > old.fence, True)
        expect((new.run, new.thread, new.holder), (old.run, thread, "node-2"))
        end = End(RunStatus.FINISHED)
        await expect_error(LeaseLost, lambda: store.append([event("x")], writer=old, at=11))
        await expect_error(
            LeaseLost, lambda: store.append([event("x")], writer=old, at=11, end=end)
        )
        expect(await store.renew([old, new], FAR), {old.run})
        await store.append([event("y")], writer=new, at=11)
        expect([e.event for e in await entries(store, thread)], [event("started"), event("y")])

    @scenario
    async def test_an_ended_run_is_refused(self, store: Store) -> None:
        """After its end a run takes no append and has no lease."""
        thread = a_thread()
        lease = await start(store, thread, "r")
        end = End(RunStatus.FAILED)
        await store.append([event("end")], writer=lease, at=2, end=end)
        await expect_error(LeaseLost, lambda: store.append([event("x")], writer=lease, at=3))
        await expect_error(
            LeaseLost, lambda: store.append([event("x")], writer=lease, at=3, end=end)
        )
        expect(await store.renew([lease], FAR), {lease.run})
        expect(len(await entries(store, thread)), 2)

    @scenario
    async def test_a_deleted_thread_is_refused(self, store: Store) -> None:
        """A lease is lost with its thread, also when thread and run are made anew."""
        thread = a_thread()
        old = await start(store, thread, "r")
        expect(await store.delete_thread(thread), True)
        await expect_error(LeaseLost, lambda: store.append([event("x")], writer=old, at=2))
        await start(store, thread, "r")
        await expect_error(LeaseLost, lambda: store.append([event("x")], writer=old, at=3))
        expect(len(await entries(store, thread)), 1)

    @scenario
    async def test_a_refusal_does_not_disturb_its_neighbours(self, store: Store) -> None:
        """Of appends made at once, the refused ones fail and the others are all there."""
        thread = a_thread()
        lease = await start(store, thread, "r")
        stale = msgspec.structs.replace(lease, fence=lease.fence + 1)
        calls: list[Awaitable[object]] = []
        for number in range(50):
            calls.append(store.append([event(str(number))], writer=lease, at=2))
            calls.append(store.append([event("no")], writer=stale, at=2))
            calls.append(store.create_run(new_run(thread, f"r{number}"), [event("no")]))
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        expect({type(outcome) for outcome in outcomes[0::3]}, {Position})
        expect({type(outcome) for outcome in outcomes[1::3]}, {LeaseLost})
        expect({type(outcome) for outcome in outcomes[2::3]}, {Refused})
        log = await entries(store, thread)
        dense(log)
        expect([entry.event for entry in log[1:]], [event(str(n)) for n in range(50)])

    @scenario
    async def test_the_end_is_one_with_its_events(self, store: Store) -> None:
        """The last events, the status, the position of the end and the questions come together."""
        thread = a_thread()
        lease = await start(store, thread, "r")
        end = End(RunStatus.AWAITING, [question(lease, "q1"), question(lease, "q2")])
        last = await store.append([event("x"), event("end")], writer=lease, at=5, end=end)
        run = there(await store.run(lease.run))
        expect((run.status, run.ended), (RunStatus.AWAITING, last))
        expect(await store.last_run(thread), run)
        expect((await entries(store, thread))[-1].position, last)
        expect(list(await store.interrupts(thread, lease.run.id)), list(end.interrupts))
        expect(there(await store.thread(thread)).updated_at, 5)

    @scenario
    async def test_an_illegal_end_changes_nothing(self, store: Store) -> None:
        """A status that the table of moves does not allow is IllegalMove; the run goes on."""
        thread = a_thread()
        lease = await start(store, thread, "r")
        end = End(RunStatus.RUNNING, [question(lease, "q")])
        await expect_error(
            IllegalMove, lambda: store.append([event("x")], writer=lease, at=2, end=end)
        )
        expect(len(await entries(store, thread)), 1)
        expect(await store.interrupt(thread, "q"), None)
        position = await store.append([event("y")], writer=lease, at=3)
        expect(position.offset, 2)

    @scenario
    async def test_a_store_answers_and_closes_twice(self, store: Store) -> None:
        """`probe` returns, and a second `close` is nothing."""
        await store.probe()
        await store.close()
        await store.close()
