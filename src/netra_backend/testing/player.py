"""Play: run an agent once, without a server, by the runner's rules.

::

    events = await play(agent, asking("How are you?"))
    events = await play(agent, asking("Book it"), answers=[True])  # what a person says to its ask
"""

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal

from ag_ui.core import (
    BaseEvent,
    EventType,
    Interrupt,
    ResumeEntry,
    RunAgentInput,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    UserMessage,
)

from netra_backend.agents.answers import check_answer
from netra_backend.agents.base import Agent
from netra_backend.agents.ingest import Delta, Ingest
from netra_backend.agents.loading import adapt
from netra_backend.agents.questions import Unanswered, question_event, questions_of
from netra_backend.agents.run_context import CURRENT, RunContext
from netra_backend.agents.run_input import complete
from netra_backend.agents.speech import Speech
from netra_backend.agents.terminals import readdressed
from netra_backend.core.events import Body, Event, delta_event, event_from_body
from netra_backend.core.fold import Conversation
from netra_backend.core.ids import UserId, new_id
from netra_backend.errors import Refused


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


async def play(
    agent: object, input: RunAgentInput, *, answers: Iterable[object] = ()
) -> list[BaseEvent]:
    """Return what `agent` yields for `input`, in order.

    An agent is what ``netra serve`` takes: a function with or without a `RunContext`, an agent of
    a framework. `answers` are what a person says to the questions that end a run, in their order,
    None to decline: then the agent runs again, as it does on a server, and what is returned is
    what the last run yields. With no answer left, that may be a question.

    A RUN_FINISHED or RUN_ERROR ends the run: the agent is closed, and what it says
    then is left out.

    Raises ConfigError for what is no agent, what the agent raises, EventError for what the runner
    would end the run for (an event that is illegal where it comes, or an id that
    ``input.messages`` has already), and ValueError for answers that do not fit the questions, in
    number or, as a server would refuse them, by a question's schema.
    """
    ready, left = adapt(agent), list(answers)
    asked: dict[str, Interrupt] = {}
    events, conversation = await _run(ready, input, asked)
    while left:
        questions = _questions(events)
        if not 0 < len(questions) <= len(left):
            raise ValueError(f"the run asks {len(questions)} questions, for {len(left)} answers")
        asked |= {question.id: question for question in questions}
        given = [_entry(question, left.pop(0)) for question in questions]
        resumed = {"run_id": new_id("run"), "parent_run_id": input.run_id, "resume": given}
        input = complete(input.model_copy(update=resumed), conversation, ())
        events, conversation = await _run(ready, input, asked)
    return events


async def _run(
    agent: Agent, input: RunAgentInput, asked: Mapping[str, Interrupt]
) -> tuple[list[BaseEvent], Conversation]:
    """Return what a run yields, and what its thread is then."""
    turn = _Turn(input)
    token = CURRENT.set(_context(input, turn.say, asked))
    stream = agent(input)
    try:
        async for yielded in stream:
            if turn.take(yielded):
                break
        else:
            turn.end()
    except (Unanswered, BaseExceptionGroup) as error:
        questions = questions_of(error)
        if not questions:
            raise
        turn.end()
        turn.take(question_event(input, questions))
    finally:
        turn.is_over = True
        close = getattr(stream, "aclose", None)
        if close is not None:
            await close()
        CURRENT.reset(token)
    return turn.events, turn.log.conversation


class _Turn:
    """What one run says, by the rules of `Speech`; after its end nothing is taken."""

    def __init__(self, input: RunAgentInput) -> None:
        self.events: list[BaseEvent] = []
        self.log = _Log(_conversation(input))
        self.is_over = False
        self._input = input
        self._ingest = Ingest(_conversation(input))
        self._speech = Speech(self._ingest, self.log, sys.maxsize)

    def say(self, event: BaseEvent, urgent: bool) -> None:
        if not self.is_over:
            self._speech.say(event, urgent)
            self.events.append(event)

    def take(self, yielded: BaseEvent) -> bool:
        """Take what is yielded, and return whether it ends the run."""
        terminal = self._speech.take(yielded, readdressed(yielded, self._input))
        self.events.append(yielded)
        if terminal is not None:
            self.log.put(terminal.event)
        return terminal is not None

    def end(self) -> None:
        """Take what waits, and close what is open."""
        self._speech.settle()
        for closer in self._ingest.close():
            self.log.put(closer)


class _Log:
    """The log of one run, folded."""

    has_room = True

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.taken = 0

    def put(self, item: Delta | Event) -> None:
        whole = delta_event(item.type, item.id, item.text) if isinstance(item, Delta) else item
        self.conversation.apply(whole)
        self.taken += 1


def _entry(question: Interrupt, answer: object) -> ResumeEntry:
    status: Literal["resolved", "cancelled"] = "cancelled" if answer is None else "resolved"
    if status == "resolved":
        try:
            check_answer(question.model_dump(mode="json", by_alias=True), answer, "the answer")
        except Refused as error:
            asked = question.message or question.reason
            raise ValueError(f"{asked!r} is not answered: {error.where}: {error}") from error
    return ResumeEntry(interrupt_id=question.id, status=status, payload=answer)


def _questions(events: list[BaseEvent]) -> list[Interrupt]:
    last = events[-1] if events else None
    outcome = last.outcome if isinstance(last, RunFinishedEvent) else None
    return outcome.interrupts if isinstance(outcome, RunFinishedInterruptOutcome) else []


def _context(
    input: RunAgentInput, say: Callable[[BaseEvent, bool], None], asked: Mapping[str, Interrupt]
) -> RunContext:
    async def nothing() -> None:
        return None

    async def question(id: str) -> dict[str, Any] | None:
        found = asked.get(id)
        return None if found is None else found.model_dump(mode="json", by_alias=True)

    return RunContext(
        input,
        user=UserId("tester"),
        scope=input.thread_id,
        say=say,
        room=nothing,
        question=question,
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
