"""The frames of the AI SDK's transport: requests that are answered, resumed, ended and refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from netra_backend.core.ids import ThreadKey
from netra_backend.core.run import Run
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer, endless
from tests.client import BOUND
from tests.http import http
from tests.live import Live, live
from tests.server.agents import echo

pytestmark = pytest.mark.anyio

Frame = dict[str, Any]


@asynccontextmanager
async def chat(
    server: Live, agent: str = "agent", *, user: str = "alice"
) -> AsyncIterator[ClientConnection]:
    headers = {"Authorization": f"Bearer {server.token(user)}"}
    url = f"{server.socket_url.removesuffix('/ws')}/ai-sdk/{agent}"
    async with connect(url, additional_headers=headers, max_size=None) as socket:
        yield socket


def send(request: str, text: str = "hi", thread: str = "t") -> Frame:
    message = {"id": f"{request}-user", "role": "user", "parts": [{"type": "text", "text": text}]}
    return {
        "type": "send",
        "requestId": request,
        "id": thread,
        "trigger": "submit-message",
        "messages": [message],
        "headers": {},
        "body": {},
    }


def resume(request: str, thread: str = "t", **fields: Any) -> Frame:
    asked = {"type": "resume", "requestId": request, "id": thread, "headers": {}, "body": {}}
    return {**asked, **fields}


async def take(socket: ClientConnection) -> Frame:
    frame: Frame = json.loads(await asyncio.wait_for(socket.recv(), BOUND))
    return frame


async def answered(socket: ClientConnection, frame: Frame) -> list[Frame]:
    """Send a frame and return all that answers it."""
    await socket.send(json.dumps(frame))
    frames = [await take(socket)]
    while frames[-1]["type"] not in ("end", "error", "no-active"):
        frames.append(await take(socket))
    assert {told["requestId"] for told in frames} == {frame["requestId"]}
    return frames


def chunks(frames: list[Frame]) -> list[Frame]:
    numbered = [frame for frame in frames if frame["type"] == "chunk"]
    return [frame["chunk"] for frame in numbered]


async def test_a_send_is_answered_by_numbered_chunks_and_a_resume_by_the_same(
    tmp_path: Path,
) -> None:
    async with (
        live({"agent": echo}, tmp_path, store=SqliteStore(tmp_path), coalesce_ms=0) as server,
        chat(server) as socket,
        chat(server, user="bob") as foreign,
    ):
        assert await answered(socket, resume("r0")) == [{"type": "no-active", "requestId": "r0"}]
        first = await answered(socket, send("r1", "one two three"))
        whole = await answered(socket, resume("r2"))
        rest = await answered(socket, resume("r3", lastSequence=3))
        nothing = await answered(foreign, resume("r4"))

    assert [f["sequence"] for f in first[:-1]] == list(range(len(first) - 1))
    assert first[-1] == {"type": "end", "requestId": "r1"}
    assert whole[0] == {"type": "start", "requestId": "r2"}
    assert chunks(whole) == chunks(first)
    assert chunks(rest) == chunks(first)[4:]
    assert [f["sequence"] for f in rest[1:-1]] == list(range(4, len(first) - 1))
    assert nothing == [{"type": "no-active", "requestId": "r4"}], (
        "foreign and unknown look the same"
    )


async def test_a_run_that_goes_on_is_resumed_and_then_live(tmp_path: Path) -> None:
    gate = Gate()
    agent = ScriptedAgent(answer("a", "b", gate, "c"))
    async with live({"agent": agent}, tmp_path, store=MemoryStore(), coalesce_ms=0) as server:
        async with chat(server) as socket:
            await socket.send(json.dumps(send("r1")))
            seen = [await take(socket) for _ in range(4)]
        async with chat(server) as socket, chat(server) as other:
            resuming = asyncio.ensure_future(answered(socket, resume("r2")))
            again = asyncio.ensure_future(answered(other, resume("r3")))
            await asyncio.wait_for(gate.reached(), BOUND)
            gate.open()
            whole, same = await resuming, await again

    assert chunks(whole) == chunks(same)
    assert chunks(whole)[: len(seen)] == chunks(seen)
    assert "".join(c.get("delta", "") for c in chunks(whole)) == "abc"
    assert len(agent.inputs) == 1


async def test_an_abort_cancels_what_the_request_asked_for(tmp_path: Path) -> None:
    agent = ScriptedAgent(endless())
    async with (
        live({"agent": agent}, tmp_path, store=MemoryStore()) as server,
        chat(server) as socket,
        http(server.url, server.token()) as browser,
    ):
        await socket.send(json.dumps(send("r1")))
        await take(socket)
        await socket.send('{"type":"abort","requestId":"r1"}')
        frames = [await take(socket)]
        while frames[-1]["type"] != "end":
            frames.append(await take(socket))
        assert chunks(frames)[-1]["type"] == "abort"
        status = (await browser.get("/runs/r1")).json()["status"]
        late = await answered(socket, {"type": "abort", "requestId": "r1"})

    assert status == "cancelled"
    assert late[0]["type"] == "error"


async def test_what_is_refused_says_why_and_to_which_request(tmp_path: Path) -> None:
    gate = Gate()
    agents = {"agent": ScriptedAgent(answer("x", gate)), "other": echo}
    settings = {"bad_frames": 3, "frame_bytes": 2_000}
    async with (
        live(agents, tmp_path, store=MemoryStore(), followed_threads=1, **settings) as server,
        chat(server) as socket,
        chat(server, "other") as other,
    ):
        await socket.send(json.dumps(send("r1")))
        for _ in range(4):
            await take(socket)

        async def refusal(frame: Frame) -> str:
            (told,) = await answered(other, frame)
            assert told["type"] == "error"
            assert {"code", "retry"} < told.keys()
            assert told["correlation"] != "None"
            return str(told["errorText"])

        async with chat(server) as crowded:
            await crowded.send(json.dumps(resume("r2")))
            assert (await take(crowded))["type"] == "start"
            for _ in range(4):
                await take(crowded)
            (told,) = await answered(crowded, resume("r3"))
            assert "already" in told["errorText"]
            (told,) = await answered(crowded, resume("r2"))
            assert "requestId" in told["errorText"]
        assert "Another run" in await refusal(send("r4"))
        assert "id is 'a b'" in await refusal(send("r5", thread="a b"))
        assert "different" not in await refusal(resume("a b"))
        await other.send('{"type":"subscribe"}')
        assert (await take(other))["requestId"] == ""
        assert (await take_close(other)) == 4400
        async with chat(server, "other") as big:
            await big.send("x" * 2_001)
            assert await take_close(big) == 1009
        with pytest.raises(InvalidStatus) as missing:
            async with chat(server, "nobody"):
                pass
        assert missing.value.response.status_code == 404
        gate.open()


async def take_close(socket: ClientConnection) -> int | None:
    """Return the close code, whatever comes before."""
    try:
        while True:
            await take(socket)
    except ConnectionClosed:
        return socket.close_code


async def test_leaving_stops_nothing_and_a_deleted_thread_ends_its_requests(tmp_path: Path) -> None:
    gate = Gate()
    async with (
        live({"agent": ScriptedAgent(answer("x", gate))}, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token()) as browser,
    ):
        async with chat(server) as socket:
            await socket.send(json.dumps(send("r1")))
            await take(socket)
        async with asyncio.timeout(BOUND):
            while server.app._house.hub.followers or len(server.app.pool):  # noqa: ASYNC110
                await asyncio.sleep(0)
        assert (await browser.get("/runs/r1")).json()["status"] == "running"
        async with chat(server) as socket:
            await socket.send(json.dumps(resume("r2")))
            assert (await take(socket))["type"] == "start"
            await take(socket)
            await browser.delete("/threads/t")
            frames = [await take(socket)]
            while frames[-1]["type"] not in ("end", "error"):
                frames.append(await take(socket))
        gate.open()
    assert frames[-1]["type"] == "end"


async def test_a_thread_that_is_deleted_while_it_is_resumed_has_nothing_active(
    tmp_path: Path,
) -> None:
    class Deleting(MemoryStore):
        """Deletes a thread as soon as it was asked for its newest run."""

        async def last_run(self, thread: ThreadKey) -> Run | None:
            run = await super().last_run(thread)
            await self.delete_thread(thread)
            return run

    async with live({"agent": echo}, tmp_path, store=Deleting()) as server, chat(server) as socket:
        await answered(socket, send("r1"))
        told = await answered(socket, resume("r2"))
        after = await answered(socket, resume("r3"))

    assert told == [{"type": "no-active", "requestId": "r2"}]
    assert after == [{"type": "no-active", "requestId": "r3"}]
