"""The WebSocket route, over real sockets, on both lanes."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ag_ui.core import (
    BaseEvent,
    RunAgentInput,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
)

from netra_backend.stores.memory import MemoryStore
from tests.client import client
from tests.live import live

pytestmark = pytest.mark.anyio


async def hello(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Answer with one message of three deltas."""
    id = f"answer-{given.run_id}"
    yield TextMessageStartEvent(message_id=id, role="assistant")
    for delta in ("Hel", "lo, ", given.messages[-1].content):
        yield TextMessageContentEvent(message_id=id, delta=str(delta))
    yield TextMessageEndEvent(message_id=id)


@pytest.mark.parametrize("direct", [True, False], ids=["lane", "send"])
async def test_a_run_is_delivered_whole(tmp_path: Path, direct: bool) -> None:
    async with (
        live({"hello": hello}, tmp_path, store=MemoryStore(), direct=direct) as server,
        client(server.socket_url, server.token()) as alice,
    ):
        assert alice.ready["agents"] == ["hello"]
        accepted = await alice.run("t1", "r1", "world")
        assert accepted["type"] == "accepted"
        followed = await alice.follow("t1")
        assert followed["resume"] == "replay"
        finished = await alice.until("RUN_FINISHED")
        assert finished["chunk"]["outcome"] == {"type": "success"}
        text = "".join(f["chunk"].get("delta", "") for f in alice.events)
        assert text == "Hello, world"
