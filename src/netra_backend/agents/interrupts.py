"""Interrupts: the questions that runs left for a person, and their one decision.

An answer to a question that is bound to a tool call is refused when it names another digest, or
when the log has another call by now. A question with ``expiresAt`` can be answered until then.
"""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime

import msgspec
from ag_ui.core import ResumeEntry, RunAgentInput
from msgspec import Struct

from netra_backend import jsonlog
from netra_backend.agents import run_input
from netra_backend.agents.answers import check_answer
from netra_backend.agents.conversations import Conversations
from netra_backend.agents.questions import call_digest, digest_of
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
        """Start the run that takes up the answers to an ended run's questions, once all are in.

        Those are left out that a run has taken up by itself, as a client of AG-UI may start it.
        """
        questions = await self._store.interrupts(interrupt.thread, interrupt.run)
        if not questions or any(question.decided_by is None for question in questions):
            return None  # deleted with its thread, or still open
        left = [question for question in questions if question.resumed_by is None]
        if not left:  # somebody else was faster
            return next(each.resumed_by for each in questions if each.id == interrupt.id)
        try:
            return await self._resume_run(interrupt, run_input.resuming_input(left))
        except Refused as refusal:
            if refusal.code is not ErrorCode.NOT_FOUND:  # else its thread was deleted just now
                self._tell_waiting(interrupt, refusal)
            return None

    def _tell_waiting(self, interrupt: Interrupt, refusal: Refused) -> None:
        """Tell it once: it is tried again at each sweep, by every worker."""
        key = interrupt.thread, interrupt.id
        if key not in self._waiting:
            self._waiting.add(key)
            told = {"interrupt": interrupt.id, "code": refusal.code}
            with jsonlog.bind(run=interrupt.run, thread=interrupt.thread.id):
                log.warning("a decision waits", extra=told)


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
