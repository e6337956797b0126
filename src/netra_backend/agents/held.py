"""Held: turns of another library that wait in this process for the answers to their questions."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Generic, NamedTuple, TypeVar

from ag_ui.core import (
    BaseEvent,
    RunAgentInput,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
)

from netra_backend.agents.call_ids import CallIds
from netra_backend.core.ids import new_id
from netra_backend.errors import AgentError

MAX_HELD = 1_000
"""Turns of an agent that wait for an answer."""

Turn = TypeVar("Turn")


class _HeldTurn(NamedTuple, Generic[Turn]):
    """A turn that waits for answers."""

    turn: Turn
    calls: CallIds
    asked: Mapping[str, str]
    """The library's ids of its questions, by those in the log."""


class Held(Generic[Turn]):
    """Turns that wait in this process for the answers to their questions, one in each scope.

    Beyond `MAX_HELD` the oldest is given up, and so is one whose user says something else.
    Questions get new ids: some libraries name them after the call, whose id a model may give again.
    """

    def __init__(self, close: Callable[[Turn], Awaitable[None]] | None = None) -> None:
        self._close = close
        self._turns: dict[str, _HeldTurn[Turn]] = {}

    async def take(
        self, scope: str, input: RunAgentInput
    ) -> tuple[Turn | None, RunAgentInput, CallIds]:
        """Return the turn that the run goes on with, if it answers a question.

        Also its input, in which questions and calls have the library's ids, and its calls. Raises
        AgentError if the turn that asked is gone.
        """
        if not input.resume:
            await self._give_up(scope)
            return None, input, CallIds(input)
        waiting = self._turns.get(scope)
        if waiting is None or any(one.interrupt_id not in waiting.asked for one in input.resume):
            raise AgentError("the turn that asked this question is gone")
        del self._turns[scope]
        resume = [
            one.model_copy(update={"interrupt_id": waiting.asked[one.interrupt_id]})
            for one in input.resume
        ]
        waiting.calls.learn(input)
        messages = waiting.calls.named_back(input)
        given = input.model_copy(update={"resume": resume, "messages": messages})
        return waiting.turn, given, waiting.calls

    async def keep(self, scope: str, turn: Turn, calls: CallIds, event: BaseEvent) -> bool:
        """Keep the turn if the event ends the run with questions; return whether it does."""
        outcome = event.outcome if isinstance(event, RunFinishedEvent) else None
        if not isinstance(outcome, RunFinishedInterruptOutcome):
            return False
        asked: dict[str, str] = {}
        for question in outcome.interrupts:
            own, question.id = question.id, new_id("ask")
            asked[question.id] = own
        self._turns[scope] = _HeldTurn(turn, calls, asked)
        if len(self._turns) > MAX_HELD:
            await self._give_up(next(iter(self._turns)))
        return True

    async def _give_up(self, scope: str) -> None:
        waiting = self._turns.pop(scope, None)
        if waiting is not None and self._close is not None:
            await self._close(waiting.turn)
