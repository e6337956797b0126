"""The contract of `core.ports.Log.backlog` as tests."""

import asyncio

from msgspec.structs import replace

from netra_backend.core.frames import RunState
from netra_backend.core.ids import ThreadKey, UserId
from netra_backend.core.ports import End, Store
from netra_backend.core.positions import Position
from netra_backend.core.resume import Backlog
from netra_backend.core.roles import Role
from netra_backend.core.run import RunStatus
from netra_backend.testing.scenario import (
    FAR,
    Contract,
    a_thread,
    entries,
    event,
    expect,
    expect_error,
    new_run,
    scenario,
    start,
    there,
)

BOB = UserId("bob")


class BacklogContract(Contract):
    """What a user needs to go on in a thread."""

    @scenario
    async def test_a_backlog_is_what_came_after_the_position(self, store: Store) -> None:
        """With the head and the newest run; at most so many entries, and none is a gap."""
        thread = a_thread()
        opened = await store.open_thread(thread, "", 1)
        empty = Backlog(Role.OWNER, opened.head, None, ())
        expect(await _backlog(store, thread, None, 9), empty)
        lease = await start(store, thread, "r")
        head = await store.append([event(str(n)) for n in range(2, 11)], writer=lease, at=2)
        log = await entries(store, thread)
        run = RunState("r", RunStatus.RUNNING)
        for after, limit, want in (
            (None, 3, log[:3]),
            (0, 99, log),
            (8, 5, log[8:]),
            (8, 1, log[8:9]),
            (10, 5, []),
            (3, 0, []),
            (2**63 - 1, 5, []),
        ):
            position = Position(head.epoch, after) if after is not None else None
            got = await _backlog(store, thread, position, limit)
            expect(got, Backlog(Role.OWNER, head, run, tuple(want)))
        await expect_error(ValueError, lambda: store.backlog(thread, thread.owner, None, -1))

    @scenario
    async def test_a_backlog_of_another_history_has_no_entries(self, store: Store) -> None:
        """But it says where this one ends; a thread that was deleted has none at all."""
        thread = a_thread()
        lease = await start(store, thread, "old")
        old = await store.append([event("x")], writer=lease, at=2)
        await store.delete_thread(thread)
        expect(await _backlog(store, thread, old, 9), None)
        await start(store, thread, "new")
        head = there(await store.thread(thread)).head
        run = RunState("new", RunStatus.RUNNING)
        for after in (old, Position(old.epoch, 0)):
            got = await _backlog(store, thread, after, 9)
            expect(got, Backlog(Role.OWNER, head, run, ()))

    @scenario
    async def test_a_backlog_is_for_those_who_have_a_role(self, store: Store) -> None:
        """The role as it is now; without one there is nothing, as for an unknown thread."""
        thread, beside = a_thread(), a_thread()
        await start(store, thread, "r")
        await start(store, beside, "r")
        await store.set_member(beside, BOB, Role.DECIDE, 9)
        expect(await store.backlog(thread, BOB, None, 9), None)
        expect(await store.backlog(a_thread(), BOB, None, 9), None)
        for role in (Role.READ, Role.WRITE):
            await store.set_member(thread, BOB, role, 9)
            got = await store.backlog(thread, BOB, None, 9)
            expect(got.role if got else None, role)
            expect(list(got.entries) if got else None, await entries(store, thread))
        await store.remove_member(thread, BOB)
        expect(await store.backlog(thread, BOB, None, 9), None)

    @scenario
    async def test_a_backlog_is_of_one_moment(self, store: Store) -> None:
        """While runs begin and end: the last entry is at the head, and says what the run does."""
        thread = a_thread()
        await start(store, thread, "r", expires_at=1)
        writing = asyncio.ensure_future(_run_often(store, thread))
        seen = set[RunState | None]()
        while not writing.done():
            got = await store.backlog(thread, thread.owner, None, 1_000)
            if got is None:
                raise AssertionError("its owner has a role in it")
            expect(got.entries[-1].position, got.head)
            ended = got.entries[-1].event == event("end")
            expect(got.run.status if got.run else None, "finished" if ended else "running")
            expect(got.run.id if got.run else None, got.entries[-1].run)
            seen.add(got.run)
            await asyncio.sleep(0)
        await writing
        expect(len(seen) > 1, True)


async def _run_often(store: Store, thread: ThreadKey) -> None:
    """End the thread's run "r", and have twenty others in it."""
    end, run = End(RunStatus.FINISHED), await store.last_run(thread)
    lease = await store.adopt(run.key, "node-2", FAR, FAR) if run is not None else None
    for number in range(20):
        if lease is None:
            raise AssertionError("there was no lease")
        await store.append([event("more")], writer=lease, at=2)
        await store.append([event("more"), event("end")], writer=lease, at=2, end=end)
        await asyncio.sleep(0)
        lease = (await store.create_run(new_run(thread, f"r{number}"), [event("started")])).lease


async def _backlog(
    store: Store, thread: ThreadKey, after: Position | None, limit: int
) -> Backlog | None:
    """Return the backlog of the owner, with its entries as a tuple."""
    got = await store.backlog(thread, thread.owner, after, limit)
    return replace(got, entries=tuple(got.entries)) if got is not None else None
