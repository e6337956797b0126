"""What patches change of a conversation: its activities and its state."""

from typing import Any

import pytest
from hypothesis import given, settings
from msgspec import UNSET

from netra_backend.core.fold import patched
from tests.core.test_fold import END, call, ev, fold, run, shown, text, tool_call
from tests.night import examples
from tests.strategies import JsonObject, json_values

# --- activities ----------------------------------------------------------------------------


def activity(**about: Any) -> JsonObject:
    about = {"messageId": "p", "activityType": "plan", "content": {"n": 1}, **about}
    return ev("ACTIVITY_SNAPSHOT", **about)


def delta(patch: list[JsonObject], **about: Any) -> JsonObject:
    return ev("ACTIVITY_DELTA", messageId="p", activityType="plan", patch=patch, **about)


def test_an_activity_is_made_replaced_and_patched() -> None:
    more = [{"op": "add", "path": "/m", "value": 2}]
    message = {"id": "p", "role": "activity", "activityType": "plan", "content": {"n": 1}}
    assert shown(activity()) == [message]
    assert shown(activity(), activity(content={})) == [{**message, "content": {}}]
    assert shown(activity(), activity(content={}, replace=False)) == [message]
    assert shown(activity(), delta(more)) == [{**message, "content": {"n": 1, "m": 2}}]
    assert shown(delta(more)) == []
    kept = shown(activity(metadata={"a": 1}), activity(content={}), delta([], metadata={"b": 2}))
    assert kept == [{**message, "content": {}, "metadata": {"a": 1, "b": 2}}]


def test_an_activity_takes_the_place_of_a_message_and_a_patch_does_not() -> None:
    assert [m["role"] for m in shown(*text("p", "x"), activity())] == ["activity"]
    kept = shown(*text("p", "x"), activity(replace=False), delta([{"op": "remove", "path": ""}]))
    assert kept == [{"id": "p", "role": "assistant", "content": "x"}]
    about = {"metadata": {"a": 1}}
    assert shown(*text("p", "x", **about), activity()) == shown(activity())
    (message,) = shown(*text("p", "x"), activity(replace=False, **about))
    assert "metadata" not in message
    (message,) = shown(*call("c", parentMessageId="p"), activity())
    assert message == {"id": "p", "role": "assistant", "toolCalls": [tool_call("c")]}


def test_an_activity_stays_an_object() -> None:
    (message,) = shown(*text("p", "x"), activity(), text("p", "y")[1])
    assert message["content"] == {"n": 1}
    (message,) = shown(activity(), delta([{"op": "replace", "path": "", "value": "x"}]))
    assert message["content"] == {"n": 1}


# --- state ---------------------------------------------------------------------------------


def test_state_is_set_by_the_input_a_snapshot_and_patches() -> None:
    assert fold(*run()).state is UNSET
    assert fold(*run(state={"a": 1})).state == {"a": 1}
    patch = ev("STATE_DELTA", delta=[{"op": "add", "path": "/b", "value": 2}])
    assert fold(*run(patch)).state == {"b": 2}
    assert fold(*run(patch, state={"a": 1})).state == {"a": 1, "b": 2}
    assert fold(*run(ev("STATE_SNAPSHOT", snapshot=None))).state is None
    later = fold(*run(state={"a": 1}), END, *run(id="r2"))
    assert later.state == {"a": 1}


@settings(max_examples=examples(100))
@given(json_values(), json_values())
def test_any_patch_applies_or_changes_nothing(document: Any, patch: Any) -> None:
    before = repr(document)
    patched(document, patch)
    assert repr(document) == before


@pytest.mark.parametrize(
    "patch",
    [
        None,
        5,
        "x",
        {},
        [5],
        ["x"],
        [None],
        [[]],
        [{}],
        [{"op": "add"}],
        [{"op": "nonsense", "path": "/a", "value": 1}],
        [{"op": [], "path": "/a", "value": 1}],
        [{"op": {}, "path": "/a"}],
        [{"op": "add", "path": 5, "value": 1}],
        [{"op": "add", "path": None, "value": 1}],
        [{"op": "add", "path": "a", "value": 1}],
        [{"op": "add", "path": "/~2", "value": 1}],
        [{"op": "add", "path": "/l/9", "value": 1}],
        [{"op": "add", "path": "/l/" + "9" * 5_000, "value": 1}],
        [{"op": "add", "path": "/l/x", "value": 1}],
        [{"op": "add", "path": "/n/x", "value": 1}],
        [{"op": "add", "path": "/s/0", "value": 1}],
        [{"op": "add", "path": "/z/z", "value": 1}],
        [{"op": "remove", "path": ""}],
        [{"op": "remove", "path": "/l/-"}],
        [{"op": "replace", "path": "/l/-", "value": 1}],
        [{"op": "move", "from": "/a", "path": "/a/b"}],
        [{"op": "move", "path": "/a"}],
        [{"op": "move", "from": 5, "path": "/a"}],
        [{"op": "copy", "from": "/l/-", "path": "/a"}],
        [{"op": "copy", "from": "/zz", "path": "/a"}],
        [{"op": "test", "path": "/a", "value": 2}],
        [{"op": "test", "path": "/a"}],
        [{"op": "add", "path": "/b", "value": 1}, {"op": "test", "path": "/a", "value": 2}],
    ],
)
def test_a_patch_that_does_not_apply_changes_nothing(patch: Any) -> None:
    document = {"a": 1, "l": [1], "n": 5, "s": "x"}
    assert patched(document, patch) == {"a": 1, "l": [1], "n": 5, "s": "x"}


def test_a_patch_of_a_document_too_deep_to_copy_changes_nothing() -> None:
    deep: list[Any] = []
    for _ in range(5_000):
        deep = [deep]
    assert patched(deep, [{"op": "add", "path": "/-", "value": 1}]) is deep
