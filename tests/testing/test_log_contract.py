"""The contract is seen failing: a store with a seeded bug does not pass."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest
from msgspec.structs import replace

from netra_backend.core.events import Entry, Event
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId
from netra_backend.core.ports import Answer, Created, Decision, End, NewRun, Store, Thread
from netra_backend.core.positions import Position
from netra_backend.core.resume import Backlog
from netra_backend.core.roles import Role
from netra_backend.core.run import Lease, Run
from netra_backend.errors import Refused
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.log_contract import LogContract


class SwallowsARefusedAppend(MemoryStore):
    """An old fence is answered as if the append had been made."""

    def append(
        self, events: Sequence[Event], *, writer: Lease, at: int, end: End | None = None
    ) -> asyncio.Future[Position]:
        held = self._leases.get(writer.run)
        if held is not None:
            writer = replace(writer, fence=held.fence)
        return super().append(events, writer=writer, at=at, end=end)


class AppendsOneByOne(MemoryStore):
    """A batch is torn by whoever else appends."""

    def append(
        self, events: Sequence[Event], *, writer: Lease, at: int, end: End | None = None
    ) -> asyncio.Future[Position]:
        async def one_by_one() -> Position:
            for event in events[:-1]:
                await super(AppendsOneByOne, self).append([event], writer=writer, at=at)
                await asyncio.sleep(0)
            last = events[-1:]
            return await super(AppendsOneByOne, self).append(last, writer=writer, at=at, end=end)

        return asyncio.ensure_future(one_by_one())


class SkipsAnEntry(MemoryStore):
    """A page that does not begin at the start misses its first entry."""

    async def read(self, thread: ThreadKey, after: int, limit: int) -> list[Entry]:
        return await super().read(thread, after + 1 if after else 0, limit)


class LooksTwice(MemoryStore):
    """A backlog has the entries of one moment and the head and run of another."""

    async def backlog(
        self, thread: ThreadKey, user: UserId, after: Position | None, limit: int
    ) -> Backlog | None:
        before = await super().backlog(thread, user, after, limit)
        await asyncio.sleep(0)
        now = await super().backlog(thread, user, after, limit)
        return replace(now, entries=before.entries) if before and now else now


class ShowsWhoeverAsks(MemoryStore):
    """A backlog asks for no role."""

    async def backlog(
        self, thread: ThreadKey, user: UserId, after: Position | None, limit: int
    ) -> Backlog | None:
        return await super().backlog(thread, thread.owner, after, limit)


class ReusesEpochs(MemoryStore):
    """A thread that is made anew looks like its predecessor."""

    async def open_thread(self, key: ThreadKey, title: str, at: int) -> Thread:
        self._epoch = 7
        return await super().open_thread(key, title, at)


class CreatesTwice(MemoryStore):
    """A repeated command gets the lease again."""

    async def create_run(self, new: NewRun, events: Sequence[Event]) -> Created:
        created = await super().create_run(new, events)
        return Created(created.run, self._leases.get(new.key))


class HasTwoWinners(MemoryStore):
    """Who decides the same as the winner wins as well."""

    async def decide(
        self, thread: ThreadKey, answer: Answer, by: UserId, needs: Role
    ) -> Decision | None:
        decision = await super().decide(thread, answer, by, needs)
        return Decision(decision.interrupt, won=True) if decision else None


class ForgetsWhoMayDecide(MemoryStore):
    """The role was looked at when the question was asked."""

    async def decide(
        self, thread: ThreadKey, answer: Answer, by: UserId, needs: Role
    ) -> Decision | None:
        self._check_role = lambda *_: None  # type: ignore[method-assign]
        return await super().decide(thread, answer, by, needs)


class KeepsRunsOfDeletedThreads(MemoryStore):
    """A deleted thread's runs can still be found."""

    async def run(self, key: RunKey) -> Run | None:
        found = await super().run(key)
        self._seen = {**getattr(self, "_seen", {}), **({key: found} if found else {})}
        return self._seen.get(key)

    async def delete_thread(self, key: ThreadKey) -> bool:
        for run in list(self._runs):
            await self.run(run)
        return await super().delete_thread(key)


class RepeatsAThreadOnPages(MemoryStore):
    """The next page begins with threads of the same time, not behind the last one."""

    async def threads(
        self, owner: UserId, limit: int, before: tuple[int, ThreadId] | None = None
    ) -> list[Thread]:
        if before is not None:
            before = (before[0], ThreadId(before[1] + "~"))
        return await super().threads(owner, limit, before)


class TakesUpInPart(MemoryStore):
    """Answers before the one that does not fit are kept."""

    async def create_run(self, new: NewRun, events: Sequence[Event]) -> Created:
        try:
            return await super().create_run(new, events)
        except Refused:
            for answer in new.answers:
                await self.decide(new.thread, answer, new.key.owner, Role.READ)
            raise


class LetsTheDeadRenew(MemoryStore):
    """A lease that was lost is renewed."""

    async def renew(self, leases: Sequence[Lease], expires_at: int) -> frozenset[RunKey]:
        await super().renew(leases, expires_at)
        return frozenset()


class ForgetsTheQuestions(MemoryStore):
    """A run ends without its interrupts."""

    async def interrupts(self, thread: ThreadKey, run: RunId) -> list[object]:  # type: ignore[override]
        return []


BROKEN: list[type[MemoryStore]] = [
    SwallowsARefusedAppend,
    AppendsOneByOne,
    SkipsAnEntry,
    LooksTwice,
    ShowsWhoeverAsks,
    ReusesEpochs,
    CreatesTwice,
    HasTwoWinners,
    ForgetsWhoMayDecide,
    KeepsRunsOfDeletedThreads,
    RepeatsAThreadOnPages,
    TakesUpInPart,
    LetsTheDeadRenew,
    ForgetsTheQuestions,
]


def failures(kind: type[MemoryStore], tmp_path: Path) -> list[str]:
    """Return the names of the tests that a store of this kind does not pass."""

    class Contract(LogContract):
        def make_store(self, directory: Path) -> Store:
            return kind()

    failed = []
    for name in (name for name in dir(Contract) if name.startswith("test_")):
        try:
            getattr(Contract(), name)(tmp_path)
        except Exception as error:  # noqa: BLE001 - whatever it is, the test did not pass
            failed.append(f"{name}: {error!r}")
    return failed


def test_the_reference_passes(tmp_path: Path) -> None:
    assert failures(MemoryStore, tmp_path) == []


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_store_fails(kind: type[MemoryStore], tmp_path: Path) -> None:
    assert failures(kind, tmp_path) != []
