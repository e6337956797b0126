"""Runs over a socket: started once, attached to, refused, left and cancelled."""

import asyncio
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer, endless
from tests.client import BOUND, client, offset, run_input
from tests.http import http, sse_events
from tests.live import live
from tests.server.lanes import both_lanes

pytestmark = pytest.mark.anyio


@both_lanes
async def test_fifty_copies_of_a_run_start_it_once(tmp_path: Path, direct: bool) -> None:
    gate = Gate()
    agent = ScriptedAgent(answer("once", gate))
    given = run_input("t", "r")
    async with (
        live({"agent": agent}, tmp_path, store=SqliteStore(tmp_path), direct=direct) as server,
        http(server.url, server.token()) as browser,
        AsyncExitStack() as stack,
    ):
        clients = [
            await stack.enter_async_context(client(server.socket_url, server.token()))
            for _ in range(5)
        ]
        over_sockets = [
            one.answer({"type": "run", "request": f"copy-{index}", "input": given})
            for one in clients
            for index in range(8)
        ]
        over_http = [browser.post("/agui/agent", json=given) for _ in range(10)]
        posted = [asyncio.ensure_future(call) for call in over_http]
        answers = await asyncio.gather(*over_sockets)
        await asyncio.wait_for(gate.reached(), BOUND)
        gate.open()
        streams = [sse_events((await answered).text) for answered in posted]

    assert len(agent.inputs) == 1
    assert {frame.pop("request") for frame in answers} == {f"copy-{i}" for i in range(8)}
    assert len(answers) == 40
    assert all(frame == answers[0] for frame in answers)
    assert answers[0]["type"] == "accepted"
    for stream in streams:
        assert stream[0].id == answers[0]["id"]
        assert [event.chunk["type"] for event in stream] == [
            "RUN_STARTED",
            "TEXT_MESSAGE_START",
            "TEXT_MESSAGE_CONTENT",
            "TEXT_MESSAGE_END",
            "RUN_FINISHED",
        ]


async def test_a_run_is_attached_to_after_it_has_ended(tmp_path: Path) -> None:
    agent = ScriptedAgent(answer("x"))
    async with (
        live({"agent": agent}, tmp_path, store=MemoryStore()) as server,
        client(server.socket_url, server.token()) as alice,
    ):
        first = await alice.run("t", "r")
        await alice.follow("t")
        await alice.until("RUN_FINISHED")
        again = await alice.run("t", "r")

    assert {**again, "request": ""} == {**first, "request": ""}
    assert len(agent.inputs) == 1


async def test_one_run_at_a_time_in_a_thread(tmp_path: Path) -> None:
    gate = Gate()
    async with (
        live({"agent": ScriptedAgent(answer(gate))}, tmp_path, store=MemoryStore()) as server,
        client(server.socket_url, server.token()) as alice,
    ):
        await alice.run("t", "r1")
        await alice.follow("t")
        busy = await alice.run("t", "r2")
        assert (busy["code"], busy["retry"]) == ("thread_busy", True)
        assert (await alice.run("u", "r2"))["type"] == "accepted"
        gate.open()
        await alice.until("RUN_FINISHED", thread="t")
        assert (await alice.run("t", "r3"))["type"] == "accepted"


async def test_a_run_id_is_used_in_one_thread(tmp_path: Path) -> None:
    async with (
        live({"agent": ScriptedAgent(answer("x"))}, tmp_path, store=MemoryStore()) as server,
        client(server.socket_url, server.token()) as alice,
        http(server.url, server.token()) as browser,
    ):
        await alice.run("t", "r")
        conflict = await alice.run("u", "r")

        assert (conflict["code"], conflict["retry"]) == ("run_conflict", False)
        threads = (await browser.get("/threads")).json()["threads"]
        assert [thread["id"] for thread in threads] == ["t"]


async def test_a_refused_run_creates_no_thread(tmp_path: Path) -> None:
    resuming = {**run_input("new", "r1"), "resume": [{"interruptId": "q", "status": "resolved"}]}
    async with (
        live({"agent": ScriptedAgent(answer("x"))}, tmp_path, store=MemoryStore()) as server,
        client(server.socket_url, server.token()) as alice,
        http(server.url, server.token()) as browser,
    ):
        assert (await alice.run("new", "r2", agent="?"))["code"] == "unknown_agent"
        assert (await alice.command("run", input=resuming))["code"] == "not_found"
        assert (await browser.get("/threads")).json()["threads"] == []


async def test_a_run_outlives_the_connection_that_started_it(tmp_path: Path) -> None:
    gate = Gate()
    async with live({"agent": ScriptedAgent(answer("a", gate, "b"))}, tmp_path) as server:
        async with client(server.socket_url, server.token()) as alice:
            await alice.run("t", "r")
            await asyncio.wait_for(gate.reached(), BOUND)
        gate.open()
        async with client(server.socket_url, server.token()) as alice:
            await alice.follow("t")
            await alice.until("RUN_FINISHED")
            assert "".join(f["chunk"].get("delta", "") for f in alice.events) == "ab"


@both_lanes
async def test_after_the_acknowledged_position_comes_only_the_end(
    tmp_path: Path, direct: bool
) -> None:
    agent = ScriptedAgent(endless())
    async with (
        live({"agent": agent}, tmp_path, store=SqliteStore(tmp_path), direct=direct) as server,
        client(server.socket_url, server.token()) as alice,
        client(server.socket_url, server.token()) as other,
    ):
        await alice.run("t", "r")
        await alice.follow("t")
        await alice.until("TEXT_MESSAGE_CONTENT")
        answers = await asyncio.gather(
            *(one.command("cancel", run="r") for one in (alice, other) for _ in range(5))
        )
        await alice.until("RUN_FINISHED")
        await asyncio.wait_for(agent.stopped(), BOUND)
        async with http(server.url, server.token()) as browser:
            after = {"after": answers[0]["id"]}
            rest = (await browser.get("/threads/t/events", params=after)).json()["events"]
            run = (await browser.get("/runs/r")).json()
        again = await alice.command("cancel", run="r")

    assert {answered["type"] for answered in answers} == {"cancelled"}
    (end,) = rest
    assert end["chunk"]["type"] == "RUN_FINISHED"
    assert end["chunk"]["outcome"] == {"type": "cancelled"}
    # Who comes when the run has ended already is told where.
    assert {answered["id"] for answered in answers} <= {answers[0]["id"], end["id"]}
    assert again["id"] == end["id"] == run["ended"]
    assert run["status"] == "cancelled"
    assert alice.events[-1]["id"] == end["id"]
    kinds = Counter(frame["chunk"]["type"] for frame in alice.events)
    assert kinds["TEXT_MESSAGE_START"] == kinds["TEXT_MESSAGE_END"] == 1


async def test_cancel_over_http_answers_the_same(tmp_path: Path) -> None:
    async with (
        live({"agent": ScriptedAgent(endless())}, tmp_path, store=MemoryStore()) as server,
        client(server.socket_url, server.token()) as alice,
        http(server.url, server.token()) as browser,
    ):
        await alice.run("t", "r")
        cancelled = (await browser.post("/runs/r/cancel")).json()
        again = await alice.command("cancel", run="r")

    assert cancelled["run"] == again["run"] == "r"
    assert offset(again["id"]) == offset(cancelled["id"]) + 1
