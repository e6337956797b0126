"""The input of a run: what a client gives, what the log keeps of it, and what the agent gets."""

import copy
import hashlib
from collections.abc import Sequence

import msgspec
from ag_ui.core import PROTOCOL_VERSION, EventType, Message, ResumeEntry, RunAgentInput

from netra_backend import jsonlog
from netra_backend.agents.ingest import wire_json
from netra_backend.core.events import Event
from netra_backend.core.fold import Conversation
from netra_backend.core.ids import UserId
from netra_backend.core.ports import Answer, Interrupt

TITLE_LENGTH = 80
"""Characters of the title that a thread takes from its first question."""


RESUMING = "resume_"
"""How the ids of the runs begin that follow from an answer."""


def news(given: RunAgentInput, conversation: Conversation) -> list[Message]:
    """Return the messages that the thread does not have.

    A message is known by its id. But clients that keep messages in a form of their own send a turn
    of ours back in pieces with new ids (TanStack AI does): so neither a second result of a tool
    call is news, nor calls that the thread has, nor reasoning where the thread has begun.
    """
    answered = conversation.answered_calls()
    begun = conversation.run_id is not None

    def is_news(message: Message) -> bool:
        if conversation.knows_message(message.id):
            return False
        if message.role == "tool":
            return message.tool_call_id not in answered
        if message.role == "assistant" and message.tool_calls:
            return not all(conversation.knows_call(call.id) for call in message.tool_calls)
        return message.role != "reasoning" or not begun

    return [message for message in given.messages if is_news(message)]


def signed(messages: Sequence[Message], member: UserId | None) -> list[Message]:
    """Return the messages with who says them: `member`, None for the owner of the thread.

    A message of a user says it in ``metadata.netra.user``; one of the owner has none. What a client
    has written there itself is taken away.
    """

    def sign(message: Message) -> Message:
        theirs = {key: value for key, value in (message.metadata or {}).items() if key != "netra"}
        own = {"netra": {"user": member}} if member is not None and message.role == "user" else {}
        metadata = {**theirs, **own} or None
        if metadata == message.metadata:
            return message
        return message.model_copy(update={"metadata": metadata})

    return [sign(message) for message in messages]


def run_started(given: RunAgentInput, fresh: Sequence[object]) -> Event:
    """Return RUN_STARTED with the input, less what the log has or followers need not see.

    Tools, model instructions and forwarded properties are for the agent; the log is for people.
    An empty state is what clients send that have none: it does not replace the thread's. Empty
    lists stand for tools and context, because AG-UI 0.x refuses an input without them.
    """
    shown = given.model_copy(
        update={
            "messages": list(fresh),
            "state": given.state or None,
            "tools": [],
            "context": [],
            "forwarded_props": None,
        }
    )
    body = {
        "type": EventType.RUN_STARTED,
        "threadId": given.thread_id,
        "runId": given.run_id,
        "protocolVersion": PROTOCOL_VERSION,
        "input": msgspec.Raw(wire_json(shown)),
    }
    if given.parent_run_id is not None:
        body["parentRunId"] = given.parent_run_id
    return Event(EventType.RUN_STARTED, msgspec.json.encode(body))


def unsaid(given: RunAgentInput) -> RunAgentInput:
    """Return the input without all that its user says in it."""
    return given.model_copy(update={"messages": [], "state": None, "resume": None})


def complete(
    given: RunAgentInput, conversation: Conversation, fresh: Sequence[object]
) -> RunAgentInput:
    """Return the input for the agent: the thread's history, then what is new."""
    history = RunAgentInput.model_validate(
        {"threadId": given.thread_id, "runId": given.run_id, "messages": conversation.messages()}
    )
    state = given.state or None
    if state is None and conversation.state is not msgspec.UNSET:
        state = copy.deepcopy(conversation.state)  # the agent may change what it is given
    return given.model_copy(update={"messages": [*history.messages, *fresh], "state": state})


def answers(entries: Sequence[ResumeEntry]) -> list[Answer]:
    """Return the answers that a run takes up."""
    return [Answer(entry.interrupt_id, entry.status, payload(entry.payload)) for entry in entries]


def payload(value: object) -> bytes:
    """Return an answer's payload in one form, however the client wrote it: stores compare bytes."""
    return jsonlog.dumps(value).encode()


def resuming_input(questions: Sequence[Interrupt]) -> RunAgentInput:
    """Return the input of the run that goes on with the answers to `questions`, at least one.

    Its id follows from the questions, which are answered once: whoever tries, again after a crash
    or on another node, starts the same run. Thread and user are part of it because the run may
    go on in the owner's name, and theirs may have asked under the same names elsewhere.
    """
    first = questions[0]
    return RunAgentInput(
        thread_id=first.thread.id,
        run_id=_resuming_id(questions),
        parent_run_id=first.run,
        messages=[],
        resume=[_resume_entry(question) for question in questions],
    )


def _resume_entry(question: Interrupt) -> ResumeEntry:
    payload = msgspec.json.decode(question.answer or b"null")
    if question.status == "cancelled":
        return ResumeEntry(interrupt_id=question.id, status="cancelled", payload=payload)
    return ResumeEntry(interrupt_id=question.id, status="resolved", payload=payload)


def _resuming_id(questions: Sequence[Interrupt]) -> str:
    first = questions[0]
    ids = [question.id for question in questions]
    named = msgspec.json.encode([*first.thread, first.user, first.run, ids])
    return f"{RESUMING}{hashlib.sha256(named).hexdigest()[:24]}"


def title(given: RunAgentInput) -> str:
    """Return the first line of the first thing that the user says."""
    for message in given.messages:
        content = getattr(message, "content", None)
        if message.role == "user" and isinstance(content, str) and content.strip():
            line = content.strip().splitlines()[0]
            return line if len(line) <= TITLE_LENGTH else line[: TITLE_LENGTH - 1] + "…"
    return "New conversation"
