"""The input of a run: what the log keeps, what the agent gets, and answers in one form."""

import json
from typing import Any

import msgspec
import pytest
from ag_ui.core import EventType, RunAgentInput

from netra_backend.agents import run_input
from netra_backend.core.events import Body, event_from_body, event_from_json
from netra_backend.core.fold import Conversation
from netra_backend.core.ids import RunId, ThreadId, ThreadKey, UserId
from netra_backend.core.ports import Interrupt

KEY = ThreadKey(UserId("alice"), ThreadId("t"))


def given(**fields: Any) -> RunAgentInput:
    return RunAgentInput.model_validate(
        {"threadId": "t", "runId": "r", "messages": [], "tools": [], "context": [], **fields}
    )


def said(id: str, text: str) -> dict[str, Any]:
    return {"id": id, "role": "user", "content": text}


def conversation(*messages: dict[str, Any], state: Any = None) -> Conversation:
    """Return a thread in which the messages were said."""
    thread = Conversation()
    input = {"messages": list(messages), **({"state": state} if state is not None else {})}
    body = Body(type=EventType.RUN_STARTED, thread_id="t", run_id="before", input=input)
    thread.apply(event_from_body(body))
    return thread


def test_the_log_keeps_what_people_may_see() -> None:
    input = given(
        messages=[said("m1", "old"), said("m2", "new")],
        state={},
        tools=[{"name": "t", "description": "d", "parameters": {}}],
        context=[{"description": "d", "value": "private instructions"}],
        forwardedProps={"secret": 1},
        parentRunId="before",
    )
    event = run_input.run_started(input, input.messages[1:])
    body = json.loads(event.data)

    assert body == {
        "type": "RUN_STARTED",
        "threadId": "t",
        "runId": "r",
        "protocolVersion": body["protocolVersion"],
        "parentRunId": "before",
        "input": body["input"],
    }
    assert [message["id"] for message in body["input"]["messages"]] == ["m2"]
    assert "state" not in body["input"] or body["input"]["state"] is None
    assert body["input"]["tools"] == body["input"]["context"] == [], "AG-UI 0.x needs them"
    assert "private" not in event.data.decode()
    assert "secret" not in event.data.decode()


@pytest.mark.parametrize(
    ("member", "given_metadata", "signed"),
    [
        (None, None, None),
        (None, {"netra": {"user": "mallory"}}, None),
        (None, {"mine": 1, "netra": {"user": "mallory"}}, {"mine": 1}),
        ("bob", None, {"netra": {"user": "bob"}}),
        ("bob", {"mine": 1, "netra": {"user": "alice"}}, {"mine": 1, "netra": {"user": "bob"}}),
    ],
)
def test_a_message_of_a_member_says_whose_it_is_and_nobody_signs_for_another(
    member: str | None, given_metadata: Any, signed: Any
) -> None:
    user = {**said("m1", "hello"), "metadata": given_metadata}
    assistant = {**user, "id": "m2", "role": "assistant"}
    messages = run_input.signed(
        given(messages=[user, assistant]).messages, member and UserId(member)
    )
    assert messages[0].metadata == signed
    assert "netra" not in (messages[1].metadata or {})


def test_a_turn_that_comes_back_in_pieces_with_new_ids_is_no_news() -> None:
    """What TanStack AI makes of one answer when it sends it back with the next question."""
    call = {"id": "c1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    thread = conversation()
    for event in (
        {"type": "TOOL_CALL_START", "toolCallId": "c1", "toolCallName": "look"},
        {"type": "TOOL_CALL_END", "toolCallId": "c1"},
        {"type": "TOOL_CALL_START", "toolCallId": "c2", "toolCallName": "ask"},
        {"type": "TOOL_CALL_END", "toolCallId": "c2"},
        {"type": "TOOL_CALL_RESULT", "messageId": "m1", "toolCallId": "c1", "content": "seen"},
    ):
        thread.apply(event_from_json(json.dumps(event).encode()))
    sent = [
        {"id": "x1", "role": "reasoning", "content": "hm"},
        {"id": "x2", "role": "assistant", "toolCalls": [call]},
        {"id": "x3", "role": "tool", "toolCallId": "c1", "content": "seen"},
        {"id": "x4", "role": "tool", "toolCallId": "c2", "content": "the answer of the client"},
        {"id": "x5", "role": "assistant", "content": "said by the client's own hand"},
        {"id": "m1", "role": "user", "content": "an id that the thread has"},
        {"id": "x6", "role": "user", "content": "next"},
    ]
    fresh = run_input.news(given(messages=sent), thread)
    assert [message.id for message in fresh] == ["x4", "x5", "x6"]

    fresh = run_input.news(given(messages=sent), Conversation())
    assert len(fresh) == len(sent), "a thread that has not begun takes over all of it"


def test_the_agent_gets_the_history_and_then_what_is_new() -> None:
    thread = conversation(said("m1", "one"), state={"count": 1})
    input = given(
        messages=[said("m1", "forged"), said("m2", "two")],
        context=[{"description": "d", "value": "v"}],
    )
    complete = run_input.complete(input, thread, input.messages[1:])

    assert [(message.id, message.content) for message in complete.messages] == [
        ("m1", "one"),
        ("m2", "two"),
    ]
    assert complete.state == {"count": 1}
    assert complete.context == input.context
    assert input.messages[0].content == "forged"


@pytest.mark.parametrize("state", [{"mine": 2}, [1], "text", 5])
def test_a_state_of_the_clients_own_replaces_the_threads(state: Any) -> None:
    thread = conversation(said("m1", "one"), state={"count": 1})

    assert run_input.complete(given(state=state), thread, []).state == state


@pytest.mark.parametrize("state", [None, {}, [], "", 0, False])
def test_an_empty_state_leaves_the_threads(state: Any) -> None:
    thread = conversation(said("m1", "one"), state={"count": 1})

    assert run_input.complete(given(state=state), thread, []).state == {"count": 1}


PAYLOADS = [
    b'{"approved": true}',
    b'{ "b" : 1 , "a" : [ 1.0 , 1e2, -0.0, 1E300 ] }',
    b'"\\u00e4\\u2028\\/"',
    b"12345678901234567890123",
    b"null",
    b'{"a":1,"a":2}',
    b"[]",
    b'{"deep":' + b"[" * 90 + b"]" * 90 + b"}",
]


@pytest.mark.parametrize("text", PAYLOADS, ids=range(len(PAYLOADS)))
@pytest.mark.parametrize("status", ["resolved", "cancelled"])
def test_an_answer_keeps_its_form_on_its_way_through_the_store(text: bytes, status: str) -> None:
    """Decided by a client, stored, given to a run, and compared with what was stored."""
    decided = run_input.payload(msgspec.json.decode(text))
    question = Interrupt(
        KEY, "q", RunId("r"), KEY.owner, "agent", b"{}", UserId("alice"), status, decided
    )
    resuming = run_input.resuming_input([question])
    (answer,) = run_input.answers(resuming.resume or ())

    assert (answer.interrupt, answer.status, answer.payload) == ("q", status, decided)
    json.loads(decided)


def test_the_run_that_goes_on_is_named_by_its_questions() -> None:
    def question(id: str, run: str = "r") -> Interrupt:
        return Interrupt(
            KEY, id, RunId(run), KEY.owner, "agent", b"{}", UserId("alice"), "resolved", b"1"
        )

    both = run_input.resuming_input([question("q1"), question("q2")])
    again = run_input.resuming_input([question("q1"), question("q2")])
    others = [
        run_input.resuming_input(questions).run_id
        for questions in (
            [question("q1")],
            [question("q2"), question("q1")],
            [question("q1\nq2")],
            [question("q1", "r2"), question("q2", "r2")],
        )
    ]

    assert both.run_id == again.run_id
    assert both.run_id.startswith("resume_")
    assert (both.thread_id, both.parent_run_id, both.messages) == ("t", "r", [])
    assert both.run_id not in others[:2] + others[3:]
    assert len(set(others)) == 4


@pytest.mark.parametrize(
    ("messages", "title"),
    [
        ([], "New conversation"),
        ([said("m", "  \n ")], "New conversation"),
        ([{"id": "s", "role": "system", "content": "be nice"}, said("m", "Hi")], "Hi"),
        ([said("m", "  How are you?\nWell?")], "How are you?"),
        ([said("m", "x" * 80)], "x" * 80),
        ([said("m", "x" * 81)], "x" * 79 + "…"),
        (
            [{"id": "m", "role": "user", "content": [{"type": "text", "text": "Look"}]}],
            "New conversation",
        ),
        ([said("m1", "First"), said("m2", "Second")], "First"),
    ],
)
def test_a_thread_is_named_by_the_first_line_of_the_first_question(
    messages: list[dict[str, Any]], title: str
) -> None:
    assert run_input.title(given(messages=messages)) == title
