"""An agent for fault tests that does anything an agent may do, and some of what it may not.

What it does in a run follows from the run's name and the variable ``MOOD``. It notes in the file
``notes`` each time that it is called, and with which answers.
"""

import json
from pathlib import Path
from typing import Any

SOURCE = """
import asyncio
import json
import os
import time
from random import Random

from ag_ui.core import CustomEvent, TextMessageContentEvent

from netra_backend.agents.base import Reasoning, Text, ToolCall
from netra_backend.agents.run_context import RunContext

NOTES = os.open("notes", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
KINDS = (
    "say", "say", "say", "tool", "think", "ask", "ask", "ask twice", "fail", "hang", "pause",
    "block", "garbage", "illegal", "stubborn", "give up", "exit", "big", "save",
)


async def moody(given, run: RunContext):
    answers = [answer.interrupt_id for answer in given.resume or ()]
    note = {"scope": run.scope, "run": given.run_id, "answers": answers, "pid": os.getpid()}
    os.write(NOTES, (json.dumps(note) + "\\n").encode())
    chance = Random(os.environ["MOOD"] + given.run_id)
    text = Text()
    for event in text.start():
        yield event
    for step in range(chance.randint(0, 30)):
        for event in text.add(f"{step} of {given.run_id} "):
            yield event
        if chance.random() < 0.5:
            await asyncio.sleep(chance.random() * 0.03)
    kind = "say" if answers and chance.random() < 0.7 else chance.choice(KINDS)
    try:
        await come_to(kind, run, chance)
    except asyncio.CancelledError:
        if kind != "stubborn":
            raise
        await asyncio.sleep(0.3)
    for event in text.end():
        yield event
    for event in said(kind, chance):
        yield event


async def come_to(kind, run, chance):
    match kind:
        case "ask":
            await run.ask("Shall I?", reason="approval")
        case "ask twice":
            async with asyncio.TaskGroup() as group:
                for question in ("This?", "That?"):
                    group.create_task(run.ask(question))
        case "fail":
            raise RuntimeError("told to fail")
        case "hang":
            await asyncio.Event().wait()
        case "pause" | "stubborn":
            await asyncio.sleep(chance.random())
        case "block":
            time.sleep(0.1)
        case "give up":
            raise asyncio.CancelledError
        case "exit":
            raise SystemExit(3)
        case "save":
            run.progress("half", 1, 2)
            await run.save({"at": chance.random()})


def said(kind, chance):
    match kind:
        case "tool":
            call = ToolCall("look")
            yield from [*call.whole({"for": "it"}), *call.result("found " * 40)]
        case "think":
            thought = Reasoning()
            yield from [*thought.start(), *thought.add("hm "), *thought.add("so"), *thought.end()]
        case "garbage":
            yield {"type": "NO_EVENT", "at": object()}
        case "illegal":
            yield TextMessageContentEvent(message_id="never begun", delta="x")
        case "big":
            text = Text()
            yield from [*text.start(), *text.add("much " * 20_000), *text.end()]
            yield CustomEvent(name="odd \\ud800", value={"at": "\\udfff"})
"""


def write_moody_agent(directory: Path) -> str:
    """Write the agent into `directory`; return what ``netra serve`` calls it."""
    (directory / "moody_agent_module.py").write_text(SOURCE)
    return "moody_agent_module:moody"


def notes(directory: Path) -> list[dict[str, Any]]:
    """Return what the agent has noted."""
    file = directory / "notes"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []
