"""`ag-ui-validate` on the live endpoint, and on what the log and the streams of each agent say."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from ag_ui_validate.pytest_plugin import assert_valid_agui

from netra_backend.agents.base import Agent
from netra_backend.agents.loading import load_agent
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.scripted_agent import ScriptedAgent, failure, reasoning, tool_call
from tests.client import client, read_log, run_input
from tests.http import http, sse_events
from tests.live import Live, live

pytestmark = pytest.mark.anyio

EXAMPLES = Path(__file__).parents[2] / "examples"
BOUND = 60.0

QUESTIONS = {
    "docs": ["How do I serve my own agent?", "zzz qqq xxx"],
    "echo_agent:agent": ["one two three", "four"],
    "approval_agent:agent": ["print it"],
    "pydantic_ai_agent:agent": ["How is the weather?", "And tomorrow?"],
    "mounted_in_fastapi:greeter": ["hello", "hello again"],
}
"""What each agent is asked, one run each, in one thread."""

SCRIPTED = {
    "fails in the middle": ScriptedAgent(failure("half", error=RuntimeError("why"))),
    "thinks and calls": ScriptedAgent(reasoning("a", "b"), tool_call("t", '{"a":1}', result="x")),
}


def test_every_example_is_validated() -> None:
    named = {question.split(":")[0] for question in QUESTIONS} - {"docs"}

    assert named == {path.stem for path in EXAMPLES.glob("*.py")}


@pytest.fixture
def agent(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Agent:
    """Return the agent, loaded as `netra serve` does in the folder of the examples."""
    monkeypatch.chdir(EXAMPLES)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("NETRA_DATA_DIR", str(tmp_path / "of the example"))
    _, loaded = load_agent(request.param)
    return loaded


async def converse(server: Live, questions: list[str]) -> list[list[dict[str, Any]]]:
    """Have a conversation in one thread; return the streams, one a run, as they came live."""
    streams = []
    async with (
        http(server.url, server.token()) as browser,
        client(server.socket_url, server.token()) as alice,
    ):
        for number, question in enumerate(questions):
            body = run_input("t", f"r{number}", question)
            answered = await browser.post("/agui/agent", json=body)
            streams.append([event.chunk for event in sse_events(answered.text)])
            outcome = streams[-1][-1].get("outcome") or {}
            for asked in outcome.get("interrupts", []):
                decided = await alice.command(
                    "decide", thread="t", interrupt=asked["id"], payload={"approved": True}
                )
                body = run_input("t", decided["run"])
                resumed = await browser.post("/agui/agent", json=body)
                streams.append([event.chunk for event in sse_events(resumed.text)])
    return streams


async def assert_everything_is_legal(tmp_path: Path, agent: Agent, questions: list[str]) -> None:
    store = SqliteStore(tmp_path)
    async with live({"agent": agent}, tmp_path, store=store) as server:
        streams = await converse(server, questions)
        log = await read_log(server.url, server.token(), "t")
        async with http(server.url, server.token()) as browser:
            replays = [
                sse_events(
                    (
                        await browser.post("/agui/agent", json=run_input("t", stream[0]["runId"]))
                    ).text
                )
                for stream in streams
            ]
    assert log is not None
    assert len(streams) >= len(questions)
    for stream in streams:
        assert_valid_agui(stream, max_warnings=0)
    for replay in replays:
        assert_valid_agui([event.chunk for event in replay], max_warnings=0)
    captured = "\n".join(json.dumps(entry["chunk"]) for entry in log)
    assert_valid_agui(captured, max_warnings=0)


@pytest.mark.parametrize("agent", QUESTIONS, indirect=True)
async def test_the_log_and_the_streams_of_each_agent_are_legal(
    tmp_path: Path, agent: Agent, request: pytest.FixtureRequest
) -> None:
    questions = QUESTIONS[request.node.callspec.params["agent"]]

    await assert_everything_is_legal(tmp_path, agent, questions)


@pytest.mark.parametrize("name", SCRIPTED)
async def test_what_ends_badly_is_legal_too(tmp_path: Path, name: str) -> None:
    await assert_everything_is_legal(tmp_path, SCRIPTED[name], ["one", "two"])


async def test_the_command_finds_nothing_in_the_live_endpoint(tmp_path: Path) -> None:
    program = Path(sys.executable).with_name("ag-ui-validate")
    async with live(None, tmp_path, store=SqliteStore(tmp_path)) as server:
        process = await asyncio.create_subprocess_exec(
            str(program),
            f"{server.url}/agui/docs",
            "--json",
            "--max-warnings",
            "0",
            "--header",
            f"Authorization: Bearer {server.token()}",
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), BOUND)
    assert process.returncode == 0, (out + err).decode()
    report = json.loads(out)

    assert report["summary"]["errors"] == report["summary"]["warnings"] == 0
    assert report["eventCount"] > 10
    assert report["internalErrors"] == []
