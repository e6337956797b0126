"""What a client of AG-UI 0.x is told instead of the outcome that it does not know."""

from pathlib import Path

import pytest

from netra_backend.core.events import body_of, event_from_json
from netra_backend.server.agui_versions import as_error, as_finished
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import ScriptedAgent, endless
from tests.client import client, run_input
from tests.http import http, sse_chunks
from tests.live import live

CANCELLED = event_from_json(
    b'{"type":"RUN_FINISHED","threadId":"t","runId":"r","outcome":{"type":"cancelled"}}'
)
OTHERS = [
    event_from_json(b'{"type":"RUN_FINISHED","threadId":"t","runId":"r"}'),
    event_from_json(
        b'{"type":"RUN_FINISHED","threadId":"t","runId":"r","outcome":{"type":"success"}}'
    ),
    event_from_json(b'{"type":"RUN_ERROR","message":"cancelled","code":"cancelled"}'),
    event_from_json(b'{"type":"TEXT_MESSAGE_CONTENT","messageId":"m","delta":"cancelled"}'),
]


def test_only_the_outcome_is_said_in_another_way() -> None:
    error, finished = body_of(as_error(CANCELLED)), body_of(as_finished(CANCELLED))
    assert (error.type, error.code) == ("RUN_ERROR", "cancelled")
    assert (finished.type, finished.run_id, finished.outcome) == ("RUN_FINISHED", "r", None)
    for event in OTHERS:
        assert as_error(event) is as_finished(event) is event


@pytest.mark.anyio
async def test_the_version_that_a_client_says_decides(tmp_path: Path) -> None:
    async with (
        live({"agent": ScriptedAgent(endless())}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
        client(server.socket_url, server.token()) as alice,
    ):
        await alice.run("t", "r")
        await alice.command("cancel", run="r")
        ends = []
        for version in ({}, {"protocolVersion": "1.0"}):
            body = {**run_input("t", "r"), **version}
            posted = await browser.post("/agui/agent", json=body)
            joined = await browser.get("/agui/agent", params={"runId": "r", **version})
            ends.append([sse_chunks(told.text)[-1] for told in (posted, joined)])

    older, newer = ends
    assert [(end["type"], end.get("code")) for end in older] == [("RUN_ERROR", "cancelled")] * 2
    assert [end["outcome"] for end in newer] == [{"type": "cancelled"}] * 2
