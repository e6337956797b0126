"""The input of a run: whatever the bytes, AG-UI's own type, or a FrameError that says where."""

import json
from typing import Any

import msgspec
import pytest
from ag_ui.core import RunAgentInput
from hypothesis import given, settings
from hypothesis import strategies as st

from netra_backend.core.codec import (
    MAX_PROBLEMS,
    decode_input,
)
from netra_backend.errors import ErrorCode, FrameError
from tests.core.test_codec import nested
from tests.night import examples
from tests.strategies import json_values, runs

INPUT: dict[str, Any] = {"threadId": "t", "runId": "r", "messages": []}


def bad_input(raw: bytes | str, where: str = "$.input") -> FrameError:
    with pytest.raises(FrameError) as refused:
        decode_input(raw if isinstance(raw, bytes) else raw.encode(), where=where)
    assert refused.value.code is ErrorCode.BAD_INPUT
    return refused.value


def with_message(**message: Any) -> str:
    return json.dumps({**INPUT, "messages": [{"id": "m", **message}]})


@settings(max_examples=examples(50), deadline=None)
@given(runs(max_steps=0), json_values())
def test_an_input_is_read(run: list[dict[str, Any]], value: Any) -> None:
    given = {**run[0]["input"], "state": value, "forwardedProps": value, "tools": [], "x": value}
    assert decode_input(json.dumps(given).encode()) == RunAgentInput.model_validate(given)


@pytest.mark.parametrize(
    ("raw", "where", "message"),
    [
        ("{}", "$.input.threadId", "required"),
        ("[]", "$.input", "object"),
        ("null", "$.input", "object"),
        ('{"threadId":5,"runId":"r","messages":[]}', "$.input.threadId", "string"),
        ('{"threadId":"t","runId":"r"}', "$.input.messages", "required"),
        ('{"threadId":"t","runId":"r","messages":{}}', "$.input.messages", "list"),
        (json.dumps({**INPUT, "messages": [7]}), "$.input.messages[0]", "object"),
        (with_message(content="x"), "$.input.messages[0]", "'role'"),
        (with_message(role="king"), "$.input.messages[0]", "king"),
        (with_message(role="user"), "$.input.messages[0].content", "required"),
        (with_message(role="user", content=5), "$.input.messages[0].content", "string"),
        (
            with_message(role="user", content=[{"type": "text", "text": "a"}, {"type": "text"}]),
            "$.input.messages[0].content[1].text",
            "required",
        ),
        (
            with_message(role="user", content=[{"type": "image", "source": {"type": "url"}}]),
            "$.input.messages[0].content[0].source.value",
            "required",
        ),
        (
            with_message(role="assistant", toolCalls=[{"id": "c", "function": {"name": "f"}}]),
            "$.input.messages[0].toolCalls[0].function.arguments",
            "required",
        ),
        (with_message(role="tool", content="x"), "$.input.messages[0].toolCallId", "required"),
        (
            json.dumps({**INPUT, "resume": [{"interruptId": "i", "status": "maybe"}]}),
            "$.input.resume[0].status",
            "'resolved' or 'cancelled'",
        ),
        (json.dumps({**INPUT, "tools": [{"name": "f"}]}), "$.input.tools[0].description", ""),
        (json.dumps({**INPUT, "context": ["x"]}), "$.input.context[0]", ""),
        ("", "$.input", "truncated"),
        ('{"threadId":"t"', "$.input", ""),
    ],
)
def test_a_wrong_input_is_told_the_path(raw: str, where: str, message: str) -> None:
    error = bad_input(raw)
    assert error.where == where
    assert message in error.message


def test_the_path_begins_where_the_input_stands() -> None:
    assert bad_input("{}", where="$").where == "$.threadId"
    assert bad_input("[", where="$").where == "$"


@pytest.mark.parametrize(
    "state",
    [
        b"NaN",
        b"Infinity",
        b"-Infinity",
        b"1e999",
        b"-1e999",
        b"9" * 5_000,
        b'"\\ud800"',
        b'"\xff"',
        b"\xed\xa0\x80",
        b'"\n"',
        nested("[", "]", 2_000).encode(),
        nested('{"a":', "}", 2_000).encode(),
        b"[" * 100_000,
    ],
)
def test_an_input_that_could_not_be_read_again_is_refused(state: bytes) -> None:
    """It would go into RUN_STARTED, and make the thread unreadable."""
    bad_input(b'{"threadId":"t","runId":"r","messages":[],"state":%b}' % state)


def test_very_many_wrong_fields_are_counted_and_not_listed() -> None:
    """A list of half a million problems would cost a second and half a gigabyte."""
    error = bad_input(json.dumps({**INPUT, "messages": [7] * (MAX_PROBLEMS + 1)}))
    assert error.where == "$.input"
    assert f"{MAX_PROBLEMS + 1} fields are wrong" in error.message
    error = bad_input(json.dumps({**INPUT, "messages": [7] * MAX_PROBLEMS}))
    assert error.where == "$.input.messages[0]"


@st.composite
def mangled_inputs(draw: st.DrawFn) -> bytes:
    """Return an input in which one value, anywhere, is replaced or removed."""
    given = draw(runs(max_steps=0))[0]["input"]
    given["resume"] = [{"interruptId": "i", "status": "resolved", "payload": 1}]
    given["tools"] = [{"name": "f", "description": "d", "parameters": {}}]
    place: Any = given
    for _ in range(draw(st.integers(0, 4))):
        inner = list(place.values()) if isinstance(place, dict) else list(place)
        inner = [value for value in inner if isinstance(value, dict | list) and value]
        if not inner:
            break
        place = draw(st.sampled_from(inner))
    key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
    if draw(st.booleans()):
        place[key] = draw(json_values())
    else:
        del place[key]
    return json.dumps(given).encode()


@settings(max_examples=examples(200), deadline=None)
@given(mangled_inputs() | st.binary(max_size=40) | json_values().map(msgspec.json.encode))
def test_any_input_is_read_or_refused(raw: bytes) -> None:
    try:
        given = decode_input(raw)
    except FrameError as error:
        refused = error
    else:
        assert isinstance(given, RunAgentInput)
        return
    assert refused.code is ErrorCode.BAD_INPUT
    assert refused.where.startswith("$.input")
    assert not any(word in refused.where for word in ("user", "assistant", "str", "union"))
