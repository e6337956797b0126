"""AG-UI's own client, `HttpAgent` of @ag-ui/client 1.0.0 and 0.0.59, against the SSE endpoint."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from ag_ui.core import (
    BaseEvent,
    Interrupt,
    RunAgentInput,
    RunFinishedEvent,
    RunFinishedInterruptOutcome,
    StateDeltaEvent,
    StateSnapshotEvent,
)
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from netra_backend.agents.base import Agent, Reasoning, Text, ToolCall, question_of
from netra_backend.server.lane import Protocol
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from tests.client import client
from tests.e2e.node_folder import NODE, node_folder
from tests.e2e.node_script import printed_by
from tests.http import http
from tests.live import live, serving

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

CLIENTS = {"1.0.0": "@ag-ui/client", "0.0.59": "ag-ui-client-0"}
"""The packages in tests/e2e/node/package.json, by the version of the client."""


def whole(text: str) -> list[BaseEvent]:
    said = Text()
    return [*said.start(), *said.add(text), *said.end()]


async def answers(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    for event in whole(f"you said: {', '.join(message.role for message in given.messages)}"):
        yield event


async def calls_a_tool(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    thought, call = Reasoning(), ToolCall("weather")
    events = [*thought.start(), *thought.add("hm"), *thought.end()]
    events += [*call.whole({"city": "Oslo"}), *call.result("rain"), *whole("take a coat")]
    for event in events:
        yield event


async def keeps_state(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    yield StateSnapshotEvent(snapshot={"steps": 1})
    yield StateDeltaEvent(delta=[{"op": "replace", "path": "/steps", "value": 2}])


async def fails(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    said = Text()
    for event in (*said.start(), *said.add("half")):
        yield event
    raise RuntimeError("a secret of the server")


async def asks(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    asked = Interrupt(id="q1", reason="approval", message="May I?")
    yield RunFinishedEvent(
        thread_id=given.thread_id,
        run_id=given.run_id,
        outcome=RunFinishedInterruptOutcome(interrupts=[asked]),
    )


async def is_slow(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    said = Text()
    for event in said.start():
        yield event
    for number in range(20):
        for event in said.add(f"{number} "):
            yield event
        await asyncio.sleep(0.01)
    for event in said.end():
        yield event


ACTIONS: dict[str, Agent] = {
    "answer": answers,
    "tool": calls_a_tool,
    "state": keeps_state,
    "fail": fails,
    "ask": asks,
    "slow": is_slow,
}


async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Do what the first word of the question says, or tell what was decided."""
    if given.resume:
        approved = given.resume[0].payload == {"approved": True}
        for event in whole(f"approved: {approved}"):
            yield event
        return
    async for event in ACTIONS[question_of(given).split()[0]](given):
        yield event


async def play(url: str, token: str, folder: Path, package: str, *names: str) -> dict[str, Any]:
    """Return what Node says about the scenarios."""
    script = NODE / "http_agent.cjs"
    out = await printed_by(script, str(folder), package, f"{url}/agui/agent", token, *names)
    return dict(json.loads(out))


@pytest.mark.parametrize("version", ["1.0.0", pytest.param("0.0.59", marks=pytest.mark.nightly)])
async def test_http_agent_sees_what_the_server_did(tmp_path: Path, version: str) -> None:
    folder = await asyncio.to_thread(node_folder)
    conversations = {}
    async with (
        live({"agent": agent}, tmp_path, store=SqliteStore(tmp_path)) as server,
        http(server.url, server.token()) as browser,
    ):
        told = await play(server.url, server.token(), folder, CLIENTS[version])
        for thread in ("conversation", "tool", "failure", "interrupt", "abort", "join"):
            shown = (await browser.get(f"/threads/{thread}/messages")).json()
            conversations[thread] = shown["messages"]
        cut = (await browser.get("/runs/a1")).json()

    talk = told["conversation"]
    assert (talk["first"]["error"], talk["second"]["error"]) == (None, None)
    assert [message["role"] for message in talk["messages"]] == ["user", "assistant"] * 2
    assert talk["messages"][1]["content"] == "you said: user"
    assert talk["messages"][3]["content"] == "you said: user, assistant, user"

    tool = told["tool"]
    assert tool["run"]["error"] is None
    assert tool["run"]["events"][-1] == "RUN_FINISHED"
    (call,) = [m for m in tool["messages"] if m.get("toolCalls")]
    assert call["toolCalls"][0]["function"] == {
        "name": "weather",
        "arguments": '{"city":"Oslo"}',
    }
    (result,) = [m for m in tool["messages"] if m["role"] == "tool"]
    assert (result["content"], result["toolCallId"]) == ("rain", call["toolCalls"][0]["id"])

    assert told["state"]["state"] == {"steps": 2}

    failed = told["failure"]["run"]
    assert failed["runError"]["code"] == "agent_failed"
    assert failed["events"][-1] == "RUN_ERROR"
    assert "secret" not in json.dumps(told["failure"])

    assert "404" in told["refusal"]["run"]["error"]

    question = told["interrupt"]
    assert question["asked"]["error"] is None
    assert [asked["id"] for asked in question["pending"]] == ["q1"]
    assert question["resumed"]["error"] is None
    assert question["left"] == []
    assert question["messages"][-1]["content"] == "approved: True"

    assert cut["status"] == "finished"
    assert told["abort"]["attached"]["error"] is None
    slowly = "".join(f"{number} " for number in range(20))
    assert told["abort"]["messages"][-1]["content"] == slowly

    join = told["join"]
    assert (join["first"]["error"], join["joined"]["error"]) == (None, None)
    assert join["joined"]["events"][:2] == ["RUN_STARTED", "MESSAGES_SNAPSHOT"]
    assert join["joined"]["events"][-1] == "RUN_FINISHED"
    assert plain(join["messages"]) == plain(join["started"])
    assert join["messages"][-1]["content"] == slowly

    # What the client has folded from the stream is what the server has folded from the log.
    for thread, messages in conversations.items():
        assert plain(told[thread]["messages"]) == plain(messages), thread


async def test_http_agent_takes_a_prelude(tmp_path: Path) -> None:
    """It knows nothing of `netra.runs`, and is the same with it."""
    folder = await asyncio.to_thread(node_folder)
    async with (
        live({"agent": agent}, tmp_path, store=MemoryStore(), replay_entries=1) as server,
        client(server.socket_url, server.token()) as alice,
    ):
        for run, question in (("r1", "fail"), ("r2", "tool"), ("r3", "ask")):
            await alice.run("t", run, question)
            while (await alice.follow("t"))["run"]["status"] == "running":
                await alice.any_frame(0.05)
        prelude = (await alice.follow("t"))["prelude"]
    assert "netra.runs" in [event.get("name") for event in prelude]

    async def stream(request: Request) -> Response:
        lines = "".join(f"data: {json.dumps(event)}\n\n" for event in prelude)
        return Response(lines, media_type="text/event-stream")

    outer = Starlette(routes=[Route("/agui/agent", stream, methods=["POST"])])
    async with serving(outer, Protocol) as port:
        told = await play(f"http://127.0.0.1:{port}", "none", folder, CLIENTS["1.0.0"], "prelude")

    joined = told["prelude"]
    assert joined["run"]["error"] is None
    assert joined["run"]["events"] == [event["type"] for event in prelude]
    (snapshot,) = [event for event in prelude if event["type"] == "MESSAGES_SNAPSHOT"]
    assert plain(joined["messages"]) == plain(snapshot["messages"])
    assert [asked["id"] for asked in joined["pending"]] == ["q1"]


def plain(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return messages without fields that are absent for one side and null for the other."""
    return [{k: v for k, v in message.items() if v is not None} for message in messages]
