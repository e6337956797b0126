"""The input of a run from a chat's messages: what counts of them, and in which form."""

from typing import Any

import pytest

from netra_backend.errors import FrameError
from netra_backend.server.edges.ai_sdk_input import UiMessage, run_input


def user(id: str, *parts: dict[str, Any]) -> UiMessage:
    return UiMessage(id, "user", list(parts))


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


def test_the_assistants_messages_are_not_taken_back() -> None:
    messages = [
        UiMessage("s", "system", [text("be kind")]),
        user("u1", text("one"), text("two")),
        UiMessage("r1", "assistant", [text("answer"), {"type": "step-start"}]),
        user("u2", text("three")),
    ]
    given = run_input("t", "r2", messages, {"model": "x"})
    assert [(m.id, m.role, m.content) for m in given.messages] == [
        ("s", "system", "be kind"),
        ("u1", "user", "one\ntwo"),
        ("u2", "user", "three"),
    ]
    assert (given.thread_id, given.run_id, given.parent_run_id) == ("t", "r2", None)
    assert given.forwarded_props == {"model": "x"}
    assert given.resume is None


def test_files_are_parts_of_their_kind() -> None:
    parts = [
        text("look"),
        {"type": "file", "mediaType": "image/png", "url": "data:image/png;base64,AAAA"},
        {"type": "file", "mediaType": "application/pdf", "url": "https://x.example/a.pdf"},
        {"type": "data-own", "data": 1},
    ]
    given = run_input("t", "r", [user("u", *parts)], {})
    said, image, document = given.messages[0].content
    assert (said.type, said.text) == ("text", "look")
    assert (image.type, image.source.type, image.source.value) == ("image", "data", "AAAA")
    assert (document.type, document.source.type) == ("document", "url")
    assert document.source.mime_type == "application/pdf"


def test_outputs_of_the_pages_tools_and_approvals_are_taken_up() -> None:
    turn = UiMessage(
        "r1",
        "assistant",
        [
            {"type": "tool-a", "toolCallId": "c1", "state": "output-available", "output": {"x": 1}},
            {"type": "tool-b", "toolCallId": "c2", "state": "output-error", "errorText": "no"},
            {"type": "tool-c", "toolCallId": "c3", "state": "input-available"},
            {
                "type": "tool-d",
                "toolCallId": "c4",
                "state": "approval-responded",
                "approval": {"id": "q", "approved": False, "reason": "too late"},
            },
        ],
    )
    given = run_input("t", "r2", [user("u", text("go")), turn], {})
    results = [message for message in given.messages if message.role == "tool"]
    assert [(m.tool_call_id, m.content, m.error) for m in results] == [
        ("c1", '{"x":1}', None),
        ("c2", "no", "no"),
    ]
    assert given.parent_run_id == "r1"
    (decided,) = given.resume or []
    assert (decided.interrupt_id, decided.status) == ("q", "resolved")
    assert decided.payload == {"approved": False, "reason": "too late"}

    later = run_input("t", "r3", [user("u", text("go")), turn, user("v", text("next"))], {})
    assert later.resume is None
    assert later.parent_run_id is None
    assert [message.role for message in later.messages] == ["tool", "tool", "user", "user"]


def test_answers_may_come_in_ag_uis_own_form() -> None:
    resume = [{"interruptId": "q", "status": "cancelled"}]
    given = run_input("t", "r", [], {"resume": resume})
    (decided,) = given.resume or []
    assert (decided.interrupt_id, decided.status) == ("q", "cancelled")


@pytest.mark.parametrize(
    ("thread", "run", "messages", "forwarded"),
    [
        ("a b", "r", [], {}),
        ("t", "", [], {}),
        ("t", "r", [user("u", {"type": "text"})], {}),
        ("t", "r", [], {"resume": "yes"}),
    ],
)
def test_what_cannot_be_an_input_says_where(
    thread: str, run: str, messages: list[UiMessage], forwarded: dict[str, Any]
) -> None:
    with pytest.raises(FrameError) as refused:
        run_input(thread, run, messages, forwarded)
    assert refused.value.where.startswith("$")
