"""The law about all calls finds stores that are a little wrong."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pytest

from netra_backend.core.events import Entry
from netra_backend.core.ids import RunId, RunKey, ThreadKey, UserId
from netra_backend.core.ports import Answer, Created, Decision, Interrupt, NewRun, Store
from netra_backend.core.roles import Role
from netra_backend.core.run import Lease, Run
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.reference_contract import CALLS, STORIES, tell_story
from tests.night import NIGHTLY

pytestmark = pytest.mark.anyio


ENOUGH = 20
"""Stories of which one finds any of these faults."""


class BeginsWhatWaitsElsewhere(MemoryStore):
    async def create_run(self, new: NewRun, events: Sequence[Any]) -> Created:
        queued = self._queue.get(new.key)
        if queued is None or queued.thread == new.thread:
            return await super().create_run(new, events)
        del self._queue[new.key]
        try:
            return await super().create_run(new, events)
        finally:
            self._queue[new.key] = queued


class AsksForNoRole(MemoryStore):
    async def decide(
        self, thread: ThreadKey, answer: Answer, by: UserId, needs: Role
    ) -> Decision | None:
        return await super().decide(thread, answer, thread.owner, needs)


class ForgetsLeases(MemoryStore):
    async def renew(self, leases: Sequence[Lease], expires_at: int) -> frozenset[RunKey]:
        return frozenset(lease.run for lease in leases)


class ReadsOnceMore(MemoryStore):
    async def read(self, thread: ThreadKey, after: int, limit: int) -> Sequence[Entry]:
        return await super().read(thread, max(after - 1, 0) if after > 0 else after, limit)


class KnowsNoCase(MemoryStore):
    async def run_in(self, thread: ThreadKey, id: RunId) -> Run | None:
        return await super().run_in(thread, RunId(id.lower()))


class AnswersBackwards(MemoryStore):
    async def asked(
        self, thread: ThreadKey, limit: int, before: str | None = None
    ) -> Sequence[Interrupt]:
        return (await super().asked(thread, limit, before))[::-1]


async def stories(store: Store, seeds: Iterable[int]) -> None:
    for seed in seeds:
        await tell_story(store, seed, CALLS)


@pytest.mark.parametrize(
    "wrong",
    [
        BeginsWhatWaitsElsewhere,
        AsksForNoRole,
        ForgetsLeases,
        ReadsOnceMore,
        KnowsNoCase,
        AnswersBackwards,
    ],
)
async def test_a_wrong_store_is_found(wrong: type[MemoryStore]) -> None:
    with pytest.raises(AssertionError, match=r"^got .*, want .*, after\n"):
        await stories(wrong(), range(ENOUGH))


async def test_many_stories_of_one_database(tmp_path: Path) -> None:
    """At night as many as find what happens rarely; all of them in one file."""
    store = SqliteStore(tmp_path)
    await store.open()
    await stories(store, range(STORIES, 300 if NIGHTLY else STORIES + 1))
    await store.close()
