"""Marks: how runs ended, what they asked and what they took up, between the messages."""

import json
from typing import Any

import msgspec
import pytest

from netra_backend.core.fold import Conversation
from netra_backend.core.marks import RUNS, Marks
from tests.strategies import JsonObject, wire

QUESTION = {"id": "i1", "reason": "approval", "message": "May I?"}
ANSWER = {"interruptId": "i1", "status": "resolved", "payload": {"approved": True}}
FAILED = {"type": "RUN_ERROR", "message": "it broke", "code": "agent_failed"}


def began(run: str, *said: str, **given: Any) -> JsonObject:
    messages = [{"id": id, "role": "user", "content": "hello"} for id in said]
    given = {"threadId": "t", "runId": run, "messages": messages, **given}
    return {"type": "RUN_STARTED", "threadId": "t", "runId": run, "input": given}


def finished(run: str, **about: Any) -> JsonObject:
    return {"type": "RUN_FINISHED", "threadId": "t", "runId": run, **about}


def marks(*events: JsonObject) -> list[JsonObject]:
    """Return the marks of a thread with these events, as the wire has them."""
    conversation = Conversation()
    for fields in events:
        conversation.apply(wire(fields))
    event = conversation.marks.event()
    if event is None:
        return []
    body = json.loads(event.data)
    assert (body["type"], body["name"]) == ("CUSTOM", RUNS)
    told: list[JsonObject] = body["value"]
    return told


def test_a_run_that_ended_well_or_goes_on_leaves_nothing() -> None:
    well = finished("r1", result={"much": "x" * 99}, outcome={"type": "success"})

    assert marks(began("r1", "u1"), well, began("r2", "u2"), FAILED) == []
    assert marks(began("r1", "u1"), finished("r1"), began("r2", "u2")) == []


def test_a_bad_end_stands_after_the_last_message() -> None:
    cancelled = finished("r2", outcome={"type": "cancelled"}, result="not kept")

    assert marks(began("r1", "u1"), FAILED, began("r2"), cancelled, began("r3", "u3")) == [
        {"run": "r1", "after": "u1", "end": FAILED},
        {
            "run": "r2",
            "after": "u1",
            "end": {"type": "RUN_FINISHED", "outcome": {"type": "cancelled"}},
        },
    ]
    assert marks(began("r1"), FAILED, began("r2")) == [{"run": "r1", "end": FAILED}]


def test_a_question_is_kept_with_the_run_that_took_up_the_answer() -> None:
    asked = finished("r1", outcome={"type": "interrupt", "interrupts": [QUESTION]})
    end = {"type": "RUN_FINISHED", "outcome": {"type": "interrupt", "interrupts": [QUESTION]}}
    events = [began("r1", "u1"), asked, began("r2", resume=[ANSWER])]
    first = {"run": "r1", "after": "u1", "end": end}

    assert marks(*events) == [first, {"run": "r2", "resume": [ANSWER]}]
    assert marks(*events, FAILED, began("r3")) == [
        first,
        {"run": "r2", "resume": [ANSWER], "after": "u1", "end": FAILED},
    ]


def test_when_messages_go_a_mark_stays_after_the_nearest_one_that_remains() -> None:
    snapshot = {
        "type": "MESSAGES_SNAPSHOT",
        "messages": [{"id": "u1", "role": "user", "content": ""}],
    }
    events = [began("r1", "u1"), FAILED, began("r2", "u2"), FAILED, began("r3", "u3")]

    assert [mark["after"] for mark in marks(*events)] == ["u1", "u2"]
    assert [mark["after"] for mark in marks(*events, snapshot)] == ["u1", "u1"]
    nothing = {"type": "MESSAGES_SNAPSHOT", "messages": []}
    assert all("after" not in mark for mark in marks(*events, nothing))


@pytest.mark.parametrize("value", [None, "x", [1], [{"end": {}}], {"run": "r"}, [{"run": 1}]])
def test_what_is_no_marks_is_refused_and_no_event_of_that_name_breaks_the_fold(value: Any) -> None:
    with pytest.raises(msgspec.ValidationError):
        Marks.from_value(value)
    custom = {"type": "CUSTOM", "name": RUNS, "value": value}

    assert len(marks(began("r1"), FAILED, began("r2"), custom)) == 1
