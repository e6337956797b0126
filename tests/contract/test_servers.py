"""Netra mounted in somebody else's application, under every ASGI server that is common.

Each server is a real process. A server that is not installed is skipped with its name.
"""

import asyncio
import contextlib
import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httpx
import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from netra_backend.core.ids import RunId, RunKey, UserId
from netra_backend.core.run import Run, RunStatus
from netra_backend.stores.sqlite import SqliteStore
from tests.client import BOUND, client, run_input
from tests.http import http, sse_events, sse_stream
from tests.ports import free_port

pytestmark = pytest.mark.anyio

SECRET = "s3cret-of-the-issuer-0123456789abcdef"

APPLICATION = """
import asyncio

from fastapi import FastAPI

import netra_backend
from netra_backend.agents.base import Text


async def agent(given):
    said = Text()
    for event in said.start():
        yield event
    for word in ("one ", "two ", "three"):
        for event in said.add(word):
            yield event
    while given.messages[-1].content == "wait":
        await asyncio.sleep(3600)
    for event in said.end():
        yield event


netra = netra_backend.create_app(agents={"agent": agent})
app = FastAPI(LIFESPAN)


@app.get("/api/own")
def own():
    return {"own": "yes"}


app.mount("/", netra)
"""

UVICORN = ["-m", "uvicorn", "served:app", "--port", "{port}", "--log-level", "warning", "--ws"]
HYPERCORN = ["-m", "hypercorn", "served:app", "--bind", "127.0.0.1:{port}", "--graceful-timeout=2"]
GRANIAN = ["-m", "granian", "served:app", "--port", "{port}", "--interface=asgi", "--no-access-log"]


class Kind(NamedTuple):
    """A server: its module, and the command that runs it."""

    module: str
    command: list[str]


KINDS = {
    "uvicorn, our lane": Kind("uvicorn", [*UVICORN, "netra_backend.server.lane:Protocol"]),
    "uvicorn, websockets-sansio": Kind("uvicorn", [*UVICORN, "websockets-sansio"]),
    "uvicorn, websockets": Kind("uvicorn", [*UVICORN, "websockets"]),
    "uvicorn, wsproto": Kind("wsproto", [*UVICORN, "wsproto"]),
    "hypercorn": Kind("hypercorn", HYPERCORN),
    "granian": Kind("granian", GRANIAN),
}


class Served(NamedTuple):
    """A running process."""

    process: subprocess.Popen[bytes]
    port: int
    data_dir: Path
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"


def issued(seconds: int = 600) -> str:
    claims = {"sub": "alice", "exp": int(time.time()) + seconds}
    return jwt.encode(claims, SECRET, algorithm="HS256")


@asynccontextmanager
async def served(tmp_path: Path, name: str, *, lifespan: bool) -> AsyncIterator[Served]:
    kind = KINDS[name]
    if importlib.util.find_spec(kind.module) is None:
        pytest.skip(f"{name}: {kind.module} is not installed, so it is NOT TESTED here")
    argument = "lifespan=netra.lifespan" if lifespan else ""
    (tmp_path / "served.py").write_text(APPLICATION.replace("LIFESPAN", argument))
    port, log = free_port(), tmp_path / "log"
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("NETRA_")},
        "NETRA_AUTH": "jwt",
        "NETRA_JWT_SECRET": SECRET,
        "NETRA_BAD_FRAMES": "2",
        "NETRA_DATA_DIR": str(tmp_path / "data"),
    }
    command = [sys.executable, *(part.format(port=port) for part in kind.command)]
    with log.open("wb") as file:
        process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=file, stderr=file)
    running = Served(process, port, tmp_path / "data", log)
    try:
        await until_ready(running)
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(BOUND)


async def until_ready(running: Served) -> None:
    async with asyncio.timeout(2 * BOUND), http(running.url, None) as browser:
        while True:
            assert running.process.poll() is None, running.log.read_text()[-3_000:]
            with contextlib.suppress(httpx.TransportError):
                if (await browser.get("/health/ready")).status_code == 200:
                    return
            await asyncio.sleep(0.05)


async def sockets(running: Served) -> None:
    """Run, follow, resume and cancel over WebSockets."""
    async with client(running.socket_url, issued()) as alice:
        accepted = await alice.run("t", "r1")
        assert accepted["type"] == "accepted"
        greeting = alice.socket.response
        assert greeting is not None
        # docs/protocol.md says so; once granian sends what an application gives it, this tells.
        assert ("X-Correlation-Id" in greeting.headers) is ("granian" not in running.process.args)
        assert (await alice.follow("t"))["resume"] == "replay"
        await alice.until("RUN_FINISHED")
        whole = "".join(frame["chunk"].get("delta", "") for frame in alice.events)
        last = alice.events[-1]["id"]
    assert whole == "one two three"
    async with client(running.socket_url, issued()) as alice:
        assert (await alice.follow("t", after=accepted["id"]))["resume"] == "replay"
        await alice.until("RUN_FINISHED")
        assert "".join(frame["chunk"].get("delta", "") for frame in alice.events) == whole
        assert (await alice.follow("t", after=last))["resume"] == "caught_up"
        await alice.run("t", "r2", "wait")
        await alice.until_frame(lambda frame: "three" in frame["chunk"].get("delta", ""))
        assert (await alice.command("cancel", run="r2"))["type"] == "cancelled"
        assert (await alice.command("ping"))["type"] == "pong"


async def streams(running: Served) -> None:
    """Run, resume, leave and attach over server-sent events."""
    async with http(running.url, issued()) as browser:
        first = sse_events((await browser.post("/agui/agent", json=run_input("s", "s1"))).text)
        after = {"Last-Event-ID": first[0].id}
        rest = await browser.post("/agui/agent", json=run_input("s", "s1"), headers=after)
        said = "".join(event.chunk.get("delta", "") for event in sse_events(rest.text))
        assert said == "one two three"
        ended = {"Last-Event-ID": first[-1].id}
        nothing = await browser.post("/agui/agent", json=run_input("s", "s1"), headers=ended)
        assert (nothing.status_code, nothing.content) == (204, b"")

        waiting = {**run_input("s", "s2", "wait"), "protocolVersion": "1.0"}
        async with browser.stream("POST", "/agui/agent", json=waiting) as stream:
            async for event in sse_stream(stream):
                if "three" in event.chunk.get("delta", ""):
                    break
        assert (await browser.get("/runs/s2")).json()["status"] == "running"
        async with browser.stream("POST", "/agui/agent", json=waiting) as stream:
            async with http(running.url, issued()) as other:
                assert (await other.post("/runs/s2/cancel")).status_code == 200
            events = [event async for event in sse_stream(stream)]
        assert events[-1].chunk["outcome"] == {"type": "cancelled"}


async def refusals(running: Served) -> None:
    """Handshakes that are refused, and sockets that the server closes itself."""
    with pytest.raises(InvalidStatus) as denied:
        async with connect(running.socket_url, subprotocols=["netra.v1"]):
            pass
    assert denied.value.response.status_code == 401
    assert json.loads(denied.value.response.body)["error"]["code"] == "unauthenticated"

    assert await ending(running, issued(), ["?", "?"]) == 4400
    foreign = jwt.encode({"sub": "bob", "exp": 2**31}, SECRET, algorithm="HS256")
    auth = json.dumps({"type": "auth", "token": foreign})
    assert await ending(running, issued(), [auth]) == 4403
    assert await ending(running, issued(seconds=2), []) == 4401
    async with http(running.url, None) as browser, asyncio.timeout(BOUND):
        while await gauge(browser, "netra_connections") > 0:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.05)
        assert await gauge(browser, "netra_leaks_total") == 0
        assert (await browser.get("/api/own")).json() == {"own": "yes"}


async def ending(running: Served, token: str, texts: list[str]) -> int | None:
    """Return the code with which the server ends a socket that says `texts`."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        asyncio.timeout(BOUND),
        connect(
            running.socket_url, subprotocols=["netra.v1"], additional_headers=headers
        ) as socket,
    ):
        for text in texts:
            await socket.send(text)
        try:
            while True:
                await socket.recv()
        except ConnectionClosed:
            return socket.close_code


async def gauge(browser: httpx.AsyncClient, name: str) -> float:
    text = (await browser.get("/metrics")).text
    found = re.search(rf"^{name} (\S+)$", text, re.M)
    assert found is not None
    return float(found[1])


async def stopping(running: Served, *, waits: bool) -> Run:
    """Stop the process in the middle of a run; return the run as it is in the store then.

    A server that `waits` for its clients does not stop before they have left.
    """
    async with client(running.socket_url, issued()) as alice:
        await alice.run("last", "last", "wait")
        await alice.follow("last")
        await alice.until_frame(lambda frame: "three" in frame["chunk"].get("delta", ""))
        running.process.send_signal(signal.SIGTERM)
        if not waits:
            await asyncio.to_thread(running.process.wait, BOUND)
    await asyncio.to_thread(running.process.wait, BOUND)
    store = SqliteStore(running.data_dir)
    await store.open()
    run = await store.run(RunKey(UserId("alice"), RunId("last")))
    await store.close()
    assert run is not None
    return run


RARE = ("uvicorn, websockets", "uvicorn, wsproto")
"""They differ from the others in how they parse WebSockets only: they wait for the night."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.nightly) if name in RARE else name
        for name in KINDS
        if name != "uvicorn, websockets-sansio"
    ],
)
async def test_everything_works_with_the_lifespan(tmp_path: Path, name: str) -> None:
    async with served(tmp_path, name, lifespan=True) as running:
        await sockets(running)
        await streams(running)
        await refusals(running)
        waits = name == "hypercorn" and sys.version_info >= (3, 12)  # pgjones/hypercorn#308
        assert (await stopping(running, waits=waits)).status is RunStatus.INTERRUPTED


@pytest.mark.parametrize(
    "name",
    [
        "uvicorn, websockets-sansio",
        pytest.param("hypercorn", marks=pytest.mark.nightly),
        pytest.param("granian", marks=pytest.mark.nightly),
    ],
)
async def test_everything_works_without_the_lifespan(tmp_path: Path, name: str) -> None:
    """The store opens with the first request; a run that is left behind is ended later."""
    async with served(tmp_path, name, lifespan=False) as running:
        await sockets(running)
        await streams(running)
        await refusals(running)
        # hypercorn cancels what is left when it stops, which is as if the agent had done it.
        cancels = {RunStatus.FAILED} if name == "hypercorn" else set()
        left = await stopping(running, waits=False)
        assert left.status in {RunStatus.RUNNING, RunStatus.INTERRUPTED, *cancels}
