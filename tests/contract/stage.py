"""Stage: what a model and its tools do in each scenario, whatever library plays it.

A scenario is a script of turns. The model plays the first turn when it is asked, and the second
once it has the result of a tool.
"""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, StrEnum
from typing import Any

from netra_backend.testing import Gate


class Scenario(StrEnum):
    """What an adapter is asked to do."""

    ANSWER = "plain answer"
    TOOL = "tool call"
    TOOLS = "two tool calls at once"
    REASONING = "reasoning"
    ERROR = "error"
    CANCEL = "cancel"
    RESUME = "cut and resume"
    CANCEL_CALL = "cancel while the model writes a tool call"
    CANCEL_TOOL = "cancel while a tool runs"
    ODD = "tool result that is not JSON"


@dataclass(frozen=True)
class Say:
    """The model says `text`."""

    text: str


@dataclass(frozen=True)
class Think:
    """The model thinks `text`."""

    text: str


@dataclass(frozen=True)
class Call:
    """The model calls a tool, or only begins to."""

    name: str
    arguments: dict[str, Any] = field(default_factory=dict)
    whole: bool = True

    @property
    def json(self) -> str:
        written = json.dumps(self.arguments)
        return written if self.whole else written[: len(written) // 2]


class Then(Enum):
    """What is no part of an answer."""

    WAIT = "wait until it is stopped"
    PASS = "pass the gate"
    FAIL = "fail"


Part = Say | Think | Call | Then
SECRET = "secret detail"

_SCRIPTS: dict[Scenario, list[list[Part]]] = {
    Scenario.ANSWER: [[Say("Hello "), Say("world")]],
    Scenario.TOOL: [[Call("weather", {"city": "Oslo"})], [Say("It is sunny.")]],
    Scenario.TOOLS: [
        [Say("Let me see."), Call("weather", {"city": "Oslo"}), Call("weather", {"city": "Rome"})],
        [Say("It is sunny.")],
    ],
    Scenario.REASONING: [[Think("Let me "), Think("see."), Say("Answer")]],
    Scenario.ERROR: [[Say("Part of "), Then.FAIL]],
    Scenario.CANCEL: [[Say("Half a "), Then.WAIT]],
    Scenario.RESUME: [[Say("one "), Then.PASS, Say("two "), Say("three")]],
    Scenario.CANCEL_CALL: [[Call("weather", {"city": "Oslo"}, whole=False), Then.WAIT]],
    Scenario.CANCEL_TOOL: [[Call("linger")], [Say("never")]],
    Scenario.ODD: [[Call("odd")], [Say("Odd.")]],
}


class Colour(Enum):
    """A plain enum, which `json.dumps` refuses."""

    RED = 1


def odd_value() -> dict[str, Any]:
    """Return what JSON has no form for."""
    return {"at": datetime(2026, 1, 1, tzinfo=UTC), "colour": Colour.RED, "nan": math.nan}


def refused(conversation: Iterable[tuple[Sequence[str], str | None]]) -> bool:
    """Return whether APIs of models refuse it: a call without its result directly behind it.

    Of each message, the ids of the calls that it makes, and of the one that it is the result of.
    """
    waiting: set[str] = set()
    for calls, result_of in conversation:
        if result_of in waiting:
            waiting.remove(result_of)
        elif waiting or result_of is not None:
            return True
        waiting.update(calls)
    return bool(waiting)


class Stage:
    """One scenario being played. `gate` is for RESUME; the events are for the cancels."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.gate = Gate()
        self.waiting = asyncio.Event()
        """The model, or the tool, waits to be stopped."""
        self.stopped = asyncio.Event()
        """It was stopped."""

    async def parts(self, answered: bool) -> AsyncIterator[Say | Think | Call]:
        """Yield what the model does in the turn; `answered` once a tool has."""
        for part in _SCRIPTS[self.scenario][int(answered)]:
            if part is Then.FAIL:
                raise RuntimeError(SECRET)
            if part is Then.WAIT:
                await self._wait()
            elif part is Then.PASS:
                await self.gate.pass_through()
            else:
                yield part  # type: ignore[misc]

    async def linger(self) -> str:
        """Wait."""
        await self._wait()
        return "never"

    async def _wait(self) -> None:
        self.waiting.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.stopped.set()


def weather(city: str) -> str:
    """Tell the weather in a city."""
    return f"sunny in {city}"


def odd() -> dict[str, Any]:
    """Return what JSON has no form for."""
    return odd_value()
