"""The fold: what AG-UI's own client would show, rule by rule."""

import gc
import weakref
from typing import Any

import msgspec
import pytest
from ag_ui.core import Message, RunAgentInput
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import UNSET
from pydantic import TypeAdapter

from netra_backend.core.codec import decode_input
from netra_backend.core.constructs import Used
from netra_backend.core.events import event_from_json
from netra_backend.core.fold import Conversation
from netra_backend.errors import EventError, FrameError
from tests.core.test_prelude import prelude_of
from tests.night import examples
from tests.strategies import JsonObject, json_values, threads, wire

MESSAGES: TypeAdapter[list[Any]] = TypeAdapter(list[Message])


def run(*events: JsonObject, id: str = "r", **given: Any) -> list[JsonObject]:
    """Return a run that has begun, with this input."""
    about = {"input": {"threadId": "t", "runId": id, "messages": [], **given}} if given else {}
    return [{"type": "RUN_STARTED", "threadId": "t", "runId": id, **about}, *events]


def fold(*events: JsonObject) -> Conversation:
    conversation = Conversation()
    for fields in events:
        conversation.apply(wire(fields))
    return conversation


def shown(*events: JsonObject, **given: Any) -> list[JsonObject]:
    """Return the messages after these events of a run with this input."""
    return fold(*run(*events, **given)).messages()


def ev(kind: str, **fields: Any) -> JsonObject:
    return {"type": kind, **fields}


def text(id: str, *deltas: str, **about: Any) -> list[JsonObject]:
    return [
        ev("TEXT_MESSAGE_START", messageId=id, **about),
        *[ev("TEXT_MESSAGE_CONTENT", messageId=id, delta=delta) for delta in deltas],
    ]


def call(id: str, *deltas: str, end: bool = True, **about: Any) -> list[JsonObject]:
    return [
        ev("TOOL_CALL_START", toolCallId=id, toolCallName="find", **about),
        *[ev("TOOL_CALL_ARGS", toolCallId=id, delta=delta) for delta in deltas],
        *([ev("TOOL_CALL_END", toolCallId=id)] if end else []),
    ]


def tool_call(id: str, arguments: str = "", **about: Any) -> JsonObject:
    function = {"name": "find", "arguments": arguments}
    return {"id": id, "type": "function", "function": function, **about}


USER = {"id": "u", "role": "user", "content": "hi"}
END = ev("RUN_FINISHED", threadId="t", runId="r")


@settings(max_examples=examples(60), deadline=None)
@given(threads())
def test_messages_are_ag_ui_messages(thread: list[list[JsonObject]]) -> None:
    conversation = fold(*[event for events in thread for event in events])
    MESSAGES.validate_python(conversation.messages())
    assert conversation.run_id == f"run-{len(thread) - 1}"
    assert conversation.terminal == wire(thread[-1][-1])


def test_text_is_joined_in_a_message_of_its_role() -> None:
    assert shown(*text("m", "Hel", "", "lo"), *text("n", role="user", name="someone")) == [
        {"id": "m", "role": "assistant", "content": "Hello"},
        {"id": "n", "role": "user", "content": "", "name": "someone"},
    ]


def test_reasoning_is_a_message_of_its_own() -> None:
    assert shown(
        ev("REASONING_START", messageId="b"),
        ev("REASONING_MESSAGE_START", messageId="r", role="reasoning"),
        ev("REASONING_MESSAGE_CONTENT", messageId="r", delta="hm"),
        ev("REASONING_ENCRYPTED_VALUE", subtype="message", entityId="r", encryptedValue="x1"),
    ) == [{"id": "r", "role": "reasoning", "content": "hm", "encryptedValue": "x1"}]


def test_an_encrypted_value_belongs_to_its_call() -> None:
    value = ev("REASONING_ENCRYPTED_VALUE", subtype="tool-call", entityId="c", encryptedValue="x1")
    (message,) = shown(*call("c"), value)  # the message of its own has the same id
    assert message["toolCalls"] == [tool_call("c", encryptedValue="x1")]
    assert "encryptedValue" not in message


def test_a_call_hangs_on_its_parent() -> None:
    assert shown(*text("m", "Let me look"), *call("c", '{"a"', ":1}", parentMessageId="m")) == [
        {
            "id": "m",
            "role": "assistant",
            "content": "Let me look",
            "toolCalls": [tool_call("c", '{"a":1}')],
        }
    ]


@pytest.mark.parametrize(
    ("parent", "owner"),
    [({}, "c"), ({"parentMessageId": "new"}, "new"), ({"parentMessageId": "u"}, "c")],
)
def test_a_call_without_a_fitting_parent_gets_a_message(parent: JsonObject, owner: str) -> None:
    assert shown(*call("c", **parent), messages=[USER]) == [
        USER,
        {"id": owner, "role": "assistant", "toolCalls": [tool_call("c")]},
    ]


def test_text_may_come_into_a_message_that_a_call_began() -> None:
    assert shown(*call("c", parentMessageId="m"), *text("m", "done")) == [
        {"id": "m", "role": "assistant", "content": "done", "toolCalls": [tool_call("c")]}
    ]


def test_a_result_stands_right_after_its_call() -> None:
    """Model providers refuse a history in which text stands between the two."""
    results = [
        ev("TOOL_CALL_RESULT", messageId=f"r{call}", toolCallId=call, content=f"for {call}")
        for call in ("b", "a")
    ]
    messages = shown(*call("a"), *call("b"), *text("m", "meanwhile"), *results)
    assert [(message["id"], message["role"]) for message in messages] == [
        ("a", "assistant"),
        ("ra", "tool"),
        ("b", "assistant"),
        ("rb", "tool"),
        ("m", "assistant"),
    ]
    assert messages[1] == {"id": "ra", "role": "tool", "toolCallId": "a", "content": "for a"}


def test_results_of_one_message_keep_their_order() -> None:
    calls = [*call("a", parentMessageId="m"), *call("b", parentMessageId="m")]
    results = [
        ev("TOOL_CALL_RESULT", messageId=id, toolCallId=call, content="")
        for id, call in (("r1", "b"), ("r2", "a"), ("r3", "a"))
    ]
    ids = [message["id"] for message in shown(*calls, *text("n"), *results)]
    assert ids == ["m", "r1", "r2", "r3", "n"]


def test_a_result_with_the_id_of_its_call_does_not_hide_it() -> None:
    done = ev("TOOL_CALL_RESULT", messageId="c", toolCallId="c", content="found")
    assert [message["role"] for message in shown(*call("c"), done)] == ["assistant", "tool"]


def test_metadata_is_merged_key_by_key_and_the_last_wins() -> None:
    messages = shown(
        ev("TEXT_MESSAGE_START", messageId="m", metadata={"a": 1, "b": 1}),
        ev("TEXT_MESSAGE_CONTENT", messageId="m", delta="x", metadata={"b": 2}),
        ev("TEXT_MESSAGE_END", messageId="m", metadata={"c": None}),
        ev("TOOL_CALL_START", toolCallId="c", toolCallName="find", parentMessageId="m"),
        ev("TOOL_CALL_ARGS", toolCallId="c", delta="{}", metadata={"d": 1}),
        ev("TOOL_CALL_END", toolCallId="c", metadata={"d": 2}),
        ev("STEP_STARTED", stepName="s", metadata={"e": 1}),
    )
    (message,) = messages
    assert message["metadata"] == {"a": 1, "b": 2, "c": None}
    assert message["toolCalls"] == [tool_call("c", "{}", metadata={"d": 2})]


def test_the_inputs_messages_come_first_and_once() -> None:
    said = run(*text("m", "hello"), messages=[USER])
    again = run(id="r2", messages=[{**USER, "content": "other"}, {**USER, "id": "u2"}])
    conversation = fold(*said, ev("TEXT_MESSAGE_END", messageId="m"), END, *again)
    assert [(m["id"], m["content"]) for m in conversation.messages()] == [
        ("u", "hi"),
        ("m", "hello"),
        ("u2", "hi"),
    ]


def test_a_run_may_not_start_what_its_input_or_an_earlier_run_has() -> None:
    history = [USER, {"id": "a", "role": "assistant", "toolCalls": [tool_call("c")]}]
    begun = run(messages=history)
    assert fold(*begun).used_ids() == Used(frozenset({"u", "a"}), frozenset({"c"}))
    for fields in (text("u"), text("a"), call("c")):
        with pytest.raises(EventError, match="was used before in the thread"):
            fold(*begun, fields[0])
    assert fold(*begun).knows_message("u")
    assert not fold(*begun).knows_message("c")


def test_a_result_may_come_for_a_call_of_the_input() -> None:
    history = [{"id": "a", "role": "assistant", "toolCalls": [tool_call("c")]}]
    done = ev("TOOL_CALL_RESULT", messageId="r", toolCallId="c", content="approved")
    assert [message["id"] for message in shown(done, messages=history)] == ["a", "r"]


def test_only_an_assistants_calls_are_calls() -> None:
    """AG-UI lets a client add fields to any message; nobody has checked what they hold."""
    odd = [{**USER, "toolCalls": 5}, {"id": "s", "role": "system", "content": "", "toolCalls": {}}]
    assert shown(messages=odd) == odd
    snapshot = ev("MESSAGES_SNAPSHOT", messages=odd)
    assert shown(snapshot) == odd


# --- snapshots of messages -----------------------------------------------------------------


def test_a_snapshot_replaces_adds_and_removes() -> None:
    before = [*text("m", "old"), ev("TEXT_MESSAGE_END", messageId="m"), *text("n", "gone")]
    new = [{"id": "z", "role": "user", "content": "z"}, {**USER, "id": "m", "content": "new"}]
    closed = ev("TEXT_MESSAGE_END", messageId="n")
    assert shown(*before, closed, ev("MESSAGES_SNAPSHOT", messages=new)) == [new[1], new[0]]


def test_a_snapshots_version_of_two_messages_of_one_id_comes_once() -> None:
    done = ev("TOOL_CALL_RESULT", messageId="c", toolCallId="c", content="found")
    version = {"id": "c", "role": "assistant", "toolCalls": [tool_call("c")]}
    assert shown(*call("c"), done, ev("MESSAGES_SNAPSHOT", messages=[version])) == [version]


def test_a_snapshot_without_reasoning_and_activities_leaves_them() -> None:
    thought = [
        ev("REASONING_MESSAGE_START", messageId="r", role="reasoning"),
        ev("REASONING_MESSAGE_END", messageId="r"),
    ]
    plan = {"messageId": "p", "activityType": "plan", "content": {}}
    before = [*thought, ev("ACTIVITY_SNAPSHOT", **plan)]
    ids = [m["id"] for m in shown(*before, ev("MESSAGES_SNAPSHOT", messages=[USER]))]
    assert ids == ["r", "p", "u"]
    own = [
        {"id": "r2", "role": "reasoning", "content": ""},
        {"id": "p2", "role": "activity", "activityType": "plan", "content": {}},
    ]
    ids = [m["id"] for m in shown(*before, ev("MESSAGES_SNAPSHOT", messages=own))]
    assert ids == ["r2", "p2"]


def test_what_is_being_written_survives_a_snapshot_that_lacks_it() -> None:
    snapshot = ev("MESSAGES_SNAPSHOT", messages=[USER])
    rest = [
        ev("TEXT_MESSAGE_CONTENT", messageId="m", delta="lo"),
        ev("TOOL_CALL_ARGS", toolCallId="c", delta="}"),
    ]
    begun = [*text("m", "Hel"), *call("c", "{", end=False, parentMessageId="m")]
    assert shown(*begun, snapshot, *rest) == [
        USER,
        {"id": "m", "role": "assistant", "content": "Hello", "toolCalls": [tool_call("c", "{}")]},
    ]


def test_an_open_call_goes_on_in_the_snapshots_version_of_its_message() -> None:
    version = {"id": "m", "role": "assistant", "content": "so far"}
    begun = call("c", "{", end=False, parentMessageId="m")
    rest = ev("TOOL_CALL_ARGS", toolCallId="c", delta="}")
    assert shown(*begun, ev("MESSAGES_SNAPSHOT", messages=[version]), rest) == [
        {**version, "toolCalls": [tool_call("c", "{}")]}
    ]
    elsewhere = {"id": "other", "role": "assistant", "toolCalls": [tool_call("c", '{"a"')]}
    assert shown(*begun, ev("MESSAGES_SNAPSHOT", messages=[elsewhere]), rest) == [
        {**elsewhere, "toolCalls": [tool_call("c", '{"a"}')]}
    ]
    stranger = {"id": "m", "role": "user", "content": "x"}
    assert shown(*begun, ev("MESSAGES_SNAPSHOT", messages=[stranger]), rest) == [
        stranger,
        {"id": "m", "role": "assistant", "toolCalls": [tool_call("c", "{}")]},
    ]


def test_of_two_calls_with_one_id_the_first_goes_on() -> None:
    twice = [{"id": id, "role": "assistant", "toolCalls": [tool_call("c")]} for id in ("m", "n")]
    one, other = shown(ev("MESSAGES_SNAPSHOT", messages=twice), *call("c", "{}"))
    assert one["toolCalls"] == [tool_call("c", "{}")]
    assert other["toolCalls"] == [tool_call("c")]


# --- runs ----------------------------------------------------------------------------------


def test_the_newest_run_and_its_end() -> None:
    conversation = fold(*run())
    assert (conversation.run_id, conversation.terminal) == ("r", None)
    conversation.apply(wire(END))
    assert conversation.terminal == wire(END)
    conversation.apply(wire(run(id="r2")[0]))
    assert (conversation.run_id, conversation.terminal) == ("r2", None)


def test_an_empty_log() -> None:
    conversation = Conversation()
    assert (conversation.messages(), conversation.run_id, conversation.state) == ([], None, UNSET)
    assert conversation.used_ids() == Used()
    assert prelude_of(conversation) == []


INPUT = {"threadId": "t", "runId": "r", "messages": []}
FIELDS = ["id", "role", "content", "toolCalls", "metadata", "name", "encryptedValue", "error"]


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(
        st.fixed_dictionaries(
            {
                "id": st.sampled_from(["a", "b"]),
                "role": st.sampled_from(["user", "assistant", "tool", "reasoning", "activity"]),
                "content": st.sampled_from(["text", [], {}]) | json_values(3),
            },
            optional={
                "toolCalls": st.just([tool_call("c")]) | json_values(3),
                "toolCallId": st.just("c"),
                "activityType": st.just("plan"),
                "metadata": st.dictionaries(st.text("ab"), json_values(2)) | json_values(2),
            },
        ),
        max_size=4,
    ),
    json_values(),
)
def test_whatever_input_a_client_may_send_can_be_folded(messages: list[Any], state: Any) -> None:
    """An input that is accepted goes into the log; it must not make the thread unreadable."""
    raw = msgspec.json.encode({**INPUT, "messages": messages, "state": state, "extra": state})
    try:
        given: RunAgentInput = decode_input(raw)
    except FrameError:
        return
    data = given.model_dump_json(by_alias=True).encode()
    started = b'{"type":"RUN_STARTED","threadId":"t","runId":"r","input":%b}' % data
    conversation = Conversation()
    conversation.apply(event_from_json(started))
    again = Conversation()
    for event in prelude_of(conversation):
        again.apply(event)
    assert again.messages() == conversation.messages()
    assert again.state == conversation.state


def test_a_conversation_is_freed_without_the_garbage_collector() -> None:
    gc.collect()
    gc.disable()
    try:
        conversation = fold(*run(*text("m", "a")))
        gone = weakref.ref(conversation)
        del conversation
        assert gone() is None
    finally:
        gc.enable()
