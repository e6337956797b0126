"""The contract of `core.ports.Runs` as tests: interrupts and their one decision."""

import asyncio

from msgspec.structs import replace

from netra_backend.core.ids import RunId, ThreadKey, UserId
from netra_backend.core.pages import READ_BYTES
from netra_backend.core.ports import Answer, Decision, End, Interrupt, Store
from netra_backend.core.roles import Role
from netra_backend.core.run import RunStatus
from netra_backend.errors import ErrorCode, Refused
from netra_backend.testing.scenario import (
    Contract,
    a_thread,
    ask,
    decide,
    event,
    expect,
    expect_error,
    expect_refusal,
    new_run,
    question,
    scenario,
    start,
    there,
)


class InterruptsContract(Contract):
    """Questions that an ended run left."""

    @scenario
    async def test_one_of_200_deciders_wins(self, store: Store) -> None:
        """All learn the same decision, and it is the winner's."""
        thread = (await ask(store, "q")).thread
        outcomes = await asyncio.gather(
            *(
                decide(store, thread, Answer("q", "resolved", b"%d" % n), f"user-{n}")
                for n in range(200)
            )
        )
        wins = [n for n, decision in enumerate(outcomes) if decision and decision.won]
        expect(len(wins), 1)
        decision = there(await store.interrupt(thread, "q"))
        expect({outcome and outcome.interrupt for outcome in outcomes}, {decision})
        expect(decision.decided_by, f"user-{wins[0]}")
        expect((decision.status, decision.answer), ("resolved", b"%d" % wins[0]))

    @scenario
    async def test_nobody_decides_what_is_not_there(self, store: Store) -> None:
        """Unknown and foreign interrupts are None."""
        lease = await ask(store, "q")
        answer = Answer("q", "resolved", b"1")
        foreign = ThreadKey(a_thread().owner, lease.thread.id)
        expect(await decide(store, foreign, answer, "x"), None)
        unknown = Answer("none", "resolved", b"1")
        expect(await decide(store, lease.thread, unknown, "x"), None)
        expect(await store.interrupt(foreign, "q"), None)
        expect(await store.interrupt(lease.thread, "q"), question(lease, "q"))
        expect(list(await store.interrupts(lease.thread, RunId("none"))), [])
        expect(list(await store.interrupts(foreign, lease.run.id)), [])

    @scenario
    async def test_decisions_wait_until_a_run_takes_them_up(self, store: Store) -> None:
        """A decided interrupt is undelivered until a run is created with its answer."""
        lease = await ask(store, "q1", "q2", "q3")
        thread = lease.thread
        expect(list(await store.undelivered()), [])
        one = Answer("q1", "cancelled", b"null")
        decision = there(await decide(store, thread, one, "someone"))
        expect(list(await store.undelivered()), [decision.interrupt])
        two = Answer("q2", "resolved", b'"yes"')
        await store.create_run(new_run(thread, "goes-on", answers=[one, two]), [event("started")])
        expect(list(await store.undelivered()), [])
        first, second, third = await store.interrupts(thread, lease.run.id)
        expect((first.decided_by, first.resumed_by), ("someone", "goes-on"))
        expect((second.decided_by, second.resumed_by), (thread.owner, "goes-on"))
        expect((second.status, second.answer), ("resolved", b'"yes"'))
        expect(third, question(lease, "q3"))
        late = await decide(store, thread, two, "late")
        expect(late, Decision(second, won=False))

    @scenario
    async def test_a_run_that_only_ends_takes_up_what_was_decided(self, store: Store) -> None:
        """It decides nothing, and no answer that does not fit refuses it."""
        lease = await ask(store, "decided", "open", "other", "taken")
        thread = lease.thread

        def given(name: str, payload: bytes = b"1") -> Answer:
            return Answer(name, "resolved", payload)

        for name in ("decided", "other", "taken"):
            await decide(store, thread, given(name), "alice")
        takes = new_run(thread, "takes", answers=[given("taken")])
        taker = there((await store.create_run(takes, [event("started")])).lease)
        await store.append([event("end")], writer=taker, at=2, end=End(RunStatus.FINISHED))
        answers = [
            given("decided"),
            given("open"),
            given("other", b"2"),
            given("taken"),
            given("no"),
        ]
        ends = replace(new_run(thread, "ends", answers=answers), ends=True)
        expect((await store.create_run(ends, [event("started")])).lease is not None, True)
        left = {asked.id: asked for asked in await store.interrupts(thread, lease.run.id)}
        by = {name: asked.resumed_by for name, asked in left.items()}
        expect(by, {"decided": "ends", "open": None, "other": None, "taken": "takes"})
        expect(left["open"], question(lease, "open"))
        expect([asked.id for asked in await store.undelivered()], ["other"])

    @scenario
    async def test_answers_that_do_not_fit_refuse_the_run(self, store: Store) -> None:
        """Another answer than decided, an answer taken up, or no such question: nothing happens."""
        lease = await ask(store, "q1", "q2")
        thread = lease.thread
        decided = Answer("q1", "resolved", b"1")
        await decide(store, thread, decided, "someone")
        two = Answer("q2", "resolved", b"2")

        async def refused(code: ErrorCode, name: str, *answers: Answer) -> None:
            new = new_run(thread, name, answers=answers)
            await expect_refusal(code, lambda: store.create_run(new, [event("no")]))
            expect(await store.run(new.key), None)

        await refused(ErrorCode.ALREADY_DECIDED, "a", two, Answer("q1", "resolved", b"9"))
        await refused(ErrorCode.ALREADY_DECIDED, "b", two, Answer("q1", "cancelled", b"1"))
        await refused(ErrorCode.ALREADY_DECIDED, "c", two, Answer("q2", "resolved", b"3"))
        await refused(ErrorCode.NOT_FOUND, "d", two, Answer("none", "resolved", b"1"))
        expect(await store.interrupt(thread, "q2"), question(lease, "q2"))
        goes_on = new_run(thread, "goes-on", answers=[decided, decided])
        created = await store.create_run(goes_on, [event("started")])
        end = End(RunStatus.FINISHED)
        if created.lease is None:
            raise AssertionError("the run was not created")
        await store.append([event("end")], writer=created.lease, at=9, end=end)
        await refused(ErrorCode.ALREADY_DECIDED, "e", decided)
        await refused(ErrorCode.ALREADY_DECIDED, "f", two, decided)

    @scenario
    async def test_who_comes_too_late_with_a_run_learns_who_decided_and_what(
        self, store: Store
    ) -> None:
        """But not who may not answer in the thread."""
        thread = (await ask(store, "q1")).thread
        await decide(store, thread, Answer("q1", "resolved", b'"Oslo"'), "someone")
        answers = [Answer("q1", "resolved", b'"Bergen"')]
        late = new_run(thread, "late", answers=answers)
        error = await expect_error(Refused, lambda: store.create_run(late, [event("no")]))
        expect(error.message, "someone decided 'q1' before: resolved, \"Oslo\"")
        mallory = new_run(thread, "foreign", user=UserId("mallory"), answers=answers)
        foreign = replace(mallory, needs=Role.WRITE)
        await expect_refusal(ErrorCode.FORBIDDEN, lambda: store.create_run(foreign, [event("no")]))

    @scenario
    async def test_what_was_asked_in_a_thread(self, store: Store) -> None:
        """The newest interrupts of the thread in the order of asking, decided or not."""
        first = await ask(store, "q1", "q2")
        thread = first.thread
        await decide(store, thread, Answer("q1", "resolved", b"1"), "someone")
        second = await start(store, thread, "asks-more")
        end = End(RunStatus.AWAITING, [question(second, "q3")])
        await store.append([event("end")], writer=second, at=9, end=end)
        expect([asked.id for asked in await store.asked(thread, 9)], ["q1", "q2", "q3"])
        expect([asked.id for asked in await store.asked(thread, 2)], ["q2", "q3"])
        expect(list(await store.asked(thread, 0)), [])
        foreign = ThreadKey(a_thread().owner, thread.id)
        expect(list(await store.asked(foreign, 9)), [])
        await expect_error(ValueError, lambda: store.asked(thread, -1))
        expect([asked.id for asked in await store.asked(thread, 9, "q3")], ["q1", "q2"])
        expect([asked.id for asked in await store.asked(thread, 1, "q3")], ["q2"])
        expect(list(await store.asked(thread, 9, "q1")), [])
        expect(list(await store.asked(thread, 9, "none")), [])

    @scenario
    async def test_what_was_asked_and_is_long_comes_in_pages(self, store: Store) -> None:
        """However large questions are, an answer is bounded, and begins with what makes it long."""
        lease = await start(store, a_thread(), "asks")
        sizes = [10] * 5 + [3 * READ_BYTES] + [READ_BYTES // 4] * 9
        left = [
            replace(question(lease, f"q{n}"), question=b'"%s"' % (b"x" * size))
            for n, size in enumerate(sizes)
        ]
        end = End(RunStatus.AWAITING, left)
        await store.append([event("end")], writer=lease, at=9, end=end)
        got: list[Interrupt] = []
        while page := await store.asked(lease.thread, 100, got[0].id if got else None):
            first, *others = (len(asked.question) for asked in page)
            got = [*page, *got]
            expect(sum(others) < READ_BYTES, True)
            expect(first + sum(others) >= READ_BYTES or len(got) == len(left), True)
        expect(got, left)

    @scenario
    async def test_a_question_can_be_asked_anew(self, store: Store) -> None:
        """An interrupt with an id that the thread has replaces the old one."""
        lease = await ask(store, "q")
        await decide(store, lease.thread, Answer("q", "resolved", b"1"), "someone")
        again = await start(store, lease.thread, "asks-again")
        end = End(RunStatus.AWAITING, [question(again, "q")])
        await store.append([event("end")], writer=again, at=9, end=end)
        expect(await store.interrupt(lease.thread, "q"), question(again, "q"))
        expect(list(await store.interrupts(lease.thread, lease.run.id)), [])
        expect(list(await store.undelivered()), [])
