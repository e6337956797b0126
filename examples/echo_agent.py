"""An agent in ten lines. Serve it with: netra serve echo_agent:agent"""

from collections.abc import AsyncIterator
from uuid import uuid4

from ag_ui.core import (
    BaseEvent,
    RunAgentInput,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
)


async def agent(input: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Say again what the user said, word by word."""
    id = str(uuid4())
    yield TextMessageStartEvent(message_id=id, role="assistant")
    for word in str(input.messages[-1].content).split():
        yield TextMessageContentEvent(message_id=id, delta=f"{word} ")
    yield TextMessageEndEvent(message_id=id)
