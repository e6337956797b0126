"""Pairing: each call is followed by its result, whatever became of it."""

from ag_ui.core import (
    AssistantMessage,
    ResumeEntry,
    ToolMessage,
    UserMessage,
)

from netra_backend.agents.pairing import answered
from netra_backend.testing import asking
from tests.agents.translating import call


def test_each_call_is_followed_by_its_result() -> None:
    given = asking(
        "",
        messages=[
            AssistantMessage(id="a", tool_calls=[call("c0"), call("c1"), call("c2")]),
            ToolMessage(id="t2", tool_call_id="c2", content="two"),
            UserMessage(id="u", content="And now?"),
            ToolMessage(id="t0", tool_call_id="c0", content="late"),
            ToolMessage(id="t9", tool_call_id="c9", content="of no call here"),
        ],
    )
    messages = answered(given).messages
    assert [message.id for message in messages] == ["a", "t0", "c1-unanswered", "t2", "u", "t9"]
    assert messages[2].tool_call_id == "c1"

    asked = given.model_copy(update={"resume": [ResumeEntry(interrupt_id="i", status="resolved")]})
    assert answered(asked) == asked
