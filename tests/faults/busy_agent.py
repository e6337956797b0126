"""An agent for fault tests: thinks, calls a tool and answers, several times, in small steps.

It is written into a file of its own and served by ``netra serve``, so it stands here as text.
"""

from pathlib import Path

SOURCE = """
import asyncio
from random import Random

from netra_backend.agents.base import Reasoning, Text, ToolCall


async def busy(given):
    chance = Random(given.run_id)
    for part in range(chance.randint(3, 12)):
        for construct in (Reasoning(), ToolCall("look"), Text()):
            for event in construct.start():
                yield event
            for step in range(chance.randint(1, 12)):
                await asyncio.sleep(chance.random() * 0.008)
                for event in construct.add(f"{part}.{step} of {given.run_id} "):
                    yield event
            for event in construct.end():
                yield event
            if isinstance(construct, ToolCall):
                for event in construct.result("found " * chance.randint(0, 200)):
                    yield event
"""


def write_busy_agent(directory: Path) -> str:
    """Write the agent into `directory`; return what ``netra serve`` calls it."""
    (directory / "busy_agent_module.py").write_text(SOURCE)
    return "busy_agent_module:busy"
