"""Conversations: the fold of every thread, kept so that it is not made anew."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from ag_ui.core import EventType
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_backend.agents import conversations
from netra_backend.agents.conversations import Conversations
from netra_backend.core.events import Entry, Event
from netra_backend.core.fold import Conversation
from netra_backend.core.ids import RunId, ThreadId, ThreadKey, UserId
from netra_backend.core.ports import Thread
from netra_backend.core.positions import Position
from tests.core.test_prelude import everything
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


@settings(max_examples=60)
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
