"""The target: a path, or a URL of the host that is asked for; anything else is refused."""

import asyncio
import json
import re
from pathlib import Path

import httpx
import pytest

from netra_backend.config import Settings
from netra_backend.server.app import create_app
from netra_backend.server.target import (
    OTHER_HOST,
    below_root,
    decoded,
    fault_of,
    path_and_query,
    with_path,
)
from netra_backend.stores.memory import MemoryStore
from tests.client import BOUND
from tests.conftest import Lines
from tests.http import http
from tests.live import Live, live
from tests.security.test_headers import documented
from tests.server.agents import echo

pytestmark = pytest.mark.anyio

UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: netra.v1\r\n"
)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/ws", "/ws", ""),
        ("/ws?a=b?c", "/ws", "a=b?c"),
        ("http://h/ws?a", "/ws", "a"),
        ("http://h", "/", ""),
        ("http://h?a", "/", "a"),
        ("//h/ws", "//h/ws", ""),
        ("http://[/ws", "/", ""),
    ],
)
def test_a_url_counts_as_its_path(target: str, path: str, query: str) -> None:
    assert path_and_query(target) == (path, query)


@pytest.mark.parametrize(
    ("root", "path", "below"),
    [
        ("", "/ws", ("", "/ws")),
        ("/api", "/api/ws", ("/api", "/api/ws")),
        ("/api/", "/api/ws", ("/api", "/api/ws")),
        ("/api/", "/api//ws", ("/api", "/api/ws")),
        ("/api/", "/ws", ("/api", "/ws")),
        ("/", "/ws", ("", "/ws")),
        ("/", "//ws", ("", "/ws")),
    ],
)
def test_a_root_path_has_no_slash_at_its_end(root: str, path: str, below: tuple[str, str]) -> None:
    found = below_root({"type": "http", "root_path": root, "path": path})
    assert (found["root_path"], found["path"]) == below


async def test_what_is_below_a_root_path_with_a_slash_is_found(tmp_path: Path) -> None:
    app = create_app({"echo": echo}, settings=Settings(data_dir=tmp_path), store=MemoryStore())
    transport = httpx.ASGITransport(app, root_path="/api/")
    async with app.lifespan(), httpx.AsyncClient(transport=transport) as browser:
        assert (await browser.get("http://localhost/api/health/live")).status_code == 200


@pytest.mark.parametrize(
    ("target", "whole"),
    [
        (b"http://h", b"http://h/"),
        (b"http://h:80?a=/b?c", b"http://h:80/?a=/b?c"),
        (b"http://h/?a", b"http://h/?a"),
        (b"http://h/a", b"http://h/a"),
        (b"/a?b://c", b"/a?b://c"),
        (b"a?b://c", b"a?b://c"),
        (b"h:80", b"h:80"),
        (b"*", b"*"),
    ],
)
def test_a_url_without_a_path_is_given_one(target: bytes, whole: bytes) -> None:
    assert with_path(target) == whole


@pytest.mark.parametrize(
    ("target", "host", "is_same"),
    [
        (b"http://h/", b"h", True),
        (b"http://h:80/", b"h", True),
        (b"http://h/", b"H:80", True),
        (b"http://H:80/", b"h:80", True),
        (b"https://h:443/", b"h", True),
        (b"HTTP://h:80/", b"h", True),
        (b"http://[::1]:80/", b"[::1]", True),
        (b"http://h:443/", b"h", False),
        (b"https://h:80/", b"h", False),
        (b"http://h:8080/", b"h", False),
        (b"http://h:80:80/", b"h:80", False),
        (b"http://h:80/", b"h:81", False),
        (b"http://u@h:80/", b"h", False),
    ],
)
def test_a_url_names_the_host_with_or_without_the_default_port(
    target: bytes, host: bytes, is_same: bool
) -> None:
    assert fault_of(target, host) == (None if is_same else OTHER_HOST)


def test_a_path_is_decoded_once() -> None:
    assert decoded("/%77s%2541") == "/ws%41"


async def said(server: Live, line: str, *fields: str, host: str | None = None) -> str:
    """Return what the server answers first."""
    host = f"127.0.0.1:{server.port}" if host is None else host
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    bearer = f"Authorization: Bearer {server.token()}"
    writer.write("\r\n".join([line, f"Host: {host}", bearer, *fields, "", ""]).encode("latin-1"))
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    length = re.search(r"(?im)^content-length: (\d+)", head)
    body = (await reader.readexactly(int(length[1]))).decode() if length else ""
    writer.close()
    return head + body


async def test_a_socket_is_opened_and_refused_by_a_url_as_by_its_path(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(BOUND),
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
    ):
        for path, status in (("/ws", 101), ("/none", 404), ("", 404)):
            url = f"GET http://127.0.0.1:{server.port}{path} HTTP/1.1"
            assert f" {status} " in (await said(server, url, UPGRADE[:-2])).split("\r\n")[0]
        absolute = f"GET http://127.0.0.1:{server.port}/health/live HTTP/1.1"
        assert " 200 " in await said(server, absolute)
        bad = UPGRADE[:-2] + "\r\nOrigin: http://evil.example"
        url = f"GET http://127.0.0.1:{server.port}/ws HTTP/1.1"
        assert " 403 " in (await said(server, url, bad)).split("\r\n")[0]


@pytest.mark.parametrize("upgrade", [(), (UPGRADE[:-2],)], ids=["request", "handshake"])
@pytest.mark.parametrize(
    ("target", "host"),
    [
        ("/threads", ""),
        ("/threads", "a b/../@x"),
        ("/threads", "user@127.0.0.1"),
        ("http://evil.example/threads", None),
        ("http://evil.example/ws", None),
        ("threads", None),
        ("*", None),
    ],
)
async def test_an_invalid_host_or_target_is_told_like_every_refusal(
    tmp_path: Path, log_lines: Lines, target: str, host: str | None, upgrade: tuple[str, ...]
) -> None:
    async with (
        asyncio.timeout(BOUND),
        live({"echo": echo}, tmp_path, store=MemoryStore(), auth="jwt", jwt_secret="s" * 32) as to,
    ):
        answer = await said(to, f"GET {target} HTTP/1.1", *upgrade, host=host)
    head, _, body = answer.partition("\r\n\r\n")
    fields = dict(line.lower().split(": ", 1) for line in head.split("\r\n")[1:])
    assert head.startswith("HTTP/1.1 400 ")
    assert {name.lower(): value.lower() for name, value in documented().items()}.items() <= (
        fields.items()
    )
    error = json.loads(body)["error"]
    assert error["code"] == "bad_request"
    line = next(one for one in log_lines() if one["message"].endswith("refused"))
    assert line["correlation"] == error["correlation"] == fields["x-correlation-id"]


async def test_another_version_of_http_is_refused(tmp_path: Path) -> None:
    async with (
        asyncio.timeout(BOUND),
        live({"echo": echo}, tmp_path, store=MemoryStore()) as server,
        http(server.url, None) as browser,
    ):
        assert " 400 " in (await said(server, "GET /health/live HTTP/2.0")).split("\r\n")[0]
        assert " 200 " in (await said(server, "GET /health/live HTTP/1.0")).split("\r\n")[0]
        assert (await browser.get("/health/live")).status_code == 200
