"""An agent on a string: it does what a test tells it, one line of JSON after another.

``netra serve puppet=tests.e2e.page.puppet_agent:agent`` runs it; `Puppets` holds the strings.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator

from ag_ui.core import BaseEvent, Event, RunAgentInput
from pydantic import TypeAdapter

from netra_backend.agents.base import Text, question_of

PORT = "PUPPET_PORT"
"""The variable that says where the strings are held."""

LINE_LIMIT = 4_194_304
"""Bytes of one line."""

_EVENT: TypeAdapter[BaseEvent] = TypeAdapter(Event)


async def agent(input: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Say which run this is, then do what comes: the end of the lines is the end of the run."""
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", int(os.environ[PORT]), limit=LINE_LIMIT
    )
    try:
        about = {
            "run": input.run_id,
            "question": question_of(input),
            "resume": [entry.payload for entry in input.resume or ()],
        }
        writer.write(json.dumps(about).encode() + b"\n")
        async for line in reader:
            async for event in _done(json.loads(line)):
                yield event
    finally:
        writer.close()


async def _done(order: dict[str, object]) -> AsyncIterator[BaseEvent]:
    """Carry out one order: ``event``, ``raise`` with a text, or ``babble`` for ever."""
    match order:
        case {"event": event}:
            yield _EVENT.validate_python(event)
        case {"raise": text}:
            raise RuntimeError(text)
        case {"babble": word, "every": seconds}:
            async for event in _babble(str(word), float(str(seconds))):
                yield event
        case _:
            raise ValueError(f"no order: {order}")


async def _babble(word: str, seconds: float) -> AsyncIterator[BaseEvent]:
    """Stream numbered words in one message that never ends."""
    text = Text()
    for event in text.start():
        yield event
    count = 0
    while True:
        count += 1
        for event in text.add(f"{word}{count} "):
            yield event
        await asyncio.sleep(seconds)
