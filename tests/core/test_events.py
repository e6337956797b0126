"""Events: bytes stay as they came, a body says what they say, a plain delta carries only text."""

import json
from typing import Any

import pytest
from ag_ui.core import EventType
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_backend.core.events import (
    DELTAS,
    Body,
    Event,
    body_of,
    delta_event,
    event_from_body,
    event_from_json,
    plain_delta,
)
from netra_backend.errors import EventError
from tests.night import examples
from tests.strategies import JsonObject, json_values, model, runs, texts


@settings(max_examples=examples(50), deadline=None)
@given(runs(chunks=True))
def test_bytes_are_kept_and_the_body_says_what_they_say(events: list[JsonObject]) -> None:
    for fields in events:
        data = json.dumps(fields).encode()
        event = event_from_json(data)
        assert event == Event(EventType(fields["type"]), data)
        body = body_of(event)
        for name in ("messageId", "toolCallId", "delta", "snapshot", "metadata", "timestamp"):
            attribute = {"messageId": "message_id", "toolCallId": "tool_call_id"}.get(name, name)
            assert getattr(body, attribute) == fields.get(name)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b'{"type":5}',
        b'{"type":"NOT_ONE"}',
        b'{"type":"CUSTOM"',
        b'{"type":"CUSTOM"} x',
        b'{"type":"CUSTOM","value":NaN}',
        b'{"type":"CUSTOM","value":"\xff"}',
        b'{"type":"CUSTOM","value":"\\ud800"}',
        b'{"type":"CUSTOM","value":' + b"[" * 100_000,
    ],
)
def test_what_is_no_event(data: bytes) -> None:
    with pytest.raises(EventError, match="not an AG-UI event"):
        event_from_json(data)


@given(st.binary(max_size=40))
def test_any_bytes_are_an_event_or_an_event_error(data: bytes) -> None:
    try:
        event = event_from_json(b'{"type":"CUSTOM","name":"n","value":' + data + b"}")
    except EventError:
        return
    json.loads(event.data.decode())


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b'{"type":"TEXT_MESSAGE_START","messageId":5}', "TEXT_MESSAGE_START: .*messageId"),
        (b'{"type":"STATE_SNAPSHOT","snapshot":1e999}', "STATE_SNAPSHOT: .*out of range"),
        (b'{"type":"RUN_STARTED","input":[]}', "RUN_STARTED: .*input"),
        (b'{"type":"STATE_SNAPSHOT","snapshot":' + b"[" * 9_999 + b"]" * 9_999 + b"}", "recursion"),
    ],
)
def test_a_body_of_a_wrong_shape_is_an_event_error(data: bytes, told: str) -> None:
    with pytest.raises(EventError, match=told):
        body_of(Event(EventType(data.split(b'"')[3].decode()), data))


@given(st.sampled_from(sorted(DELTAS)), texts(20).filter(bool), texts(20))
def test_a_delta_is_legal_ag_ui_and_plain(kind: EventType, subject: str, delta: str) -> None:
    event = delta_event(kind, subject, delta)
    fields = json.loads(event.data)
    key = "toolCallId" if kind is EventType.TOOL_CALL_ARGS else "messageId"
    assert fields == {"type": kind.value, key: subject, "delta": delta}
    assert model(fields).type is kind
    assert plain_delta(event) == (subject, delta)


PLAIN = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "x"}


@pytest.mark.parametrize(
    "more",
    [
        {"timestamp": 1},
        {"metadata": {"a": 1}},
        {"metadata": {}},
        {"subagentRunId": "s"},
        {"rawEvent": {"a": 1}},
        {"x-trace": "t"},
        {"toolCallId": "c"},
        {"messageId": ""},
        {"delta": 5},
        {"type": "TEXT_MESSAGE_START"},
        {"type": "TOOL_CALL_ARGS"},
        {"type": "STATE_DELTA", "delta": []},
    ],
)
def test_what_is_no_plain_delta(more: dict[str, Any]) -> None:
    assert plain_delta(event_from_json(json.dumps(PLAIN).encode())) == ("m", "x")
    assert plain_delta(event_from_json(json.dumps({**PLAIN, **more}).encode())) is None


def test_a_body_becomes_an_event_without_what_is_unset() -> None:
    event = event_from_body(Body(type=EventType.TOOL_CALL_END, tool_call_id="c"))
    assert event == Event(EventType.TOOL_CALL_END, b'{"type":"TOOL_CALL_END","toolCallId":"c"}')


@given(json_values())
def test_a_body_survives_the_way_through_its_event(value: Any) -> None:
    body = Body(type=EventType.CUSTOM, name="app.n", value=value, metadata={"v": value})
    assert body_of(event_from_body(body)) == body
