"""Runs that wait for their thread, over the death of the server."""

from pathlib import Path

import pytest

from tests.client import client, run_input
from tests.http import http
from tests.live import ServerProcess

pytestmark = pytest.mark.anyio

AGENT = """
import asyncio
from uuid import uuid4
from ag_ui.core import TextMessageChunkEvent

async def agent(input):
    yield TextMessageChunkEvent(message_id=str(uuid4()), role="assistant", delta="here")
    if "wait" in input.messages[-1].content:
        await asyncio.Event().wait()
"""


async def test_what_waits_begins_after_a_kill_and_what_was_cancelled_ends(tmp_path: Path) -> None:
    (tmp_path / "waiting_agent.py").write_text(AGENT)
    server = ServerProcess(
        tmp_path / "data",
        ("waiting_agent:agent",),
        cwd=tmp_path,
        environment={"NETRA_WHEN_BUSY": "enqueue"},
    )
    server.start()
    try:
        await server.wait_ready(60)
        async with client(server.socket_url, server.token()) as alice:
            await alice.run("t", "r1", "wait")
            await alice.follow("t")
            await alice.until("TEXT_MESSAGE_CONTENT")
            queued = [await alice.run("t", run, "hello") for run in ("r2", "r3", "r4")]
            cancelled = await alice.command("cancel", run="r3")
        async with http(server.url, server.token()) as browser:
            waits = (await browser.get("/runs/r2")).json()
        server.kill()
        server.start()
        await server.wait_ready(60)
        async with client(server.socket_url, server.token()) as alice:
            await alice.follow("t")
            await alice.until_frame(
                lambda f: f["chunk"]["type"] == "RUN_FINISHED" and f["chunk"]["runId"] == "r4", 60
            )
            ends = [
                (f["chunk"].get("runId"), (f["chunk"].get("outcome") or {}).get("type"))
                for f in alice.events
                if f["chunk"]["type"] in ("RUN_FINISHED", "RUN_ERROR")
            ]
            began = [
                f["chunk"]["runId"] for f in alice.events if f["chunk"]["type"] == "RUN_STARTED"
            ]
            refused = await alice.command("run", input=run_input("other", "r2"))
    finally:
        server.kill()

    assert [(frame["type"], frame.get("queued"), frame.get("id")) for frame in queued] == [
        ("accepted", True, None)
    ] * 3
    assert (waits["status"], waits["started"]) == ("queued", None)
    assert cancelled["type"] == "cancelled"
    assert began == ["r1", "r2", "r3", "r4"]
    assert ends == [(None, None), ("r2", "success"), ("r3", "cancelled"), ("r4", "success")]
    assert refused["code"] == "run_conflict"
