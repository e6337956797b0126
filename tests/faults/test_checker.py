"""The checker finds what it is for: seeded bugs behind a real server, and nothing without them."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from netra_backend.core.events import Entry, Event
from netra_backend.core.ids import ThreadKey, UserId
from netra_backend.core.ports import Created, End, NewRun
from netra_backend.core.positions import Position
from netra_backend.core.resume import Backlog
from netra_backend.core.run import Lease
from netra_backend.errors import StoreFailed
from netra_backend.server import follower
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer
from tests.checker import Fault, Verdict, judge
from tests.live import Live, live
from tests.person import Person, read_logs

pytestmark = pytest.mark.anyio

ALICE = ("alice", "t")


class DyingStore(SqliteStore):
    """Writes nothing any more once it has crashed, as if its process were dead."""

    crashed = False

    def append(
        self, events: Sequence[Event], *, writer: Lease, at: int, end: End | None = None
    ) -> Any:
        if self.crashed:
            raise StoreFailed("crashed")
        return super().append(events, writer=writer, at=at, end=end)


class EarlyStore(DyingStore):
    """Seeded bug: appends are acknowledged and read from memory, and written at the run's end."""

    _unwritten: Sequence[Entry] = ()

    async def create_run(self, new: NewRun, events: Sequence[Event]) -> Created:
        created = await super().create_run(new, events)
        self._head = created.run.started
        return created

    async def append(
        self, events: Sequence[Event], *, writer: Lease, at: int, end: End | None = None
    ) -> Position:
        if end is not None:
            due = [entry.event for entry in self._unwritten]
            return await super().append([*due, *events], writer=writer, at=at, end=end)
        for event in events:
            self._head = Position(self._head.epoch, self._head.offset + 1)
            self._unwritten = [*self._unwritten, Entry(self._head, writer.run.id, at, event)]
        return self._head

    async def backlog(
        self, thread: ThreadKey, user: UserId, after: Position | None, limit: int
    ) -> Backlog | None:
        found = await super().backlog(thread, user, after, limit)
        if found is None or not self._unwritten:
            return found
        entries = await self.read(thread, after.offset if after is not None else 0, limit)
        return structs.replace(found, head=self._head, entries=entries)

    async def read(self, thread: ThreadKey, after: int, limit: int) -> Sequence[Entry]:
        written = await super().read(thread, after, limit)
        return [*written, *(e for e in self._unwritten if e.position.offset > after + len(written))]


@pytest.mark.parametrize(
    ("store", "faults"), [(DyingStore, set()), (EarlyStore, {Fault.MISSING, Fault.UNEXPECTED})]
)
async def test_acknowledged_before_it_is_committed(
    tmp_path: Path, store: Callable[[Path], DyingStore], faults: set[Fault]
) -> None:
    gate = Gate()
    agent = ScriptedAgent(answer("one ", "two ", gate, "three"))
    dying = store(tmp_path)
    async with followed_run(agent, tmp_path, dying) as alice:
        await gate.reached()
        await alice.client.until_frame(lambda f: f["chunk"].get("delta", "").endswith("two "))
        dying.crashed = True
        await alice.drop()
    async with live({"agent": agent}, tmp_path) as server:
        verdict = await resumed(server, alice)
    assert verdict.faults == faults, verdict


@asynccontextmanager
async def followed_run(agent: ScriptedAgent, data_dir: Path, store: Any) -> AsyncIterator[Person]:
    """Run the agent in a thread that a person follows."""
    async with live(
        {"agent": agent}, data_dir, store=store, coalesce_ms=0, grace_seconds=0.1
    ) as server:
        alice = Person(server, "alice")
        await alice.connect()
        await alice.client.run("t", "r1")
        await alice.follow("t")
        yield alice
        await alice.leave()


async def resumed(server: Live, alice: Person) -> Verdict:
    """Go on where the person stopped, until all is there, and judge."""
    alice.server = server
    await alice.connect()
    await alice.settle("t")
    verdict = judge(alice.settled(), await read_logs(server, [ALICE]))
    await alice.leave()
    return verdict


@pytest.mark.parametrize(("dropped", "faults"), [(False, set()), (True, {Fault.MISSING})])
async def test_a_replayed_event_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dropped: bool, faults: set[Fault]
) -> None:
    def merge(entries: Sequence[Entry], **options: Any) -> list[Any]:
        pieces = follower_merge(entries, **options)
        return [piece for piece in pieces if piece.first != 2] if dropped else pieces

    follower_merge = follower.merge
    monkeypatch.setattr(follower, "merge", merge)
    agent = ScriptedAgent(answer("one ", "two ", "three"))
    async with followed_run(agent, tmp_path, MemoryStore()) as alice:
        await alice.client.until("RUN_FINISHED")
        verdict = judge(alice.settled(), await read_logs(alice.server, [ALICE]))
    assert verdict.faults == faults, verdict


class HoleStore(MemoryStore):
    """Seeded bug: a read leaves the second entry out."""

    async def read(self, thread: ThreadKey, after: int, limit: int) -> list[Entry]:
        entries = await super().read(thread, after, limit)
        return [entry for entry in entries if entry.position.offset != 2]


async def test_the_server_itself_refuses_to_deliver_a_log_with_a_hole(tmp_path: Path) -> None:
    agent = ScriptedAgent(answer("one ", "two ", "three"))
    async with followed_run(agent, tmp_path, HoleStore()) as alice:
        assert await alice.client.closed() == 1011
        assert not alice.client.events


class ForgetfulStore(MemoryStore):
    """Seeded bug: after a restart it continues from an older state, in the same epoch."""

    def __init__(self) -> None:
        super().__init__()
        self._saved: dict[str, Any] = {}

    def save(self) -> None:
        """Remember what there is now."""
        threads = {
            key: replace(thread, entries=list(thread.entries), runs=list(thread.runs))
            for key, thread in self._threads.items()
        }
        self._saved = {
            "_threads": threads,
            "_runs": copy(self._runs),
            "_leases": copy(self._leases),
        }

    def forget(self) -> None:
        """Go back to what was saved."""
        vars(self).update(self._saved)


@pytest.mark.parametrize(
    ("forgets", "faults"), [(False, set()), (True, {Fault.MISSING, Fault.UNEXPECTED})]
)
async def test_an_offset_is_used_again_after_a_restart(
    tmp_path: Path, forgets: bool, faults: set[Fault]
) -> None:
    first = ScriptedAgent(answer("one ", "two ", "three ", "four"))
    store = ForgetfulStore()
    async with followed_run(first, tmp_path, store) as alice:
        await alice.settle("t")
        store.save()
        await alice.client.run("t", "r2")
        await alice.settle("t")
    if forgets:
        store.forget()
    second = ScriptedAgent(answer("another ", "answer ", "that ", "is ", "longer ", "than ", "r2"))
    async with live({"agent": second}, tmp_path, store=store, coalesce_ms=0) as server:
        bob = Person(server, "bob")
        await bob.connect()
        await bob.client.run("t", "r3")
        await bob.settle("t")
        await bob.leave()
        verdict = await resumed(server, alice)
    assert verdict.faults == faults, verdict
