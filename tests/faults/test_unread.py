"""HTTP answers that nobody reads: ended from the server's side, and of bounded size."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest
from ag_ui.core import BaseEvent, CustomEvent, RunAgentInput
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from netra_backend.core.pages import READ_BYTES
from netra_backend.server import deadlines, endpoints
from netra_backend.server.follower import PORTION
from netra_backend.server.http_protocol import HttpProtocol
from netra_backend.server.lane import Protocol
from netra_backend.server.page_turns import PAGES_AT_ONCE
from netra_backend.stores.memory import MemoryStore
from tests.client import run_input
from tests.conftest import Lines
from tests.eventually import until
from tests.http import http
from tests.live import BOUND, Live, live, serving

pytestmark = pytest.mark.anyio

HIGH_WATER = 65_536
SECRET = "s3cret-of-the-issuer-0123456789abcdef"
SIZE = 10_000
GRACE = 40
SERVER = {"http": HttpProtocol, "access_log": False, "timeout_graceful_shutdown": GRACE}
"""As in `netra serve`, but for the seconds that it waits for requests when it stops."""
LOUD = ("ERROR", "CRITICAL")
LONG, SHORT = 300, 15
"""Events of a run that a stream gives out little by little, and of one that its memory holds."""


async def big(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Say as many big things as it is told."""
    for _ in range(int(str(given.messages[-1].content))):
        yield CustomEvent(name="big", value="x" * SIZE)


def token(user: str, seconds: float = 600) -> str:
    claims = {"sub": user, "exp": int(time.time() + seconds), "iat": int(time.time()) - 5}
    return jwt.encode(claims, SECRET, algorithm="HS256")


@asynccontextmanager
async def shared(tmp_path: Path, events: int, **settings: Any) -> AsyncIterator[Live]:
    """Run a server on which alice has run ``r`` in thread ``t``, which bob may read."""
    async with live(
        {"big": big},
        tmp_path,
        store=MemoryStore(),
        send_buffer=16_384,
        uvicorn=SERVER,
        auth="jwt",
        jwt_secret=SECRET,
        admins=["root"],
        write_high_water=HIGH_WATER,
        **settings,
    ) as server:
        async with http(server.url, token("alice")) as alice:
            answered = await alice.post("/agui/big", json=run_input("t", "r", str(events)))
            assert answered.status_code == 200
            role = await alice.put("/threads/t/members/bob", json={"role": "read"})
            assert role.status_code == 200
        await until(lambda: not len(server.app.pool))
        yield server


class Unread:
    """A client that has sent its request, and reads nothing of the answer until `rest`."""

    def __init__(self, server: Live, path: str, credential: str) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        self._socket.connect(("127.0.0.1", server.port))
        self._socket.sendall(
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{server.port}\r\n"
            f"Authorization: Bearer {credential}\r\nConnection: close\r\n\r\n".encode()
        )

    async def rest(self) -> bytes:
        """Return all that still comes."""
        return await asyncio.to_thread(self._rest)

    def _rest(self) -> bytes:
        self._socket.settimeout(BOUND)
        got = b""
        try:
            while part := self._socket.recv(65_536):
                got += part
        except ConnectionError:
            pass
        self._socket.close()
        return got


def stream_of(server: Live, user: str, seconds: float = 600) -> Unread:
    thread = "t" if user == "alice" else "alice,t"
    path = f"/agui/big?runId=r&threadId={thread}&offset=-1"
    return Unread(server, path, token(user, seconds))


async def stuck(server: Live) -> None:
    """Return when there is one stream, which has sent what it can."""
    await until(lambda: any(member.buffered > SIZE for member in server.app.pool))
    seen = [-1, 0]
    while seen[-1] != seen[-2]:
        await asyncio.sleep(0.1)
        seen.append(sum(member.buffered for member in server.app.pool))


async def removed(server: Live) -> None:
    async with http(server.url, token("alice")) as alice:
        assert (await alice.delete("/threads/t/members/bob")).status_code == 204


async def revoked(server: Live) -> None:
    async with http(server.url, token("bob")) as bob:
        assert (await bob.delete("/users/bob/sessions")).status_code == 204


async def closed(server: Live) -> None:
    async with http(server.url, token("root")) as root:
        (found,) = (await root.get("/connections")).json()["connections"]
        assert (await root.delete(f"/connections/{found['id']}")).status_code == 204


async def patience(server: Live) -> None:
    """Do nothing: `behind_seconds` ends it."""


ENDS = {
    removed: "the thread is shared with the user no more",
    revoked: "unauthenticated",
    closed: "going away",
    patience: "the client does not read",
}


@pytest.mark.parametrize("events", [LONG, SHORT])
@pytest.mark.parametrize("end", ENDS)
async def test_a_stream_that_nobody_reads_is_ended(
    tmp_path: Path,
    log_lines: Lines,
    end: Callable[[Live], Coroutine[Any, Any, None]],
    events: int,
) -> None:
    behind = 0.5 if end is patience else 600.0
    async with shared(tmp_path, events, behind_seconds=behind) as server:
        client = stream_of(server, "bob")
        await until(lambda: len(server.app.pool))
        if end is not patience:
            await stuck(server)
        assert all(m.buffered < HIGH_WATER + PORTION + 2 * SIZE for m in server.app.pool)
        await end(server)
        await until(lambda: not len(server.app.pool), bound=5.0)
        assert not server.app._house.hub.followers
        got = await client.rest()

    assert got.count(b"\nid: ") <= 3, "it got what was not on its way when it was ended"
    correlation = got.lower().partition(b"x-correlation-id: ")[2].split(b"\r\n")[0].decode()
    lines = [line for line in log_lines() if line.get("correlation") == correlation]
    assert [line["message"] for line in lines] == ["stream ended early", "answered"]
    assert lines[0]["why"] == ENDS[end]
    assert not [line for line in log_lines() if line["level"] in LOUD]


async def test_a_stream_that_nobody_reads_ends_with_its_credential(tmp_path: Path) -> None:
    async with shared(tmp_path, LONG) as server:
        client = stream_of(server, "bob", seconds=3)
        await stuck(server)
        await until(lambda: not len(server.app.pool), bound=5.0)
        assert (await client.rest()).count(b"\nid: ") <= 3


@pytest.mark.parametrize("events", [LONG, SHORT])
async def test_a_drained_server_does_not_wait_for_who_does_not_read(
    tmp_path: Path, events: int, log_lines: Lines
) -> None:
    async with shared(tmp_path, events) as server:
        client = stream_of(server, "alice")
        await stuck(server)
        began = time.monotonic()
        await server.app.drain(0)
        await until(lambda: not len(server.app.pool))
        assert time.monotonic() - began < GRACE / 2
    await client.rest()
    assert not [line for line in log_lines() if line["level"] in LOUD]


async def test_pages_that_nobody_reads_cost_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_lines: Lines
) -> None:
    """Of forty only so many are made as may be at once; the others are refused."""
    made: list[int] = []

    def refused() -> int:
        return sum(line.get("status") == 429 for line in log_lines())

    encode = endpoints._encode

    def counted(value: Any) -> bytes:
        encoded = encode(value)
        made.append(len(encoded))
        return encoded

    async with shared(tmp_path, LONG) as server:
        monkeypatch.setattr(endpoints, "_encode", counted)
        monkeypatch.setattr(endpoints, "TAKEN_SECONDS", BOUND)
        path, connections = "/threads/t/events?limit=1000", 40
        clients = [Unread(server, path, token("alice")) for _ in range(connections)]
        await until(lambda: refused() == connections - PAGES_AT_ONCE)
        assert len(made) == PAGES_AT_ONCE
        assert max(made) < READ_BYTES + 2 * SIZE
        got = await asyncio.gather(*(client.rest() for client in clients))
        assert sum(len(page) > READ_BYTES for page in got) == PAGES_AT_ONCE
        assert sum(b'"too_many"' in page for page in got) == refused()


async def test_a_server_that_stops_waits_little_for_who_reads_no_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_lines: Lines
) -> None:
    monkeypatch.setattr(deadlines, "LEAVE_SECONDS", 0.3)
    async with shared(tmp_path, LONG) as server:
        path = "/threads/t/events?limit=1000"
        clients = [Unread(server, path, token("alice")) for _ in range(PAGES_AT_ONCE)]
        await asyncio.sleep(1.0)
        began = time.monotonic()
    assert time.monotonic() - began < GRACE / 2
    assert not [line for line in log_lines() if line["level"] in LOUD]
    for client in clients:
        assert len(await client.rest()) < READ_BYTES


async def test_a_page_that_nobody_reads_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_lines: Lines
) -> None:
    def given_up() -> int:
        return sum(line["message"] == "answer ended early" for line in log_lines())

    monkeypatch.setattr(endpoints, "TAKEN_SECONDS", 0.3)
    async with shared(tmp_path, LONG) as server:
        path = "/threads/t/events?limit=1000"
        clients = [Unread(server, path, token("alice")) for _ in range(2 * PAGES_AT_ONCE)]
        await until(lambda: given_up() == len(clients))
        for client in clients:
            assert len(await client.rest()) < READ_BYTES // 2


async def test_the_end_of_an_answer_that_nobody_reads_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deadlines, "UNTAKEN_SECONDS", 0.3)

    async def much(request: Request) -> Response:
        return Response(bytes(READ_BYTES))

    app = Starlette(routes=[Route("/", much)])
    async with serving(app, Protocol, http=HttpProtocol, send_buffer=16_384) as port:
        client = Unread(Live(None, tmp_path, port), "/", "")  # type: ignore[arg-type]
        await asyncio.sleep(1.0)
        assert len(await client.rest()) < READ_BYTES // 2
