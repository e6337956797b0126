"""Messages: one read from JSON goes on as the one that wrote it."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_backend.core.events import Entry
from netra_backend.core.fold import Conversation
from netra_backend.core.messages import Call, Message, Messages
from tests.night import examples
from tests.strategies import VALUES, JsonObject, logs, texts


@settings(max_examples=examples(60), deadline=None)
@given(logs())
def test_a_message_is_what_its_json_says(log: list[Entry]) -> None:
    conversation = Conversation()
    for entry in log:
        conversation.apply(entry.event)
    for fields in conversation.messages():
        assert Message.from_json(fields).to_json() == fields


steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.text(max_size=3)),
        st.tuples(
            st.just("become"), st.dictionaries(texts(2), st.sampled_from(VALUES), max_size=3)
        ),
        st.just(("copy", None)),
    ),
    max_size=8,
)


@given(st.sampled_from(["assistant", "user", "tool", "activity"]), st.text(max_size=3), steps)
def test_a_copy_by_json_goes_on_the_same(
    role: str, content: str, done: list[tuple[str, Any]]
) -> None:
    original = Message("m", role, {"name": None}, content=content)
    copied = Message.from_json(original.to_json())
    for what, value in done:
        for message in (original, copied):
            if what == "write":
                message.write(value)
            elif what == "become":
                message.become_activity({"activityType": "plan"}, value)
        if what == "copy":
            copied = Message.from_json(copied.to_json())
        assert copied.to_json() == original.to_json()
        assert copied.content == original.content


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "u", "role": "user", "content": "hi", "x": {"a": [1]}, "toolCalls": 5},
        {"id": "u", "role": "user", "content": [{"type": "text", "text": "hi"}]},
        {"id": "a", "role": "assistant"},
        {"id": "a", "role": "assistant", "content": ""},
        {"id": "t", "role": "tool", "toolCallId": "c", "content": "x", "error": "broken"},
        {"id": "p", "role": "activity", "activityType": "plan", "content": {"a": None}},
    ],
)
def test_no_field_is_lost(fields: JsonObject) -> None:
    assert Message.from_json(fields).to_json() == fields


def test_a_call_keeps_its_fields() -> None:
    function = {"name": "find", "arguments": '{"a"'}
    fields = {"id": "c", "type": "function", "function": function, "encryptedValue": "x"}
    call = Call.from_json(fields)
    call.arguments.append(":1}")
    function["arguments"] = '{"a":1}'
    assert call.to_json() == fields


def test_of_several_with_one_id_the_first_is_meant() -> None:
    messages = Messages()
    owner = Message("a", "assistant", {})
    messages.append(owner)
    messages.add_call("c", "a", {})
    late = Message("x", "assistant", {}, content="late")
    messages.append(late)
    assert messages.get("x") is late
    result = Message("x", "tool", {"toolCallId": "c"}, content="found")
    messages.add_result(result, "c")
    assert list(messages) == [owner, result, late]
    assert messages.get("x") is result


def test_a_result_of_an_unknown_call_comes_last() -> None:
    messages = Messages()
    messages.append(Message("a", "assistant", {}))
    messages.add_result(Message("r", "tool", {}), "unknown")
    assert [message.id for message in messages] == ["a", "r"]
    assert messages.call("unknown") is None
