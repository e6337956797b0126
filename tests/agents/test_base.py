"""What agents share: the text of messages, and constructs."""

import json

import pytest
from ag_ui.core import (
    AssistantMessage,
    FunctionCall,
    ImagePart,
    TextPart,
    UrlSource,
    UserMessage,
)
from ag_ui.core import ToolCall as CallOfMessage
from starlette.websockets import WebSocketState

from netra_backend.agents.base import (
    Reasoning,
    Text,
    ToolCall,
    arguments_of,
    question_of,
    text_of,
)
from netra_backend.testing.player import asking, play
from netra_backend.testing.scripted_agent import ScriptedAgent, events

pytestmark = pytest.mark.anyio
PICTURE = ImagePart(source=UrlSource(value="https://example.org/a.png"))


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("plain", "plain"),
        (None, ""),
        ([], ""),
        ([TextPart(text="one"), PICTURE, TextPart(text="two")], "one\ntwo"),
    ],
)
def test_the_text_of_a_message(content, text: str) -> None:
    assert text_of(content) == text


def test_the_question_is_the_newest_message_of_the_user() -> None:
    messages = [
        UserMessage(id="1", content="first"),
        UserMessage(id="2", content="second"),
        AssistantMessage(id="3", content="an answer"),
    ]

    assert question_of(asking("", messages=messages)) == "second"
    assert question_of(asking("", messages=[])) == ""


@pytest.mark.parametrize("kind", [Text, Reasoning])
async def test_a_construct_is_legal_and_has_no_empty_delta(kind, assert_legal) -> None:
    construct = kind()
    steps = [*construct.start(), *construct.add(""), *construct.add("a"), *construct.end()]
    given = asking("")

    assert [step.delta for step in steps if hasattr(step, "delta")] == ["a"]
    assert_legal(given, await play(ScriptedAgent(events(*steps)), given))


def test_arguments_and_results_may_hold_what_json_has_not() -> None:
    call, state = ToolCall("look"), WebSocketState.CONNECTED
    _, arguments, _ = call.whole({"state": state, "at": {state: [state]}})
    (result,) = call.result({"state": state})

    assert json.loads(arguments.delta) == {"state": "CONNECTED", "at": {"CONNECTED": ["CONNECTED"]}}
    assert json.loads(result.content) == {"state": "CONNECTED"}
    assert call.result("snow")[0].content == "snow"


async def test_a_tool_call_is_legal(assert_legal) -> None:
    said = Text()
    call = ToolCall("weather", parent=said.id)
    arguments = {"city": "Tromsø"}
    steps = [*said.start(), *said.end(), *call.whole(arguments), *call.result("snow")]
    given = asking("")

    assert_legal(given, await play(ScriptedAgent(events(*steps)), given))
    assert json.loads(steps[3].delta) == arguments
    assert ToolCall("weather", id="c1").id == "c1"
    assert ToolCall("weather", id="").id != ToolCall("weather", id="").id


@pytest.mark.parametrize(
    ("written", "given"),
    [
        ('{"a": [1]}', '{"a": [1]}'),
        ("", "{}"),
        ('{"a', r'{"INVALID_JSON":"{\"a"}'),
        ("[]", '{"INVALID_JSON":"[]"}'),
        ("[" * 100_000, None),
        ('{"a":' + "[" * 100_000, None),
    ],
)
def test_arguments_are_an_object(written: str, given: str | None) -> None:
    call = CallOfMessage(id="c", function=FunctionCall(name="f", arguments=written))
    expected = given or json.dumps({"INVALID_JSON": written}, separators=(",", ":"))
    assert arguments_of(call) == expected
