"""Play: run an agent once, without a server, by the runner's rules.

::

    events = await play(agent, asking("How are you?"))
"""

from collections.abc import Callable
from typing import Any

from ag_ui.core import BaseEvent, EventType, RunAgentInput, UserMessage

from netra_backend.agents.base import Agent
from netra_backend.agents.ingest import Ingest
from netra_backend.agents.run_context import (
    CURRENT,
    RunContext,
    Unanswered,
    question_event,
    questions_of,
)
from netra_backend.core.events import Body, event_from_body
from netra_backend.core.fold import Conversation
from netra_backend.core.ids import UserId, new_id


def asking(question: str, **fields: Any) -> RunAgentInput:
    """Return the input of a run that asks `question` in a new thread; `fields` replace its own."""
    asked = UserMessage(id=new_id("msg"), content=question)
    return RunAgentInput(
        **{
            "thread_id": new_id("thread"),
            "run_id": new_id("run"),
            "messages": [asked],
            "tools": [],
            "context": [],
            **fields,
        }
    )


async def play(agent: Agent, input: RunAgentInput) -> list[BaseEvent]:
    """Return what `agent` yields for `input`, in order.

    Raises what the agent raises, and EventError for what the runner would end the run for: an
    event that is illegal where it comes, or an id that ``input.messages`` has already. What the
    agent says through its `RunContext` is among the events; nobody has answered what it asks.
    """
    ingest = Ingest(_conversation(input))
    events: list[BaseEvent] = []

    def say(event: BaseEvent, urgent: bool = True) -> None:
        for _ in ingest.take(event):
            pass
        events.append(event)

    token = CURRENT.set(_context(input, say))
    stream = agent(input)
    try:
        async for event in stream:
            say(event)
    except (Unanswered, BaseExceptionGroup) as error:
        questions = questions_of(error)
        if not questions:
            raise
        say(question_event(input, questions))
    finally:
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
        CURRENT.reset(token)
    return events


def _context(input: RunAgentInput, say: Callable[[BaseEvent, bool], None]) -> RunContext:
    async def nothing(*_: object) -> None:
        return None

    return RunContext(
        input,
        user=UserId("tester"),
        scope=input.thread_id,
        say=say,
        room=nothing,
        question=nothing,
    )


def _conversation(input: RunAgentInput) -> Conversation:
    conversation = Conversation()
    started = Body(
        type=EventType.RUN_STARTED,
        thread_id=input.thread_id,
        run_id=input.run_id,
        input=input.model_dump(mode="json", by_alias=True),
    )
    conversation.apply(event_from_body(started))
    return conversation
