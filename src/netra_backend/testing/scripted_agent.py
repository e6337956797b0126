"""A scripted agent: a fake that plays what a test wrote, and stops where the test says so.

::

    gate = Gate()
    agent = ScriptedAgent(answer("Hello ", gate, "world"))
    ...                      # start a run with it
    await gate.reached()     # "Hello " was yielded
    gate.open()              # "world" follows

Each run plays the whole script with new ids. Nothing here sleeps for a time.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from itertools import cycle

from ag_ui.core import BaseEvent, RunAgentInput

from netra_backend.agents.base import Reasoning, Text, ToolCall


class Gate:
    """A place in a script where the agent waits until the test opens it; once open, it stays so."""

    def __init__(self) -> None:
        self._reached = asyncio.Event()
        self._opened = asyncio.Event()

    async def reached(self) -> None:
        """Return when an agent has come to this gate, with all events before it yielded."""
        await self._reached.wait()

    def open(self) -> None:
        """Let every agent pass, now and later."""
        self._opened.set()

    async def pass_through(self) -> None:
        """Be at the gate, and return when it is open."""
        self._reached.set()
        await self._opened.wait()


Step = BaseEvent | Gate | Exception | float
"""What an agent does next: yield an event, wait at a gate, raise, or pause for so many seconds."""

Script = Callable[[], Iterator[Step]]
"""A part of a script; it is called once for each run, and makes new ids each time."""


class ScriptedAgent:
    """An agent that plays `scripts` one after another, whatever it is asked.

    `inputs` are the inputs of the runs so far. After every step the event loop gets its turn, so
    an endless script starves nobody.
    """

    def __init__(self, *scripts: Script) -> None:
        self._scripts = scripts
        self._stopped = asyncio.Event()
        self.inputs: list[RunAgentInput] = []

    async def __call__(self, input: RunAgentInput) -> AsyncIterator[BaseEvent]:
        """Play the script."""
        self.inputs.append(input)
        whole = False
        try:
            for script in self._scripts:
                for step in script():
                    if isinstance(step, BaseEvent):
                        yield step
                        await asyncio.sleep(0)
                    elif isinstance(step, Gate):
                        await step.pass_through()
                    elif isinstance(step, float):
                        await asyncio.sleep(step)
                    else:
                        raise step
            whole = True
        finally:
            if not whole:
                self._stopped.set()

    async def stopped(self) -> None:
        """Return when a run has ended before the script did: closed, cancelled, or failed."""
        await self._stopped.wait()


def answer(*parts: str | Gate | Exception) -> Script:
    """Return a script of one text message with `parts` as its deltas."""
    return lambda: _construct(Text(), parts)


def reasoning(*parts: str | Gate | Exception) -> Script:
    """Return a script of one block of reasoning with `parts` as its deltas."""
    return lambda: _construct(Reasoning(), parts)


def tool_call(name: str, *parts: str | Gate | Exception, result: str | None = None) -> Script:
    """Return a script of one tool call, `parts` its arguments' JSON, and its result if given."""

    def script() -> Iterator[Step]:
        call = ToolCall(name)
        yield from _construct(call, parts)
        if result is not None:
            yield from call.result(result)

    return script


def failure(*parts: str | Gate, error: Exception) -> Script:
    """Return a script that raises `error` in the middle of a message, after `parts`."""
    return answer(*parts, error)


def endless(pause: float = 0.001) -> Script:
    """Return a script of one message that never ends, with so many seconds between its deltas.

    Without a pause it takes all the CPU time that the rest leaves.
    """
    return lambda: _construct(Text(), cycle(("tick ", pause)))


def events(*steps: Step) -> Script:
    """Return a script of exactly these steps; the same ids in every run."""
    return lambda: iter(steps)


def _construct(
    construct: Text | Reasoning | ToolCall, parts: Iterable[str | Gate | Exception | float]
) -> Iterator[Step]:
    yield from construct.start()
    for part in parts:
        if isinstance(part, str):
            yield from construct.add(part)
        else:
            yield part
    yield from construct.end()
