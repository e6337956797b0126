"""Agents that the tests of the server serve."""

import json
from collections.abc import AsyncIterator

from ag_ui.core import (
    BaseEvent,
    Interrupt,
    RunAgentInput,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
)

from netra_backend.agents.base import Text, question_of


async def echo(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Say again what was asked, a word a delta."""
    said = Text()
    events = [*said.start(), *(e for w in question_of(given).split() for e in said.add(f"{w} "))]
    for event in (*events, *said.end()):
        yield event


async def asks(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Ask as many questions as the message says (``ask q1 q2``); then say what was decided."""
    if not given.resume:
        named = question_of(given).split()[1:] or ["q1"]
        yield RunFinishedEvent(
            thread_id=given.thread_id,
            run_id=given.run_id,
            outcome=RunFinishedInterruptOutcome(
                interrupts=[Interrupt(id=name, reason="approval") for name in named]
            ),
        )
        return
    said = Text()
    decided = [[entry.interrupt_id, entry.status, entry.payload] for entry in given.resume]
    for event in (*said.start(), *said.add(json.dumps(decided)), *said.end()):
        yield event


async def asks_for_a_number(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Ask a question whose answer is a number from 1 on."""
    schema = {"type": "integer", "minimum": 1}
    asked = Interrupt(id="number", reason="input_required", response_schema=schema)
    outcome = RunFinishedInterruptOutcome(interrupts=[asked])
    yield RunFinishedEvent(thread_id=given.thread_id, run_id=given.run_id, outcome=outcome)


async def asks_too_late(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Ask a question whose time is over."""
    asked = Interrupt(id="late", reason="approval", expires_at="2026-01-01T00:00:00Z")
    outcome = RunFinishedInterruptOutcome(interrupts=[asked])
    yield RunFinishedEvent(thread_id=given.thread_id, run_id=given.run_id, outcome=outcome)
