"""The dialect of ``/ws`` without ``netra.v1``: frames in, envelopes out, replays, and refusals."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from netra_backend.errors import ERRORS, Retry
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer, endless
from tests.client import BOUND, client, offset, read_log, run_input
from tests.conftest import Lines
from tests.eventually import until
from tests.http import http
from tests.live import Live, live
from tests.server.agents import asks_for_a_number, echo
from tests.watched_store import WatchedStore

pytestmark = pytest.mark.anyio

Frame = dict[str, Any]


@asynccontextmanager
async def plain(
    server: Live, query: str = "", *, user: str = "alice", **options: Any
) -> AsyncIterator[ClientConnection]:
    headers = {"Authorization": f"Bearer {server.token(user)}"}
    url = f"{server.socket_url}{query}"
    async with connect(url, additional_headers=headers, max_size=None, **options) as socket:
        yield socket


async def take(socket: ClientConnection) -> Frame:
    frame: Frame = json.loads(await asyncio.wait_for(socket.recv(), BOUND))
    return frame


async def until_end(socket: ClientConnection) -> list[Frame]:
    """Return the event frames up to a terminal event."""
    frames = []
    while not frames or frames[-1]["chunk"]["type"] not in ("RUN_FINISHED", "RUN_ERROR"):
        frames.append(await take(socket))
    return frames


async def closed(socket: ClientConnection) -> tuple[int | None, list[Frame]]:
    """Return the close code, and the frames that came before."""
    frames = []
    try:
        while True:
            frames.append(await take(socket))
    except ConnectionClosed:
        return socket.close_code, frames


async def test_runs_are_started_and_their_event_frames_are_those_of_netra_v1(
    tmp_path: Path,
) -> None:
    async with (
        live({"agent": echo}, tmp_path, store=SqliteStore(tmp_path), coalesce_ms=0) as server,
        plain(server) as socket,
        client(server.socket_url, server.token()) as alice,
    ):
        await socket.send(json.dumps({**run_input("t", "r1", "one two"), "data": {}}))
        first = await until_end(socket)
        await socket.send(json.dumps(run_input("t", "r2", "three")))
        second = await until_end(socket)
        await socket.send(json.dumps(run_input("t", "r1", "one two")))
        again = await until_end(socket)
        await alice.follow("t", first[0]["id"])
        await alice.until_frame(lambda f: f["id"] == second[-1]["id"])

    assert first == again, "attaching to a run that has ended replays it, entry by entry"
    assert [frame["chunk"]["runId"] for frame in (first[0], second[0])] == ["r1", "r2"]
    ids = [offset(frame["id"]) for frame in (*first, *second)]
    assert ids == list(range(1, len(ids) + 1))
    assert all("from" not in frame for frame in first)
    single = [frame for frame in alice.events if "from" not in frame]
    assert single
    assert all(frame in (*first, *second) for frame in single)


async def test_whatever_a_store_raises_while_it_follows_closes_the_socket_and_is_logged(
    tmp_path: Path, log_lines: Lines
) -> None:
    store = WatchedStore(MemoryStore())
    async with (
        live({"agent": echo}, tmp_path, store=store) as server,
        plain(server) as socket,
    ):
        store.failures["backlog"] = ValueError("a fault")
        await socket.send(json.dumps(run_input("t", "r")))
        assert await closed(socket) == (1011, [])
        await until(lambda: not server.app._house.hub.followers)

    (line,) = [line for line in log_lines() if line["message"] == "the log cannot be read"]
    assert line["correlation"]
    assert "a fault" in str(line["exception"])


async def test_an_abort_cancels_the_run_and_its_end_comes(tmp_path: Path) -> None:
    agent = ScriptedAgent(endless())
    async with (
        live({"agent": agent}, tmp_path, store=MemoryStore()) as server,
        plain(server) as socket,
    ):
        await socket.send(json.dumps(run_input("t", "r")))
        await take(socket)
        await socket.send('{"type":"abort","runId":"r"}')
        frames = await until_end(socket)
        assert frames[-1]["chunk"]["code"] == "cancelled"
        # A run that has ended already was told about by its terminal event.
        await socket.send('{"type":"abort","runId":"r"}')
        await socket.send('{"type":"abort","runId":"nothing"}')
        told = await take(socket)

    assert (told["type"], told["code"], told["runId"]) == ("RUN_ERROR", "not_found", "nothing")


async def test_the_version_that_a_client_says_decides_how_a_cancelled_run_ends(
    tmp_path: Path,
) -> None:
    """Who says none is of AG-UI 0.x, which does not know the outcome."""
    async with (
        live({"agent": ScriptedAgent(endless())}, tmp_path, store=MemoryStore()) as server,
        plain(server) as older,
        plain(server) as newer,
        client(server.socket_url, server.token()) as alice,
    ):
        await older.send(json.dumps(run_input("t", "r")))
        await take(older)
        await newer.send(json.dumps({**run_input("t", "r"), "protocolVersion": "1.0"}))
        await take(newer)
        await alice.command("cancel", run="r")
        ends = [(await until_end(socket))[-1] for socket in (older, newer)]
        for query in ("", "&protocolVersion=1.0"):
            async with plain(server, f"?runId=r&offset=-1{query}") as socket:
                code, frames = await closed(socket)
                assert code == 1000
                ends.append(frames[-1])

    for error, finished in (ends[:2], ends[2:]):
        assert (error["chunk"]["type"], error["chunk"]["code"]) == ("RUN_ERROR", "cancelled")
        assert finished["chunk"]["outcome"] == {"type": "cancelled"}
        assert error["id"] == finished["id"], "it is the same entry"


async def test_a_replay_goes_on_after_the_offset_and_closes_when_complete(tmp_path: Path) -> None:
    gate = Gate()
    agent = ScriptedAgent(answer("a", "b", gate, "c"))
    async with live({"agent": agent}, tmp_path, store=MemoryStore(), coalesce_ms=0) as server:
        async with plain(server) as socket:
            await socket.send(json.dumps(run_input("t", "r")))
            seen = [await take(socket) for _ in range(3)]
        async with (
            plain(server, f"?runId=r&offset={seen[-1]['id']}") as rest,
            plain(server, "?runId=r&offset=-1") as whole,
        ):
            await rest.send(json.dumps(run_input("t", "r2")))
            refused = await take(rest)
            while "chunk" in refused:
                seen.append(refused)
                refused = await take(rest)
            assert (refused["code"], refused["runId"]) == ("forbidden", "r2")
            gate.open()
            code, frames = await closed(rest)
            assert code == 1000
            code, all_frames = await closed(whole)
            assert code == 1000
        assert [*seen, *frames] == all_frames
        log = await read_log(server.url, server.token(), "t")
        assert log is not None
        assert [frame["id"] for frame in all_frames] == [entry["id"] for entry in log]
        async with plain(server, f"?runId=r&offset={log[-1]['id']}") as nothing:
            assert await closed(nothing) == (1000, [])
    assert len(agent.inputs) == 1


async def test_where_there_is_nothing_to_resume_the_code_is_1008(tmp_path: Path) -> None:
    async with live({"agent": echo}, tmp_path, store=MemoryStore()) as server:
        async with plain(server) as socket:
            await socket.send(json.dumps(run_input("t", "r")))
            last = (await until_end(socket))[-1]["id"]
        epoch = last.split("-")[0]
        for query in (
            "?offset=-1",
            "?runId=&offset=-1",
            "?runId=none&offset=-1",
            "?runId=a%20b&offset=-1",
            "?runId=r&offset=x",
            "?runId=r&offset=",
            f"?runId=r&offset={epoch}-999",
            f"?runId=r&offset={int(epoch) - 1}-1",
        ):
            async with plain(server, query) as socket:
                assert await closed(socket) == (1008, []), query
        async with plain(server, "?runId=r&offset=-1", user="bob") as socket:
            assert await closed(socket) == (1008, []), "foreign and unknown look the same"


async def test_the_log_says_where_what_is_refused_is_wrong(
    tmp_path: Path, log_lines: Lines
) -> None:
    async with live({"agent": asks_for_a_number}, tmp_path, store=MemoryStore()) as server:
        async with plain(server) as socket:
            await socket.send(json.dumps(run_input("t", "r")))
            await until_end(socket)
            wrong = {"interruptId": "number", "status": "resolved", "payload": 0}
            await socket.send(json.dumps({**run_input("t", "r2"), "resume": [wrong]}))
            assert (await take(socket))["code"] == "bad_answer"
        async with plain(server, "?runId=r&offset=x") as socket:
            await closed(socket)
    lines = [line for line in log_lines() if line["message"].endswith(" refused")]
    assert [(line["message"], line["code"], line["where"]) for line in lines] == [
        ("frame refused", "bad_answer", "$.input.resume[0].payload"),
        ("replay refused", "bad_input", "$.offset"),
    ]


async def test_what_is_refused_is_told_without_an_envelope(tmp_path: Path) -> None:
    gate = Gate()
    agents = {"agent": ScriptedAgent(answer("x", gate)), "other": echo}
    async with (
        live(agents, tmp_path, store=MemoryStore(), followed_threads=2) as server,
        plain(server) as socket,
    ):
        await socket.send(json.dumps(run_input("t", "r")))
        await asyncio.wait_for(gate.reached(), BOUND)
        frames = [await take(socket) for _ in range(3)]
        assert all("id" in frame for frame in frames)

        async def refusal(frame: object) -> tuple[Any, ...]:
            await socket.send(frame if isinstance(frame, str) else json.dumps(frame))
            while "type" not in (told := await take(socket)):
                pass
            assert told.pop("type") == "RUN_ERROR"
            assert told.pop("message")
            assert told.pop("correlation") != "None"
            code = told.pop("code")
            assert told.pop("retry") is (ERRORS[code].retry is not Retry.NEVER)
            return code, told

        busy = await refusal(run_input("t", "r2"))
        assert busy == ("thread_busy", {"threadId": "t", "runId": "r2"})
        bad = await refusal(run_input("t", "a b"))
        assert bad == ("bad_input", {"threadId": "t", "runId": "a b"})
        assert await refusal({"type": "follow", "threadId": "t"}) == (
            "bad_frame",
            {"threadId": "t"},
        )
        for frame in ({"type": "abort"}, "{", "[1]"):
            assert await refusal(frame) == ("bad_frame", {})
        await socket.send(json.dumps(run_input("u", "r3")))
        await take(socket)
        crowded = await refusal(run_input("v", "r4"))
        assert crowded[0] == "too_many"


async def test_limits_are_those_of_every_socket(tmp_path: Path) -> None:
    settings = {"frame_bytes": 1_000, "bad_frames": 3, "connections_per_user": 1}
    async with live({"agent": echo}, tmp_path, store=MemoryStore(), **settings) as server:
        async with plain(server) as socket:
            async with plain(server) as second:
                assert await closed(second) == (4429, [])
            for _ in range(3):
                await socket.send("{")
            code, frames = await closed(socket)
            assert (code, len(frames)) == (4400, 3)
        async with plain(server) as socket:
            await socket.send("x" * 1_001)
            assert await closed(socket) == (1009, [])


async def test_a_silent_socket_is_pinged_in_the_clients_words(tmp_path: Path) -> None:
    async with (
        live({"agent": echo}, tmp_path, store=MemoryStore(), ping_seconds=0.05) as server,
        plain(server) as socket,
    ):
        assert [await take(socket) for _ in range(2)] == [{"type": "ping"}] * 2


async def test_the_query_chooses_the_agent(tmp_path: Path) -> None:
    agents = {"first": ScriptedAgent(answer("from the first")), "second": echo}
    async with live(agents, tmp_path, store=MemoryStore()) as server:
        async with plain(server, "?agent=second&runId=ignored") as socket:
            await socket.send(json.dumps(run_input("t", "r", "hello")))
            said = "".join(f["chunk"].get("delta", "") for f in await until_end(socket))
        assert said == "hello "
        with pytest.raises(InvalidStatus) as refused:
            async with plain(server, "?agent=nobody"):
                pass
        assert refused.value.response.status_code == 404


async def test_a_browser_brings_its_token_beside_a_name_that_comes_back(tmp_path: Path) -> None:
    async with live({"agent": echo}, tmp_path, store=MemoryStore()) as server:
        encoded = base64.urlsafe_b64encode(server.token().encode()).decode().rstrip("=")
        offered = ["netra.token", f"netra.token.{encoded}"]
        async with connect(server.socket_url, subprotocols=offered) as socket:
            assert socket.subprotocol == "netra.token"
            await socket.send(json.dumps(run_input("t", "r", "hello")))
            assert (await until_end(socket))[-1]["chunk"]["type"] == "RUN_FINISHED"


async def test_a_socket_ends_with_its_credential_and_with_the_server(tmp_path: Path) -> None:
    secret = "s3cret-of-the-issuer-0123456789abcdef"
    settings = {"auth": "jwt", "jwt_secret": secret}
    claims = {"sub": "alice", "exp": int(time.time() + 2)}
    headers = {"Authorization": f"Bearer {jwt.encode(claims, secret, algorithm='HS256')}"}
    agents = {"agent": ScriptedAgent(endless())}
    async with live(agents, tmp_path, store=MemoryStore(), **settings) as server:
        async with connect(server.socket_url, additional_headers=headers) as socket:
            code, _ = await closed(socket)
        assert code == 4401
    async with (
        live({"agent": echo}, tmp_path, store=MemoryStore()) as server,
        plain(server) as socket,
    ):
        await server.app.drain(0)
        assert await closed(socket) == (1012, [])


async def test_leaving_stops_nothing_and_leaves_no_follower(tmp_path: Path) -> None:
    gate = Gate()
    agent = ScriptedAgent(answer("x", gate))
    async with (
        live({"agent": agent}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
    ):
        async with plain(server) as socket:
            await socket.send(json.dumps(run_input("t", "r")))
            await take(socket)
        async with asyncio.timeout(BOUND):
            while server.app._house.hub.followers or len(server.app.pool):  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert (await browser.get("/runs/r")).json()["status"] == "running"
        gate.open()


async def test_a_thread_that_is_deleted_ends_its_runs_for_the_client(tmp_path: Path) -> None:
    gate = Gate()
    async with (
        live({"agent": ScriptedAgent(answer("x", gate))}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
        plain(server) as socket,
        plain(server, "?runId=r&offset=-1") as too_early,
    ):
        assert (await closed(too_early))[0] == 1008
        await socket.send(json.dumps(run_input("t", "r")))
        await take(socket)
        await browser.delete("/threads/t")
        assert (await until_end(socket))[-1]["chunk"]["code"] == "cancelled"
        await socket.send(json.dumps(run_input("t", "r", "anew")))
        assert (await take(socket))["chunk"]["type"] == "RUN_STARTED"
        gate.open()
