"""Authentication, as somebody who tries to get around it sees it: over real sockets."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest
from starlette.requests import HTTPConnection
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from netra_backend.core.ids import UserId
from netra_backend.errors import ErrorCode, Refused
from netra_backend.server.auth import COOKIE, DevAuth
from netra_backend.server.origin import host_name
from netra_backend.server.user import User
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import ScriptedAgent, answer
from tests.client import client
from tests.http import http
from tests.live import live
from tests.server.handshake import refusal_of
from tests.server.issuer import SECRET, encoded, hs256

pytestmark = pytest.mark.anyio

AGENTS = {"agent": ScriptedAgent(answer("hi"))}


# --- where a credential may stand ------------------------------------------------------------


@pytest.fixture
def visit(tmp_path: Path) -> Callable[..., Any]:
    """Return what starts a server that wants tokens."""
    return lambda **settings: live(
        AGENTS,
        tmp_path,
        store=MemoryStore(),
        **{"auth": "jwt", "jwt_secret": SECRET, **settings},
    )


async def test_the_header_is_taken_over_http_and_on_sockets(visit: Callable[..., Any]) -> None:
    async with visit() as server, http(server.url, hs256()) as browser:
        assert (await browser.get("/threads")).status_code == 200
        async with client(server.socket_url, hs256()) as alice:
            assert alice.ready["user"] == "alice"


async def test_another_scheme_is_refused(visit: Callable[..., Any]) -> None:
    async with visit() as server, http(server.url, None) as browser:
        for header in ("Basic YTpi", "Bearer", "token abc", "Bearer a b", hs256()):
            refused = await browser.get("/threads", headers={"Authorization": header})

            assert refused.status_code == 401, header
            assert refused.json()["error"]["code"] == "unauthenticated"


async def test_a_token_in_the_url_is_not_seen(visit: Callable[..., Any]) -> None:
    token = hs256()
    async with visit() as server, http(server.url, None) as browser:
        for query in ("token", "access_token", "authorization", "ticket", "jwt", "netra.token."):
            for path in ("/threads", "/", "/runs/r1"):
                answered = await browser.get(path, params={query: token})
                assert COOKIE not in answered.cookies
                assert answered.status_code == (200 if path == "/" else 401)
            address = f"{server.socket_url}?{query}={token}"
            assert (await refusal_of(address, ["netra.v1"])).status_code == 401


async def test_a_cookie_counts_only_in_development(visit: Callable[..., Any]) -> None:
    async with visit() as server, http(server.url, None) as browser:
        for value in (hs256(), server.token("alice")):
            answered = await browser.get("/threads", headers={"Cookie": f"{COOKIE}={value}"})
            assert answered.status_code == 401


async def test_a_development_token_does_not_count_elsewhere(visit: Callable[..., Any]) -> None:
    async with visit() as server, http(server.url, server.token("alice")) as browser:
        assert (await browser.get("/threads")).status_code == 401


def as_subprotocol(token: str) -> str:
    return f"netra.token.{encoded(token.encode())}"


async def test_the_token_subprotocol_is_taken_and_not_echoed(visit: Callable[..., Any]) -> None:
    async with visit() as server:
        for offered in (
            ["netra.v1", as_subprotocol(hs256())],
            [as_subprotocol(hs256()), "netra.v1"],
        ):
            async with connect(server.socket_url, subprotocols=offered) as socket:
                assert socket.subprotocol == "netra.v1"
                assert json.loads(await socket.recv())["user"] == "alice"
                headers = str(socket.response.headers)
                assert "netra.token" not in headers
                assert hs256().split(".")[1] not in headers


async def test_a_handshake_that_is_refused_says_why(visit: Callable[..., Any]) -> None:
    refused: list[tuple[list[str], int]] = [
        (["netra.v1"], 401),
        (["netra.v1", "netra.token."], 401),
        (["netra.v1", "netra.token.####"], 401),
        (["netra.v1", "netra.token.gICAgICA"], 401),
        (["netra.v1", as_subprotocol(hs256()) + "!!!!"], 401),
        (["netra.v1", as_subprotocol("x.y.z")], 401),
        ([as_subprotocol(hs256())], 400),
        (["netra.v2", as_subprotocol(hs256())], 400),
        (["NETRA.V1", as_subprotocol(hs256())], 400),
    ]
    async with visit() as server:
        for offered, status in refused:
            response = await refusal_of(server.socket_url, offered)
            error = json.loads(response.body)["error"]
            assert response.status_code == status, offered
            assert error["code"] == {400: "bad_frame", 401: "unauthenticated"}[status]
            assert error["correlation"] == response.headers["X-Correlation-Id"]


async def test_a_cookie_that_the_settings_name_may_hold_the_token(
    visit: Callable[..., Any],
) -> None:
    name = "__Host-session"
    good, other = hs256(), hs256(sub="bob")
    async with visit(jwt_cookie=name) as server, http(server.url, None) as browser:

        async def status(*fields: str, **more: str) -> int:
            headers = [("Cookie", field) for field in fields] + list(more.items())
            return int((await browser.get("/threads", headers=headers)).status_code)

        assert await status(f"a=b; {name}={good};c=d") == 200
        assert await status("a=b", f"{name}={good}") == 200
        for fields in (
            [f"{name}={good}; {name}={good}"],
            [f"{name}={other}", f"{name}={good}"],
            [f"{name}={good}x"],
            [f"{name}="],
            [name],
            [f"x{name}={good}"],
            [f"{name.lower()}={good}"],
            [f"{COOKIE}={good}"],
            ["x=y"],
        ):
            assert await status(*fields) == 401, fields
        assert await status(f"{name}={good}", Authorization="Bearer x.y.z") == 401

        cookie = {"Cookie": f"{name}={good}"}
        own = {**cookie, "Origin": server.url}
        async with connect(
            server.socket_url, subprotocols=[Subprotocol("netra.v1")], additional_headers=own
        ) as socket:
            assert json.loads(await socket.recv())["user"] == "alice"
        foreign = {**cookie, "Origin": "https://evil.example"}
        refused = await refusal_of(server.socket_url, ["netra.v1"], **foreign)
        assert refused.status_code == 403
        posted = await browser.post("/threads", json={}, headers=foreign)
        assert posted.status_code == 403
        by_header = {**cookie, "Authorization": f"Bearer {other}"}
        async with connect(
            server.socket_url, subprotocols=[Subprotocol("netra.v1")], additional_headers=by_header
        ) as socket:
            assert json.loads(await socket.recv())["user"] == "bob"
    async with visit() as server, http(server.url, None, headers=cookie) as browser:
        assert (await browser.get("/threads")).status_code == 401, "no setting names it"


# --- development -----------------------------------------------------------------------------


async def test_the_page_signs_a_new_visitor_in_once(tmp_path: Path) -> None:
    async with (
        live(AGENTS, tmp_path, store=MemoryStore()) as server,
        http(server.url, None) as browser,
        http(server.url, None) as other,
    ):
        assert (await browser.get("/threads")).status_code == 401
        cookie = (await browser.get("/")).headers["set-cookie"]
        assert cookie.startswith(f"{COOKIE}=")
        for part in ("HttpOnly", "SameSite=strict"):
            assert part.lower() in cookie.lower()

        again = await browser.get("/")
        assert "set-cookie" not in again.headers
        assert (await browser.get("/threads")).status_code == 200

        await other.get("/")
        created = await browser.post("/threads", json={"id": "mine"})
        assert created.status_code == 201
        assert (await other.get("/threads/mine")).status_code == 404


async def test_a_cookie_of_another_key_is_replaced(tmp_path: Path) -> None:
    stale = DevAuth("k" * 64).token("alice")
    async with (
        live(AGENTS, tmp_path, store=MemoryStore()) as server,
        http(server.url, None, headers={"Cookie": f"{COOKIE}={stale}"}) as browser,
    ):
        assert (await browser.get("/threads")).status_code == 401
        assert COOKIE in (await browser.get("/")).headers["set-cookie"]


FOREIGN_HOSTS = (
    "evil.example",
    "evil.example:8000",
    "127.0.0.1.evil.example",
    "localhost.evil.example",
    "localhost@evil.example",
    "user@localhost",
    "evil.example@127.0.0.1:8000",
    "localhost/evil.example",
    "localhost?evil.example",
    "10.0.0.1",
    "0.0.0.0",  # noqa: S104 - nobody listens there
    "[::]",
    "[",
    "[::1",
    "]",
    "",
)


async def test_another_name_for_this_machine_is_refused(tmp_path: Path) -> None:
    """DNS rebinding: a page of evil.example makes its name resolve to 127.0.0.1."""
    async with (
        live(AGENTS, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token("alice")) as browser,
    ):
        for host in FOREIGN_HOSTS:
            for path in ("/threads", "/"):
                refused = await browser.get(path, headers={"Host": host})
                expected = (403, "forbidden") if host_name(host) else (400, "bad_request")
                assert (refused.status_code, refused.json()["error"]["code"]) == expected, host
                assert "set-cookie" not in refused.headers
                if host_name(host):
                    assert "the Host header names another" in refused.json()["error"]["message"]


async def test_every_name_of_loopback_is_taken(tmp_path: Path) -> None:
    async with (
        live(AGENTS, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token("alice")) as browser,
    ):
        for host in ("localhost", "LOCALHOST:1", "127.0.0.1:80", "127.8.9.1", "[::1]:9"):
            assert (await browser.get("/threads", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("peer", ["10.0.0.7", "::ffff:10.0.0.7", "fe80::1", "", "unix:", None])
async def test_another_client_address_is_refused(peer: str | None) -> None:
    scope = {
        "type": "http",
        "client": None if peer is None else (peer, 4711),
        "headers": [(b"host", b"localhost")],
    }

    with pytest.raises(Refused) as refusal:
        await DevAuth("k" * 64).signs_in(HTTPConnection(scope))

    assert refusal.value.code is ErrorCode.FORBIDDEN
    known = "is another" if peer else "is not known"
    assert f"and the client's address {known};" in refusal.value.message


async def test_a_proxy_on_this_machine_does_not_make_its_clients_local(tmp_path: Path) -> None:
    async with (
        live(AGENTS, tmp_path, store=MemoryStore()) as server,
        http(server.url, None) as browser,
    ):
        refused = await browser.get("/", headers={"X-Forwarded-For": "203.0.113.9"})

        assert refused.status_code == 403
        assert "and X-Forwarded-For names another;" in refused.json()["error"]["message"]
        assert "set-cookie" not in refused.headers


# --- the application's own way -----------------------------------------------------------------


def by_key(request: HTTPConnection) -> User | None:
    """Tell users apart by a header, as an application around Netra might."""
    header = request.headers.get("authorization", "").removeprefix("Bearer ")
    return User(UserId(header.removeprefix("key-of-"))) if header.startswith("key-of-") else None


async def slowly_by_key(request: HTTPConnection) -> User | None:
    await asyncio.sleep(0)
    return by_key(request)


@pytest.mark.parametrize("hook", [by_key, slowly_by_key])
async def test_the_application_around_may_know_its_users(tmp_path: Path, hook: Any) -> None:
    async with live(AGENTS, tmp_path, store=MemoryStore(), authenticate=hook) as server:
        async with http(server.url, "key-of-alice") as browser:
            assert (await browser.post("/threads", json={"id": "t"})).status_code == 201
        async with http(server.url, "key-of-bob") as other, http(server.url, None) as stranger:
            assert (await other.get("/threads/t")).status_code == 404
            assert (await stranger.get("/threads")).status_code == 401
            assert (await stranger.get("/")).status_code == 200
        async with client(server.socket_url, "key-of-alice") as alice:
            assert alice.ready["user"] == "alice"
            assert (await alice.command("auth", token="key-of-alice"))["type"] == "ready"
            assert (await alice.command("auth", token="wrong"))["code"] == "unauthenticated"
            assert (await alice.command("auth", token="key-of-bob"))["code"] == "forbidden"


async def test_a_hook_finds_the_token_of_a_subprotocol_in_the_header(tmp_path: Path) -> None:
    """A browser can set no header on a socket: the page brings its token so."""
    offered = [Subprotocol("netra.v1"), Subprotocol(as_subprotocol("key-of-alice"))]
    async with live(AGENTS, tmp_path, store=MemoryStore(), authenticate=slowly_by_key) as server:
        async with connect(server.socket_url, subprotocols=offered) as socket:
            assert json.loads(await socket.recv())["user"] == "alice"
        wrong = await refusal_of(server.socket_url, ["netra.v1", as_subprotocol("wrong")])
        two = await refusal_of(server.socket_url, [*offered, as_subprotocol("key-of-bob")])
        assert (wrong.status_code, two.status_code) == (401, 401)


NOW = datetime.now(UTC)


@pytest.mark.parametrize(
    "returned",
    [
        "alice",
        User(UserId("a,b")),
        User(UserId("")),
        User(cast(Any, 7)),
        User(UserId("alice"), expires=cast(Any, NOW)),
        User(UserId("alice"), expires=cast(Any, "4102444800")),
        User(UserId("alice"), expires=cast(Any, float("nan"))),
        User(UserId("alice"), expires=cast(Any, float("inf"))),
        User(UserId("alice"), issued=cast(Any, NOW)),
        User(UserId("alice"), issued=float("nan")),
        User(UserId("alice"), admin=cast(Any, "false")),
    ],
)
async def test_a_hook_that_returns_something_else_lets_nobody_in(
    tmp_path: Path, returned: Any
) -> None:
    async with (
        live(AGENTS, tmp_path, store=MemoryStore(), authenticate=lambda _: returned) as server,
        http(server.url, None) as browser,
    ):
        assert (await browser.get("/threads")).status_code == 500


async def test_a_hook_may_say_with_a_fraction_when_a_credential_ends(tmp_path: Path) -> None:
    def who(request: HTTPConnection) -> User:
        return User(UserId("alice"), expires=cast(Any, 4_102_444_800.75))

    async with (
        live(AGENTS, tmp_path, store=MemoryStore(), authenticate=who) as server,
        client(server.socket_url, None) as alice,
    ):
        assert alice.ready["expires"] == 4_102_444_800_000
        assert type(alice.ready["expires"]) is int


async def test_two_headers_are_no_credential(tmp_path: Path) -> None:
    """A proxy may have looked at the one of which we take the other."""
    async with (
        live(AGENTS, tmp_path, store=MemoryStore()) as server,
        http(server.url, None) as browser,
    ):
        token = f"Bearer {server.token()}"
        headers = [("Authorization", token), ("Authorization", token)]
        assert (await browser.get("/threads", headers=headers[:1])).status_code == 200
        assert (await browser.get("/threads", headers=headers)).status_code == 401
