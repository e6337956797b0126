"""Conversations: the fold of every thread, kept so that it is not made anew."""

import asyncio
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest
from ag_ui.core import EventType
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_backend.agents import conversations, slices
from netra_backend.agents.conversations import Conversations, Page
from netra_backend.core.events import Entry, Event
from netra_backend.core.fold import Conversation
from netra_backend.core.ids import RunId, ThreadId, ThreadKey, UserId
from netra_backend.core.ports import Thread
from netra_backend.core.positions import Position
from netra_backend.core.prelude import NO_PRELUDE, message_id
from tests.core.test_prelude import everything, fold
from tests.night import examples
from tests.strategies import logs

pytestmark = pytest.mark.anyio


class Logs:
    """Threads whose logs a test sets; counts the entries that are read."""

    def __init__(self) -> None:
        self.entries: dict[ThreadKey, Sequence[Entry]] = {}
        self.read_entries = 0

    async def thread(self, key: ThreadKey) -> Thread | None:
        found = self.entries.get(key)
        return Thread(key, "", 0, 0, found[-1].position) if found else None

    async def read(self, thread: ThreadKey, after: int, limit: int) -> Sequence[Entry]:
        found = self.entries.get(thread, ())[after : after + limit]
        self.read_entries += len(found)
        return found


def key(name: str = "t") -> ThreadKey:
    return ThreadKey(UserId("alice"), ThreadId(name))


def whole(entries: Sequence[Entry]) -> dict[str, Any]:
    """Return what all the entries add up to."""
    conversation = Conversation()
    for entry in entries:
        conversation.apply(entry.event)
    return everything(conversation)


def chat(deltas: int, *, epoch: int = 1, word: str = "word ") -> list[Entry]:
    """Return the log of one run that is still writing its answer."""
    chunks: list[dict[str, Any]] = [
        {"type": "RUN_STARTED", "threadId": "t", "runId": "r"},
        {"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"},
    ]
    chunks += [{"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": word}] * deltas
    return [
        Entry(
            Position(epoch, offset),
            RunId("r"),
            0,
            Event(EventType(chunk["type"]), json.dumps(chunk).encode()),
        )
        for offset, chunk in enumerate(chunks, start=1)
    ]


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Entry], list[tuple[int, int | None]]]:
    """Return a log, the lengths at which it is looked at, and up to which offset."""
    log = draw(logs())
    lengths = sorted(draw(st.lists(st.integers(1, len(log)), max_size=4)))
    return log, [(length, draw(st.none() | st.integers(0, length))) for length in lengths]


@settings(max_examples=examples(60))
@given(histories(), st.integers(1, 10), st.integers(1, 10), st.integers(0, 20_000))
async def test_whatever_is_kept_the_fold_is_that_of_the_log(
    history: tuple[list[Entry], list[tuple[int, int | None]]],
    kept_after: int,
    read_limit: int,
    budget: int,
) -> None:
    log, looks = history
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversations, "KEPT_AFTER", kept_after)
        patch.setattr(conversations, "READ_LIMIT", read_limit)
        store = Logs()
        folded = Conversations(store, budget=budget)
        for length, upto in looks:
            store.entries[key()] = log[:length]
            conversation, offset = await folded.fold(key(), upto)
            assert offset == (length if upto is None else upto)
            assert everything(conversation) == whole(log[:offset])
            begun = await folded.begin(key(), upto)
            assert offset - kept_after < begun.offset <= offset
            events = [*begun.events, *(entry.event for entry in log[begun.offset : offset])]
            assert everything(fold(events)) == whole(log[:offset])


async def test_a_long_thread_is_read_once() -> None:
    store, log = Logs(), chat(5_000)
    folded = Conversations(store)
    store.entries[key()] = log[:4_000]
    await folded.fold(key())
    assert store.read_entries == 4_000
    store.entries[key()] = log
    for _ in range(3):
        conversation, offset = await folded.fold(key())
        assert everything(conversation) == whole(log)
        assert offset == len(log)
    assert store.read_entries == len(log)


async def test_who_asks_at_once_for_a_long_thread_has_it_read_once() -> None:
    store, log = Logs(), chat(5_000)
    store.entries[key()] = log
    folded = Conversations(store)
    first, *others = await asyncio.gather(*(folded.begin(key()) for _ in range(20)))
    assert store.read_entries == first.offset == len(log)
    assert all(begun is first for begun in others)
    assert await folded.begin(key(), exact=True) is first


async def test_who_joins_an_old_run_holds_up_only_those_who_do_too() -> None:
    store, log = Logs(), chat(5_000)
    store.entries[key()] = log
    folded = Conversations(store)
    newest = await folded.begin(key())
    read, reading, goes_on = store.read, asyncio.Event(), asyncio.Event()

    async def waiting(thread: ThreadKey, after: int, limit: int) -> Sequence[Entry]:
        if after < 3_000:
            reading.set()
            await goes_on.wait()
        return await read(thread, after, limit)

    store.read = waiting  # type: ignore[method-assign]
    before = store.read_entries
    joins = [asyncio.create_task(folded.begin(key(), 3_000)) for _ in range(10)]
    longer = asyncio.create_task(folded.begin(key(), 4_000))
    await asyncio.wait_for(reading.wait(), 5)
    assert await asyncio.wait_for(folded.begin(key()), 5) is newest
    store.entries[key()] = chat(7_000)
    assert (await asyncio.wait_for(folded.begin(key()), 5)).offset == 7_002
    assert store.read_entries - before == 2_000
    goes_on.set()
    first, *others = await asyncio.gather(*joins)
    assert first.offset == 3_000
    assert all(begun is first for begun in others)
    assert (await longer).offset == 4_000
    assert store.read_entries - before == 2_000 + 4_000
    assert not folded._turnstiles, "and nothing of it is kept when nobody waits"


@pytest.mark.parametrize("order", ["ascending", "descending", "shuffled"])
async def test_who_join_different_old_runs_read_the_thread_once_together(order: str) -> None:
    store, log = Logs(), chat(20_000)
    store.entries[key()] = log
    folded = Conversations(store)
    await folded.begin(key())
    before = store.read_entries
    ends = list(range(1_000, 20_000, 1_000))
    asked = {
        "ascending": ends,
        "descending": ends[::-1],
        "shuffled": random.Random(1).sample(ends, len(ends)),
    }[order]

    begun = await asyncio.gather(*(folded.begin(key(), end) for end in asked))
    assert [one.offset for one in begun] == asked
    # The first one, who waits for nobody, reads up to its end; then all of them do so at once.
    assert store.read_entries - before <= asked[0] + ends[-1]


async def test_who_waited_while_others_read_further_holds_them_up_no_more() -> None:
    store, log = Logs(), chat(5_000)
    store.entries[key()] = log
    folded = Conversations(store)
    first = asyncio.create_task(folded.begin(key()))
    await asyncio.sleep(0)
    old = asyncio.create_task(folded.begin(key(), 3_000))
    await first
    while not old.done():
        turnstile = folded._turnstiles.get((key(), False))
        assert turnstile is None or not turnstile._taken or store.read_entries == len(log)
        await asyncio.sleep(0)
    assert (await old).offset == 3_000


@settings(max_examples=examples(40), deadline=None)
@given(logs(), st.lists(st.none() | st.integers(0, 60), max_size=6), st.integers(1, 10))
async def test_whoever_asks_at_once_has_what_the_log_adds_up_to(
    log: list[Entry], wanted: list[int | None], kept_after: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conversations, "KEPT_AFTER", kept_after)
        patch.setattr(conversations, "READ_LIMIT", 3)
        patch.setattr(slices, "SLICE", 0.0)
        store = Logs()
        store.entries[key()] = log
        folded = Conversations(store)
        all_begun = await asyncio.gather(*(folded.begin(key(), upto) for upto in wanted))
        for upto, begun in zip(wanted, all_begun, strict=True):
            end = len(log) if upto is None else min(upto, len(log))
            assert end - kept_after < begun.offset <= end
            assert everything(fold(begun.events)) == whole(log[: begun.offset])


async def test_who_asked_first_and_went_away_holds_nobody_up() -> None:
    store, log = Logs(), chat(5_000)
    store.entries[key()] = log
    folded = Conversations(store)
    tasks = [asyncio.create_task(folded.begin(key())) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    _, second, third = await asyncio.gather(*tasks, return_exceptions=True)
    assert not isinstance(second, BaseException)
    assert (second.offset, second) == (len(log), third)


async def test_a_long_thread_is_folded_an_event_a_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slices, "SLICE", 0.0)
    store, applied, most = Logs(), 0, 0
    store.entries[key()] = chat(3_000)
    apply = Conversation.apply

    def counting(conversation: Conversation, event: Event) -> None:
        nonlocal applied
        applied += 1
        apply(conversation, event)

    monkeypatch.setattr(Conversation, "apply", counting)
    folded = Conversations(store)
    tasks = [asyncio.create_task(folded.fold(key())) for _ in range(5)]
    while not all(task.done() for task in tasks):
        before = applied
        await asyncio.sleep(0)
        most = max(most, applied - before)
    assert most <= 2  # the last one of what one read has, and the first one of the next


async def test_a_few_entries_later_what_is_kept_is_told_and_the_log_has_the_rest() -> None:
    store, log = Logs(), chat(2_000)
    store.entries[key()] = log[:1_500]
    folded = Conversations(store)
    kept = await folded.begin(key())
    store.entries[key()] = log[:1_600]
    assert await folded.begin(key()) is kept
    assert (await folded.begin(key(), exact=True)).offset == 1_600
    store.entries[key()] = log
    begun = await folded.begin(key(), 1_700)
    assert begun.offset == 1_600
    conversation = Conversation()
    for event in (*begun.events, *(entry.event for entry in log[begun.offset :])):
        conversation.apply(event)
    assert everything(conversation) == whole(log)


async def test_who_joins_a_run_is_not_told_of_the_one_before() -> None:
    store, log = Logs(), chat(1_000)
    ends = ({"type": "RUN_FINISHED", "threadId": "t", "runId": "r"},)
    begins = ({"type": "RUN_STARTED", "threadId": "t", "runId": "s"},)
    for chunk in (*({"type": "TEXT_MESSAGE_END", "messageId": "m"},), *ends, *begins):
        event = Event(EventType(str(chunk["type"])), json.dumps(chunk).encode())
        log.append(Entry(Position(1, len(log) + 1), RunId("s"), 0, event))
    store.entries[key()] = log[:-1]
    folded = Conversations(store)
    old = await folded.begin(key())
    store.entries[key()] = log
    assert await folded.begin(key()) is old
    new = await folded.begin(key(), run=RunId("s"))
    assert (new.run, new.offset) == ("s", len(log))
    assert await folded.begin(key(), run=RunId("s")) is new
    read = store.read_entries
    again = await folded.begin(key(), old.offset, RunId("r"))
    assert (again.events, again.run) == (old.events, "r")
    assert store.read_entries == read + old.offset
    assert await folded.begin(key()) is new  # and what goes further is kept


async def test_pages_are_those_of_the_messages() -> None:
    store = Logs()
    chunks: list[dict[str, Any]] = [{"type": "RUN_STARTED", "threadId": "t", "runId": "r"}]
    for n in range(700):
        chunks.append({"type": "TEXT_MESSAGE_START", "messageId": f"m{n}", "role": "assistant"})
        chunks.append({"type": "TEXT_MESSAGE_END", "messageId": f"m{n}"})
    store.entries[key()] = [
        Entry(Position(1, at), RunId("r"), 0, Event(EventType(c["type"]), json.dumps(c).encode()))
        for at, c in enumerate(chunks, start=1)
    ]
    folded, before, seen = Conversations(store), None, []
    while True:
        page = await folded.page(key(), 300, before)
        assert page is not None
        assert page.position == (1, len(chunks))
        seen = [message_id(message) for message in page.messages] + seen
        before = page.following
        if before is None:
            break
    assert seen == [f"m{n}" for n in range(700)]
    assert await folded.page(key(), 300, "none") is None
    assert (await folded.page(key("other"), 300)) == Page([], Position(0, 0), None)


async def test_every_caller_has_a_conversation_of_its_own() -> None:
    store, log = Logs(), chat(1_000)
    store.entries[key()] = log
    folded = Conversations(store)
    await folded.fold(key())
    mine, _ = await folded.fold(key())
    mine.apply(log[-1].event)
    theirs, _ = await folded.fold(key())
    assert everything(theirs) == whole(log)


async def test_a_thread_that_was_deleted_and_made_anew_is_not_what_was_kept() -> None:
    store = Logs()
    folded = Conversations(store)
    store.entries[key()] = chat(1_000)
    await folded.fold(key())
    del store.entries[key()]
    conversation, offset = await folded.fold(key())
    assert (conversation.messages(), offset) == ([], 0)
    for new in (chat(3, epoch=2), chat(2_000, epoch=3, word="new ")):
        store.entries[key()] = new
        conversation, offset = await folded.fold(key())
        assert everything(conversation) == whole(new)
        assert offset == len(new)


async def test_of_a_thread_that_was_deleted_nothing_is_kept() -> None:
    store = Logs()
    folded = Conversations(store)
    store.entries[key()] = chat(1_000)
    await folded.fold(key())
    assert folded._size > 0
    for _ in range(2):
        folded.forget(key())
        assert repr(folded) == "<Conversations 0 threads kept, 0 bytes>"


async def test_a_thread_that_is_made_anew_while_it_is_read_is_read_again() -> None:
    store, old, new = Logs(), chat(2_500), chat(2_500, epoch=2, word="new ")
    store.entries[key()] = old
    read = store.read

    async def switching(thread: ThreadKey, after: int, limit: int) -> Sequence[Entry]:
        if after == 1_000:
            store.entries[key()] = new
        return await read(thread, after, limit)

    store.read = switching  # type: ignore[method-assign]
    conversation, _ = await Conversations(store).fold(key())
    assert everything(conversation) == whole(new)


@pytest.mark.parametrize("length", [400, 2_500])
@pytest.mark.parametrize("here", [True, False])
async def test_a_thread_that_is_deleted_while_it_is_read_is_not_kept(
    length: int, here: bool
) -> None:
    store = Logs()
    folded = Conversations(store)
    read = store.read

    async def deleting(thread: ThreadKey, after: int, limit: int) -> Sequence[Entry]:
        if after >= length // 2 and store.entries.pop(thread, None) and here:
            folded.forget(thread)
        return await read(thread, after, limit)

    store.read = deleting  # type: ignore[method-assign]
    store.entries[key()] = chat(length)
    assert await folded.begin(key()) == NO_PRELUDE
    store.entries[key()] = chat(length)
    conversation, offset = await folded.fold(key())
    assert (conversation.messages(), offset) == ([], 0)
    assert repr(folded) == "<Conversations 0 threads kept, 0 bytes>"


@pytest.mark.parametrize("late", [1, 2])
async def test_a_thread_that_is_deleted_before_it_would_be_kept_is_not_kept(late: int) -> None:
    """Nor if it was still there when the store was asked, which is told after the deletion."""
    store = Logs()
    folded = Conversations(store)
    store.entries[key()] = chat(1_000)
    thread, asked = store.thread, 0

    async def deleting(key: ThreadKey) -> Thread | None:
        nonlocal asked
        asked += 1
        found = await thread(key)
        if asked == 2:
            del store.entries[key]
            folded.forget(key)
            return found if late == 2 else None
        return await thread(key)

    store.thread = deleting  # type: ignore[method-assign]
    assert await folded.begin(key()) == NO_PRELUDE
    assert repr(folded) == "<Conversations 0 threads kept, 0 bytes>"


async def test_what_is_kept_has_a_bound_and_the_least_used_goes_first() -> None:
    store = Logs()
    folded = Conversations(store, budget=20_000)
    for name in ("a", "b", "c"):
        store.entries[key(name)] = chat(1_000, word="word " + name)  # some 6 KB of prelude
        await folded.fold(key(name))
    await folded.fold(key("a"))
    store.entries[key("d")] = chat(1_000)
    await folded.fold(key("d"))
    assert repr(folded).startswith("<Conversations 3 threads kept, ")
    assert folded._size == sum(kept.size for kept in folded._kept.values()) <= 20_000
    assert {k.id for k in folded._kept} == {"a", "c", "d"}
    store.entries[key("huge")] = chat(1_000, word="x" * 100)
    await folded.fold(key("huge"))
    assert folded._size <= 20_000
