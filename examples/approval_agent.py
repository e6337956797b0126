"""An agent that asks before it acts. Serve it with: netra serve approval_agent:agent"""

from collections.abc import AsyncIterator
from uuid import uuid4

from ag_ui.core import (
    BaseEvent,
    Interrupt,
    RunAgentInput,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
)

SCHEMA = {
    "type": "object",
    "properties": {"approved": {"type": "boolean"}},
    "required": ["approved"],
}


async def agent(input: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Ask first; when the answer comes, it is a new run with `input.resume`."""
    if not input.resume:
        question = Interrupt(
            id=str(uuid4()), reason="approval", message="Print a page?", response_schema=SCHEMA
        )
        yield RunFinishedEvent(
            thread_id=input.thread_id,
            run_id=input.run_id,
            outcome=RunFinishedInterruptOutcome(interrupts=[question]),
        )
        return
    (answer,) = input.resume
    approved = answer.status == "resolved" and answer.payload["approved"]
    id = str(uuid4())
    yield TextMessageStartEvent(message_id=id, role="assistant")
    said = "I would print it now." if approved else "Then I print nothing."
    yield TextMessageContentEvent(message_id=id, delta=said)
    yield TextMessageEndEvent(message_id=id)
