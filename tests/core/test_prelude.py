"""The prelude: joining in the middle gives the same as having been there from the beginning."""

import json
from collections.abc import Generator, Iterable

from ag_ui.core import PROTOCOL_VERSION
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_backend.core.events import Entry, Event
from netra_backend.core.fold import Conversation
from netra_backend.core.ids import ThreadId
from netra_backend.core.prelude import taking_up, telling
from tests.legality import illegal
from tests.night import examples
from tests.strategies import THREAD, JsonObject, logs, model, runs, threads, wire


def fold(events: Iterable[Event]) -> Conversation:
    conversation = Conversation()
    for event in events:
        conversation.apply(event)
    return conversation


def prelude_of(conversation: Conversation) -> list[Event]:
    """Return the prelude, made in one go."""
    told: list[Event] = []

    def steps() -> Generator[None]:
        told.extend((yield from telling(ThreadId(THREAD), conversation)))

    for _ in steps():
        pass
    return told


def everything(conversation: Conversation) -> JsonObject:
    """Return all that a conversation says."""
    return {
        "messages": conversation.messages(),
        "state": conversation.state,
        "run": conversation.run_id,
        "terminal": conversation.terminal,
        "progress": conversation.progress,
        "marks": conversation.marks.event(),
        "used": conversation.used_ids(),
        "open": conversation.constructs.openers(),
        "closers": conversation.constructs.closers(),
    }


@settings(max_examples=examples(100), deadline=None)
@given(logs(), st.integers(0, 200))
def test_a_prelude_and_the_rest_are_the_whole(log: list[Entry], cut: int) -> None:
    events = [entry.event for entry in log]
    cut = 1 + cut % len(events)
    prefix = fold(events[:cut])
    begun = fold(prelude_of(prefix))
    assert everything(begun) == everything(prefix)
    for event in events[cut:]:
        prefix.apply(event)
        begun.apply(event)
        assert everything(begun) == everything(prefix)


def test_it_is_told_and_taken_up_a_message_a_step() -> None:
    chunks: list[JsonObject] = [
        {"type": "RUN_STARTED", "threadId": THREAD, "runId": "r"},
        {"type": "STATE_SNAPSHOT", "snapshot": {"rows": 3}},
    ]
    for n in range(70):
        chunks.append({"type": "TEXT_MESSAGE_START", "messageId": f"m{n}", "role": "assistant"})
        chunks.append({"type": "TEXT_MESSAGE_END", "messageId": f"m{n}"})
    conversation = fold(wire(chunk) for chunk in chunks)
    assert sum(1 for _ in telling(ThreadId(THREAD), conversation)) == 70 + 1
    begun = prelude_of(conversation)
    assert sum(1 for _ in taking_up(begun)) == 70 + len(begun)


@settings(max_examples=15, deadline=None)
@given(runs(max_steps=15))
def test_at_every_cut_of_a_run(run: list[JsonObject]) -> None:
    events = [wire(fields) for fields in run]
    whole = everything(fold(events))
    for cut in range(1, len(events) + 1):
        assert everything(fold([*prelude_of(fold(events[:cut])), *events[cut:]])) == whole


@settings(max_examples=examples(60), deadline=None)
@given(logs())
def test_a_prelude_of_a_prelude_is_the_same(log: list[Entry]) -> None:
    first = prelude_of(fold(entry.event for entry in log))
    assert prelude_of(fold(first)) == first


@settings(max_examples=examples(60), deadline=None)
@given(threads(max_runs=2), st.integers(0, 200))
def test_a_prelude_and_the_rest_are_legal_ag_ui(thread: list[list[JsonObject]], cut: int) -> None:
    run = [event for part in thread for event in part]
    cut = 1 + cut % len(run)
    given = prelude_of(fold(wire(fields) for fields in run[:cut]))
    told = [json.loads(event.data) for event in given]
    for fields in told:
        model(fields)
    assert illegal([*told, *run[cut:]], later_run=True) == []


def test_what_a_prelude_says() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "find", "arguments": '{"q"'}}
    user = {"id": "u", "role": "user", "content": "hi"}
    given = {"threadId": THREAD, "runId": "r", "messages": [user], "state": {"a": 1}}
    text = {"messageId": "m", "metadata": {"a": 1}}
    tool = {"toolCallId": "c", "toolCallName": "find", "parentMessageId": "m"}
    events: list[JsonObject] = [
        {"type": "RUN_STARTED", "threadId": THREAD, "runId": "r", "input": given},
        {"type": "STEP_STARTED", "stepName": "look"},
        {"type": "TEXT_MESSAGE_START", **text},
        {"type": "TEXT_MESSAGE_CONTENT", **text, "delta": "Hel", "metadata": {"a": 2}},
        {"type": "TOOL_CALL_START", **tool},
        {"type": "TOOL_CALL_ARGS", "toolCallId": "c", "delta": '{"q"'},
        {"type": "STATE_SNAPSHOT", "snapshot": None},
        {"type": "CUSTOM", "name": "netra.progress", "value": {"text": "Looking"}},
    ]
    message = {"id": "m", "role": "assistant", "content": "Hel", "toolCalls": [call]}
    told = prelude_of(fold(wire(fields) for fields in events))
    assert [json.loads(event.data) for event in told] == [
        {
            "type": "RUN_STARTED",
            "threadId": THREAD,
            "runId": "r",
            "protocolVersion": PROTOCOL_VERSION,
        },
        {"type": "MESSAGES_SNAPSHOT", "messages": [user, {**message, "metadata": {"a": 2}}]},
        {"type": "STATE_SNAPSHOT", "snapshot": None},
        {"type": "STEP_STARTED", "stepName": "look"},
        {"type": "TEXT_MESSAGE_START", "messageId": "m"},
        {"type": "TOOL_CALL_START", **tool},
        {"type": "CUSTOM", "name": "netra.progress", "value": {"text": "Looking"}},
    ]


def test_a_prelude_of_an_ended_run_ends_with_its_end() -> None:
    started = {"type": "RUN_STARTED", "threadId": THREAD, "runId": "r"}
    end = {"type": "RUN_FINISHED", "threadId": THREAD, "runId": "r", "result": [1]}
    told = prelude_of(fold([wire(started), wire(end)]))
    assert [event.type.value for event in told] == [
        "RUN_STARTED",
        "MESSAGES_SNAPSHOT",
        "RUN_FINISHED",
    ]
    assert told[-1] == wire(end)
