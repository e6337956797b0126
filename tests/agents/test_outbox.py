"""The outbox: order, one append at a time, joined deltas, bounded waiting."""

import asyncio
import json
from collections.abc import Awaitable, Sequence

import pytest
from ag_ui.core import EventType
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_backend.agents.ingest import Delta
from netra_backend.agents.outbox import MAX_WAITING, MAX_WAITING_LENGTH, Outbox
from netra_backend.agents.size import MAX_EVENT_BYTES
from netra_backend.agents.wheel import SLOTS, Act
from netra_backend.core.events import DELTAS, Body, Entry, Event, event_from_body, plain_delta
from netra_backend.core.fold import Conversation
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId
from netra_backend.core.ports import End
from netra_backend.core.positions import Position
from netra_backend.core.resume import MAX_MERGED_LENGTH
from netra_backend.core.run import Lease, RunStatus
from netra_backend.errors import StoreFailed
from netra_backend.stores.local_bus import LocalBus
from tests.core.test_prelude import everything
from tests.night import examples
from tests.strategies import JsonObject, logs

pytestmark = pytest.mark.anyio

USER = UserId("alice")
LEASE = Lease(RunKey(USER, RunId("r")), ThreadKey(USER, ThreadId("t")), "node", 1, 0)


class GatedLog:
    """A log whose appends end when the test says so."""

    def __init__(self) -> None:
        self.appends: list[tuple[list[Event], asyncio.Future[Position], End | None]] = []
        self.length = 0
        self._came = asyncio.Event()

    def append(
        self, events: Sequence[Event], *, writer: Lease, at: int, end: End | None = None
    ) -> Awaitable[Position]:
        assert writer is LEASE
        future: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
        self.appends.append((list(events), future, end))
        self._came.set()
        return future

    def read(self, thread: ThreadKey, after: int, limit: int) -> Awaitable[Sequence[Entry]]:
        raise AssertionError("an outbox does not read")

    async def appended(self, count: int) -> None:
        """Return when there have been so many appends."""
        async with asyncio.timeout(5):
            while len(self.appends) < count:
                self._came.clear()
                await self._came.wait()

    async def finish(self, index: int) -> None:
        """Let an append succeed."""
        events, future, _ = self.appends[index]
        self.length += len(events)
        future.set_result(Position(1, self.length))
        await asyncio.sleep(0)

    async def finish_all(self) -> None:
        """Let every append that is under way succeed."""
        for index, (_, future, _) in enumerate(self.appends):
            if not future.done():
                await self.finish(index)
        await asyncio.sleep(0)

    def texts(self, index: int) -> list[str]:
        """Return what each event of an append says."""
        bodies = [json.loads(event.data) for event in self.appends[index][0]]
        return [body.get("delta") or body["type"] for body in bodies]


def delta(text: str, message: str = "m") -> Delta:
    return Delta(EventType.TEXT_MESSAGE_CONTENT, message, text)


def other(kind: EventType = EventType.TEXT_MESSAGE_END) -> Event:
    return event_from_body(Body(type=kind, message_id="m"))


def outbox(log: GatedLog, bus: LocalBus, window: float = 0.0) -> Outbox:
    return Outbox(log, bus, LEASE, now=lambda: 7, window=window)


async def test_what_comes_during_an_append_goes_with_the_next_joined() -> None:
    log, bus = GatedLog(), LocalBus()
    published: list[Entry] = []
    bus.subscribe(lambda _, entries: published.extend(entries))
    box = outbox(log, bus)
    for text in ("a", "b", "c"):
        box.put(delta(text))
    box.put(delta("x", "n"))
    box.put(other())
    assert log.texts(0) == ["a"]
    assert len(log.appends) == 1
    assert published == [], "nothing is visible before it is durable"
    await log.finish(0)
    assert [entry.position for entry in published] == [Position(1, 1)]
    assert log.texts(1) == ["bc", "x", "TEXT_MESSAGE_END"]
    await log.finish(1)
    assert [entry.position.offset for entry in published] == [1, 2, 3, 4]
    assert [entry.at for entry in published] == [7] * 4
    assert box.taken == 4


async def test_the_first_delta_goes_at_once_and_the_next_after_the_window() -> None:
    log, window = GatedLog(), 0.5
    box = outbox(log, LocalBus(), window=window)
    loop = asyncio.get_running_loop()
    box.put(delta("a"))
    assert log.texts(0) == ["a"]
    await log.finish(0)
    began = loop.time()
    box.put(delta("b"))
    box.put(delta("c"))
    assert len(log.appends) == 1
    await log.appended(2)
    assert loop.time() - began >= window - window / SLOTS - 0.002
    assert log.texts(1) == ["bc"]
    await log.finish(1)
    box.put(delta("d"))
    assert len(log.appends) == 2
    box.put(other())
    await log.appended(3)
    assert log.texts(2) == ["d", "TEXT_MESSAGE_END"], "another event takes the delta along"


class HandTurned:
    """A wheel that the test turns."""

    def __init__(self) -> None:
        self.waits: list[tuple[float, Act]] = []

    def wait(self, until: float, act: Act) -> int:
        self.waits.append((until, act))
        return len(self.waits)


def turned(monkeypatch: pytest.MonkeyPatch) -> HandTurned:
    """Give the next outbox a wheel that the test turns."""
    wheel = HandTurned()
    monkeypatch.setattr("netra_backend.agents.outbox.wheel_of", lambda *_: wheel)
    return wheel


async def test_a_window_begins_with_the_first_delta_that_waits(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One that began with the last that went would take 30 deltas a second nearly one by one."""
    log, wheel = GatedLog(), turned(monkeypatch)
    box = outbox(log, LocalBus(), window=100.0)
    loop = asyncio.get_running_loop()
    with monkeypatch.context() as clock:
        for now, text in ((0.0, "a"), (70.0, "b"), (140.0, "c")):
            clock.setattr(loop, "time", lambda now=now: now)
            box.put(delta(text))
            if text == "a":
                await log.finish(0)
        ((until, act),) = wheel.waits
        assert until == 170.0
        act(7)
        assert len(log.appends) == 1, "it does not wait in that slot"
        clock.setattr(loop, "time", lambda: 170.0)
        act(1)
        assert log.texts(1) == ["bc"]
        await log.finish(1)
        clock.setattr(loop, "time", lambda: 210.0)
        box.put(delta("d"))
        assert wheel.waits[1][0] == 310.0


async def test_a_delta_that_comes_a_window_after_the_last_goes_at_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, wheel = GatedLog(), turned(monkeypatch)
    box = outbox(log, LocalBus(), window=100.0)
    with monkeypatch.context() as clock:
        for index, now in enumerate((0.0, 100.0, 250.0)):
            clock.setattr(asyncio.get_running_loop(), "time", lambda now=now: now)
            box.put(delta(str(index)))
            await log.finish(index)
    assert wheel.waits == []


async def test_the_time_of_an_append_counts_for_who_waits_for_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, wheel = GatedLog(), turned(monkeypatch)
    box = outbox(log, LocalBus(), window=100.0)
    with monkeypatch.context() as clock:
        for now, text in ((0.0, "a"), (10.0, "b"), (50.0, "c")):
            clock.setattr(asyncio.get_running_loop(), "time", lambda now=now: now)
            box.put(delta(text))
        await log.finish(0)
    assert [until for until, _ in wheel.waits] == [110.0]


async def test_what_comes_while_the_wheel_is_late_waits_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A late loop would else give each of a thousand runs a commit of its own."""
    log, wheel = GatedLog(), turned(monkeypatch)
    box = outbox(log, LocalBus(), window=100.0)
    with monkeypatch.context() as clock:
        for now, text, message in ((0.0, "a", "m"), (0.0, "b", "n"), (1.0, "c", "m")):
            clock.setattr(asyncio.get_running_loop(), "time", lambda now=now: now)
            box.put(delta(text, message))
            await log.finish_all()
        clock.setattr(asyncio.get_running_loop(), "time", lambda: 300.0)
        box.put(delta("d", "n"))
        assert len(log.appends) == 2
        ((_, act),) = wheel.waits
        act(1)
    assert log.texts(2) == ["c", "d"]


async def test_events_of_one_turn_of_the_loop_go_together() -> None:
    log = GatedLog()
    box = outbox(log, LocalBus())
    for _ in range(8):
        box.put(other())
    assert log.appends == []
    await asyncio.sleep(0)
    assert len(log.texts(0)) == 8
    await log.finish(0)
    box.put(other())
    box.seal()
    await asyncio.sleep(0)
    assert len(log.appends) == 1, "what waits goes with the end"


async def test_an_agent_that_is_too_fast_has_to_wait() -> None:
    log = GatedLog()
    box = outbox(log, LocalBus())
    box.put(other())
    await log.appended(1)
    for _ in range(MAX_WAITING):
        box.put(other())
    waiting = asyncio.create_task(box.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    await log.finish(0)
    await asyncio.wait_for(waiting, 5)
    box.put(delta("x" * MAX_WAITING_LENGTH))
    waiting = asyncio.create_task(box.room())
    await asyncio.sleep(0)
    assert not waiting.done()
    await log.finish(1)
    await asyncio.wait_for(waiting, 5)


async def test_a_sealed_outbox_appends_nothing_before_the_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever lost the lease seals it, and writes no end."""
    log, wheel = GatedLog(), turned(monkeypatch)
    box = outbox(log, LocalBus(), window=100.0)
    box.put(delta("a"))
    await log.finish(0)
    box.put(delta("b"))
    box.seal()
    ((_, act),) = wheel.waits
    act(1)
    await asyncio.wait_for(box.settled(), 5)
    await asyncio.wait_for(box.room(), 5)
    assert len(log.appends) == 1
    ending = asyncio.create_task(box.finish([other()], None))
    await log.appended(2)
    assert log.texts(1) == ["b", "TEXT_MESSAGE_END"]
    await log.finish(1)
    await ending


async def test_the_end_takes_what_waits_along_and_nothing_comes_after() -> None:
    log = GatedLog()
    box = outbox(log, LocalBus())
    box.put(delta("a"))
    box.put(delta("b"))
    end = End(RunStatus.FINISHED)
    ending = asyncio.create_task(box.finish([other(EventType.RUN_FINISHED)], end))
    await asyncio.sleep(0)
    box.put(delta("late"))
    await log.finish(0)
    await log.appended(2)
    assert log.texts(1) == ["b", "RUN_FINISHED"]
    assert log.appends[1][2] == end
    await log.finish(1)
    assert await ending == Position(1, 3)


async def test_a_failed_append_is_the_agents_error_ever_after() -> None:
    log = GatedLog()
    box = outbox(log, LocalBus())
    box.put(delta("a"))
    box.put(delta("b"))
    log.appends[0][1].set_exception(StoreFailed("full"))
    await asyncio.sleep(0)
    with pytest.raises(StoreFailed):
        box.put(delta("c"))
    with pytest.raises(StoreFailed):
        await box.room()
    with pytest.raises(StoreFailed):
        await box.finish([], None)
    assert len(log.appends) == 1


async def test_deltas_of_two_messages_wait_for_one_window_and_are_joined_by_message(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, wheel = GatedLog(), turned(monkeypatch)
    box = outbox(log, LocalBus(), window=100.0)
    box.put(delta("a"))
    box.put(delta("x", "n"))
    await log.finish(0)
    assert log.texts(1) == ["x"], "the first of each message goes at once"
    for text in ("b", "c", "d"):
        box.put(delta(text))
        box.put(delta(text.upper(), "n"))
    await log.finish(1)
    assert len(log.appends) == 2, "then both wait"
    ((_, act),) = wheel.waits
    act(1)
    assert log.texts(2) == ["bcd", "BCD"]
    await log.finish(2)
    box.put(delta("E", "n"))
    box.put(delta("e"))
    assert len(wheel.waits) == 2, "they have one window again"


async def test_a_message_that_paused_waits_for_the_window_of_the_one_that_streams(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log, wheel = GatedLog(), turned(monkeypatch)
    box = outbox(log, LocalBus(), window=100.0)
    with monkeypatch.context() as clock:
        for now, text, message in ((0.0, "a", "n"), (90.0, "a", "m"), (110.0, "b", "n")):
            clock.setattr(asyncio.get_running_loop(), "time", lambda now=now: now)
            box.put(delta(text, message))
            await log.finish_all()
    assert len(log.appends) == 2, "it shares the window, though it was silent for longer"
    box.put(delta("b"))
    ((_, act),) = wheel.waits
    act(1)
    assert log.texts(2) == ["b", "b"]


async def test_no_delta_passes_an_event_that_is_none() -> None:
    log = GatedLog()
    box = outbox(log, LocalBus())
    box.put(delta("a"))
    for text in ("b", "c"):
        box.put(delta(text))
        box.put(delta(text, "n"))
    box.put(other())
    box.put(delta("d", "n"))
    box.put(delta("d", "o"))
    box.put(delta("e", "n"))
    await log.finish(0)
    assert log.texts(1) == ["bc", "bc", "TEXT_MESSAGE_END", "de", "d"]


async def test_a_text_and_a_reasoning_of_one_id_are_one_message_and_keep_their_order() -> None:
    log = GatedLog()
    box = outbox(log, LocalBus())
    box.put(delta("a"))
    for text in ("b", "c"):
        box.put(Delta(EventType.REASONING_MESSAGE_CONTENT, "m", text.upper()))
        box.put(delta(text))
    await log.finish(0)
    assert log.texts(1) == ["B", "b", "C", "c"]


@pytest.mark.parametrize("kind", sorted(DELTAS))
@pytest.mark.parametrize("id", ["m", "i" * MAX_MERGED_LENGTH])
async def test_what_is_joined_is_no_event_that_is_too_big(kind: EventType, id: str) -> None:
    log = GatedLog()
    box = outbox(log, LocalBus())
    texts = [chr(1 + n % 8) * 30_000 for n in range(34)]  # JSON writes six bytes for each of them
    for text in texts:
        box.put(Delta(kind, id, text))
    await log.finish(0)
    events = log.appends[1][0]
    assert len(events) == (17 if id == "m" else 33)
    assert max(len(event.data) for event in events) < MAX_EVENT_BYTES // 8
    assert "".join(log.texts(1)) == "".join(texts[1:])


async def test_who_waits_for_room_does_not_wait_for_a_window() -> None:
    log = GatedLog()
    box = outbox(log, LocalBus(), window=100.0)
    box.put(delta("a"))
    await log.finish(0)
    box.put(delta("x" * MAX_WAITING_LENGTH))
    waiting = asyncio.create_task(box.room())
    await log.appended(2)
    await log.finish(1)
    await asyncio.wait_for(waiting, 5)


@settings(max_examples=examples(100), deadline=None)
@given(logs(), st.lists(st.booleans(), max_size=20))
def test_what_is_joined_out_of_turn_folds_to_the_same(log: list[Entry], done: list[bool]) -> None:
    """At every event that is no delta, and at the end; whenever the appends end."""
    events = [entry.event for entry in log]
    batches = asyncio.run(appended(events, done))
    assert states(batches) == states(events)


async def appended(events: list[Event], done: list[bool]) -> list[Event]:
    """Return what the log has when an agent has yielded `events`."""
    log = GatedLog()
    box = outbox(log, LocalBus(), window=100.0)
    for index, event in enumerate(events):
        plain = plain_delta(event)
        box.put(event if plain is None else Delta(event.type, *plain))
        if done and done[index % len(done)]:
            await log.finish_all()
    settled = asyncio.create_task(box.settled())
    while not settled.done():
        await log.finish_all()
    return [event for batch, _, _ in log.appends for event in batch]


def states(events: list[Event]) -> list[JsonObject]:
    """Return all that the fold says at each event that is no plain delta, and at the end."""
    conversation, said = Conversation(), []
    for event in events:
        if plain_delta(event) is None:
            said.append(everything(conversation))
        conversation.apply(event)
    return [*said, everything(conversation)]
