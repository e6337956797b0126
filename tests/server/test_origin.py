"""Origins and hosts: what a page of a stranger may do, which is nothing."""

import json
from pathlib import Path

import httpx
import pytest
from starlette.requests import HTTPConnection

from netra_backend.errors import ErrorCode, Refused
from netra_backend.server.origin import check_host, check_origin, host_name, is_loopback
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import ScriptedAgent, answer
from tests.client import client
from tests.http import http
from tests.live import live
from tests.server.handshake import refusal_of

pytestmark = pytest.mark.anyio

AGENTS = {"agent": ScriptedAgent(answer("hi"))}


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("127.255.255.254", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - nobody listens there
        ("::", False),
        ("", False),
        ("example.org", False),
        ("2130706433", False),
        ("0x7f.1", False),
    ],
)
def test_what_is_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local


FOREIGN_ORIGINS = (
    "http://evil.example",
    "null",
    "http://127.0.0.1",
    "file://",
    "http://[",
    "javascript:alert(1)",
    "http://127.0.0.1:{port}.evil.example",
    "http://evil.example/http://127.0.0.1:{port}",
    "chrome-extension://127.0.0.1:{port}",
    "http://localhost:{port}",  # the same machine, but another name than the Host header's
    "http://127.0.0.1:1",
    "http://127.0.0.1:{port}:{port}",
    "http://127.0.0.1.:{port}",
    "http://127.0.0.2:{port}",
    "http://2130706433:{port}",
    "http://0x7f000001:{port}",
    "http://[::ffff:127.0.0.1]:{port}",
    "http://user@127.0.0.1:{port}",
    "http://127.0.0.1\t:{port}",  # a parser of URLs would leave the tab out
    "http://127.0.0.1:{port}/",
    "http://127.0.0.1:{port}#",
    "HTTP://127.0.0.1:{port}",
    "http://127.0.0.1:{port}@evil.example",
    "http://evil.example#127.0.0.1:{port}",
    "http://evil.example?127.0.0.1:{port}",
    "//127.0.0.1:{port}",
    "127.0.0.1:{port}",
    "ws://127.0.0.1:{port}",
    "HTTP //127.0.0.1:{port}",
    "http://127.0.0.1:{port} http://evil.example",
    "http://evil.example, http://127.0.0.1:{port}",
    "https://chat.example.evil.example",
    "",
)


async def test_a_foreign_origin_opens_no_socket_and_changes_nothing(tmp_path: Path) -> None:
    async with (
        live(AGENTS, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token("alice")) as browser,
    ):
        for origin in FOREIGN_ORIGINS:
            headers = {"Origin": origin.format(port=server.port)}
            for call in (
                browser.post("/threads", json={"id": "t"}, headers=headers),
                browser.patch("/threads/t", json={"title": "x"}, headers=headers),
                browser.delete("/threads/t", headers=headers),
                browser.post("/runs/r/cancel", headers=headers),
                browser.post("/agui/agent", json={}, headers=headers),
            ):
                refused = await call
                assert refused.status_code == 403, origin
                assert refused.json()["error"]["code"] == "forbidden"

            headers["Authorization"] = f"Bearer {server.token()}"
            denied = await refusal_of(server.socket_url, ["netra.v1"], **headers)
            assert denied.status_code == 403, origin
            assert json.loads(denied.body)["error"]["code"] == "forbidden"

        assert (await browser.get("/threads")).json()["threads"] == []


async def test_of_two_origins_neither_counts(tmp_path: Path) -> None:
    """Whoever is in front may have looked at the other."""
    foreign, allowed = "http://evil.example", ("https://a.example",)
    async with (
        live(AGENTS, tmp_path, store=MemoryStore(), allowed_origins=allowed) as server,
        http(server.url, server.token()) as browser,
    ):
        for own in (server.url, *allowed):
            for pair in ([own, foreign], [foreign, own], [own, own]):
                fields = [("Origin", origin) for origin in pair]
                refused = await browser.post("/threads", json={}, headers=fields)
                assert refused.status_code == 403
                # A server that takes such a handshake, as ours does not, asks this.
                raw = [(b"host", f"127.0.0.1:{server.port}".encode())]
                raw += [(b"origin", origin.encode()) for origin in pair]
                with pytest.raises(Refused):
                    check_origin(HTTPConnection({"type": "websocket", "headers": raw}), allowed)


async def test_the_own_origin_and_allowed_ones_may(tmp_path: Path) -> None:
    async with (
        live(
            AGENTS, tmp_path, store=MemoryStore(), allowed_origins=("https://chat.example",)
        ) as server,
        http(server.url, server.token("alice")) as browser,
    ):
        for origin in (server.url, "https://chat.example"):
            created = await browser.post("/threads", json={}, headers={"Origin": origin})
            assert created.status_code == 201
            async with client(server.socket_url, server.token(), origin=origin) as alice:
                assert alice.ready["user"] == "alice"


def test_an_origin_behind_a_proxy_that_ends_tls_is_compared_by_its_host() -> None:
    scope = {
        "type": "http",
        "headers": [(b"host", b"chat.example"), (b"origin", b"https://chat.example")],
    }

    check_origin(HTTPConnection(scope), ())


async def test_reading_needs_no_origin(tmp_path: Path) -> None:
    """What a foreign page reads, the browser keeps from it: no CORS header is ever sent."""
    async with (
        live(AGENTS, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token("alice")) as browser,
    ):
        answered: httpx.Response = await browser.get(
            "/threads", headers={"Origin": "http://evil.example"}
        )

        assert answered.status_code == 200
        assert not [name for name in answered.headers if name.startswith("access-control")]


@pytest.mark.parametrize(
    ("host", "allowed", "answered"),
    [
        ("chat.example", (), True),
        ("chat.example", ("chat.example",), True),
        ("CHAT.example:8443", ("chat.example",), True),
        ("chat.example:8443", ("chat.example:8443",), True),
        ("chat.example:1", ("chat.example:8443",), False),
        ("chat.example.evil.example", ("chat.example",), False),
        ("evil.example", ("chat.example", "127.0.0.1"), False),
        ("chat.example@evil.example", ("chat.example",), False),
        ("", ("chat.example",), False),
        ("[", ("chat.example",), False),
        ("[::1]:8000", ("::1",), True),
    ],
)
def test_only_allowed_hosts_are_answered(
    host: str, allowed: tuple[str, ...], answered: bool
) -> None:
    request = HTTPConnection({"type": "http", "headers": [(b"host", host.encode())]})
    if answered:
        check_host(request, allowed)
        return
    with pytest.raises(Refused) as refusal:
        check_host(request, allowed)
    assert refusal.value.code is ErrorCode.FORBIDDEN


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("A.b:1", "a.b"),
        ("[::1]:2", "::1"),
        ("localhost:", "localhost"),
        ("", ""),
        ("[", ""),
        ("::", ""),
        ("user@localhost", ""),
        ("user:1@localhost:2", ""),
        ("@localhost", ""),
        ("localhost/evil.example", ""),
        ("localhost?evil.example", ""),
        ("localhost#evil.example", ""),
        ("localhost\\evil.example", ""),
        ("localhost:1:2", ""),
        ("localhost:one", ""),
        ("[::1]evil.example", ""),
        ("[::1]@evil.example", ""),
        ("local\thost", ""),
        ("localhost\n", ""),
        ("localhost ", ""),
    ],
)
def test_the_name_in_a_host_header(host: str, name: str) -> None:
    assert host_name(host) == name


async def test_another_host_gets_neither_data_nor_a_socket(tmp_path: Path) -> None:
    async with (
        live(AGENTS, tmp_path, store=MemoryStore(), allowed_hosts=("localhost",)) as server,
        http(server.url, server.token()) as browser,
    ):
        refused = await browser.get("/threads")
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "forbidden")
        token = {"Authorization": f"Bearer {server.token()}"}
        denied = await refusal_of(server.socket_url, ["netra.v1"], **token)
        assert denied.status_code == 403
        allowed = await browser.get("/threads", headers={"Host": "localhost:1"})
        assert allowed.status_code == 200
        assert (await browser.get("/health/live")).status_code == 200
