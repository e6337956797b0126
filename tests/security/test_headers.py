"""Headers: every answer has those that the documentation lists, whatever it answers."""

import asyncio
import email
import json
import re
from pathlib import Path

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from netra_backend.errors import ERRORS, ErrorCode, StoreFailed
from netra_backend.server.http_protocol import HttpProtocol
from netra_backend.stores.memory import MemoryStore
from tests.http import http
from tests.live import live
from tests.server.agents import echo
from tests.watched_store import WatchedStore

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
PATHS = {
    "/": 200,
    "/page/app.js": 200,
    "/docs/security.md": 200,
    "/docs/no-such-page.md": 404,
    "/threads": 200,
    "/threads/none": 404,
    "/threads/a b": 422,
    "/no/such/path": 404,
    "/openapi.json": 200,
    "/asyncapi.json": 200,
    "/health/live": 200,
    "/metrics": 200,
    "/connections": 403,
    "/threads/faulty": 500,
    "/threads/failing": 503,
}
PUBLIC = {"/", "/page/app.js"}


def documented() -> dict[str, str]:
    text = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    section = text.split("## Headers")[1].split("## ")[0]
    return dict(re.findall(r"\| `([A-Za-z-]+)` \| `([^`]+)` \|", section))


async def test_every_answer_has_them(tmp_path: Path) -> None:
    headers = documented()
    assert len(headers) == 4
    store = WatchedStore(MemoryStore())
    async with (
        live({"echo": echo}, tmp_path, store=store) as server,
        http(server.url, server.token()) as browser,
    ):
        for path, status in PATHS.items():
            store.failures.clear()
            if path == "/threads/faulty":
                store.failures["thread"] = RuntimeError("a fault")
            elif path == "/threads/failing":
                store.failures["thread"] = StoreFailed("a fault")
            answered = await browser.get(path)
            assert answered.status_code == status, path
            for name, value in headers.items():
                assert answered.headers.get_list(name) == [value], (path, name)
            kept = "no-cache" if path in PUBLIC else "no-store"
            assert answered.headers.get_list("cache-control") == [kept], path
            assert answered.headers["x-correlation-id"]
            assert "server" not in answered.headers or answered.headers["server"] == "uvicorn"


@pytest.mark.parametrize(("path", "status"), [("/ws", 401), ("/no/such/path", 404)])
async def test_a_refused_handshake_has_them_too(tmp_path: Path, path: str, status: int) -> None:
    async with live({"echo": echo}, tmp_path, store=MemoryStore()) as server:
        with pytest.raises(InvalidStatus) as refused:
            await connect(server.socket_url.removesuffix("/ws") + path, subprotocols=["netra.v1"])
    answered = refused.value.response
    assert answered.status_code == status
    assert json.loads(answered.body)["error"]["correlation"] == answered.headers["x-correlation-id"]
    for name, value in documented().items():
        assert answered.headers[name] == value


HOST = b"Host: 127.0.0.1\r\n"
UPGRADE = b"GET /ws HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (b"\x16\x03\x01 no HTTP\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\n" + HOST + b"X: " + b"x" * 99_999 + b"\r\n\r\n", 431, "head_too_big"),
        (UPGRADE + HOST + b"Sec-WebSocket-Version: 13\r\n\r\n", 400, "bad_request"),
        (UPGRADE + HOST + b"Content-Length: 3\r\n\r\nabc", 400, "bad_request"),
    ],
    ids=["no HTTP", "no host", "head", "no key", "body"],
)
async def test_what_no_application_sees_is_answered_alike(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, sent: bytes, status: int, code: str
) -> None:
    caplog.set_level("INFO")
    options = {"http": HttpProtocol}
    async with live({"echo": echo}, tmp_path, store=MemoryStore(), uvicorn=options) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write(sent)
        head = email.message_from_bytes((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n", 1)[1])
        body = json.loads(await reader.readexactly(int(head["content-length"])))
        writer.close()
    error = body["error"]
    assert (error["code"], error["retry"]) == (code, False)
    assert error["correlation"] == head["x-correlation-id"]
    for name, value in documented().items():
        assert head.get_all(name) == [value]
    (told,) = [r for r in caplog.records if getattr(r, "code", None) == code]
    assert vars(told)["client"] == "127.0.0.1"
    begin, header, _ = error["message"].partition(" header: ")
    why = f"{begin}{header}…" if header else begin  # the log has no header's value
    assert (vars(told)["why"], ERRORS[ErrorCode(code)].status) == (why, status)


async def test_the_cookie_is_for_this_site_and_not_for_scripts(tmp_path: Path) -> None:
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, None) as browser,
    ):
        cookie = (await browser.get("/")).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "domain=" not in cookie
