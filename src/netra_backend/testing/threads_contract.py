"""The contract of `core.ports.Threads` as tests."""

import asyncio

from netra_backend.core.ids import ThreadId, ThreadKey
from netra_backend.core.pages import READ_BYTES
from netra_backend.core.ports import Answer, End, Store, Thread
from netra_backend.core.positions import Position
from netra_backend.core.run import RunStatus
from netra_backend.testing.scenario import (
    Contract,
    a_thread,
    ask,
    decide,
    entries,
    event,
    expect,
    expect_error,
    scenario,
    start,
    there,
)


class ThreadsContract(Contract):
    """Threads, their order and their deletion."""

    @scenario
    async def test_a_thread_is_opened_once(self, store: Store) -> None:
        """The first call sets title and time; the others, also at once, find it."""
        key = a_thread()
        expect(await store.thread(key), None)
        opened = await asyncio.gather(*(store.open_thread(key, f"title {n}", n) for n in range(9)))
        expect(len(set(opened)), 1)
        thread = opened[0]
        expect((thread.key, thread.head.offset), (key, 0))
        expect(thread.title, f"title {thread.created_at}")
        expect(thread.updated_at, thread.created_at)
        expect(await store.thread(key), thread)
        expect(await store.rename_thread(key, "ünïcode\0🙂"), True)
        expect(there(await store.thread(key)).title, "ünïcode\0🙂")
        expect(await store.rename_thread(a_thread(), "x"), False)

    @scenario
    async def test_a_title_that_cannot_be_written_is_refused(self, store: Store) -> None:
        """Half of a surrogate pair; and the list of threads is what it was."""
        key = a_thread()
        for _ in range(2):  # where there is none, and where there is one
            before = list(await store.threads(key.owner, 9))
            await expect_error(ValueError, lambda: store.open_thread(key, "a \ud800", 1))
            await expect_error(ValueError, lambda: store.rename_thread(key, "a \ud800"))
            expect(list(await store.threads(key.owner, 9)), before)
            await store.open_thread(key, "a title", 1)

    @scenario
    async def test_threads_are_paged_newest_first(self, store: Store) -> None:
        """Pages of every size show each thread once, also where `updated_at` is the same."""
        owner = a_thread().owner
        await start(store, a_thread(), "foreign")
        for number in range(23):
            await store.open_thread(ThreadKey(owner, ThreadId(f"t{number}")), "", number // 5)
        everything = [thread.key.id for thread in await store.threads(owner, 100)]
        order = sorted(((n // 5, f"t{n}") for n in range(23)), reverse=True)
        expect(everything, [name for _, name in order])
        for size in (1, 4, 5, 22):
            seen: list[str] = []
            before: tuple[int, ThreadKey] | None = None
            while len(seen) <= 23 and (page := await store.threads(owner, size, before)):
                expect(len(page) <= size, True)
                seen += [thread.key.id for thread in page]
                before = (page[-1].updated_at, page[-1].key)
            expect(seen, everything)
        expect(list(await store.threads(owner, 0)), [])
        await expect_error(ValueError, lambda: store.threads(owner, -1))

    @scenario
    async def test_threads_with_long_titles_come_in_pages(self, store: Store) -> None:
        """However long titles are, an answer is bounded, and ends with what makes it long."""
        owner = a_thread().owner
        sizes = [10] * 5 + [3 * READ_BYTES] + [READ_BYTES // 4] * 9
        for n, size in enumerate(sizes):
            key = ThreadKey(owner, ThreadId(f"t{n}"))
            await store.open_thread(key, "ä" * (size // 2), 100 - n)
        got: list[Thread] = []
        before: tuple[int, ThreadKey] | None = None
        while page := await store.threads(owner, 100, before):
            *others, last = (len(thread.title.encode()) for thread in page)
            got += page
            before = (page[-1].updated_at, page[-1].key)
            expect(sum(others) < READ_BYTES, True)
            expect(sum(others) + last >= READ_BYTES or len(got) == len(sizes), True)
        expect([len(thread.title.encode()) for thread in got], sizes)

    @scenario
    async def test_a_run_brings_its_thread_to_the_front(self, store: Store) -> None:
        """`updated_at` follows the beginning and the end of runs, in lists as in `thread`."""
        owner = a_thread().owner
        keys = [ThreadKey(owner, ThreadId(name)) for name in ("a", "b")]
        for key in keys:
            await store.open_thread(key, "", 1)
        lease = await start(store, keys[0], "r", at=5)
        expect([thread.key for thread in await store.threads(owner, 9)], keys)
        await start(store, keys[1], "r2", at=6)
        expect([thread.key for thread in await store.threads(owner, 9)], keys[::-1])
        end = End(RunStatus.FINISHED)
        await store.append([event("end")], writer=lease, at=7, end=end)
        page = await store.threads(owner, 9)
        expect([thread.key for thread in page], keys)
        expect(list(page), [await store.thread(key) for key in keys])
        expect(page[0].head.offset, 2)

    @scenario
    async def test_a_thread_says_what_is_undecided_in_it(self, store: Store) -> None:
        """Whichever run asked, until it is decided; in lists as in `thread`."""
        lease = await ask(store, "q1", "q2")
        key = lease.thread
        await start(store, ThreadKey(key.owner, ThreadId("quiet")), "quiet", at=9)
        later = await start(store, key, "later", at=10)
        await store.append([event("end")], writer=later, at=11, end=End(RunStatus.FINISHED))
        for undecided in (2, 1, 0):
            thread = await store.thread(key)
            expect(thread and thread.undecided, undecided)
            expect([t.undecided for t in await store.threads(key.owner, 9)], [undecided, 0])
            if undecided:
                await decide(store, key, Answer(f"q{undecided}", "resolved", b"1"), key.owner)

    @scenario
    async def test_delete_removes_everything(self, store: Store) -> None:
        """Entries, runs, interrupts and the thread are gone; a neighbour stays."""
        lease = await ask(store, "q")
        thread = lease.thread
        await decide(store, thread, Answer("q", "resolved", b"1"), "someone")
        neighbour = ThreadKey(thread.owner, ThreadId("neighbour"))
        await start(store, neighbour, "r2")
        expect(await store.delete_thread(ThreadKey(a_thread().owner, thread.id)), False)
        expect(await store.delete_thread(thread), True)
        expect(await store.delete_thread(thread), False)
        expect(await store.thread(thread), None)
        expect(await entries(store, thread), [])
        expect(await store.run(lease.run), None)
        expect(await store.last_run(thread), None)
        expect(await store.interrupt(thread, "q"), None)
        expect(list(await store.undelivered()), [])
        expect([found.key for found in await store.threads(thread.owner, 9)], [neighbour])
        expect(len(await entries(store, neighbour)), 1)
        await start(store, thread, "asks")

    @scenario
    async def test_a_thread_made_anew_has_another_epoch(self, store: Store) -> None:
        """Positions from before a deletion are recognised, also after several."""
        thread = a_thread()
        epochs = set()
        for _ in range(5):
            opened = await store.open_thread(thread, "", 1)
            lease = await start(store, thread, "r")
            position = await store.append([event("x")], writer=lease, at=2)
            expect(position, Position(opened.head.epoch, 2))
            epochs.add(position.epoch)
            await store.delete_thread(thread)
        expect(len(epochs), 5)
