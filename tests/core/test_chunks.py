"""Chunks: written out they are legal, and add up to the same."""

import json

import pytest
from ag_ui.core import EventType
from hypothesis import given, settings

from netra_backend.core.chunks import CHUNKS, Expander
from netra_backend.core.events import Body, body_of, event_from_body
from netra_backend.core.fold import Conversation
from netra_backend.errors import EventError
from tests.legality import illegal
from tests.night import examples
from tests.strategies import JsonObject, model, runs, wire

TEXT, TOOL, THOUGHT = (
    EventType.TEXT_MESSAGE_CHUNK,
    EventType.TOOL_CALL_CHUNK,
    EventType.REASONING_MESSAGE_CHUNK,
)


def expanded(events: list[JsonObject]) -> list[JsonObject]:
    """Return the run in its long form, as the runner logs it."""
    expander = Expander()
    long: list[JsonObject] = []
    for fields in events:
        body = body_of(wire(fields))
        long.extend(
            fields if part is body else json.loads(event_from_body(part).data)
            for part in expander.expand(body)
        )
    return long + [json.loads(event_from_body(part).data) for part in expander.close()]


def long(*bodies: Body) -> list[str]:
    """Return the long form, an event a line: its type without the family, its id, its delta."""
    expander = Expander()
    parts = [part for body in bodies for part in expander.expand(body)]
    ids = [part.tool_call_id or part.message_id or "" for part in parts]
    return [
        " ".join(filter(None, [part.type.value, id, part.delta]))
        for part, id in zip(parts, ids, strict=True)
    ]


@settings(max_examples=examples(100), deadline=None)
@given(runs(chunks=True))
def test_written_out_a_run_is_legal(events: list[JsonObject]) -> None:
    events = expanded(events)
    assert illegal(events) == []
    conversation = Conversation()
    for fields in events:
        model(fields)
        conversation.apply(wire(fields))


@settings(max_examples=examples(50), deadline=None)
@given(runs(chunks=True))
def test_written_out_it_says_the_same(events: list[JsonObject]) -> None:
    """Nothing but chunks is changed, and no text of them is lost."""
    chunks = {kind.value for kind in CHUNKS}
    written = expanded(events)
    assert [e for e in events if e["type"] not in chunks] == [e for e in written if e in events]
    said = "".join(e.get("delta") or "" for e in events if isinstance(e.get("delta"), str))
    assert said == "".join(e["delta"] for e in written if isinstance(e.get("delta"), str))


def test_a_message_of_chunks() -> None:
    assert long(
        Body(type=TEXT, message_id="m", delta="Hel"),
        Body(type=TEXT, delta="lo"),
        Body(type=TEXT, message_id="m", delta="!"),
        Body(type=TEXT, message_id="n", delta="Next"),
        Body(type=EventType.CUSTOM, name="x", value=1),
    ) == [
        "TEXT_MESSAGE_START m",
        "TEXT_MESSAGE_CONTENT m Hel",
        "TEXT_MESSAGE_CONTENT m lo",
        "TEXT_MESSAGE_CONTENT m !",
        "TEXT_MESSAGE_END m",
        "TEXT_MESSAGE_START n",
        "TEXT_MESSAGE_CONTENT n Next",
        "TEXT_MESSAGE_END n",
        "CUSTOM",
    ]


def test_a_chunk_of_another_kind_ends_the_stream() -> None:
    assert long(
        Body(type=THOUGHT, message_id="r", delta="hm"),
        Body(type=TOOL, tool_call_id="c", tool_call_name="find", delta="{}"),
        Body(type=TEXT, message_id="m", delta="so"),
    ) == [
        "REASONING_MESSAGE_START r",
        "REASONING_MESSAGE_CONTENT r hm",
        "REASONING_MESSAGE_END r",
        "TOOL_CALL_START c",
        "TOOL_CALL_ARGS c {}",
        "TOOL_CALL_END c",
        "TEXT_MESSAGE_START m",
        "TEXT_MESSAGE_CONTENT m so",
    ]


def test_what_stands_beside_a_message_does_not_end_its_stream() -> None:
    assert long(
        Body(type=TEXT, message_id="m", delta="a"),
        Body(type=EventType.ACTIVITY_SNAPSHOT, message_id="p", activity_type="x", content={}),
        Body(type=EventType.ACTIVITY_DELTA, message_id="p", activity_type="x", patch=[]),
        Body(type=EventType.REASONING_ENCRYPTED_VALUE, subtype="message", entity_id="m"),
        Body(type=EventType.RAW),
        Body(type=TEXT, delta="b"),
    ) == [
        "TEXT_MESSAGE_START m",
        "TEXT_MESSAGE_CONTENT m a",
        "ACTIVITY_SNAPSHOT p",
        "ACTIVITY_DELTA p",
        "REASONING_ENCRYPTED_VALUE",
        "RAW",
        "TEXT_MESSAGE_CONTENT m b",
    ]


def test_the_first_chunk_describes_the_start() -> None:
    expander = Expander()
    given = {"parent_message_id": "p", "subagent_run_id": "s", "metadata": {"a": 1}}
    (start,) = expander.expand(Body(type=TOOL, tool_call_id="c", tool_call_name="find", **given))
    assert start == Body(
        type=EventType.TOOL_CALL_START, tool_call_id="c", tool_call_name="find", **given
    )
    _, text = expander.expand(Body(type=TEXT, message_id="m", role="user", name="n"))
    assert text == Body(type=EventType.TEXT_MESSAGE_START, message_id="m", role="user", name="n")
    _, thought = expander.expand(Body(type=THOUGHT, message_id="r"))
    assert thought.role == "reasoning"


def test_a_chunk_that_carries_only_metadata_still_says_it() -> None:
    expander = Expander()
    expander.expand(Body(type=TEXT, message_id="m", delta="a"))
    assert expander.expand(Body(type=TEXT, metadata={"usage": 7})) == [
        Body(type=EventType.TEXT_MESSAGE_CONTENT, message_id="m", delta="", metadata={"usage": 7})
    ]
    assert expander.expand(Body(type=TEXT)) == []


@pytest.mark.parametrize(
    ("bodies", "told"),
    [
        ([Body(type=TEXT, delta="x")], "the first TEXT_MESSAGE_CHUNK must carry an id"),
        ([Body(type=TOOL, delta="x")], "the first TOOL_CALL_CHUNK must carry an id"),
        ([Body(type=TOOL, tool_call_id="c")], "'c' must carry toolCallName"),
        (
            [Body(type=TEXT, message_id="m", delta="x"), Body(type=THOUGHT, delta="x")],
            "the first REASONING_MESSAGE_CHUNK must carry an id",
        ),
    ],
)
def test_a_first_chunk_without_what_it_must_carry(bodies: list[Body], told: str) -> None:
    with pytest.raises(EventError, match=told):
        long(*bodies)


def test_the_end_closes_what_is_open_once() -> None:
    expander = Expander()
    assert expander.idle
    assert expander.close() == []
    expander.expand(Body(type=TEXT, message_id="m", delta="x"))
    assert not expander.idle
    assert expander.close() == [Body(type=EventType.TEXT_MESSAGE_END, message_id="m")]
    assert expander.idle
    assert expander.close() == []
