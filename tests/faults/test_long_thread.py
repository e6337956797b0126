"""A long thread: who asks for all of it, and many at once, delays nobody."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from ag_ui.core import (
    BaseEvent,
    RunAgentInput,
    TextMessageContentEvent,
    TextMessageEndEvent,
    TextMessageStartEvent,
)

from netra_backend.agents import slices
from netra_backend.core.fold import Conversation
from netra_backend.stores.memory import MemoryStore
from tests.client import BOUND, client, run_input
from tests.http import http
from tests.live import live

pytestmark = pytest.mark.anyio

MESSAGES = 2_000
MANY = 20


async def talks(input: RunAgentInput) -> AsyncIterator[BaseEvent]:
    for number in range(MESSAGES):
        id = f"m{number}"
        yield TextMessageStartEvent(message_id=id, role="assistant")
        yield TextMessageContentEvent(message_id=id, delta="hello")
        yield TextMessageEndEvent(message_id=id)


async def test_many_who_ask_for_a_long_thread_let_others_be_served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All see all of it, it is folded once, and the loop turns between its events."""
    monkeypatch.setattr(slices, "SLICE", 0.0)
    turns = applied = most = 0
    apply = Conversation.apply

    def counting(conversation: Conversation, event: Any) -> None:
        nonlocal applied
        applied += 1
        apply(conversation, event)

    async def turning() -> None:
        nonlocal turns, most
        while True:
            before = applied
            await asyncio.sleep(0)
            turns, most = turns + 1, max(most, applied - before)

    async with (
        asyncio.timeout(4 * BOUND),
        live({"talks": talks}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
    ):
        await browser.post("/agui/talks", json=run_input("long", "r"))
        clients = [client(server.socket_url, server.token()) for _ in range(MANY)]
        open_clients = [await one.__aenter__() for one in clients]
        monkeypatch.setattr(Conversation, "apply", counting)
        loop_turns = asyncio.create_task(turning())
        followed = await asyncio.gather(*(one.follow("long") for one in open_clients))
        pages = await asyncio.gather(*(browser.get("/threads/long/messages") for _ in range(MANY)))
        joins = await asyncio.gather(
            *(browser.get("/agui/talks", params={"runId": "r"}) for _ in range(MANY))
        )
        loop_turns.cancel()
        for one in clients:
            await one.__aexit__(None, None, None)
    assert {len(frame["prelude"][1]["messages"]) for frame in followed} == {MESSAGES + 1}
    assert {frame["resume"] for frame in followed} == {"snapshot"}
    assert {page.json()["messages"][-1]["id"] for page in pages} == {f"m{MESSAGES - 1}"}
    assert {b"MESSAGES_SNAPSHOT" in join.content for join in joins} == {True}
    assert applied == MESSAGES * 3 + 2
    assert most <= 2
    assert turns > MESSAGES
