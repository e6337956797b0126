"""Ingest: from what an agent yields to events that may enter the log."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from typing import Any

import pytest
from ag_ui.core import (
    ActivityDeltaEvent,
    ActivitySnapshotEvent,
    BaseEvent,
    CustomEvent,
    EventType,
    RawEvent,
    ReasoningMessageContentEvent,
    ReasoningMessageStartEvent,
    ReasoningStartEvent,
    RunFinishedEvent,
    RunStartedEvent,
    StateDeltaEvent,
    StateSnapshotEvent,
    StepStartedEvent,
    TextMessageChunkEvent,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
    ToolCallArgsEvent,
    ToolCallChunkEvent,
    ToolCallEndEvent,
    ToolCallResultEvent,
    ToolCallStartEvent,
)
from hypothesis import example, given
from hypothesis import strategies as st

from netra_backend import jsonlog
from netra_backend.agents import ingest as ingest_module
from netra_backend.agents.ingest import Delta, Ingest, Item, Whole, wire_json
from netra_backend.agents.size import MAX_EVENT_BYTES
from netra_backend.core.events import Body, Event, delta_event, event_from_body
from netra_backend.core.fold import Conversation
from netra_backend.errors import EventError
from tests import strategies


def fresh(**state: Any) -> Ingest:
    """Return the ingest of a run that has just begun, in a thread with this state."""
    conversation = Conversation()
    body = Body(type=EventType.RUN_STARTED, thread_id="t", run_id="r", input={"messages": []})
    conversation.apply(event_from_body(body))
    if state:
        conversation.apply(event_from_body(Body(type=EventType.STATE_SNAPSHOT, snapshot=state)))
    return Ingest(conversation)


def taken(ingest: Ingest, *events: object) -> list[Item]:
    return [item for event in events for item in ingest.take(event)]


def entered(items: list[Item]) -> list[Event]:
    """Return the events as which the items enter the log, if none is joined with the next."""
    return [
        delta_event(item.type, item.id, item.text) if isinstance(item, Delta) else item.event
        for item in items
    ]


def wire(items: list[Item]) -> list[dict[str, Any]]:
    return [json.loads(event.data) for event in entered(items)]


START = TextMessageStartEvent(message_id="m", role="assistant")


def test_an_event_enters_with_its_wire_names_and_nothing_unset() -> None:
    items = taken(fresh(), START, TextMessageContentEvent(message_id="m", delta="ä💐\n"))

    assert [event.data for event in entered(items)] == [
        b'{"type":"TEXT_MESSAGE_START","messageId":"m","role":"assistant"}',
        '{"type":"TEXT_MESSAGE_CONTENT","messageId":"m","delta":"ä💐\\n"}'.encode(),
    ]
    assert [type(item) for item in items] == [Whole, Delta]


def test_what_says_nothing_to_a_reader_is_dropped() -> None:
    ingest = fresh()
    taken(ingest, START)

    assert taken(ingest, RawEvent(event={"a": 1}), RunStartedEvent(thread_id="t", run_id="x")) == []
    assert taken(ingest, TextMessageContentEvent(message_id="m", delta="")) == []


def test_raw_events_do_not_travel_inside_others() -> None:
    (item,) = taken(fresh(), CustomEvent(name="n", value=1, raw_event={"secret": 1}))

    assert wire([item]) == [{"type": "CUSTOM", "name": "n", "value": 1}]


@pytest.mark.parametrize("thing", [None, "text", {"type": "TEXT_MESSAGE_START"}, 3, object()])
def test_what_is_no_event_is_refused_by_its_type(thing: object) -> None:
    with pytest.raises(
        EventError, match=f"yielded {type(thing).__qualname__}; it must yield AG-UI"
    ):
        fresh().take(thing)


@pytest.mark.parametrize(
    "illegal",
    [
        TextMessageContentEvent(message_id="m", delta="x"),
        TextMessageEndEvent(message_id="m"),
        ToolCallArgsEvent(tool_call_id="c", delta="x"),
        ToolCallEndEvent(tool_call_id="c"),
        ReasoningMessageContentEvent(message_id="m", delta="x"),
    ],
    ids=lambda event: event.type.value,
)
def test_what_is_illegal_here_is_refused_by_name(illegal: BaseEvent) -> None:
    with pytest.raises(EventError, match=illegal.type.value):
        taken(fresh(), illegal)


def test_the_names_of_our_own_events_are_refused() -> None:
    """A client believes them to be the server's: an agent could forge how earlier runs ended."""
    with pytest.raises(EventError, match=r"netra\.runs"):
        taken(fresh(), CustomEvent(name="netra.runs", value=[]))
    assert taken(fresh(), CustomEvent(name="netranot", value=[]))


def test_an_id_of_the_thread_cannot_be_started_again() -> None:
    ingest = fresh()
    taken(ingest, START, TextMessageEndEvent(message_id="m"))

    with pytest.raises(EventError, match="TEXT_MESSAGE_START 'm'"):
        taken(ingest, START)


def test_chunks_are_written_out() -> None:
    ingest = fresh()
    items = taken(
        ingest,
        TextMessageChunkEvent(message_id="m", role="assistant", delta="one "),
        TextMessageChunkEvent(delta="two"),
        ToolCallChunkEvent(tool_call_id="c", tool_call_name="look", delta="{}"),
    )
    closed = ingest.close()

    assert [event.type.value for event in [*entered(items), *closed]] == [
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "TOOL_CALL_START",
        "TOOL_CALL_ARGS",
        "TOOL_CALL_END",
    ]
    assert [event.get("delta") for event in wire(items) if "delta" in event] == [
        "one ",
        "two",
        "{}",
    ]


def test_what_is_left_open_is_closed_inside_out() -> None:
    ingest = fresh()
    taken(
        ingest,
        StepStartedEvent(step_name="s"),
        ReasoningStartEvent(message_id="b"),
        ReasoningMessageStartEvent(message_id="b", role="reasoning"),
        START,
        ToolCallStartEvent(tool_call_id="c", tool_call_name="look"),
    )
    closed = [event.type.value for event in ingest.close()]

    assert sorted(closed) == [
        "REASONING_END",
        "REASONING_MESSAGE_END",
        "STEP_FINISHED",
        "TEXT_MESSAGE_END",
        "TOOL_CALL_END",
    ]
    assert closed.index("REASONING_MESSAGE_END") < closed.index("REASONING_END")
    assert ingest.close() == []


# --- deltas that may be joined ---------------------------------------------------------------


@pytest.mark.parametrize(
    "delta", ["", "x", "ä💐", '"\\\n\x00\u2028', "a\ud800b", "\udfff", "x" * 10_000]
)
@pytest.mark.parametrize("kind", [TextMessageContentEvent, ReasoningMessageContentEvent])
def test_the_hot_path_writes_what_the_other_one_writes(kind: type[BaseEvent], delta: str) -> None:
    """The same delta, once alone and once with a name that makes it go the long way."""

    def started() -> Ingest:
        ingest = fresh()
        start = ReasoningMessageStartEvent(message_id="m", role="reasoning")
        taken(ingest, START if kind is TextMessageContentEvent else start)
        return ingest

    short = taken(started(), kind.model_construct(message_id="m", delta=delta))
    long = taken(started(), kind.model_construct(message_id="m", delta=delta, timestamp=5))
    if delta == "":
        assert short == []
        return
    assert wire(long) == [{**wire(short)[0], "timestamp": 5}]
    assert [type(item) for item in [*long, *short]] == [Whole, Delta]
    entered(short)[0].data.decode()


def test_a_delta_that_carries_more_stands_alone() -> None:
    ingest = fresh()
    taken(ingest, START)
    for extra in ({"timestamp": 1}, {"metadata": {"a": 1}}, {"unknown": True}):
        (item,) = taken(ingest, TextMessageContentEvent(message_id="m", delta="x", **extra))
        assert isinstance(item, Whole)
        assert extra.items() <= wire([item])[0].items()


@pytest.mark.parametrize("field", ["timestamp", "metadata", "subagent_run_id"])
def test_a_delta_of_which_a_field_was_deleted_is_taken(field: str) -> None:
    ingest = fresh()
    taken(ingest, START)
    event = TextMessageContentEvent(message_id="m", delta="hi")
    delattr(event, field)
    assert taken(ingest, event) == [Delta(EventType.TEXT_MESSAGE_CONTENT, "m", "hi")]


@pytest.mark.parametrize("field", ["message_id", "delta"])
def test_a_delta_without_what_it_needs_is_refused(field: str) -> None:
    ingest = fresh()
    taken(ingest, START)
    event = TextMessageContentEvent(message_id="m", delta="hi")
    delattr(event, field)
    with pytest.raises(EventError, match="TEXT_MESSAGE_CONTENT"):
        taken(ingest, event)


def test_arguments_of_a_tool_call_may_be_joined() -> None:
    ingest = fresh()
    taken(ingest, ToolCallStartEvent(tool_call_id="c", tool_call_name="look"))
    items = taken(ingest, ToolCallArgsEvent(tool_call_id="c", delta='{"a"'))

    assert items == [Delta(EventType.TOOL_CALL_ARGS, "c", '{"a"')]


# --- values of the agent's own -----------------------------------------------------------------


class Colour(Enum):
    """No JSON."""

    RED = object()


class Rude:
    """A value whose every method raises."""

    def __repr__(self) -> str:
        raise RuntimeError("no")


def test_open_fields_take_anything() -> None:
    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    value = {
        "enum": Colour.RED,
        Colour.RED: 1,
        "at": datetime(2026, 1, 2, tzinfo=UTC),
        "nan": float("nan"),
        "set": {3, 1},
        "rude": Rude(),
        "cycle": cycle,
        "surrogate": "\ud800",
        "event": START,
    }
    items = taken(fresh(), CustomEvent(name="n", value=value), StateSnapshotEvent(snapshot=value))

    for found in (wire(items)[0]["value"], wire(items)[1]["snapshot"]):
        assert found["enum"] == "RED"
        assert found["RED"] == 1
        assert found["at"] == "2026-01-02T00:00:00+00:00"
        assert found["nan"] == "NaN"
        assert found["set"] == [1, 3]
        assert "Rude" in found["rude"]["$type"]
        assert found["cycle"]["self"]["$cut"] == "cycle"
        assert found["surrogate"] == "\\ud800"


def test_an_event_over_the_limit_is_refused() -> None:
    small = CustomEvent(name="n", value="x" * (MAX_EVENT_BYTES - 100))
    big = CustomEvent(name="n", value="x" * MAX_EVENT_BYTES)
    result = ToolCallResultEvent(message_id="m", tool_call_id="c", content="x" * MAX_EVENT_BYTES)
    delta = TextMessageContentEvent(message_id="m", delta="x" * MAX_EVENT_BYTES)
    ingest = fresh()
    taken(ingest, START, small)

    for event in (big, result, delta):
        with pytest.raises(EventError, match=f"{event.type.value} has .* bytes; the limit is"):
            taken(ingest, event)


def test_one_that_is_far_over_it_is_refused_before_its_bytes_are_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ingest_module, "_any_json", lambda fields: pytest.fail("they are made"))
    huge = CustomEvent(name="n", value=[{"a": 1}] * MAX_EVENT_BYTES)

    with pytest.raises(EventError, match=r"^CUSTOM has at least \d+ bytes; the limit .*'value'"):
        taken(fresh(), START, huge)


@pytest.mark.parametrize(
    "late", [Colour.RED, object(), "\ud800"], ids=["an enum", "an object", "a surrogate"]
)
def test_what_another_thread_puts_into_a_value_meanwhile_breaks_nothing(
    late: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    state: dict[str, Any] = {"a": 1}
    check = ingest_module.check_size

    def checked(event: str, fields: dict[str, Any]) -> bool:
        is_plain = check(event, fields)
        state["late"] = late
        return is_plain

    monkeypatch.setattr(ingest_module, "check_size", checked)
    (_, item) = taken(fresh(), START, StateSnapshotEvent(snapshot=state))
    assert isinstance(item, Whole)
    assert set(json.loads(item.event.data)["snapshot"]) == {"a", "late"}


def test_what_is_not_written_of_an_event_may_have_any_size() -> None:
    taken(fresh(), START, CustomEvent(name="n", value=1, raw_event=["x" * MAX_EVENT_BYTES] * 2))


def test_a_small_delta_of_a_message_with_an_endless_id_is_refused() -> None:
    id = "x" * (MAX_EVENT_BYTES - 1000)
    ingest = fresh()
    taken(ingest, START, TextMessageStartEvent(message_id=id, role="assistant"))
    delta = TextMessageContentEvent(message_id=id, delta="\0" * 1000)

    with pytest.raises(EventError, match=r"has \d+ bytes; the limit is"):
        taken(ingest, delta)


# --- state and activities ------------------------------------------------------------------------


def test_patches_apply_to_the_state_of_the_thread() -> None:
    ingest = fresh(count=1)
    add = [{"op": "add", "path": "/list", "value": []}]
    push = [{"op": "add", "path": "/list/-", "value": 5}]
    test = [
        {"op": "test", "path": "/list/0", "value": 5},
        {"op": "test", "path": "/count", "value": 1},
    ]

    assert len(taken(ingest, *(StateDeltaEvent(delta=patch) for patch in (add, push, test)))) == 3


@pytest.mark.parametrize(
    "patch",
    [
        [{"op": "replace", "path": "/absent", "value": 1}],
        [{"op": "test", "path": "/count", "value": 2}],
        [{"op": "remove", "path": "/a/b/c"}],
        [{"op": "add", "path": "/count/x", "value": 1}],
        [{"op": "dance", "path": "/count"}],
        [{"op": "add", "path": "no slash", "value": 1}],
        [{"path": "/count"}],
    ],
)
def test_a_patch_that_does_not_apply_is_refused(patch: list[dict[str, Any]]) -> None:
    event = StateDeltaEvent.model_construct(type=EventType.STATE_DELTA, delta=patch)

    with pytest.raises(EventError, match="STATE_DELTA"):
        taken(fresh(count=1), event)


def test_a_state_that_no_snapshot_could_carry_is_refused() -> None:
    double = StateDeltaEvent(delta=[{"op": "copy", "from": "/a", "path": "/a/-"}])
    ingest = fresh(a=["x" * 1_000])
    with pytest.raises(EventError, match=f"STATE_DELTA: .*more than {MAX_EVENT_BYTES} bytes"):
        taken(ingest, *[double] * 40)


def test_activities_are_patched_once_they_are_there() -> None:
    patch = [{"op": "replace", "path": "/done", "value": 2}]
    delta = ActivityDeltaEvent(message_id="a", activity_type="plan", patch=patch)
    with pytest.raises(EventError, match="there is no such activity"):
        taken(fresh(), delta)
    ingest = fresh()
    snapshot = ActivitySnapshotEvent(message_id="a", activity_type="plan", content={"done": 1})

    assert len(taken(ingest, snapshot, delta)) == 2


def test_the_end_of_the_run_is_an_item_like_any_other() -> None:
    (item,) = taken(fresh(), RunFinishedEvent(thread_id="t", run_id="r"))

    assert isinstance(item, Whole)
    assert item.event.type is EventType.RUN_FINISHED


def test_writing_a_model_never_raises() -> None:
    broken = StateSnapshotEvent.model_construct(snapshot={"rude": Rude(), 1: Colour.RED})

    assert json.loads(wire_json(broken))["snapshot"]["1"] == "RED"


class Shouting(str):
    """A text whose characters are not those that it says."""

    __slots__ = ()

    def isascii(self) -> bool:
        return True


@given(strategies.json_values(max_leaves=20))
def test_plain_values_are_written_as_all_others_are(value: Any) -> None:
    event = StateSnapshotEvent(snapshot=value)
    slow = jsonlog.dumps(ingest_module._fields(event), limits=jsonlog.WIRE_LIMITS).encode()

    (item,) = taken(fresh(), START, event)[1:]
    assert isinstance(item, Whole)
    assert item.event.data == slow


@given(
    text=st.text(st.characters(max_codepoint=0x7F)) | st.text(),
    name=st.text(max_size=5),
    wrap=st.sampled_from([str, Shouting, lambda text: [text], Colour]),
)
@example(text="\x00\x1f\x7f", name="n", wrap=str)
@example(text="\x85\u2028\ud800", name="n", wrap=Shouting)
@example(text="x" * (MAX_EVENT_BYTES + 1), name="n", wrap=str)
def test_plain_events_are_written_as_all_others_are(
    text: str, name: str, wrap: Callable[[str], object]
) -> None:
    """The quick way for texts gives the bytes of the long one, also with fields we do not know."""
    value = Colour.RED if wrap is Colour else wrap(text)
    more: dict[str, Any] = {f"our {name}": text}
    event = CustomEvent.model_construct(name=name, value=value, **more)
    slow = jsonlog.dumps(ingest_module._fields(event), limits=jsonlog.WIRE_LIMITS).encode()

    assert wire_json(event) == slow
