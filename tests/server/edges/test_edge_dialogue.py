"""What all dialogues of an edge have in common: what is told when a followed thread is gone."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import ScriptedAgent, endless
from tests.client import BOUND, run_input
from tests.conftest import Lines
from tests.http import http
from tests.live import live

pytestmark = pytest.mark.anyio

T = "alice,t"
INPUT = run_input(T, "r")
MESSAGE = {"id": "m", "role": "user", "parts": [{"type": "text", "text": "hi"}]}
CHAT = {"type": "send", "requestId": "r", "id": T, "messages": [MESSAGE], "body": {}}


@pytest.mark.parametrize(
    ("path", "ask", "named"),
    [
        ("/ws", INPUT, {"type": "RUN_ERROR", "threadId": T, "runId": "r"}),
        ("/ai-sdk/agent", CHAT, {"type": "error", "requestId": "r"}),
        ("/ws?agentcore", INPUT, {"type": "RUN_ERROR"}),
    ],
)
async def test_who_is_removed_while_following_has_the_whole_error_and_the_log_has_its_line(
    tmp_path: Path, log_lines: Lines, path: str, ask: dict[str, Any], named: dict[str, str]
) -> None:
    agents = {"agent": ScriptedAgent(endless())}
    agentcore = path.endswith("agentcore")
    async with (
        live(agents, tmp_path, store=MemoryStore(), agentcore=agentcore) as server,
        http(server.url, server.token("alice")) as alice,
        connect(
            f"{server.socket_url.removesuffix('/ws')}{path}",
            additional_headers={"Authorization": f"Bearer {server.token('bob')}"},
        ) as bob,
    ):
        await alice.post("/threads", json={"id": "t"})
        await alice.put("/threads/t/members/bob", json={"role": "write"})
        await bob.send(json.dumps(ask))
        await bob.recv()
        await alice.delete("/threads/t/members/bob")
        told = await last_error(bob)

    (line,) = [line for line in log_lines() if line["message"] == "thread refused"]
    assert told == {
        **named,
        "code": "not_found",
        "errorText" if "requestId" in named else "message": "the thread is shared with you no more",
        "retry": False,
        "correlation": line["correlation"],
    }
    assert (line["user"], line["code"], line["why"]) == (
        "bob",
        "not_found",
        "the thread is shared with you no more",
    )


async def last_error(socket: ClientConnection) -> dict[str, Any]:
    """Return the first frame that is an error."""
    async with asyncio.timeout(BOUND):
        while True:
            text = str(await socket.recv()).removeprefix("data: ")
            if '"correlation"' in text:
                told: dict[str, Any] = json.loads(text)
                return told
