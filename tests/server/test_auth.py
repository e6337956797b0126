"""Authentication, as somebody who tries to get around it sees it: over real sockets."""

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)
from starlette.requests import HTTPConnection
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from netra_backend.config import Settings
from netra_backend.errors import ConfigError, ErrorCode, Refused
from netra_backend.server.auth import (
    COOKIE,
    DevAuth,
    JwtAuth,
    authenticator,
    check_origin,
    dev_key,
    is_loopback,
)
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import ScriptedAgent, answer
from tests.client import client
from tests.http import http
from tests.live import live

pytestmark = pytest.mark.anyio

SECRET = "s3cret-of-the-issuer-0123456789abcdef"
AGENTS = {"agent": ScriptedAgent(answer("hi"))}


class Issuer:
    """An RSA key pair, and what can be made with it."""

    def __init__(self) -> None:
        self.key = rsa.generate_private_key(65537, 2048)
        self.private = self.key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ).decode()
        self.public = (
            self.key.public_key()
            .public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
            .decode()
        )

    def token(self, **claims: Any) -> str:
        return jwt.encode(claims_of(**claims), self.private, algorithm="RS256")


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


def claims_of(**claims: Any) -> dict[str, Any]:
    """Return good claims, with `claims` over them; a claim of None is left out."""
    every = {"sub": "alice", "exp": int(time.time()) + 600, **claims}
    return {name: value for name, value in every.items() if value is not None}


def hs256(key: str = SECRET, headers: dict[str, Any] | None = None, **claims: Any) -> str:
    return jwt.encode(claims_of(**claims), key, algorithm="HS256", headers=headers)


def encoded(part: Any) -> str:
    data = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed_by_hand(header: Any, claims: Any, key: bytes) -> str:
    """Return a token that no library would make: any header, signed with HMAC-SHA256."""
    text = f"{encoded(header)}.{encoded(claims)}"
    return f"{text}.{encoded(hmac.new(key, text.encode(), hashlib.sha256).digest())}"


def forgeries(issuer: Issuer) -> dict[str, str]:
    """Return tokens that a server with the HS256 secret and the RS256 key must refuse."""
    good = hs256()
    head, body, signature = good.split(".")
    other = Issuer()
    now = int(time.time())
    numbers = issuer.key.public_key().public_numbers()
    embedded = {
        "kty": "RSA",
        "e": encoded(numbers.e.to_bytes(3, "big")),
        "n": encoded(other.key.public_key().public_numbers().n.to_bytes(256, "big")),
    }
    elliptic = ec.generate_private_key(ec.SECP256R1())
    return {
        "no signature": f"{head}.{body}.",
        "alg none": f"{encoded({'alg': 'none', 'typ': 'JWT'})}.{body}.",
        "alg None": f"{encoded({'alg': 'None'})}.{body}.{signature}",
        "no alg": f"{encoded({'typ': 'JWT'})}.{body}.{signature}",
        "alg is a list": f"{encoded({'alg': ['HS256']})}.{body}.{signature}",
        "alg is an object": f"{encoded({'alg': {}})}.{body}.{signature}",
        "alg is a number": f"{encoded({'alg': 256})}.{body}.{signature}",
        "a header that is a list": f"{encoded(['HS256'])}.{body}.{signature}",
        "a header nested without end": f"{encoded(b'[' * 100_000)}.{body}.{signature}",
        "HS512 with the right secret": jwt.encode(claims_of(), SECRET * 2, algorithm="HS512"),
        "HS256 signed with the public key": signed_by_hand(
            {"alg": "HS256"}, claims_of(), issuer.public.encode()
        ),
        "RS256 over an HMAC": signed_by_hand({"alg": "RS256"}, claims_of(), SECRET.encode()),
        "RS256 of another key": other.token(),
        "an embedded key": jwt.encode(
            claims_of(), other.private, algorithm="RS256", headers={"jwk": embedded}
        ),
        "a key from elsewhere": jwt.encode(
            claims_of(), other.private, algorithm="RS256", headers={"jku": "http://127.0.0.1/k"}
        ),
        "PS256": jwt.encode(claims_of(), issuer.private, algorithm="PS256"),
        "ES256": jwt.encode(claims_of(), elliptic, algorithm="ES256"),
        "a critical header we do not know": hs256(headers={"crit": ["x"], "x": 1}),
        "a wrong secret": hs256(key=SECRET[::-1]),
        "an empty secret": signed_by_hand({"alg": "HS256"}, claims_of(), b""),
        "another user's claims": f"{head}.{encoded(claims_of(sub='mallory'))}.{signature}",
        "a changed signature": f"{head}.{body}.{signature[::-1]}",
        "expired": hs256(exp=now - 1),
        "without an end": hs256(exp=None),
        "an end of null": signed_by_hand(
            {"alg": "HS256"}, {"sub": "alice", "exp": None}, SECRET.encode()
        ),
        "an end that is a list": hs256(exp=[now + 600]),
        "an end that never comes": signed_by_hand(
            {"alg": "HS256"}, b'{"sub":"alice","exp":Infinity}', SECRET.encode()
        ),
        "not valid yet": hs256(nbf=now + 600),
        "without a subject": hs256(sub=None),
        "a subject that is no id": hs256(sub="../bob"),
        "an empty subject": hs256(sub=""),
        "a subject that is a number": signed_by_hand(
            {"alg": "HS256"}, claims_of(sub=7), SECRET.encode()
        ),
        "a subject of 129 characters": hs256(sub="a" * 129),
        "claims nested without end": signed_by_hand(
            {"alg": "HS256"}, b"[" * 100_000, SECRET.encode()
        ),
        "claims that are a list": signed_by_hand({"alg": "HS256"}, ["alice"], SECRET.encode()),
        "encrypted": f"{encoded({'alg': 'dir', 'enc': 'A128GCM'})}..{body}.{body}.{signature}",
        "one part": head,
        "two parts": f"{head}.{body}",
        "four parts": f"{good}.{signature}",
        "dots": "..",
        "no base64": "a!.b!.c!",
        "not ASCII": "ä.ö.ü",
        "huge": f"{head}.{'A' * 500_000}.{signature}",
    }


def outcome(auth: JwtAuth | DevAuth, token: str) -> str:
    """Return what the token is answered with; its text is never part of it."""
    try:
        return f"accepted as {auth.verify(token).id}"
    except Refused as refusal:
        quoted = token in refusal.message and token.strip(".")
        return "quoted" if quoted else refusal.code.value


def test_a_forged_token_is_refused(issuer: Issuer) -> None:
    settings = Settings(auth="jwt", jwt_secret=SECRET, jwt_public_key=issuer.public)
    auth = authenticator(settings)
    outcomes = {name: outcome(auth, token) for name, token in forgeries(issuer).items()}

    assert {name for name, said in outcomes.items() if said != "unauthenticated"} == set()
    assert outcome(auth, hs256()) == "accepted as alice"
    assert outcome(auth, issuer.token()) == "accepted as alice"


@pytest.mark.parametrize(
    ("settings", "claims", "good"),
    [
        ({"jwt_audience": "netra"}, {"aud": "netra"}, True),
        ({"jwt_audience": "netra"}, {"aud": ["other", "netra"]}, True),
        ({"jwt_audience": "netra"}, {"aud": "other"}, False),
        ({"jwt_audience": "netra"}, {"aud": []}, False),
        ({"jwt_audience": "netra"}, {}, False),
        ({"jwt_issuer": "us"}, {"iss": "us"}, True),
        ({"jwt_issuer": "us"}, {"iss": "them"}, False),
        ({"jwt_issuer": "us"}, {}, False),
        ({}, {"aud": "whoever", "iss": "whoever"}, True),
    ],
)
def test_audience_and_issuer_are_checked_where_they_are_set(
    issuer: Issuer, settings: dict[str, str], claims: dict[str, Any], good: bool
) -> None:
    both = Settings(auth="jwt", jwt_secret=SECRET, jwt_public_key=issuer.public, **settings)
    for token in (hs256(**claims), issuer.token(**claims)):
        if good:
            assert authenticator(both).verify(token).id == "alice"
            continue
        with pytest.raises(Refused) as refusal:
            authenticator(both).verify(token)
        assert refusal.value.code is ErrorCode.UNAUTHENTICATED


def test_only_the_algorithm_of_a_configured_key_is_taken(issuer: Issuer) -> None:
    only_secret = authenticator(Settings(auth="jwt", jwt_secret=SECRET))
    only_key = authenticator(Settings(auth="jwt", jwt_public_key=issuer.public))

    assert only_secret.verify(hs256()).id == "alice"
    assert only_key.verify(issuer.token()).id == "alice"
    for auth, token in ((only_secret, issuer.token()), (only_key, hs256())):
        with pytest.raises(Refused):
            auth.verify(token)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(2_000_000_000, 2_000_000_000), (2_000_000_000.9, 2_000_000_000), (10**30, 253_402_300_799)],
)
def test_an_end_may_have_a_fraction_or_be_far_away(given: float, seconds: int) -> None:
    user = authenticator(Settings(auth="jwt", jwt_secret=SECRET)).verify(hs256(exp=given))

    assert user.expires == seconds
    assert type(user.expires) is int


@pytest.mark.parametrize("exp", [2_000_000_000.9, "2000000000", 10**30])
async def test_any_legal_end_opens_a_socket(tmp_path: Path, exp: Any) -> None:
    async with (
        live(AGENTS, tmp_path, store=MemoryStore(), auth="jwt", jwt_secret=SECRET) as server,
        client(server.socket_url, hs256(exp=exp)) as alice,
    ):
        assert alice.ready["user"] == "alice"
        assert isinstance(alice.ready["expires"], int)


def test_a_public_key_may_come_from_a_file(tmp_path: Path, issuer: Issuer) -> None:
    file = tmp_path / "key.pem"
    file.write_text(issuer.public)

    auth = authenticator(Settings(auth="jwt", jwt_public_key=f"@{file}"))

    assert auth.verify(issuer.token()).id == "alice"


def elliptic_public() -> str:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


@pytest.mark.parametrize("kind", ["garbage", "empty", "private", "elliptic", "absent", "binary"])
def test_a_key_that_cannot_be_used_is_refused_at_the_start(
    tmp_path: Path, issuer: Issuer, kind: str
) -> None:
    binary = tmp_path / "binary.pem"
    binary.write_bytes(b"\xff\x00")
    value = {
        "garbage": "hello",
        "empty": "",
        "private": issuer.private,
        "elliptic": elliptic_public(),
        "absent": f"@{tmp_path / 'absent.pem'}",
        "binary": f"@{binary}",
    }[kind]

    with pytest.raises(ConfigError, match="jwt_public_key") as error:
        authenticator(Settings(auth="jwt", jwt_public_key=value))

    assert issuer.private[30:80] not in str(error.value)


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


async def refusal_of(address: str, subprotocols: list[str], **headers: str) -> Response:
    """Return the HTTP answer with which a handshake is refused."""
    with pytest.raises(InvalidStatus) as refused:
        async with connect(address, subprotocols=subprotocols, additional_headers=headers):
            pass
    return refused.value.response


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


async def test_the_header_wins_over_the_subprotocol(visit: Callable[..., Any]) -> None:
    async with (
        visit() as server,
        connect(
            server.socket_url,
            subprotocols=["netra.v1", as_subprotocol(hs256(sub="bob"))],
            additional_headers={"Authorization": f"Bearer {hs256(sub='alice')}"},
        ) as socket,
    ):
        assert json.loads(await socket.recv())["user"] == "alice"


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
        for part in ("HttpOnly", "SameSite=strict", "Path=/"):
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
                assert refused.status_code == 403, host
                assert refused.json()["error"]["code"] == "forbidden"
                assert "set-cookie" not in refused.headers


async def test_every_name_of_loopback_is_taken(tmp_path: Path) -> None:
    async with (
        live(AGENTS, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token("alice")) as browser,
    ):
        for host in ("localhost", "LOCALHOST:1", "127.0.0.1:80", "127.8.9.1", "[::1]:9"):
            assert (await browser.get("/threads", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize("peer", ["10.0.0.7", "::ffff:10.0.0.7", "fe80::1", "", "unix:", None])
def test_another_client_address_is_refused(peer: str | None) -> None:
    scope = {
        "type": "http",
        "client": None if peer is None else (peer, 4711),
        "headers": [(b"host", b"localhost")],
    }

    with pytest.raises(Refused) as refusal:
        DevAuth("k" * 64).signs_in(HTTPConnection(scope))

    assert refusal.value.code is ErrorCode.FORBIDDEN


async def test_a_proxy_on_this_machine_does_not_make_its_clients_local(tmp_path: Path) -> None:
    async with (
        live(AGENTS, tmp_path, store=MemoryStore()) as server,
        http(server.url, None) as browser,
    ):
        refused = await browser.get("/", headers={"X-Forwarded-For": "203.0.113.9"})

        assert refused.status_code == 403
        assert "set-cookie" not in refused.headers


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


def test_the_development_key_is_made_once_and_kept_to_its_owner(tmp_path: Path) -> None:
    directory = tmp_path / "data"
    key = dev_key(directory)

    assert dev_key(directory) == key
    assert len(key) == 64
    assert (directory / "dev.key").stat().st_mode & 0o777 == 0o600
    assert directory.stat().st_mode & 0o777 == 0o700


def test_a_damaged_development_key_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    dev_key(tmp_path)
    (tmp_path / "dev.key").write_text("short")

    with pytest.raises(ConfigError, match=r"dev\.key is damaged; delete it"):
        dev_key(tmp_path)


# --- origins ---------------------------------------------------------------------------------

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
