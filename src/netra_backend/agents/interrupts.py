"""Interrupts: the questions that runs left for a person, and their one decision.

A question that concerns a tool call is bound to it: its metadata carry the digest of the tool's
name and arguments, as the log had them when the run asked. An answer is refused when it names
another digest, or when the log has another call by now. A question with ``expiresAt`` can be
answered until then.
"""

import hashlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from ag_ui.core import EventType, ResumeEntry, RunAgentInput
from msgspec import Struct

from netra_backend import jsonlog
from netra_backend.agents import run_input
from netra_backend.agents.answers import check_answer
from netra_backend.agents.conversations import Conversations
from netra_backend.core.events import Event
from netra_backend.core.fold import Conversation
from netra_backend.core.ids import RunId, ThreadKey, UserId
from netra_backend.core.ports import Answer, Decision, Interrupt, Runs
from netra_backend.core.roles import Role
from netra_backend.errors import ErrorCode, Refused

log = jsonlog.get_logger(__name__)

Resume = Callable[[Interrupt, RunAgentInput], Awaitable[RunId]]
"""Starts, or queues, the run that goes on with the answers to an interrupt's run."""

Served = Callable[[str], object]
"""Raises Refused (unknown_agent) if there is no agent of this name."""


class Decided(Struct, frozen=True):
    """The answer to `Interrupts.decide`: the decision, and the run that takes it up, if any yet.

    That run may still wait for its thread.
    """

    decision: Decision
    run: RunId | None


class Interrupts:
    """The interrupts of all threads."""

    def __init__(
        self,
        store: Runs,
        conversations: Conversations,
        *,
        now: Callable[[], int],
        served: Served,
        resume: Resume,
    ) -> None:
        self._store = store
        self._conversations = conversations
        self._now = now
        self._check_served = served
        self._resume_run = resume
        self._waiting: set[tuple[ThreadKey, str]] = set()
        """The decided ones of which it was told that they wait."""

    async def decide(
        self, thread: ThreadKey, answer: Answer, by: UserId, digest: str | None = None
    ) -> Decided:
        """Decide an interrupt once; when its run has no other open, start the run that goes on.

        `digest` is what the answer is for; without it, it is for what was asked. Raises Refused:
        not_found, forbidden (without the role decide when it is written down), expired, changed,
        bad_answer and unknown_agent (then it stays open, to be answered otherwise or later).
        """
        payload = msgspec.json.decode(answer.payload)
        told = msgspec.structs.replace(answer, payload=run_input.payload(payload))
        interrupt = await self._store.interrupt(thread, answer.interrupt)
        if interrupt is None:
            raise Refused(ErrorCode.NOT_FOUND)
        if interrupt.decided_by is None:  # else the loser learns who won, whatever they meant
            self._check_served(interrupt.agent)
            await self._check(interrupt, digest)
            _check_payload(interrupt, answer.status, payload, "$.payload")
        decision = await self._store.decide(thread, told, by, Role.DECIDE)
        if decision is None:
            raise Refused(ErrorCode.NOT_FOUND)
        if decision.won:
            with jsonlog.bind(run=interrupt.run, thread=thread.id):
                log.info("decided", extra={"interrupt": answer.interrupt, "status": answer.status})
        run = decision.interrupt.resumed_by
        if run is None and decision.won:
            run = await self._resume(decision.interrupt)
        return Decided(decision, run)

    async def check(self, thread: ThreadKey, entries: Sequence[ResumeEntry]) -> None:
        """Raise Refused (expired, changed, bad_answer) if a run may not take up these answers.

        An interrupt that is not there is left to the store, which refuses it.
        """
        for number, entry in enumerate(entries):
            interrupt = await self._store.interrupt(thread, entry.interrupt_id)
            if interrupt is not None:
                await self._check(interrupt, None)
                where = f"$.input.resume[{number}].payload"
                _check_payload(interrupt, entry.status, entry.payload, where)

    async def undelivered(self) -> Sequence[Interrupt]:
        """Return the decided ones that no run has taken up: after a crash, or of a busy thread."""
        found = await self._store.undelivered()
        self._waiting &= {(each.thread, each.id) for each in found}
        return found

    async def deliver(self, interrupt: Interrupt) -> None:
        """Start the run for an answer that is `undelivered`."""
        with jsonlog.bind(run=interrupt.run, thread=interrupt.thread.id):
            await self._resume(interrupt)

    async def _check(self, interrupt: Interrupt, digest: str | None) -> None:
        question = msgspec.json.decode(interrupt.question)
        if expired(interrupt, self._now()):
            raise Refused(ErrorCode.EXPIRED)
        bound = digest_of(question)
        if digest is not None and digest != bound:
            raise Refused(ErrorCode.CHANGED, "the answer is for another tool call")
        if bound is not None:
            conversation, _ = await self._conversations.fold(interrupt.thread)
            if call_digest(conversation, question["toolCallId"]) != bound:
                raise Refused(
                    ErrorCode.CHANGED, "the tool call was changed since it was asked about"
                )

    async def _resume(self, interrupt: Interrupt) -> RunId | None:
        """Start the run that takes up the answers to an ended run's questions, once all are in."""
        questions = await self._store.interrupts(interrupt.thread, interrupt.run)
        if not questions or any(question.decided_by is None for question in questions):
            return None  # deleted with its thread, or still open
        try:
            return await self._resume_run(interrupt, run_input.resuming_input(questions))
        except Refused as refusal:
            self._tell_waiting(interrupt, refusal)
            return None

    def _tell_waiting(self, interrupt: Interrupt, refusal: Refused) -> None:
        """Tell it once: it is tried again at each sweep, by every worker."""
        key = interrupt.thread, interrupt.id
        if key not in self._waiting:
            self._waiting.add(key)
            log.warning("a decision waits", extra={"interrupt": interrupt.id, "code": refusal.code})


def _check_payload(interrupt: Interrupt, status: str, payload: object, where: str) -> None:
    """Raise Refused (bad_answer) if an open interrupt is not to be resolved with this payload."""
    if interrupt.decided_by is None and status == "resolved":
        check_answer(msgspec.json.decode(interrupt.question), payload, where)


def expired(interrupt: Interrupt, now: int) -> bool:
    """Return whether the interrupt can be answered no more; one that was decided never expires."""
    if interrupt.decided_by is not None:
        return False
    until = msgspec.json.decode(interrupt.question).get("expiresAt")
    if not isinstance(until, str):
        return False
    try:
        at = datetime.fromisoformat(until)
    except ValueError:
        return False  # what an agent writes may be anything
    if at.tzinfo is None:
        at = at.replace(tzinfo=UTC)
    return at.timestamp() * 1000 <= now


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
