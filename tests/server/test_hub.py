"""The hub: every follower of a thread gets what is published, in order, and nobody else does."""

import asyncio
import json

import pytest

from netra_backend.core.events import Entry, event_from_json
from netra_backend.core.ids import RunId, ThreadId, ThreadKey, UserId
from netra_backend.core.positions import Position
from netra_backend.server import hub as hubs
from netra_backend.server.batch import Batch
from netra_backend.server.hub import STEP, Hub
from netra_backend.server.topic import Topic
from netra_backend.stores.local_bus import LocalBus

pytestmark = pytest.mark.anyio

ALICE, BOB = (ThreadKey(UserId(user), ThreadId("t")) for user in ("alice", "bob"))


def entry(offset: int) -> Entry:
    event = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": str(offset)}
    data = event_from_json(json.dumps(event).encode())
    return Entry(Position(1, offset), RunId("r"), 0, data)


class Notebook:
    """A follower that notes what it is given."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.deleted = 0
        self.watches = True

    @property
    def offsets(self) -> list[int]:
        return [piece.last.offset for batch in self.batches for piece in batch.pieces]

    def deliver(self, batch: Batch) -> None:
        self.batches.append(batch)

    def thread_deleted(self) -> None:
        self.deleted += 1

    def enlist(self, topic: Topic) -> None:
        """It has no descriptor."""

    def fall_out(self) -> None:
        raise AssertionError("it stands in no ranks")

    def owe(self, rest: bytes) -> None:
        raise AssertionError("it stands in no ranks")

    def cut_off(self) -> None:
        raise AssertionError("it stands in no ranks")


async def settled() -> None:
    """Let the loop run everything that is due."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_only_the_followers_of_a_thread_hear_of_it() -> None:
    bus = LocalBus()
    hub = Hub(bus)
    hub.open()
    alices, bobs = Notebook(), Notebook()
    hub.add(ALICE, alices)
    hub.add(BOB, bobs)
    bus.publish(ALICE, [entry(1), entry(2)])
    bus.publish(BOB, [entry(1)])
    bus.publish(ThreadKey(UserId("alice"), ThreadId("other")), [entry(9)])
    await settled()

    assert (alices.offsets, bobs.offsets) == ([1, 2], [1])
    assert (hub.followers, repr(hub)) == (2, "<Hub 2 threads, 2 followers>")


async def test_all_followers_share_one_batch() -> None:
    bus = LocalBus()
    hub = Hub(bus)
    hub.open()
    followers = [Notebook() for _ in range(3)]
    for follower in followers:
        hub.add(ALICE, follower)
    bus.publish(ALICE, [entry(1)])
    await settled()

    assert len({id(follower.batches[0]) for follower in followers}) == 1


async def test_many_followers_are_served_in_slices_and_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """While a slice waits, more is published, and followers come and go."""
    monkeypatch.setattr(hubs, "SLICE", 1e-9)
    bus = LocalBus()
    hub = Hub(bus)
    hub.open()
    followers = [Notebook() for _ in range(2 * STEP + 1)]
    for follower in followers:
        hub.add(ALICE, follower)
    bus.publish(ALICE, [entry(1)])
    assert [len(follower.batches) for follower in followers].count(1) == STEP
    bus.publish(ALICE, [entry(2)])
    late = Notebook()
    hub.add(ALICE, late)
    bus.publish(ALICE, [entry(3)])
    await settled()

    assert [follower.offsets for follower in followers] == [[1, 2, 3]] * len(followers)
    # It came after the first batch was appended, which it finds in the log.
    assert late.offsets == [2, 3]


async def test_a_busy_loop_serves_more_in_each_of_its_few_turns(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = 0.0
    monkeypatch.setattr(hubs, "perf_counter", lambda: clock)

    class Slow(Notebook):
        def deliver(self, batch: Batch) -> None:
            nonlocal clock
            super().deliver(batch)
            clock += 0.9 * hubs.SLICE / STEP

    def others() -> None:
        nonlocal clock
        clock += 8 * hubs.SLICE

    hub = Hub(LocalBus())
    followers = [Slow() for _ in range(20 * STEP)]
    for follower in followers:
        hub.add(ALICE, follower)

    def served() -> int:
        return sum(len(follower.batches) for follower in followers)

    asyncio.get_running_loop().call_soon(others)
    hub._published(ALICE, [entry(1)])
    assert served() == 2 * STEP, "a slice, and the step that it ends in"
    await asyncio.sleep(0)
    assert served() == (2 + 5) * STEP, "half of the time that others took"
    await asyncio.sleep(0)
    assert served() == (2 + 5 + 2) * STEP, "a slice again"


async def test_what_a_signal_breaks_off_goes_on_in_the_next_turn() -> None:
    class Interrupted(Notebook):
        def deliver(self, batch: Batch) -> None:
            super().deliver(batch)
            if len(self.batches) == 1:
                raise KeyboardInterrupt

    hub = Hub(LocalBus())
    followers = [Notebook() for _ in range(STEP)]
    for follower in (*followers, Interrupted()):
        hub.add(ALICE, follower)
    with pytest.raises(KeyboardInterrupt):
        hub._published(ALICE, [entry(1)])
    hub._published(ALICE, [entry(2)])
    await settled()
    assert [follower.offsets for follower in followers] == [[1, 2]] * STEP


async def test_who_is_removed_hears_nothing_more() -> None:
    bus = LocalBus()
    hub = Hub(bus)
    hub.open()
    gone, there = Notebook(), Notebook()
    hub.add(ALICE, gone)
    hub.add(ALICE, there)
    for _ in range(2):
        hub.remove(ALICE, gone)
    hub.remove(BOB, gone)
    bus.publish(ALICE, [entry(1)])
    hub.remove(ALICE, there)
    bus.publish(ALICE, [entry(2)])
    await settled()

    assert (gone.offsets, there.offsets) == ([], [1])
    assert repr(hub) == "<Hub 0 threads, 0 followers>"


async def test_who_is_not_let_in_yet_hears_but_does_not_watch() -> None:
    bus = LocalBus()
    hub = Hub(bus)
    hub.open()
    inside, asking = Notebook(), Notebook()
    asking.watches = False
    for notebook in (inside, asking):
        hub.add(ALICE, notebook)
    bus.publish(ALICE, [entry(1)])

    assert asking.offsets == [1]
    assert (hub.watchers(ALICE), hub.watchers(BOB), hub.followers) == (1, 0, 2)


async def test_a_deletion_is_told_to_all_followers_of_the_thread() -> None:
    bus = LocalBus()
    hub = Hub(bus)
    hub.open()
    alices, bobs = Notebook(), Notebook()
    hub.add(ALICE, alices)
    hub.add(BOB, bobs)
    bus.publish(ALICE, [])
    await settled()

    assert (alices.deleted, bobs.deleted) == (1, 0)


async def test_of_very_many_followers_some_are_told_of_a_deletion_in_each_turn() -> None:
    bus = LocalBus()
    hub = Hub(bus)
    hub.open()
    notebooks = [Notebook() for _ in range(3 * STEP + 1)]
    for notebook in notebooks[:-1]:
        hub.add(ALICE, notebook)
    hub.add(BOB, notebooks[-1])
    told: list[int] = []
    bus.publish(ALICE, [])
    bus.publish(BOB, [])
    while sum(told) < len(notebooks):
        told.append(sum(n.deleted for n in notebooks) - sum(told))
        await asyncio.sleep(0)

    assert told == [STEP, STEP, STEP, 1]
    await settled()
    assert {notebook.deleted for notebook in notebooks} == {1}


async def test_a_closed_hub_hears_nothing() -> None:
    bus = LocalBus()
    hub = Hub(bus)
    hub.open()
    follower = Notebook()
    hub.add(ALICE, follower)
    hub.close()
    bus.publish(ALICE, [entry(1)])
    await settled()

    assert follower.batches == []
