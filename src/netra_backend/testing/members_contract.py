"""The contract of `core.ports.Members` as tests, and of what members do in a thread."""

import asyncio

import msgspec

from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId
from netra_backend.core.ports import Answer, Created, End, Member, Store, Thread
from netra_backend.core.queue import QueuedRun
from netra_backend.core.roles import Role
from netra_backend.core.run import RunStatus
from netra_backend.errors import ErrorCode, Refused
from netra_backend.testing.scenario import (
    FAR,
    Contract,
    a_thread,
    ask,
    entries,
    event,
    expect,
    expect_refusal,
    new_run,
    question,
    scenario,
    start,
)

BOB, CAROL = UserId("bob"), UserId("carol")


class MembersContract(Contract):
    """Threads that are shared."""

    @scenario
    async def test_members_have_a_role_until_they_are_removed(self, store: Store) -> None:
        """A second call changes the role; another thread of the same name has other members."""
        thread, beside = a_thread(), a_thread()
        for key in (thread, beside):
            await store.open_thread(key, "", 1)
        expect(await store.role(thread, BOB), None)
        expect(await store.set_member(thread, CAROL, Role.READ, 9), True)
        expect(await store.set_member(thread, BOB, Role.READ, 9), True)
        expect(await store.set_member(thread, BOB, Role.DECIDE, 9), True)
        expect(await store.role(thread, BOB), Role.DECIDE)
        expect(await store.role(beside, BOB), None)
        expect(await store.role(thread, thread.owner), None)
        want = [Member(BOB, Role.DECIDE), Member(CAROL, Role.READ)]
        expect(list(await store.members(thread)), want)
        expect(list(await store.members(beside)), [])
        expect(await store.remove_member(beside, BOB), False)
        expect(await store.remove_member(thread, BOB), True)
        expect(await store.remove_member(thread, BOB), False)
        expect(await store.role(thread, BOB), None)
        expect(list(await store.members(thread)), want[1:])

    @scenario
    async def test_nobody_is_a_member_of_no_thread(self, store: Store) -> None:
        """An unknown thread takes no members, and one made anew has not those of its past."""
        thread = a_thread()
        expect(await store.set_member(thread, BOB, Role.READ, 9), False)
        expect(await store.remove_member(thread, BOB), False)
        expect(list(await store.members(thread)), [])
        await store.open_thread(thread, "", 1)
        await store.set_member(thread, BOB, Role.READ, 9)
        await store.delete_thread(thread)
        expect(await store.role(thread, BOB), None)
        await store.open_thread(thread, "", 2)
        expect(await store.role(thread, BOB), None)
        expect(list(await store.threads(BOB, 9)), [])

    @scenario
    async def test_a_thread_has_so_many_members_at_most(self, store: Store) -> None:
        """One more is refused; who is a member can still be given another role."""
        thread = a_thread()
        await store.open_thread(thread, "", 1)
        await store.set_member(thread, BOB, Role.READ, 1)
        await expect_refusal(
            ErrorCode.TOO_MANY, lambda: store.set_member(thread, CAROL, Role.READ, 1)
        )
        expect(await store.set_member(thread, BOB, Role.WRITE, 1), True)
        expect(list(await store.members(thread)), [Member(BOB, Role.WRITE)])

    @scenario
    async def test_shared_threads_are_listed_among_the_own(self, store: Store) -> None:
        """Pages of every size show each once, also threads of one name and one time."""
        reader = a_thread().owner
        mine = [ThreadKey(reader, ThreadId(name)) for name in ("a", "b", "c")]
        shared = [
            ThreadKey(a_thread().owner, ThreadId(name))
            for name in ("a", "b", "b", "z")
            for _ in "xy"
        ]
        for number, key in enumerate((*mine, *shared)):
            await store.open_thread(key, "", 1 + number % 2)
        for key in shared[1:]:
            await store.set_member(key, reader, Role.READ, 9)
        await store.set_member(mine[0], BOB, Role.READ, 9)
        listed = list(await store.threads(reader, 99))
        expect({thread.key for thread in listed}, {*mine, *shared[1:]})
        order = [(t.updated_at, t.key.id, t.key.owner) for t in listed]
        expect(order, sorted(order, reverse=True))
        expect(listed, [await store.thread(thread.key) for thread in listed])
        for size in (1, 2, 3, 9):
            seen: list[Thread] = []
            while page := await store.threads(
                reader, size, (seen[-1].updated_at, seen[-1].key) if seen else None
            ):
                seen += page
            expect(seen, listed)

    @scenario
    async def test_a_run_belongs_to_who_started_it(self, store: Store) -> None:
        """In its thread its name is unique: who starts it a second time finds it."""
        thread, own = a_thread(), ThreadKey(BOB, a_thread().id)
        await store.open_thread(thread, "", 1)
        await store.open_thread(own, "", 1)
        made = await store.create_run(new_run(thread, "r", user=BOB), [event("started")])
        run = made.run
        expect((run.key, run.thread), (RunKey(BOB, RunId("r")), thread))
        expect(await store.run(run.key), run)
        expect(await store.run(RunKey(thread.owner, run.key.id)), None)
        for key in (thread, own):
            expect(await store.run_in(key, run.key.id), run if key == thread else None)
        expect(await store.last_run(thread), run)
        again = await store.create_run(new_run(thread, "r"), [event("no")])
        expect(again, Created(run, None))
        await expect_refusal(
            ErrorCode.RUN_CONFLICT,
            lambda: store.create_run(new_run(own, "r"), [event("no")]),
        )
        await start(store, ThreadKey(thread.owner, ThreadId("t2")), "r")
        expect(len(await entries(store, thread)), 1)
        expect({entry.run for entry in await entries(store, thread)}, {"r"})
        await store.delete_thread(thread)
        expect(await store.run(run.key), None)

    @scenario
    async def test_a_run_of_a_member_is_ended_by_who_adopts_it(self, store: Store) -> None:
        """Its lease is on the thread of the owner."""
        thread = a_thread()
        await start(store, thread, "r", user=BOB, expires_at=10)
        (orphan,) = [run for run in await store.orphans(10) if run.thread == thread]
        lease = await store.adopt(orphan.key, "node-2", FAR, 10)
        if lease is None:
            raise AssertionError("an orphan could not be adopted")
        expect((lease.run, lease.thread), (orphan.key, thread))
        await store.append([event("end")], writer=lease, at=11, end=End(RunStatus.INTERRUPTED))
        expect(len(await entries(store, thread)), 2)

    @scenario
    async def test_a_question_says_whose_run_asked(self, store: Store) -> None:
        """Whoever starts the run that takes the answer up has decided, if nobody had."""
        thread = a_thread()
        lease = await start(store, thread, "asks", user=BOB)
        asked = question(lease, "q")
        end = End(RunStatus.AWAITING, [asked])
        await store.append([event("end")], writer=lease, at=2, end=end)
        expect(asked.user, BOB)
        expect(await store.interrupt(thread, "q"), asked)
        expect(list(await store.interrupts(thread, lease.run.id)), [asked])
        answers = [Answer("q", "resolved", b"1")]
        new = new_run(thread, "goes-on", user=CAROL, answers=answers)
        await store.create_run(new, [event("started")])
        decided = await store.interrupt(thread, "q")
        want = msgspec.structs.replace(
            asked, decided_by=CAROL, status="resolved", answer=b"1", resumed_by=RunId("goes-on")
        )
        expect(decided, want)

    @scenario
    async def test_a_run_of_a_member_waits(self, store: Store) -> None:
        """It is listed in the owner's thread; one of this name by somebody else is the same."""
        thread = a_thread()
        await store.open_thread(thread, "", 1)
        waits = QueuedRun(RunKey(BOB, RunId("r")), thread, "agent", b"{}", 7)
        expect(await store.enqueue(waits, 9), waits)
        same = msgspec.structs.replace(waits, key=RunKey(thread.owner, RunId("r")))
        expect(await store.enqueue(same, 9), waits)
        expect(list(await store.queued(thread)), [waits])
        expect(await store.queued_run(waits.key), waits)
        expect(await store.queued_run(same.key), None)
        await store.create_run(new_run(thread, "r"), [event("started")])
        expect(list(await store.queued(thread)), [])
        await expect_refusal(ErrorCode.RUN_CONFLICT, lambda: store.enqueue(waits, 9))

    @scenario
    async def test_a_run_needs_its_role_when_it_is_created(self, store: Store) -> None:
        """Not when it was asked for: the role may be another by then."""
        thread = a_thread()
        await store.open_thread(thread, "", 1)
        new = msgspec.structs.replace(new_run(thread, "r", user=BOB), needs=Role.WRITE)
        for role in (None, Role.READ):
            if role is not None:
                await store.set_member(thread, BOB, role, 9)
            await expect_refusal(
                ErrorCode.FORBIDDEN, lambda: store.create_run(new, [event("started")])
            )
        expect(await store.run(new.key), None)
        await store.set_member(thread, BOB, Role.WRITE, 9)
        expect((await store.create_run(new, [event("started")])).lease is not None, True)

    @scenario
    async def test_a_decision_needs_its_role_when_it_is_made(self, store: Store) -> None:
        """Not when it was asked for: one that was withdrawn since loses, and nothing is decided."""
        lease = await ask(store, "q")
        thread, answer = lease.thread, Answer("q", "resolved", b"1")
        for role in (None, Role.READ, Role.WRITE):
            if role is not None:
                await store.set_member(thread, BOB, role, 9)
            await expect_refusal(
                ErrorCode.FORBIDDEN, lambda: store.decide(thread, answer, BOB, Role.DECIDE)
            )
        await store.set_member(thread, BOB, Role.DECIDE, 9)
        withdrawn = store.set_member(thread, BOB, Role.WRITE, 9)
        decided = store.decide(thread, answer, BOB, Role.DECIDE)
        outcomes = await asyncio.gather(withdrawn, decided, return_exceptions=True)
        expect([type(outcome) for outcome in outcomes], [bool, Refused])
        expect(await store.interrupt(thread, "q"), question(lease, "q"))
        await store.remove_member(thread, BOB)
        won = await store.decide(thread, answer, thread.owner, Role.DECIDE)
        expect(won.won if won else None, True)
        await expect_refusal(  # nor does one learn without it who has decided what
            ErrorCode.FORBIDDEN, lambda: store.decide(thread, answer, BOB, Role.DECIDE)
        )

    @scenario
    async def test_a_run_that_decides_needs_the_role_for_that(self, store: Store) -> None:
        """To go on with what somebody has decided does not."""
        lease = await ask(store, "q1", "q2")
        thread, answers = lease.thread, [Answer(name, "resolved", b"1") for name in ("q1", "q2")]
        await store.decide(thread, answers[0], thread.owner, Role.DECIDE)
        await store.set_member(thread, BOB, Role.WRITE, 9)
        new = msgspec.structs.replace(
            new_run(thread, "r", user=BOB, answers=answers), needs=Role.WRITE
        )
        await expect_refusal(ErrorCode.FORBIDDEN, lambda: store.create_run(new, [event("no")]))
        expect(await store.run(new.key), None)
        await store.set_member(thread, BOB, Role.DECIDE, 9)
        of_owners = msgspec.structs.replace(new, needs=Role.OWNER)  # a higher one stays needed
        await expect_refusal(
            ErrorCode.FORBIDDEN, lambda: store.create_run(of_owners, [event("no")])
        )
        await store.set_member(thread, BOB, Role.WRITE, 9)
        expect(await store.interrupt(thread, "q2"), question(lease, "q2"))
        await store.decide(thread, answers[1], thread.owner, Role.DECIDE)
        expect((await store.create_run(new, [event("started")])).lease is not None, True)
