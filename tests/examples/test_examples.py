"""Every example, run as its text says."""

import asyncio
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx
import pytest
from ag_ui.core import BaseEvent, ResumeEntry

from netra_backend.agents.base import Agent
from netra_backend.agents.loading import load_agent
from netra_backend.testing.player import asking, play

pytestmark = pytest.mark.anyio
EXAMPLES = Path(__file__).parents[2] / "examples"
TESTED = {"echo_agent", "approval_agent", "pydantic_ai_agent", "mounted_in_fastapi"}
BOUND = 30.0
"""Seconds that starting a server may take."""


def text(events: Sequence[BaseEvent]) -> str:
    return "".join(event.delta for event in events if event.type == "TEXT_MESSAGE_CONTENT")


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Agent:
    """Return the example's agent, loaded as `netra serve` does in the folder of the examples."""
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr(sys, "path", [*sys.path])
    name, agent = load_agent(f"{request.param}:agent")
    assert name == "agent"
    return agent


def test_each_example_is_tested_here_and_at_most_60_lines_long() -> None:
    lengths = {path.stem: len(path.read_text().splitlines()) for path in EXAMPLES.glob("*.py")}

    assert set(lengths) == TESTED
    assert max(lengths.values()) <= 60


@pytest.mark.parametrize("example", ["echo_agent"], indirect=True)
async def test_echo_agent(example: Agent, assert_legal) -> None:
    given = asking("one  two")
    events = await play(example, given)

    assert text(events) == "one two "
    assert_legal(given, events)


@pytest.mark.parametrize("example", ["approval_agent"], indirect=True)
async def test_approval_agent(example: Agent, assert_legal) -> None:
    given = asking("print")
    events = await play(example, given)
    (asked,) = events[-1].outcome.interrupts
    assert_legal(given, events)

    for payload, said in (({"approved": True}, "I would print"), ({"approved": False}, "nothing")):
        answer = ResumeEntry(interrupt_id=asked.id, status="resolved", payload=payload)
        given = asking("", resume=[answer])
        events = await play(example, given)
        assert said in text(events)
        assert_legal(given, events)


@pytest.mark.parametrize("example", ["pydantic_ai_agent"], indirect=True)
async def test_pydantic_ai_agent(example: Agent, assert_legal) -> None:
    given = asking("How is the weather?")
    events = await play(example, given)

    assert [event.content for event in events if event.type == "TOOL_CALL_RESULT"] == [
        "It is sunny in a."
    ]
    assert_legal(given, events)


@pytest.fixture
def fastapi_url(tmp_path: Path) -> Iterator[str]:
    """Serve `mounted_in_fastapi` in a process of its own; return where."""
    command = [sys.executable, "-m", "uvicorn", "--app-dir", str(EXAMPLES), "--port", "0"]
    with subprocess.Popen(
        [*command, "mounted_in_fastapi:app"],
        cwd=tmp_path,
        env={**os.environ, "NETRA_DATA_DIR": str(tmp_path / "data")},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            seen = []
            for line in process.stderr:
                seen.append(line)
                where = re.search(r"running on (http://\S+)", line)
                if where:
                    break
            else:
                pytest.fail("".join(seen))
            yield where[1]
        finally:
            process.terminate()
            process.communicate(timeout=BOUND)


async def test_mounted_in_fastapi(fastapi_url: str) -> None:
    given = asking("hello")
    async with asyncio.timeout(BOUND), httpx.AsyncClient(base_url=fastapi_url) as client:
        assert (await client.get("/api/health")).json() == {"status": "fine"}
        page = await client.get("/")
        answer = await client.post("/agui/greeter", content=given.model_dump_json(by_alias=True))

    assert page.status_code == 200
    assert answer.status_code == 200, answer.text
    assert '"delta":"Hello!"' in answer.text
    assert '"type":"RUN_FINISHED"' in answer.text
