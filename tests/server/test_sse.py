"""Runs as server-sent events: positions, resumption at every place, and leaving without harm."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from ag_ui.core import BaseEvent, CustomEvent, RunAgentInput

from netra_backend.agents.base import Reasoning, Text, ToolCall
from netra_backend.agents.conversations import Conversations
from netra_backend.core.prelude import Prelude
from netra_backend.server import sse_lane
from netra_backend.server.follower import ThreadFollower
from netra_backend.server.sse import RunStream
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer, endless
from tests.client import BOUND, client, offset, read_log, run_input
from tests.collector import alive, no_collector
from tests.conftest import Lines
from tests.eventually import until
from tests.http import SseEvent, http, sse_chunks, sse_events, sse_stream
from tests.live import Live, live
from tests.server.agents import echo
from tests.watched_store import WatchedStore

pytestmark = pytest.mark.anyio


async def varied(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Think, call a tool, and answer in many deltas, some of which are not plain."""
    thought, call, said = Reasoning(), ToolCall("look"), Text()
    for event in (*thought.start(), *thought.add("hm "), *thought.add("hm"), *thought.end()):
        yield event
    for event in (*call.start(), *call.add('{"a"'), *call.add(":1}"), *call.end()):
        yield event
    for event in call.result("line one\n\ndata: line two\r\n\u2028: not a comment"):
        yield event
    for event in said.start():
        yield event
    for word in ("one ", "two ", "three ", "four "):
        for event in said.add(word):
            yield event
        await asyncio.sleep(0)
    yield CustomEvent(name="test.note", value={"\n": "\r\n"})
    for event in (*said.add("five"), *said.end()):
        yield event


def rest_after(log: Sequence[dict[str, Any]], position: str) -> list[dict[str, Any]]:
    return [entry for entry in log if offset(entry["id"]) > offset(position)]


def assert_same(events: Sequence[SseEvent], entries: Sequence[dict[str, Any]]) -> None:
    """Fail unless the events say exactly what the entries do: each once, in order."""
    left = list(entries)
    for event in events:
        covered = [entry for entry in left if offset(entry["id"]) <= offset(event.id)]
        assert covered, f"{event.id} came twice, or out of order"
        left = left[len(covered) :]
        assert covered[-1]["id"] == event.id
        if len(covered) == 1:
            assert event.chunk == covered[0]["chunk"]
            continue
        deltas = "".join(entry["chunk"]["delta"] for entry in covered)
        assert event.chunk == {**covered[0]["chunk"], "delta": deltas}
    assert left == []


async def post(
    browser: httpx.AsyncClient, run: str = "r", after: str | None = None, **options: Any
) -> httpx.Response:
    headers = {"Last-Event-ID": after} if after is not None else {}
    return await browser.post("/agui/agent", json=run_input("t", run), headers=headers, **options)


async def log_of(server: Live) -> list[dict[str, Any]]:
    log = await read_log(server.url, server.token(), "t")
    assert log is not None
    return log


async def test_a_run_is_streamed_with_the_position_of_each_event(tmp_path: Path) -> None:
    async with (
        live({"agent": varied}, tmp_path, store=SqliteStore(tmp_path), coalesce_ms=0) as server,
        http(server.url, server.token()) as browser,
    ):
        answered = await post(browser)
        log = await log_of(server)

    assert answered.status_code == 200
    assert answered.headers["content-type"] == "text/event-stream; charset=utf-8"
    assert answered.headers["cache-control"] == "no-store"
    assert answered.headers["x-accel-buffering"] == "no"
    events = sse_events(answered.text)
    assert_same(events, log)
    assert events[0].chunk["type"] == "RUN_STARTED"
    assert events[-1].chunk["type"] == "RUN_FINISHED"
    assert answered.text.count("\n\n") == len(events)
    assert {line.split(" ")[0] for line in answered.text.split("\n")} == {"id:", "data:", ""}
    assert "\r" not in answered.text


async def test_every_position_is_resumed_with_exactly_the_rest(tmp_path: Path) -> None:
    async with (
        live({"agent": varied}, tmp_path, store=SqliteStore(tmp_path), coalesce_ms=0) as server,
        http(server.url, server.token()) as browser,
    ):
        await post(browser, "before")
        await post(browser, "r")
        await post(browser, "after")
        log = await log_of(server)
        own = [entry for entry in log if entry["run"] == "r"]
        whole = await post(browser, "r")
        assert_same(sse_events(whole.text), own)
        for entry in own[:-1]:
            resumed = await post(browser, "r", after=entry["id"])
            assert resumed.status_code == 200
            assert_same(sse_events(resumed.text), rest_after(own, entry["id"]))
        ended = await post(browser, "r", after=own[-1]["id"])
        later = await post(browser, "r", after=log[-1]["id"])

    assert (ended.status_code, ended.content) == (204, b"")
    assert (later.status_code, later.content) == (204, b"")


async def test_a_running_run_is_resumed_with_what_is_missing_and_then_live(tmp_path: Path) -> None:
    gate = Gate()
    agent = ScriptedAgent(answer("a", "b", gate, "c"))
    async with (
        live({"agent": agent}, tmp_path, store=SqliteStore(tmp_path), coalesce_ms=0) as server,
        http(server.url, server.token()) as browser,
        http(server.url, server.token()) as other,
    ):
        first = asyncio.ensure_future(post(browser))
        await asyncio.wait_for(gate.reached(), BOUND)
        async with client(server.socket_url, server.token()) as alice:
            await alice.follow("t")
            await alice.until_frame(lambda f: f["chunk"].get("delta", "").endswith("b"))
        seen = await log_of(server)
        again = [asyncio.ensure_future(post(other, after=entry["id"])) for entry in seen]
        attached = asyncio.ensure_future(post(other))
        gate.open()
        whole = sse_events((await first).text)
        log = await log_of(server)

        assert_same(whole, log)
        assert_same(sse_events((await attached).text), log)
        for entry, resumed in zip(seen, again, strict=True):
            assert_same(sse_events((await resumed).text), rest_after(log, entry["id"]))
    assert len(agent.inputs) == 1


async def test_a_position_outside_the_run_is_refused(tmp_path: Path) -> None:
    gate = Gate()
    agents = {"agent": ScriptedAgent(answer("x", gate))}
    async with (
        live(agents, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
        client(server.socket_url, server.token()) as alice,
    ):
        started = (await alice.run("t", "r"))["id"]
        await asyncio.wait_for(gate.reached(), BOUND)
        epoch = int(started.split("-")[0])
        for after in (f"{epoch}-99", f"{epoch + 1}-1", f"{epoch - 1}-1", "0-0", f"{2**63 - 1}-1"):
            refused = await post(browser, after=after)
            assert refused.status_code == 404, after
            assert refused.json()["error"]["code"] == "not_found"
        for after in ("", "x", "1", f"{epoch}-", f"{epoch}-1-1", f"{epoch}-01", f"1-{2**63}"):
            refused = await post(browser, after=after)
            assert refused.status_code == 422, after
            assert refused.json()["error"]["where"] == "$.Last-Event-ID"
        gate.open()
        await alice.follow("t")
        await alice.until("RUN_FINISHED")
        async with http(server.url, server.token()) as later:
            second = sse_events((await post(later, "r2")).text)
            refused = await post(later, "r2", after=started)
            assert refused.status_code == 404
            before = f"{epoch}-{offset(second[0].id) - 1}"
            whole = await post(later, "r2", after=before)
            assert sse_events(whole.text)[0].id == second[0].id


@pytest.mark.parametrize("again", [None, "another", "r"])
async def test_a_run_that_is_deleted_while_it_is_joined_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, again: str | None
) -> None:
    """Unless there is one of its name by then: that is another history, and it is told whole."""
    begin = Conversations.begin
    async with (
        live({"agent": echo}, tmp_path, store=SqliteStore(tmp_path)) as server,
        http(server.url, server.token()) as browser,
        http(server.url, server.token()) as other,
    ):
        await post(browser)

        async def begin_late(self: Conversations, *given: Any, **options: Any) -> Prelude:
            monkeypatch.setattr(Conversations, "begin", begin)
            assert (await other.delete("/threads/t")).status_code == 204
            if again is not None:
                assert (await post(other, again)).status_code == 200
            return await begin(self, *given, **options)

        monkeypatch.setattr(Conversations, "begin", begin_late)
        joined = await browser.get("/agui/agent", params={"runId": "r"})
        await empty(server)

    if again == "r":
        told = [event["type"] for event in sse_chunks(joined.text)]
        assert told[:1] == ["RUN_STARTED"]
        assert told[-1:] == ["RUN_FINISHED"]
    else:
        assert joined.status_code == 404
        assert joined.json()["error"]["code"] == "not_found"


async def test_leaving_does_not_stop_the_run_and_leaves_no_follower(tmp_path: Path) -> None:
    gate = Gate()
    agent = ScriptedAgent(answer("a", gate, "b"))
    async with live({"agent": agent}, tmp_path, store=MemoryStore()) as server:
        hub = server.app._house.hub
        async with http(server.url, server.token()) as browser:
            async with browser.stream("POST", "/agui/agent", json=run_input("t", "r")) as stream:
                events = sse_stream(stream)
                seen = [await anext(events) for _ in range(3)]
                assert hub.followers == 1
            async with asyncio.timeout(BOUND):
                while hub.followers:  # noqa: ASYNC110 - the server's own state has no event
                    await asyncio.sleep(0)
            gate.open()
            rest = sse_events((await post(browser, after=seen[-1].id)).text)

    assert [event.chunk["type"] for event in rest] == [
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]
    assert rest[0].chunk["delta"] == "b"


async def test_nothing_of_a_stream_that_was_read_to_its_end_is_left_to_the_collector(
    tmp_path: Path,
) -> None:
    kinds = (RunStream, sse_lane.SseLane, ThreadFollower)
    async with live({"agent": echo}, tmp_path) as server, http(server.url, server.token()) as alice:
        with no_collector():
            before = alive(kinds)
            for run in ("r1", "r2"):
                await alice.post("/agui/agent", json=run_input("t", run, "hi there"))
            await until(lambda: not alive(kinds, before), bound=5)


async def test_the_head_of_a_stream_is_told_at_once(tmp_path: Path) -> None:
    """RFC 9110 section 9.3.2: a HEAD has no content, so there is nothing in it to wait for."""
    gate = Gate()
    async with (
        live({"agent": ScriptedAgent(answer("a", gate))}, tmp_path) as server,
        http(server.url, server.token()) as browser,
        http(server.url, server.token()) as other,
    ):
        first = asyncio.ensure_future(post(browser))
        await asyncio.wait_for(gate.reached(), BOUND)
        streams = len(server.app.pool)
        for query in ("", "&offset=-1"):  # on one connection, where the second waits for the first
            answered = await asyncio.wait_for(other.head(f"/agui/agent?runId=r{query}"), BOUND)
            assert answered.status_code == 200
            assert answered.headers["content-type"] == "text/event-stream; charset=utf-8"
        async with asyncio.timeout(BOUND):
            while len(server.app.pool) > streams:  # noqa: ASYNC110 - the server's own state
                await asyncio.sleep(0)
        gate.open()
        await first


async def test_a_silent_stream_is_kept_open_by_comments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sse_lane, "HEARTBEAT", 0.02)
    gate = Gate()
    async with (
        live({"agent": ScriptedAgent(answer("a", gate))}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
        browser.stream("POST", "/agui/agent", json=run_input("t", "r")) as stream,
    ):
        got = ""
        async with asyncio.timeout(BOUND):
            async for part in stream.aiter_text():
                got += part
                if got.count(": still here\n\n") == 3:
                    gate.open()

    assert sse_events(got)[-1].chunk["type"] == "RUN_FINISHED"


async def test_the_end_of_the_server_ends_the_stream_with_the_run(tmp_path: Path) -> None:
    async with http("http://127.0.0.1", None) as browser:
        async with live({"agent": ScriptedAgent(endless())}, tmp_path) as server:
            headers = {"Authorization": f"Bearer {server.token()}"}
            stream = await browser.send(
                browser.build_request(
                    "POST", f"{server.url}/agui/agent", json=run_input("t", "r"), headers=headers
                ),
                stream=True,
            )
            events = sse_stream(stream)
            await anext(events)
            await server.app.close()
        last = [event async for event in events][-1]

    assert (last.chunk["type"], last.chunk["code"]) == ("RUN_ERROR", "interrupted")


async def test_whatever_a_store_raises_breaks_the_stream_off_and_is_logged(
    tmp_path: Path, log_lines: Lines
) -> None:
    store = WatchedStore(MemoryStore())
    async with (
        live({"agent": echo}, tmp_path, store=store) as server,
        http(server.url, server.token()) as browser,
    ):
        assert (await post(browser)).status_code == 200
        store.failures["backlog"] = ValueError("a fault")
        seen: list[SseEvent] = []
        async with browser.stream("POST", "/agui/agent", json=run_input("t", "r")) as stream:
            correlation = stream.headers["x-correlation-id"]
            await broken_off(sse_stream(stream), seen)
        await empty(server)
        assert not server.app._house.hub.followers

    assert seen == []
    (line,) = [line for line in log_lines() if line["message"] == "the log cannot be read"]
    assert line["correlation"] == correlation
    assert "a fault" in str(line["exception"])


async def test_a_run_that_a_client_names_badly_starts_nothing(tmp_path: Path) -> None:
    agent = ScriptedAgent(answer("x"))
    async with (
        live({"agent": agent, "echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
    ):
        for body in (
            run_input("t", ""),
            run_input("", "r"),
            {**run_input("t", "r"), "messages": 1},
        ):
            refused = await browser.post("/agui/agent", json=body)
            assert refused.status_code == 422
            assert refused.headers["content-type"] == "application/json"
        listed = (await browser.get("/threads")).json()["threads"]

    assert (listed, agent.inputs) == ([], [])


async def empty(server: Live) -> None:
    """Return when nobody is in the pool."""
    async with asyncio.timeout(BOUND):
        while len(server.app.pool):  # noqa: ASYNC110 - the server's own state has no event
            await asyncio.sleep(0)


async def broken_off(events: AsyncIterator[SseEvent], seen: list[SseEvent]) -> None:
    """Add the events to `seen`, and fail unless the answer ends before it is complete."""
    try:
        async for event in events:
            seen.append(event)  # noqa: PERF401 - it has to have what came before the break
    except httpx.RemoteProtocolError as error:
        assert "incomplete" in str(error)  # noqa: PT017
    else:
        raise AssertionError("the answer was complete")


async def test_a_stream_counts_as_a_connection_and_starts_no_run_without_room(
    tmp_path: Path,
) -> None:
    gate = Gate()
    agent = ScriptedAgent(answer("x", gate))
    async with (
        live(
            {"agent": agent}, tmp_path, store=MemoryStore(), connections_per_user=1, connections=2
        ) as server,
        http(server.url, server.token()) as browser,
        http(server.url, server.token("bob")) as bob,
        http(server.url, server.token("carol")) as carol,
    ):
        streams = [asyncio.ensure_future(post(user)) for user in (browser, bob)]
        await asyncio.wait_for(gate.reached(), BOUND)
        async with asyncio.timeout(BOUND):
            while len(server.app.pool) < 2:  # noqa: ASYNC110 - the server's own state
                await asyncio.sleep(0)
        crowded = await post(browser, "r2")
        full = await post(carol)
        assert (crowded.status_code, full.status_code) == (503, 503)
        gate.open()
        await asyncio.gather(*streams)
        await empty(server)
        held = asyncio.ensure_future(post(bob, "r2"))
        await asyncio.wait_for(held, BOUND)

        async with client(server.socket_url, server.token()):
            refused = await post(browser, "r3")
        assert refused.status_code == 429
        assert refused.json()["error"]["code"] == "too_many"
        assert refused.headers["retry-after"] == "1"
    assert {given.run_id for given in agent.inputs} == {"r", "r2"}


async def test_whatever_ends_a_stream_gives_its_place_back(tmp_path: Path) -> None:
    gate = Gate()
    agents = {"agent": ScriptedAgent(answer("x", gate))}
    async with (
        live(agents, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
    ):
        assert (await browser.post("/agui/agent", json={})).status_code == 422
        unknown = await browser.post("/agui/nobody", json=run_input("t", "r"))
        assert unknown.status_code == 404
        await empty(server)
        async with browser.stream("POST", "/agui/agent", json=run_input("t", "r")) as stream:
            await anext(sse_stream(stream))
            assert len(server.app.pool) == 1
            assert repr(server.app.pool).startswith("<Pool 1 of ")
        await empty(server)
        gate.open()
        done = sse_events((await post(browser)).text)
        await empty(server)
        assert (await post(browser, after=done[-1].id)).status_code == 204
        await empty(server)


async def test_a_stream_ends_with_its_credential_and_is_resumed_with_another(
    tmp_path: Path, log_lines: Lines
) -> None:
    secret, gate = "s3cret-of-the-issuer-0123456789abcdef", Gate()
    settings = {"auth": "jwt", "jwt_secret": secret}

    def token(seconds: float) -> str:
        claims = {"sub": "alice", "exp": int(time.time() + seconds)}
        return jwt.encode(claims, secret, algorithm="HS256")

    agents = {"agent": ScriptedAgent(answer("a", gate, "b"))}
    async with live(agents, tmp_path, store=MemoryStore(), **settings) as server:
        seen: list[SseEvent] = []
        async with http(server.url, token(2)) as browser:
            async with browser.stream("POST", "/agui/agent", json=run_input("t", "r")) as stream:
                await broken_off(sse_stream(stream), seen)
            await empty(server)
            assert not server.app._house.hub.followers
            assert (await post(browser)).status_code == 401
        gate.open()
        async with http(server.url, token(60)) as browser:
            rest = sse_events((await post(browser, after=seen[-1].id)).text)

    assert [event.chunk["type"] for event in seen][:2] == ["RUN_STARTED", "TEXT_MESSAGE_START"]
    assert rest[-1].chunk["type"] == "RUN_FINISHED"
    assert "".join(e.chunk.get("delta", "") for e in [*seen, *rest]) == "ab"
    (line,) = [line for line in log_lines() if line["message"] == "stream ended early"]
    assert line["why"] == "the credential has expired"
    assert "exception" not in line


async def test_a_drained_server_breaks_off_the_streams_that_are_left(tmp_path: Path) -> None:
    agents = {"agent": ScriptedAgent(endless())}
    async with (
        live(agents, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
        browser.stream("POST", "/agui/agent", json=run_input("t", "r")) as stream,
    ):
        events = sse_stream(stream)
        await anext(events)
        await server.app.drain(0)
        await broken_off(events, [])
        await empty(server)


@pytest.mark.parametrize(("seen", "status"), [("soon", 422), ("1-1", 404)])
async def test_a_run_that_there_is_not_is_not_started_by_continuing_it(
    tmp_path: Path, seen: str, status: int
) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
    ):
        headers = {"Last-Event-ID": seen}
        refused = await browser.post("/agui/echo", json=run_input("t", "r"), headers=headers)
        assert refused.status_code == status
        assert (await browser.get("/runs/r")).status_code == 404
        assert (await browser.get("/threads/t")).status_code == 404
