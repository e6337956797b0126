"""Questions: what a run ends with for people to answer, each bound to the tool call it is about.

A question that concerns a tool call carries in its metadata the digest of the tool's name and
arguments, as the log had them when the run asked: an answer is for that call, and for no other.
"""

import hashlib
from collections import Counter
from typing import Any

import msgspec
from ag_ui.core import EventType, RunAgentInput, RunFinishedEvent, RunFinishedInterruptOutcome
from ag_ui.core import Interrupt as AguiInterrupt

from netra_backend import jsonlog
from netra_backend.core.events import Body, Event
from netra_backend.core.fold import Conversation
from netra_backend.core.ports import Interrupt, Runs
from netra_backend.core.run import Run
from netra_backend.errors import EventError


class Unanswered(BaseException):
    """Raised by `RunContext.ask` when nobody has answered yet: the run ends with the question.

    No Exception, so that ``except Exception`` in an agent does not take it.
    """

    def __init__(self, question: AguiInterrupt) -> None:
        super().__init__(question.message or question.reason)
        self.question = question


def questions_of(error: BaseException) -> list[AguiInterrupt]:
    """Return the questions that `error` is about; none if it is about anything else, too.

    A group is what a TaskGroup raises in which several were asked at once.
    """
    if isinstance(error, Unanswered):
        return [error.question]
    if not isinstance(error, BaseExceptionGroup):
        return []
    parts = [questions_of(part) for part in error.exceptions]
    return [question for part in parts for question in part] if all(parts) else []


def question_event(input: RunAgentInput, questions: list[AguiInterrupt]) -> RunFinishedEvent:
    """Return what ends the run with the questions."""
    outcome = RunFinishedInterruptOutcome(interrupts=questions)
    return RunFinishedEvent(thread_id=input.thread_id, run_id=input.run_id, outcome=outcome)


def concerns_calls(terminal: Body) -> bool:
    """Return whether one of the questions of this RUN_FINISHED is about a tool call."""
    return any(question.get("toolCallId") for question in _questions(terminal))


def bind(event: Event, conversation: Conversation) -> Event:
    """Return RUN_FINISHED with the digests of the tool calls that its questions concern."""
    body = msgspec.json.decode(event.data)
    for question in (body.get("outcome") or {}).get("interrupts") or ():
        call = question.get("toolCallId")
        digest = call_digest(conversation, call) if call else None
        if digest is not None:
            metadata = question.get("metadata") or {}
            own = {**(metadata.get("netra") or {}), "digest": digest}
            question["metadata"] = {**metadata, "netra": own}
    return Event(EventType.RUN_FINISHED, msgspec.json.encode(body))


async def left_open(run: Run, terminal: Body, runs: Runs) -> list[Interrupt]:
    """Return the interrupts that the run leaves with this RUN_FINISHED.

    Raises EventError if an id was used: an old answer would decide the new question. Nor may two
    of them have one, or one have none: an answer could not say which it is for.
    """
    interrupts = [_interrupt(run, question) for question in _questions(terminal)]
    for id, count in Counter(interrupt.id for interrupt in interrupts).items():
        if not id or count > 1:
            raise EventError(f"interrupt {id!r}: each needs an id of its own")
    for interrupt in interrupts:
        if await runs.interrupt(run.thread, interrupt.id) is not None:
            raise EventError(f"interrupt {interrupt.id!r} was used before in the thread")
    return interrupts


def digest_of(question: dict[str, Any]) -> str | None:
    """Return the digest that the question is bound to, or None if it concerns no tool call."""
    metadata = question.get("metadata")
    own = metadata.get("netra") if isinstance(metadata, dict) else None
    digest = own.get("digest") if isinstance(own, dict) else None
    return digest if isinstance(digest, str) and question.get("toolCallId") else None


def call_digest(conversation: Conversation, call: str) -> str | None:
    """Return the digest of a tool call's name and arguments, or None if there is no such call."""
    for message in reversed(conversation.messages()):
        for found in message.get("toolCalls") or ():
            if found.get("id") == call:
                function = found.get("function") or {}
                named = [function.get("name"), _plain(function.get("arguments"))]
                return hashlib.sha256(jsonlog.dumps(named).encode()).hexdigest()
    return None


def _plain(arguments: object) -> object:
    """Return the arguments without the freedom that JSON leaves in how they are written."""
    try:
        return msgspec.json.encode(msgspec.json.decode(str(arguments)), order="sorted").decode()
    except msgspec.DecodeError:
        return arguments


def _questions(terminal: Body) -> list[dict[str, Any]]:
    return (terminal.outcome or {}).get("interrupts") or []


def _interrupt(run: Run, question: dict[str, Any]) -> Interrupt:
    return Interrupt(
        thread=run.thread,
        id=str(question["id"]),
        run=run.key.id,
        user=run.key.owner,
        agent=run.agent,
        question=msgspec.json.encode(question),
    )
