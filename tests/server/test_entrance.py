"""The entrance: a socket opened at once is opened as ASGI opens it, and nothing else is."""

import asyncio
import time
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute
from starlette.types import Scope
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from netra_backend.core.ids import UserId
from netra_backend.errors import Refused, StoreFailed
from netra_backend.server import tokens
from netra_backend.server.connection import Connection
from netra_backend.server.direct_lane import DirectLane
from netra_backend.server.entrance import Accept
from netra_backend.server.http_protocol import HttpProtocol
from netra_backend.server.keys import secret_key
from netra_backend.server.lane import Protocol
from netra_backend.server.netra_app import NetraApp
from netra_backend.server.tokens import Tokens
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import ScriptedAgent
from tests.client import BOUND
from tests.conftest import Lines
from tests.eventually import until
from tests.live import Live, live, serving
from tests.server.issuer import SECRET as ISSUERS
from tests.server.issuer import Issuer
from tests.server.test_tokens import forgeries

pytestmark = pytest.mark.anyio

SECRET = "a secret that is long enough for HS256"
KEY = "dGhlIHNhbXBsZSBub25jZQ=="


def signed(**claims: Any) -> str:
    return jwt.encode({"sub": "alice", "exp": time.time() + 60, **claims}, SECRET, "HS256")


def served(tmp_path: Path, **settings: Any) -> Any:
    hello = ScriptedAgent([])
    given = {"auth": "jwt", "jwt_secret": SECRET, **settings}
    return live({"hello": hello}, tmp_path, store=MemoryStore(), **given)


def request(server: Live, path: str = "/ws", **fields: str) -> bytes:
    """Return a handshake with these fields."""
    asked = {
        "Host": f"127.0.0.1:{server.port}",
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
        "Sec-WebSocket-Protocol": "netra.v1",
        "Authorization": f"Bearer {signed()}",
        **{name.replace("_", "-"): value for name, value in fields.items()},
    }
    lines = [f"GET {path} HTTP/1.1", *(f"{n}: {v}" for n, v in asked.items() if v), "", ""]
    return "\r\n".join(lines).encode()


async def answered(server: Live, path: str = "/ws", **fields: str) -> tuple[str, list[str], bytes]:
    """Return the status line, the fields that do not differ each time, and what comes behind."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request(server, path, **fields))
    try:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        behind = await reader.read(16)
    finally:
        writer.close()
    status, *told = head.split("\r\n")
    kept = [one for one in told if not one.lower().startswith(("date:", "x-correlation-id:"))]
    return status, kept, behind


def opened_by_asgi(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(NetraApp, "netra_enter", lambda *given: False)


class Later(datetime):
    """The clock of PyJWT, a day ahead."""

    @classmethod
    def now(cls, tz: Any = None) -> "Later":
        return super().now(tz) + timedelta(days=1)


async def test_an_opening_takes_no_protocol_object(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Protocol, "__init__", None)
    async with asyncio.timeout(BOUND), served(tmp_path) as server:
        assert (await answered(server))[0] == "HTTP/1.1 101 Switching Protocols"


async def test_an_application_with_an_enter_of_its_own_is_served_by_asgi(
    log_lines: Lines,
) -> None:
    async def hello(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")
        await websocket.close()

    class Theirs(Starlette):
        def enter(self, *given: object) -> bool:
            raise AssertionError("it is not ours to call")

    app = Theirs(routes=[WebSocketRoute("/ws", hello)])
    async with (
        asyncio.timeout(BOUND),
        serving(app, Protocol, http=HttpProtocol) as port,
        connect(f"ws://127.0.0.1:{port}/ws") as socket,
    ):
        assert await socket.recv() == "hello"
    assert not [line for line in log_lines() if line["message"] == "connection failed"]


async def test_what_is_said_of_a_socket_is_what_asgi_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scopes: list[Scope] = []

    def look(app: NetraApp, scope: Scope, accept: Accept) -> bool:
        scopes.append(scope)
        return False

    async def serve(app: NetraApp, scope: Scope, *channel: object) -> None:
        scopes.append(scope)

    monkeypatch.setattr(NetraApp, "netra_enter", look)
    monkeypatch.setattr(NetraApp, "_serve", serve)
    async with asyncio.timeout(BOUND), served(tmp_path) as server:
        await answered(server, "/ws%20?a=b")
        at_once, by_asgi = scopes
    told = {"type", "client", "root_path", "path", "query_string", "headers", "subprotocols"}
    assert at_once.keys() == told
    assert at_once == {name: by_asgi[name] for name in told}


async def test_the_answer_is_that_of_asgi_and_of_websockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asyncio.timeout(BOUND), served(tmp_path) as server:
        at_once = await answered(server)
        opened_by_asgi(monkeypatch)
        assert at_once == await answered(server)
    fields = {"Host": "x", "Connection": "Upgrade", "Upgrade": "websocket"}
    fields |= {"Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": KEY}
    theirs = ServerProtocol().accept(Request("/ws", Headers(fields))).headers
    del theirs["Date"]
    ours = Headers(line.split(": ", 1) for line in at_once[1] if line)
    assert {name: ours[name] for name in theirs} == {name: theirs[name] for name in theirs}


@pytest.mark.parametrize(
    "fields",
    [
        {"Origin": "http://evil.example"},
        {"Host": "evil.example"},
        {"Authorization": ""},
        {"Authorization": "Basic x"},
        {"Authorization": "Bearer x.y.z"},
        {"Authorization": f"Bearer {signed(exp=1)}"},
        {"Authorization": f"Bearer {signed(iat=1)}"},
        {"Sec_WebSocket_Protocol": "other"},
        {"Sec_WebSocket_Key": "short"},
        {"Sec_WebSocket_Version": "8"},
        {"Content_Length": "3"},
        {"path": "/ws/elsewhere"},
        {"path": "/ws?ticket=x"},
        {"path": "/ws?ticket=x&ticket=y", "Authorization": ""},
        {"Sec_WebSocket_Protocol": "netra.v1, netra.token.eA"},
        {"Sec_WebSocket_Protocol": "netra.v1, netra.token.eA, netra.token.eA", "Authorization": ""},
        {"Authorization": f"Bearer {signed(iat=-(10**400))}"},
        {"Authorization": f"Bearer {signed(nbf=time.time() + 600)}"},
        {"Host": "127.0.0.1/../@x"},
        {"Host": "x@127.0.0.1"},
        {"path": "http://evil.example/ws"},
        {"path": "http://127.0.0.1/ws", "Host": "127.0.0.1", "Authorization": ""},
        {"path": "http://127.0.0.1/ws", "Host": "127.0.0.1", "Origin": "http://evil.example"},
        {"path": "*"},
        {"path": "ws"},
        {"path": "//ws"},
    ],
    ids=[
        "a foreign page",
        "another host",
        "no token",
        "no bearer",
        "no JSON Web Token",
        "expired",
        "revoked",
        "no dialect",
        "no key",
        "an old version",
        "a body",
        "no such path",
        "a ticket",
        "two tickets",
        "a token beside a token",
        "two tokens as subprotocols",
        "issued before time began",
        "not valid yet",
        "a host that is none",
        "a user before the host",
        "a URL of another host",
        "a URL, and no token",
        "a URL, and a foreign page",
        "no path at all",
        "a path without a slash",
        "a path that looks like a host",
    ],
)
async def test_who_is_refused_is_refused_as_by_asgi(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fields: dict[str, str]
) -> None:
    async with (
        asyncio.timeout(BOUND),
        served(tmp_path, allowed_hosts=("127.0.0.1",)) as server,
    ):
        await server.app.revoke(UserId("alice"))
        fields = {"Authorization": f"Bearer {signed(iat=time.time() + 2)}", **fields}
        refused = await answered(server, **fields)
        assert refused[0].split()[1] in {"400", "401", "403", "404", "426"}
        opened_by_asgi(monkeypatch)
        assert refused[:2] == (await answered(server, **fields))[:2]
        assert not len(server.app.pool)


@pytest.mark.parametrize(
    "at_fault",
    [
        {"Authorization": f"Bearer {signed()}x"},
        {"Authorization": f"Bearer {signed(exp=1)}"},
        {"Authorization": f"Bearer {signed(iat=1)}"},
    ],
    ids=["forged", "expired", "revoked"],
)
async def test_who_is_refused_is_judged_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_fault: dict[str, str]
) -> None:
    judged: list[str] = []
    judge = Tokens.known
    monkeypatch.setattr(
        Tokens,
        "known",
        lambda self, token, **how: judged.append(token) or judge(self, token, **how),
    )
    async with asyncio.timeout(BOUND), served(tmp_path) as server:
        await server.app.revoke(UserId("alice"))
        for asked in range(1, 4):  # nor is the verdict kept for the next who comes with it
            assert (await answered(server, **at_fault))[0] == "HTTP/1.1 401 Unauthorized"
            assert len(judged) == asked
        good = signed(sub="bob")
        assert (await answered(server, Authorization=f"Bearer {good}"))[0].split()[1] == "101"


async def test_no_header_is_taken_for_a_verdict(tmp_path: Path) -> None:
    async with asyncio.timeout(BOUND), served(tmp_path) as server:
        assert (await answered(server, **{"netra.refusal": "x"}))[0].split()[1] == "101"


async def test_no_forged_token_enters(tmp_path: Path) -> None:
    issuer = Issuer()
    forged = {
        name: token
        for name, token in forgeries(issuer).items()
        if token.isascii() and token and len(token) < 30_000  # what can stand in a header
    }
    settings = {"jwt_secret": ISSUERS, "jwt_public_key": issuer.public}
    async with asyncio.timeout(4 * BOUND), served(tmp_path, **settings) as server:
        assert (await answered(server, Authorization=f"Bearer {issuer.token()}"))[0].endswith(
            "101 Switching Protocols"
        )
        statuses = {
            name: (await answered(server, Authorization=f"Bearer {token}"))[0]
            for name, token in forged.items()
        }
        await until(lambda: not len(server.app.pool))
        assert len(statuses) > 50
        assert set(statuses.values()) == {"HTTP/1.1 401 Unauthorized"}


@pytest.mark.parametrize(
    ("limit", "code"),
    [("connections", 1013), ("connections_per_user", 4429), ("connections_per_address", 4429)],
)
@pytest.mark.parametrize("at_once", [True, False], ids=["at once", "by ASGI"])
async def test_where_there_is_no_room_nobody_enters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, code: int, at_once: bool
) -> None:
    if not at_once:
        opened_by_asgi(monkeypatch)
    headers = {"Authorization": f"Bearer {signed()}"}
    async with asyncio.timeout(BOUND), served(tmp_path, **{limit: 1}) as server:
        to = {"subprotocols": ["netra.v1"], "additional_headers": headers}
        async with connect(server.socket_url, **to) as first:
            await first.recv()
            async with connect(server.socket_url, **to) as second:
                with pytest.raises(ConnectionClosed):
                    await second.recv()
            assert (second.close_code, len(server.app.pool)) == (code, 1)


async def test_a_closed_server_lets_nobody_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asyncio.timeout(BOUND), served(tmp_path) as server:
        await server.app.close()
        refused = await answered(server)
        assert " 503 " in refused[0]
        opened_by_asgi(monkeypatch)
        assert refused[:2] == (await answered(server))[:2]


async def test_a_store_that_cannot_be_opened_lets_nobody_enter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with asyncio.timeout(BOUND), served(tmp_path) as server:

        async def failing() -> None:
            raise StoreFailed("locked")

        monkeypatch.setattr(server.app._house.store, "open", failing)
        server.app._opening = None  # as before the first request of a mounted application
        refused = await answered(server)
        assert " 503 " in refused[0]
        opened_by_asgi(monkeypatch)
        assert refused[:2] == (await answered(server))[:2]
        monkeypatch.undo()


async def test_a_token_that_was_seen_before_may_be_revoked(tmp_path: Path) -> None:
    async with asyncio.timeout(BOUND), served(tmp_path) as server:
        bearer = {"Authorization": f"Bearer {signed()}"}
        assert (await answered(server, **bearer))[0].split()[1] == "101"
        await server.app.revoke(UserId("alice"))
        assert (await answered(server, **bearer))[0].split()[1] == "401"


async def test_a_remembered_token_is_good_until_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    judged = Tokens([secret_key(SECRET)])
    token = signed()
    assert judged.known(token) == await judged.verify(token)
    end = jwt.decode(token, options={"verify_signature": False})["exp"]
    monkeypatch.setattr(jwt.api_jwt, "datetime", Later)
    monkeypatch.setattr(tokens.time, "time", lambda: end + 1)
    with pytest.raises(Refused, match="expired"):
        judged.known(token)


async def test_a_fault_of_ours_ends_the_connection_with_1011(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Connection) -> None:
        raise ArithmeticError("on purpose")

    monkeypatch.setattr(Connection, "greet", broken)
    async with asyncio.timeout(BOUND), served(tmp_path) as server:
        headers = {"Authorization": f"Bearer {signed()}"}
        async with connect(
            server.socket_url, subprotocols=["netra.v1"], additional_headers=headers
        ) as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
        assert socket.close_code == 1011
        await until(lambda: not len(server.app.pool))


async def test_who_says_much_before_the_answer_is_read_no_further_than_others(
    tmp_path: Path,
) -> None:
    """What came with the handshake is held back, and what comes behind it stays in the system."""
    ping = Frame(Opcode.TEXT, b'{"type":"ping","request":"x"}').serialize(mask=True)
    async with served(tmp_path, commands_per_second=1, command_burst=1) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(request(server) + ping * 3)
        await asyncio.wait_for(reader.readuntil(b'"ready"'), BOUND)
        (member,) = server.app.pool
        lane = member._lane
        assert isinstance(lane, DirectLane)
        for _ in range(40):
            writer.write(ping * 10_000)
            await asyncio.sleep(0.01)
            assert len(lane._unread) < 1_000_000
        assert writer.transport.get_write_buffer_size() > 1_000_000
        writer.transport.abort()


@pytest.mark.parametrize("way", ["at once", "by ASGI"])
@pytest.mark.parametrize("full", [False, True], ids=["room", "full"])
async def test_who_is_let_in_knows_under_which_id_the_log_tells_of_the_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, log_lines: Lines, way: str, full: bool
) -> None:
    """Also who is closed for want of room, and so is sent no frame that says it."""
    if way == "by ASGI":
        opened_by_asgi(monkeypatch)
    limits = {"connections_per_user": 1} if full else {}
    headers = {"Authorization": f"Bearer {signed()}"}
    async with served(tmp_path, **limits) as server, AsyncExitStack() as open_ones:
        for _ in range(2 if full else 1):
            opening = connect(
                server.socket_url, subprotocols=["netra.v1"], additional_headers=headers
            )
            socket = await open_ones.enter_async_context(opening)
        if full:
            await socket.wait_closed()
            assert socket.close_code == 4429
    assert socket.response is not None
    correlation = socket.response.headers["X-Correlation-Id"]
    told = {line["message"] for line in log_lines() if line["correlation"] == correlation}
    assert ("connection refused" if full else "connected") in told
