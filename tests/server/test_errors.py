"""Every error code, provoked over real sockets by what a client can do."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from ag_ui.core import BaseEvent, RunAgentInput
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from netra_backend.errors import ERRORS, ErrorCode, Retry, StoreFailed
from netra_backend.server.http_protocol import HttpProtocol
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer
from tests.client import BOUND, Client, client, run_input
from tests.conftest import Lines
from tests.http import http
from tests.live import Live, live
from tests.server.agents import asks, asks_for_a_number, asks_too_late, echo
from tests.watched_store import WatchedStore

pytestmark = pytest.mark.anyio


class Place(NamedTuple):
    """A server with what provokes its errors: it allows little."""

    server: Live
    store: WatchedStore
    gate: Gate
    alice: Client
    browser: httpx.AsyncClient


@asynccontextmanager
async def strict_place(tmp_path: Path) -> AsyncIterator[Place]:
    store, gate = WatchedStore(MemoryStore()), Gate()
    agents = {
        "echo": echo,
        "asks": asks,
        "late": asks_too_late,
        "number": asks_for_a_number,
        "waits": ScriptedAgent(answer(gate)),
    }
    async with (
        live(
            agents, tmp_path, store=store, frame_bytes=4_000, followed_threads=1, grace_seconds=60.0
        ) as server,
        client(server.socket_url, server.token()) as alice,
        http(server.url, server.token()) as browser,
    ):
        yield Place(server, store, gate, alice, browser)
        gate.open()
        store.failures.clear()


Said = dict[str, Any]
Provoke = Callable[[Place], Awaitable[list[Said]]]


def body(answered: httpx.Response) -> Said:
    """Return the error of an HTTP answer with its status."""
    assert answered.headers["content-type"] == "application/json"
    error = answered.json()["error"]
    assert error["correlation"] == answered.headers["x-correlation-id"]
    assert ("retry-after" in answered.headers) == (ERRORS[error["code"]].retry is Retry.LATER)
    return {**error, "status": answered.status_code}


async def bad_frame(place: Place) -> list[Said]:
    return [await place.alice.command("sing")]


async def bad_input(place: Place) -> list[Said]:
    return [
        await place.alice.command("cancel", run="a b"),
        body(await place.browser.get("/runs/a b")),
        body(await place.browser.post("/agui/echo", json={})),
    ]


async def unauthenticated(place: Place) -> list[Said]:
    async with http(place.server.url, None) as stranger:
        return [
            await place.alice.command("auth", token="x.y.z"),
            body(await stranger.get("/threads")),
            body(await stranger.post("/agui/echo", json={})),
        ]


async def forbidden(place: Place) -> list[Said]:
    foreign = {"Origin": "http://evil.example"}
    async with client(place.server.socket_url, place.server.token()) as other:
        return [
            await other.command("auth", token=place.server.token("bob")),
            body(await place.browser.post("/threads", json={}, headers=foreign)),
        ]


async def not_found(place: Place) -> list[Said]:
    return [
        await place.alice.command("cancel", run="nothing"),
        await place.alice.command("decide", thread="t", interrupt="q"),
        body(await place.browser.get("/threads/nothing")),
        body(await place.browser.get("/no/such/path")),
    ]


async def bad_method(place: Place) -> list[Said]:
    return [
        body(await place.browser.put("/threads")),
        body(await place.browser.post("/health/live")),
    ]


async def upgrade_required(place: Place) -> list[Said]:
    return [
        body(await place.browser.get("/ws")),
        body(await place.browser.get("/ai-sdk/echo")),
    ]


async def unknown_agent(place: Place) -> list[Said]:
    return [
        await place.alice.run("t", "r", agent="nobody"),
        body(await place.browser.post("/agui/nobody", json=run_input("t", "r"))),
    ]


async def thread_busy(place: Place) -> list[Said]:
    await place.alice.run("t", "r1", agent="waits")
    return [
        await place.alice.run("t", "r2"),
        body(await place.browser.post("/agui/echo", json=run_input("t", "r3"))),
    ]


async def run_conflict(place: Place) -> list[Said]:
    await place.alice.run("t", "r")
    return [
        await place.alice.run("u", "r"),
        body(await place.browser.post("/agui/echo", json=run_input("u", "r"))),
    ]


async def already_decided(place: Place) -> list[Said]:
    await place.alice.run("t", "r1", "ask q1", agent="asks")
    await place.alice.follow("t")
    await place.alice.until("RUN_FINISHED")
    await place.alice.command("decide", thread="t", interrupt="q1", payload="yes")
    await place.alice.until("TEXT_MESSAGE_END")
    await place.alice.until_frame(
        lambda f: f["chunk"]["type"] == "RUN_FINISHED" and f["chunk"]["runId"] != "r1"
    )
    entry = {"interruptId": "q1", "status": "resolved", "payload": "no"}
    late = {**run_input("t", "r2"), "resume": [entry]}
    return [
        await place.alice.command("run", input=late, agent="asks"),
        body(await place.browser.post("/agui/asks", json=late)),
    ]


async def too_many(place: Place) -> list[Said]:
    await place.alice.run("t", "r")
    await place.alice.follow("t")
    return [await place.alice.follow("u")]


async def too_fast(place: Place) -> list[Said]:
    directory = place.server.data_dir / "slow"
    async with (
        live({"echo": echo}, directory, commands_per_second=1, command_burst=1) as slow,
        client(slow.socket_url, slow.token()) as alice,
    ):
        await alice.command("ping")
        return [await alice.command("ping")]


async def head_too_big(place: Place) -> list[Said]:
    directory = place.server.data_dir / "narrow"
    bounded = {"http": HttpProtocol, "h11_max_incomplete_event_size": 2_000}
    async with (
        live({"echo": echo}, directory, uvicorn=bounded) as narrow,
        http(narrow.url, narrow.token()) as browser,
    ):
        return [body(await browser.get("/threads", headers={"X-Padding": "x" * 100_000}))]


async def unknown_coding(place: Place) -> list[Said]:
    directory = place.server.data_dir / "direct"
    head = b"POST /threads HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"
    async with live({"echo": echo}, directory, uvicorn={"http": HttpProtocol}) as direct:
        reader, writer = await asyncio.open_connection("127.0.0.1", direct.port)
        writer.write(head)
        answer = await reader.read()  # after which the connection is closed
        writer.close()
    start, _, said = answer.partition(b"\r\n\r\n")
    return [{"status": int(start.split()[1]), **json.loads(said)["error"]}]


async def bad_request(place: Place) -> list[Said]:
    handshake = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13"}
    return [body(await place.browser.get("/ws", headers=handshake))]  # without a key


async def too_big(place: Place) -> list[Said]:
    padding = " " * 4_001

    async def streamed() -> AsyncIterator[bytes]:
        for _ in range(41):
            yield b" " * 100

    return [
        body(await place.browser.post("/threads", content=padding)),
        body(await place.browser.patch("/threads/t", content=padding)),
        body(await place.browser.post("/agui/echo", content=streamed())),
    ]


async def draining(place: Place) -> list[Said]:
    """While the server stops, an agent that does not stop keeps it open."""
    stubborn = asyncio.Event()
    released = asyncio.Event()

    async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        try:
            await asyncio.Event().wait()
        finally:
            stubborn.set()
            await released.wait()
        yield BaseEvent(type="RAW")

    async with (
        live(
            {"agent": agent}, place.server.data_dir / "b", store=MemoryStore(), grace_seconds=60.0
        ) as server,
        client(server.socket_url, server.token()) as alice,
        http(server.url, server.token()) as browser,
    ):
        await alice.run("t", "r")
        await alice.follow("t")
        await alice.until("RUN_STARTED")
        closing = asyncio.ensure_future(server.app.close())
        await asyncio.wait_for(stubborn.wait(), BOUND)
        said = [
            await alice.run("u", "r2"),
            body(await browser.post("/agui/agent", json=run_input("u", "r3"))),
            body(await browser.get("/health/ready")),
        ]
        released.set()
        await asyncio.wait_for(closing, BOUND)
    return said


async def expired(place: Place) -> list[Said]:
    await place.alice.run("t", "r1", agent="late")
    await place.alice.follow("t")
    await place.alice.until("RUN_FINISHED")
    return [
        await place.alice.command("decide", thread="t", interrupt="late"),
        body(await place.browser.post("/threads/t/interrupts", json={"interrupt": "late"})),
    ]


async def bad_answer(place: Place) -> list[Said]:
    await place.alice.run("t", "r1", agent="number")
    await place.alice.follow("t")
    await place.alice.until("RUN_FINISHED")
    wrong = {"interrupt": "number", "payload": 0}
    return [
        await place.alice.command("decide", thread="t", **wrong),
        body(await place.browser.post("/threads/t/interrupts", json=wrong)),
    ]


async def changed(place: Place) -> list[Said]:
    await place.alice.run("t", "r1", "ask q1", agent="asks")
    await place.alice.follow("t")
    await place.alice.until("RUN_FINISHED")
    wrong = {"interrupt": "q1", "digest": "of something else"}
    return [
        await place.alice.command("decide", thread="t", **wrong),
        body(await place.browser.post("/threads/t/interrupts", json=wrong)),
    ]


async def store_failed(place: Place) -> list[Said]:
    disk = StoreFailed("disk full at /secret/path")
    said = []
    for method in ("backlog", "threads", "open_thread", "run", "create_run", "interrupt"):
        place.store.failures[method] = disk
    said.append(await place.alice.follow("t"))
    said.append(await place.alice.run("t", "r"))
    said.append(await place.alice.command("cancel", run="r"))
    said.append(await place.alice.command("decide", thread="t", interrupt="q"))
    said.append(body(await place.browser.get("/threads")))
    said.append(body(await place.browser.post("/agui/echo", json=run_input("t", "r"))))
    assert not [one for one in said if "secret" in one["message"]]
    place.store.failures.clear()
    # The connection goes on, and a follow that failed does not count.
    assert (await place.alice.run("t", "r"))["type"] == "accepted"
    assert (await place.alice.follow("t"))["resume"] == "replay"
    return said


async def internal(place: Place) -> list[Said]:
    place.store.failures["threads"] = RuntimeError("a fault at /secret/path")
    said = body(await place.browser.get("/threads"))
    assert "secret" not in json.dumps(said)
    return [said]


async def overloaded(place: Place) -> list[Said]:
    async with (
        live(
            {"echo": echo}, place.server.data_dir / "b", store=MemoryStore(), connections=1
        ) as server,
        client(server.socket_url, server.token()),
        http(server.url, server.token()) as browser,
    ):
        return [body(await browser.post("/agui/echo", json=run_input("t", "r")))]


PROVOKED: dict[ErrorCode, Provoke] = {
    ErrorCode.BAD_FRAME: bad_frame,
    ErrorCode.BAD_INPUT: bad_input,
    ErrorCode.BAD_ANSWER: bad_answer,
    ErrorCode.BAD_REQUEST: bad_request,
    ErrorCode.UNAUTHENTICATED: unauthenticated,
    ErrorCode.FORBIDDEN: forbidden,
    ErrorCode.NOT_FOUND: not_found,
    ErrorCode.BAD_METHOD: bad_method,
    ErrorCode.UPGRADE_REQUIRED: upgrade_required,
    ErrorCode.UNKNOWN_AGENT: unknown_agent,
    ErrorCode.THREAD_BUSY: thread_busy,
    ErrorCode.RUN_CONFLICT: run_conflict,
    ErrorCode.ALREADY_DECIDED: already_decided,
    ErrorCode.EXPIRED: expired,
    ErrorCode.CHANGED: changed,
    ErrorCode.TOO_MANY: too_many,
    ErrorCode.TOO_FAST: too_fast,
    ErrorCode.TOO_BIG: too_big,
    ErrorCode.HEAD_TOO_BIG: head_too_big,
    ErrorCode.UNKNOWN_CODING: unknown_coding,
    ErrorCode.DRAINING: draining,
    ErrorCode.OVERLOADED: overloaded,
    ErrorCode.STORE_FAILED: store_failed,
    ErrorCode.INTERNAL: internal,
}


def test_there_is_a_way_to_every_error_code() -> None:
    assert set(PROVOKED) == set(ErrorCode)


@pytest.mark.parametrize("code", list(ErrorCode), ids=str)
async def test_an_error_code_is_answered_as_the_table_says(tmp_path: Path, code: ErrorCode) -> None:
    async with strict_place(tmp_path) as place:
        said = await PROVOKED[code](place)

    for one in said:
        assert one["code"] == code.value, one
        assert one["retry"] is (ERRORS[code].retry is not Retry.NEVER)
        assert one.get("status", ERRORS[code].status) == ERRORS[code].status
        assert one["message"]
        assert one["correlation"]


# --- what the log says -----------------------------------------------------------------------


async def test_the_cause_is_in_the_log_under_the_id_that_the_client_got(
    tmp_path: Path, log_lines: Lines
) -> None:
    store = WatchedStore(MemoryStore())
    async with (
        live({"echo": echo}, tmp_path, store=store) as server,
        http(server.url, server.token()) as browser,
        client(server.socket_url, server.token()) as alice,
    ):
        store.failures["backlog"] = StoreFailed("disk full")
        failed = await alice.follow("t")
        store.failures["threads"] = RuntimeError("a fault")
        broken = (await browser.get("/threads")).json()["error"]
        store.failures["backlog"] = RuntimeError("another fault")
        with pytest.raises(ConnectionError):
            await alice.follow("t")
        connection = alice.ready["connection"]

    said = log_lines()
    for correlation, text, cause in (
        (failed["correlation"], "a command failed in the store", "disk full"),
        (broken["correlation"], "request failed", "a fault"),
    ):
        (line,) = [one for one in said if one["message"] == text]
        assert line["correlation"] == correlation
        assert cause in json.dumps(line["exception"])
        assert line["level"] == "ERROR"
    (line,) = [one for one in said if one["message"] == "connection failed"]
    assert line["connection"] == connection
    assert "another fault" in json.dumps(line["exception"])


async def test_a_body_that_breaks_off_is_no_fault_of_ours(tmp_path: Path, log_lines: Lines) -> None:
    async with live({"echo": echo}, tmp_path, store=MemoryStore()) as server:
        _, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(
            f"POST /threads HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n"
            f"Authorization: Bearer {server.token()}\r\n\r\n{{".encode()
        )
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        async with http(server.url, server.token()) as browser:
            assert (await browser.get("/threads")).json()["threads"] == []

    assert [line for line in log_lines() if line["level"] not in ("INFO", "DEBUG")] == []


async def test_a_refused_handshake_has_the_same_body(tmp_path: Path) -> None:
    async with live({"echo": echo}, tmp_path, store=MemoryStore()) as server:
        with pytest.raises(InvalidStatus) as refused:
            async with connect(server.socket_url, subprotocols=["netra.v1"]):
                pass
        response = refused.value.response
        error = json.loads(response.body)["error"]

    assert response.status_code == 401
    assert set(error) == {"code", "message", "retry", "correlation"}
    assert error["code"] == "unauthenticated"
    assert error["correlation"] == response.headers["X-Correlation-Id"]
