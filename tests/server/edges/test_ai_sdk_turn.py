"""The chunks of a turn: one rule for each AG-UI event, and the same chunks in every replay."""

import json
from typing import Any

import pytest

from netra_backend.core.events import event_from_json
from netra_backend.server.edges.ai_sdk_turn import Turn

Fields = dict[str, Any]


def chunks(*events: Fields, first: str = "r", last: str = "r") -> list[Fields]:
    turn = Turn(first, last)
    return [
        chunk
        for event in events
        for chunk in turn.take(event_from_json(json.dumps(event).encode()))
    ]


def run(*events: Fields, outcome: Fields | None = None) -> list[Fields]:
    """Return the chunks between the beginning and the end of a run with these events."""
    end = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}
    end |= {"outcome": outcome} if outcome else {}
    whole = chunks({"type": "RUN_STARTED", "threadId": "t", "runId": "r"}, *events, end)
    assert whole[:2] == [{"type": "start", "messageId": "r"}, {"type": "start-step"}]
    assert whole[-2]["type"] == "finish-step"
    assert whole[-1]["type"] == "finish"
    return whole[2:-2]


def call(id: str, *deltas: str) -> list[Fields]:
    return [
        {"type": "TOOL_CALL_START", "toolCallId": id, "toolCallName": "look"},
        *({"type": "TOOL_CALL_ARGS", "toolCallId": id, "delta": delta} for delta in deltas),
        {"type": "TOOL_CALL_END", "toolCallId": id},
    ]


def result(id: str, content: Any) -> Fields:
    return {
        "type": "TOOL_CALL_RESULT",
        "messageId": f"m-{id}",
        "toolCallId": id,
        "content": content,
    }


def test_text_and_reasoning_keep_their_ids() -> None:
    for kind, name in (("TEXT_MESSAGE", "text"), ("REASONING_MESSAGE", "reasoning")):
        told = run(
            {"type": f"{kind}_START", "messageId": "m", "role": "assistant"},
            {"type": f"{kind}_CONTENT", "messageId": "m", "delta": "hello"},
            {"type": f"{kind}_END", "messageId": "m"},
        )
        assert told == [
            {"type": f"{name}-start", "id": "m"},
            {"type": f"{name}-delta", "id": "m", "delta": "hello"},
            {"type": f"{name}-end", "id": "m"},
        ]


@pytest.mark.parametrize(
    ("deltas", "input"),
    [(('{"a"', ":1}"), {"a": 1}), ((), {}), (("no json",), "no json"), (("[1]",), [1])],
)
def test_a_call_streams_its_input_and_has_it_whole_in_the_end(
    deltas: tuple[str, ...], input: Any
) -> None:
    told = run(*call("c", *deltas))
    assert told[0] == {"type": "tool-input-start", "toolCallId": "c", "toolName": "look"}
    assert [chunk["inputTextDelta"] for chunk in told[1:-1]] == list(deltas)
    assert told[-1] == {
        "type": "tool-input-available",
        "toolCallId": "c",
        "toolName": "look",
        "input": input,
    }


@pytest.mark.parametrize(
    ("content", "output"),
    [
        ("rain", "rain"),
        ('{"sky":"rain"}', {"sky": "rain"}),
        ("[1,2]", [1, 2]),
        ("42", "42"),
        ("null", "null"),
        ('"quoted"', '"quoted"'),
        ("{", "{"),
        ([{"type": "text", "text": "x"}], [{"type": "text", "text": "x"}]),
    ],
)
def test_an_output_is_what_the_tool_said(content: Any, output: Any) -> None:
    told = run(*call("c"), result("c", content))
    (available,) = [chunk for chunk in told if chunk["type"] == "tool-output-available"]
    assert available == {"type": "tool-output-available", "toolCallId": "c", "output": output}


def test_what_comes_after_outputs_is_another_step_also_when_nothing_comes() -> None:
    said = [
        {"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"},
        {"type": "TEXT_MESSAGE_END", "messageId": "m"},
    ]
    boundary = ["finish-step", "start-step"]
    told = run(*call("a"), *call("b"), result("a", "x"), result("b", "y"), *said)
    assert [chunk["type"] for chunk in told][-6:] == [
        "tool-output-available",
        "tool-output-available",
        *boundary,
        "text-start",
        "text-end",
    ]
    assert [chunk["type"] for chunk in run(*call("a"), result("a", "x"))][-2:] == boundary
    assert [chunk["type"] for chunk in run(*call("a"))][-1] == "tool-input-available"


def test_a_run_ends_as_it_ended() -> None:
    start = {"type": "RUN_STARTED", "threadId": "t", "runId": "r"}
    cancelled = {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}
    assert chunks(start, {**cancelled, "outcome": {"type": "cancelled"}})[2:] == [
        {"type": "abort", "reason": "The run was cancelled."}
    ]
    assert chunks(start, {"type": "RUN_ERROR", "message": "It failed."})[2:] == [
        {"type": "error", "errorText": "It failed."}
    ]
    assert chunks(start, cancelled)[-1] == {"type": "finish", "finishReason": "stop"}


def test_questions_are_data_and_about_a_call_its_approval() -> None:
    about_call = {"id": "q1", "reason": "tool_call", "toolCallId": "c", "message": "May I?"}
    free = {"id": "q2", "reason": "input"}
    outcome = {"type": "interrupt", "interrupts": [about_call, free]}
    told = run(*call("c"), outcome=outcome)
    assert told[-3:] == [
        {"type": "data-interrupt", "id": "q1", "data": about_call},
        {
            "type": "tool-approval-request",
            "approvalId": "q1",
            "toolCallId": "c",
            "reason": "May I?",
        },
        {"type": "data-interrupt", "id": "q2", "data": free},
    ]


def test_a_turn_goes_on_in_the_runs_that_name_it_and_leaves_others_out() -> None:
    def begin(id: str, parent: str | None = None) -> Fields:
        of = {"parentRunId": parent} if parent else {}
        return {"type": "RUN_STARTED", "threadId": "t", "runId": id, **of}

    def end(id: str) -> Fields:
        return {"type": "RUN_FINISHED", "threadId": "t", "runId": id}

    state = {"type": "STATE_SNAPSHOT", "snapshot": 1}
    events = [begin("r"), *call("c"), end("r"), begin("x"), state, end("x")]
    events += [begin("r2", "r"), result("c", "done"), end("r2")]
    told = chunks(*events, last="r2")
    kinds = [chunk["type"] for chunk in told]
    assert kinds.count("start") == kinds.count("finish") == 1
    assert "data-state" not in kinds
    assert "tool-output-available" in kinds
    alone = chunks(begin("r2", "r"), result("c", "done"), end("r2"), last="r2")
    assert alone[0] == {"type": "start", "messageId": "r"}
    assert "tool-output-available" in [chunk["type"] for chunk in alone]
    turn = Turn("r", "r2")
    for event in events:
        assert not turn.complete
        turn.take(event_from_json(json.dumps(event).encode()))
    assert turn.complete


def test_a_result_of_an_earlier_message_is_not_told() -> None:
    assert run(result("of-an-earlier-run", "x")) == []


def test_a_snapshot_tells_what_was_not_streamed() -> None:
    snapshot = {
        "type": "MESSAGES_SNAPSHOT",
        "messages": [
            {"id": "old", "role": "assistant", "content": "of an earlier turn"},
            {"id": "q", "role": "user", "content": "?"},
            {"id": "m", "role": "assistant", "content": "streamed"},
            {"id": "n", "role": "assistant", "content": "new"},
            {"id": "o", "role": "assistant", "toolCalls": []},
        ],
    }
    told = run({"type": "TEXT_MESSAGE_START", "messageId": "m", "role": "assistant"}, snapshot)
    assert [chunk for chunk in told if chunk["type"] == "text-delta"] == [
        {"type": "text-delta", "id": "n", "delta": "new"}
    ]


@pytest.mark.parametrize(
    ("event", "chunk"),
    [
        (
            {"type": "STATE_SNAPSHOT", "snapshot": {"a": 1}},
            {"type": "data-state", "id": "state", "data": {"a": 1}},
        ),
        (
            {"type": "STATE_DELTA", "delta": [{"op": "add", "path": "/a", "value": 1}]},
            {
                "type": "data-state-delta",
                "data": [{"op": "add", "path": "/a", "value": 1}],
                "transient": True,
            },
        ),
        (
            {"type": "ACTIVITY_SNAPSHOT", "messageId": "a", "activityType": "plan", "content": {}},
            {"type": "data-activity", "id": "a", "data": {"activityType": "plan", "content": {}}},
        ),
        (
            {"type": "ACTIVITY_DELTA", "messageId": "a", "activityType": "plan", "patch": []},
            {
                "type": "data-activity-delta",
                "data": {"messageId": "a", "patch": []},
                "transient": True,
            },
        ),
        (
            {"type": "CUSTOM", "name": "n", "value": 1},
            {"type": "data-custom", "data": {"name": "n", "value": 1}, "transient": True},
        ),
    ],
)
def test_what_the_stream_has_no_word_for_is_data(event: Fields, chunk: Fields) -> None:
    assert run(event) == [chunk]
