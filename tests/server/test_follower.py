"""A follower: every entry once and in order, from the log or live, whatever its lane does."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from netra_backend.agents.executions import Executions
from netra_backend.core.events import Entry, event_from_json
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, ThreadName, UserId
from netra_backend.core.ports import NewRun
from netra_backend.core.positions import Position
from netra_backend.core.resume import Backlog, pieces
from netra_backend.core.run import Lease
from netra_backend.errors import CloseCode, StoreFailed
from netra_backend.server.access import Access
from netra_backend.server.batch import Batch
from netra_backend.server.follower import HELD, FollowerState, Gone, ThreadFollower
from netra_backend.server.lane_port import LaneClosed
from netra_backend.server.metrics import BEHIND, LEAKS
from netra_backend.stores.memory import MemoryStore
from tests.client import BOUND

pytestmark = pytest.mark.anyio

ALICE = UserId("alice")
KEY = ThreadKey(ALICE, ThreadId("t"))
RUN = RunKey(ALICE, RunId("r"))


def event(text: str):
    body = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": text}
    return event_from_json(json.dumps(body).encode())


class Paper:
    """A lane that keeps what is written; a test says when it is full or closed."""

    joins = True

    def __init__(self) -> None:
        self.pieces: list[tuple[int, int]] = []
        self.queue = asyncio.Lock()
        self.text = ""
        self.full = False
        self.closed = False
        self.buffered = 0
        self._changed = asyncio.Condition()

    def write(self, batch: Batch) -> None:
        for piece in batch.pieces:
            self.pieces.append((piece.first, piece.last.offset))
            self.text += json.loads(piece.event.data)["delta"]

    def send(self, payload: bytes) -> None:
        raise AssertionError("a follower sends batches")

    async def room(self) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.closed or not self.full)
        if self.closed:
            raise LaneClosed

    async def close(self, code: CloseCode) -> None:
        raise AssertionError("a follower closes nothing")

    def abandon(self) -> None:
        raise AssertionError("a follower abandons nothing")

    async def change(self, **values: bool) -> None:
        async with self._changed:
            for name, value in values.items():
                setattr(self, name, value)
            self._changed.notify_all()


class Thread:
    """A thread in a real store with one run that writes to it."""

    def __init__(self, store: MemoryStore, lease: Lease, epoch: int) -> None:
        self.store = store
        self.epoch = epoch
        self._lease = lease
        self.written = 1

    @classmethod
    async def create(cls, store: MemoryStore | None = None) -> "Thread":
        store = store if store is not None else MemoryStore()
        await store.open_thread(KEY, "t", 0)
        new = NewRun(RUN, KEY, "agent", "c", "node", 0, 10_000)
        created = await store.create_run(new, [event("")])
        assert created.lease is not None
        return cls(store, created.lease, created.run.started.epoch)

    async def append(self, *texts: str) -> Batch:
        """Append one event a text; return them as they would be published."""
        last = await self.store.append([event(text) for text in texts], writer=self._lease, at=0)
        first = last.offset - len(texts) + 1
        self.written = last.offset
        return Batch(
            KEY,
            pieces(
                Entry(Position(last.epoch, first + n), RUN.id, 0, event(text))
                for n, text in enumerate(texts)
            ),
        )


class Table:
    """One follower with everything around it."""

    def __init__(self, thread: Thread, patience: float = BOUND, *, start: bool = True) -> None:
        self.lane = Paper()
        self.failures: list[Exception] = []
        self.deletions = 0
        self.follower = ThreadFollower(
            thread.store,
            self.lane,
            KEY,
            sight=Access(thread.store, Executions()).sight(ALICE, KEY, ThreadName(KEY.id)),
            patience=patience,
            failed=self.failures.append,
            gone=self._told,
        )
        if start:
            self.follower.start(Position(thread.epoch, 0))

    def _told(self, why: Gone) -> None:
        assert why is Gone.DELETED
        self.deletions += 1

    async def until(self, state: FollowerState) -> None:
        async with asyncio.timeout(BOUND):
            while self.follower.state is not state:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0)


@pytest.fixture
def leaks() -> Iterator[Callable[[], float]]:
    """Return what counts the leaks since the test began; none stay counted for other tests."""
    before = LEAKS._value.get()
    yield lambda: LEAKS._value.get() - before
    LEAKS._value.set(before)


async def test_the_backlog_comes_merged_and_then_it_is_live() -> None:
    thread = await Thread.create()
    await thread.append("a", "b", "c")
    table = Table(thread)
    assert table.follower.state is FollowerState.JOINING
    await table.until(FollowerState.LIVE)
    assert table.lane.pieces == [(1, 4)]

    table.follower.deliver(await thread.append("d"))
    table.follower.deliver(await thread.append("e", "f"))

    assert table.lane.pieces == [(1, 4), (5, 5), (6, 6), (7, 7)]
    assert table.lane.text == "abcdef"
    assert repr(table.follower) == f"<ThreadFollower t at {thread.epoch}-7, LIVE>"


async def test_what_is_published_while_the_store_is_asked_follows_what_it_said() -> None:
    """All of it, once: what the answer has already, and what it has not; also when it is much."""
    for published in (1, HELD, HELD + 2):
        thread = await Thread.create()
        await thread.append("a")
        table = Table(thread, start=False)
        await table.follower.ask(None)
        for number in range(published):
            table.follower.deliver(await thread.append(f" {number}"))
        asked = await thread.store.backlog(KEY, ALICE, Position(thread.epoch, 0), 2)
        assert asked is not None
        table.follower.begin(Position(thread.epoch, 0), asked.entries)
        assert (table.follower.state is FollowerState.LIVE) == (published <= HELD)
        await table.until(FollowerState.LIVE)

        assert table.lane.text == "a" + "".join(f" {number}" for number in range(published))


async def test_it_watches_from_when_the_store_has_let_it_in_until_it_ends() -> None:
    thread = await Thread.create()
    table = Table(thread)
    assert not table.follower.watches
    await table.until(FollowerState.LIVE)
    assert table.follower.watches
    table.follower.end()
    assert not table.follower.watches


async def test_a_withdrawal_while_the_store_is_asked_wins() -> None:
    class Slow(MemoryStore):
        async def backlog(self, *asked: Any) -> Backlog | None:
            found = await super().backlog(*asked)
            await asyncio.sleep(0)
            return found

    thread = await Thread.create(Slow())
    table = Table(thread, start=False)
    asking = asyncio.ensure_future(table.follower.ask(None))
    await asyncio.sleep(0)
    table.follower.end()

    assert await asking is None


async def test_what_comes_while_it_reads_is_read_too() -> None:
    thread = await Thread.create()
    table = Table(thread)
    for text in "abcdefgh":
        table.follower.deliver(await thread.append(text))
        await asyncio.sleep(0)
    await table.until(FollowerState.LIVE)

    assert table.lane.text == "abcdefgh"
    assert [first for first, _ in table.lane.pieces] == [
        1,
        *(last + 1 for _, last in table.lane.pieces[:-1]),
    ]


async def test_a_batch_that_came_twice_is_written_once() -> None:
    thread = await Thread.create()
    table = Table(thread)
    await table.until(FollowerState.LIVE)
    batch = await thread.append("a")
    for _ in range(3):
        table.follower.deliver(batch)

    assert table.lane.pieces == [(1, 1), (2, 2)]


async def test_a_lost_batch_is_read_from_the_log() -> None:
    thread = await Thread.create()
    table = Table(thread)
    await table.until(FollowerState.LIVE)
    before = BEHIND._value.get()
    await thread.append("lost ")
    table.follower.deliver(await thread.append("found"))
    assert table.follower.state is FollowerState.BEHIND
    await table.until(FollowerState.LIVE)

    assert table.lane.text == "lost found"
    assert table.lane.pieces == [(1, 1), (2, 3)]
    assert BEHIND._value.get() == before + 1


async def test_a_full_lane_gets_nothing_and_then_everything_merged() -> None:
    thread = await Thread.create()
    table = Table(thread)
    await table.until(FollowerState.LIVE)
    table.lane.full = True
    for text in "abcdef":
        table.follower.deliver(await thread.append(text))
        await asyncio.sleep(0)
    assert table.lane.pieces == [(1, 1)]
    await table.lane.change(full=False)
    await table.until(FollowerState.LIVE)

    assert table.lane.pieces == [(1, 1), (2, 7)]
    assert table.lane.text == "abcdef"


async def test_a_lane_that_fills_up_gets_no_more_than_a_portion() -> None:
    thread = await Thread.create()
    await thread.append(*(letter * 40_000 for letter in "abcdefgh"))
    table = Table(thread)
    wrote = table.lane.write

    def write(batch: Batch) -> None:
        wrote(batch)
        table.lane.full = True

    table.lane.write = write  # type: ignore[method-assign]
    for rounds in range(1, 5):
        async with asyncio.timeout(BOUND):
            while not table.lane.full:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0)
        assert len(table.lane.text) == rounds * 80_000
        await table.lane.change(full=False)
    await table.until(FollowerState.LIVE)

    assert table.lane.text == "".join(letter * 40_000 for letter in "abcdefgh")


async def test_patience_ends_once() -> None:
    thread = await Thread.create()
    table = Table(thread, patience=0.01)
    table.lane.full = True
    await table.until(FollowerState.ENDED)
    table.follower.deliver(await thread.append("a"))
    table.follower.end()

    assert [type(failure) for failure in table.failures] == [TimeoutError]
    assert table.lane.pieces == []


class BrokenLog(MemoryStore):
    """A log that cannot be read, or has a hole, once it was read so many times."""

    def __init__(self, error: Exception | None, *, reads: int) -> None:
        super().__init__()
        self._error = error
        self._reads = reads

    async def read(self, thread: ThreadKey, after: int, limit: int) -> list[Entry]:
        self._reads -= 1
        if self._reads >= 0:
            return await super().read(thread, after, limit)
        if self._error is not None:
            raise self._error
        found = await self.thread(thread)
        assert found is not None
        epoch = found.head.epoch
        return [Entry(Position(epoch, n), RUN.id, 0, event("x")) for n in (1, 2, 4)]


@pytest.mark.parametrize("error", [None, StoreFailed("the disk is gone"), ValueError("a fault")])
@pytest.mark.parametrize("behind", [True, False])
async def test_a_log_that_cannot_be_read_ends_it(error: Exception | None, behind: bool) -> None:
    thread = await Thread.create(BrokenLog(error, reads=int(behind)))
    table = Table(thread)
    if behind:
        table.lane.full = True
        await table.until(FollowerState.BEHIND)
        await table.lane.change(full=False)
    await table.until(FollowerState.ENDED)

    assert [type(failure) for failure in table.failures] == [type(error or StoreFailed(""))]
    assert table.lane.pieces == []


async def test_a_socket_that_is_gone_ends_it_quietly() -> None:
    thread = await Thread.create()
    table = Table(thread)
    table.lane.full = True
    await table.until(FollowerState.BEHIND)
    await table.lane.change(closed=True)
    await table.until(FollowerState.ENDED)

    assert table.failures == []


async def test_who_has_ended_takes_nothing() -> None:
    thread = await Thread.create()
    table = Table(thread)
    await table.until(FollowerState.LIVE)
    for _ in range(2):
        table.follower.end()
    table.follower.deliver(await thread.append("a"))
    await asyncio.sleep(0)

    assert table.lane.pieces == [(1, 1)]


async def test_a_deletion_is_passed_on_after_the_hub_has_told_everybody() -> None:
    table = Table(await Thread.create())
    table.follower.thread_deleted()
    assert table.deletions == 0
    await asyncio.sleep(0)

    assert table.deletions == 1


async def test_a_thread_that_was_deleted_before_it_began_is_gone() -> None:
    thread = await Thread.create()
    await thread.store.delete_thread(KEY)
    table = Table(thread)
    await table.until(FollowerState.ENDED)

    assert table.deletions == 1


async def test_a_thread_of_the_same_name_is_another_one() -> None:
    old = await Thread.create()
    await old.append("old")
    await old.store.delete_thread(KEY)
    new = await Thread.create(old.store)
    await new.append("new")
    table = Table(old)
    await table.until(FollowerState.ENDED)

    assert (table.deletions, table.lane.pieces) == (1, [])


async def test_a_batch_of_a_newer_thread_says_that_the_deletion_was_lost() -> None:
    thread = await Thread.create()
    table = Table(thread)
    await table.until(FollowerState.LIVE)
    echo = await thread.append("late")
    await thread.store.delete_thread(KEY)
    newer = await Thread.create(thread.store)
    table.follower.deliver(await newer.append("new"))
    table.follower.deliver(echo)
    await table.until(FollowerState.ENDED)

    assert table.deletions == 1
    assert "new" not in table.lane.text


async def test_a_foreign_batch_is_stopped_at_the_last_hop_and_counted(
    leaks: Callable[[], float], caplog: pytest.LogCaptureFixture
) -> None:
    thread = await Thread.create()
    table = Table(thread)
    await table.until(FollowerState.LIVE)
    mine = await thread.append("a")
    foreign = Batch(ThreadKey(UserId("bob"), KEY.id), mine.pieces)
    table.follower.deliver(foreign)

    assert table.lane.pieces == [(1, 1)]
    assert leaks() == 1
    assert [record.levelname for record in caplog.records] == ["CRITICAL"]
    table.follower.deliver(mine)
    assert table.lane.pieces == [(1, 1), (2, 2)]
