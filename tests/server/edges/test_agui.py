"""Joining a run over HTTP: with its prelude, from its start, and after a position."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from ag_ui_validate.pytest_plugin import assert_valid_agui

from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.scripted_agent import (
    Gate,
    ScriptedAgent,
    answer,
    reasoning,
    tool_call,
)
from tests.client import BOUND, Client, client, offset, read_log, run_input
from tests.http import SseEvent, http, sse_chunks, sse_events, sse_stream
from tests.live import live
from tests.server.agents import echo

pytestmark = pytest.mark.anyio


async def join(browser: httpx.AsyncClient, run: str = "r", **query: str) -> httpx.Response:
    return await browser.get("/agui/agent", params={"runId": run, **query})


def types(events: Sequence[SseEvent]) -> list[str]:
    return [event.chunk["type"] for event in events]


async def half_way(alice: Client, gate: Gate) -> None:
    """Start run r in thread t, and return when its agent waits and what it said is in the log."""
    await alice.run("t", "r", "hello")
    await asyncio.wait_for(gate.reached(), BOUND)
    await alice.follow("t")
    await alice.until_frame(lambda f: f["chunk"].get("delta", "").endswith("half "))


async def test_who_joins_in_the_middle_gets_the_prelude_and_then_what_is_live(
    tmp_path: Path,
) -> None:
    gate = Gate()
    agent = ScriptedAgent(
        reasoning("hm"), tool_call("look", "{}", result="seen"), answer("half ", gate, "whole")
    )
    async with (
        live({"agent": agent}, tmp_path, store=SqliteStore(tmp_path)) as server,
        http(server.url, server.token()) as browser,
        client(server.socket_url, server.token()) as alice,
    ):
        await half_way(alice, gate)
        head = alice.events[-1]["id"]
        query = {"runId": "r"}
        async with browser.stream("GET", "/agui/agent", params=query) as stream:
            lines: list[str] = []
            async for line in stream.aiter_lines():
                lines.append(line)
                if line.startswith("id: "):
                    gate.open()
        messages = (await browser.get("/threads/t/messages")).json()["messages"]

    assert lines.count(f"id: {head}") == 1
    joined = sse_chunks("\n".join(lines))
    opening = lines[: lines.index(f"id: {head}")]
    assert not [line for line in opening if line.startswith("id: ")], "half a prelude has no id"
    assert_valid_agui(joined, max_warnings=0)
    assert [chunk["type"] for chunk in joined] == [
        "RUN_STARTED",
        "MESSAGES_SNAPSHOT",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]
    shown = joined[1]["messages"]
    assert [m["role"] for m in shown] == ["user", "reasoning", "assistant", "tool", "assistant"]
    assert shown[-1]["content"] + joined[3]["delta"] == messages[-1]["content"]


async def test_a_run_is_joined_from_its_start_and_after_each_position(tmp_path: Path) -> None:
    async with (
        live({"agent": echo}, tmp_path, store=SqliteStore(tmp_path), coalesce_ms=0) as server,
        http(server.url, server.token()) as browser,
    ):
        for run in ("before", "r", "after"):
            await browser.post("/agui/agent", json=run_input("t", run, "one two three"))
        log = await read_log(server.url, server.token(), "t")
        assert log is not None
        own = [entry for entry in log if entry["run"] == "r"]
        whole = sse_events((await join(browser, offset="-1")).text)
        assert types(whole)[0] == "RUN_STARTED"
        assert (whole[0].id, whole[-1].id) == (own[0]["id"], own[-1]["id"])
        for entry in own[:-1]:
            rest = sse_events((await join(browser, offset=entry["id"])).text)
            assert offset(rest[0].id) > offset(entry["id"])
            assert rest[-1] == whole[-1]
            again = await browser.get(
                "/agui/agent",
                params={"runId": "r", "offset": "-1"},
                headers={"Last-Event-ID": entry["id"]},
            )
            assert sse_events(again.text) == rest, "a stream that broke off goes on"
        ended = await join(browser, offset=own[-1]["id"])
        old = sse_chunks((await join(browser)).text)

    assert (ended.status_code, ended.content) == (204, b"")
    # The prelude of a run that has ended is that of the thread as the run left it.
    assert [chunk["type"] for chunk in old] == ["RUN_STARTED", "MESSAGES_SNAPSHOT", "RUN_FINISHED"]
    assert old[0]["runId"] == "r"
    assert len(old[1]["messages"]) == 4


async def test_several_join_a_running_run_and_miss_nothing(tmp_path: Path) -> None:
    gate = Gate()
    agent = ScriptedAgent(answer("half ", gate, *(f"{number} " for number in range(50))))
    async with (
        live({"agent": agent}, tmp_path, store=MemoryStore(), coalesce_ms=0) as server,
        http(server.url, server.token()) as browser,
        client(server.socket_url, server.token()) as alice,
    ):
        await half_way(alice, gate)
        joining = [asyncio.ensure_future(join(browser, offset="-1")) for _ in range(5)]
        gate.open()
        whole = [sse_events((await asyncio.wait_for(one, BOUND)).text) for one in joining]

    said = "half " + "".join(f"{number} " for number in range(50))
    for events in whole:
        assert "".join(event.chunk.get("delta", "") for event in events) == said
        offsets = [offset(event.id) for event in events]
        assert offsets == sorted(set(offsets))
    assert len(agent.inputs) == 1, "joining starts nothing"


async def test_what_cannot_be_joined_says_why(tmp_path: Path) -> None:
    async with (
        live({"agent": echo, "other": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
        http(server.url, server.token("bob")) as bob,
    ):
        started = sse_events((await browser.post("/agui/agent", json=run_input("t", "r"))).text)

        async def refusal(answered: httpx.Response) -> tuple[int, str, str | None]:
            error: dict[str, Any] = answered.json()["error"]
            return answered.status_code, error["code"], error.get("where")

        unnamed = await browser.get("/agui/agent")
        assert await refusal(unnamed) == (422, "bad_input", "$.runId")
        assert await refusal(await join(browser, offset="x")) == (422, "bad_input", "$.offset")
        assert await refusal(await join(browser, "nothing")) == (404, "not_found", None)
        assert await refusal(await join(bob)) == (404, "not_found", None)
        epoch = started[0].id.split("-")[0]
        late = await join(browser, offset=f"{epoch}-999")
        assert await refusal(late) == (404, "not_found", None)
        other = await browser.get("/agui/other", params={"runId": "r"})
        assert await refusal(other) == (404, "not_found", None)


async def test_joining_a_thread_that_is_deleted_meanwhile_ends(tmp_path: Path) -> None:
    gate = Gate()
    agent = ScriptedAgent(answer("half ", gate))
    async with (
        live({"agent": agent}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
        client(server.socket_url, server.token()) as alice,
    ):
        await half_way(alice, gate)
        query = {"runId": "r", "offset": "-1"}
        async with browser.stream("GET", "/agui/agent", params=query) as stream:
            events = sse_stream(stream)
            first = await anext(events)
            await browser.delete("/threads/t")
            rest = [event async for event in events]

    assert first.chunk["type"] == "RUN_STARTED"
    assert rest[-1].chunk["code"] == "cancelled"
