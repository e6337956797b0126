"""Key sets: an issuer publishes its keys over HTTP, changes them, fails, and is never overrun."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from netra_backend.config import Settings
from netra_backend.errors import ErrorCode, Refused
from netra_backend.server import jwks
from netra_backend.server.auth import authenticator
from netra_backend.server.jwks import MAX_AGE, MAX_BYTES, PAUSE, RETRY, KeySet, keys_of
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import ScriptedAgent, answer
from tests.client import BOUND, client
from tests.conftest import Lines
from tests.eventually import until
from tests.live import live, serving
from tests.server.issuer import KINDS, Issuer, claims_of, hs256, signed_by_hand

pytestmark = pytest.mark.anyio

ISSUER = "https://issuer.example"


class Publisher:
    """A real HTTP server that publishes keys, and what it was asked."""

    def __init__(self) -> None:
        self.members: list[Any] = []
        self.answer: Callable[[], Response] = lambda: Response(json.dumps({"keys": self.members}))
        self.asked = 0
        self.url = ""

    async def publish(self, request: Request) -> Response:
        self.asked += 1
        return self.answer()


@asynccontextmanager
async def publishing(*members: Any) -> AsyncIterator[Publisher]:
    publisher = Publisher()
    publisher.members = list(members)
    async with serving(Starlette(routes=[Route("/keys", publisher.publish)]), "none") as port:
        publisher.url = f"http://127.0.0.1:{port}/keys"
        yield publisher


class Clock:
    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


def settings(url: str, **more: Any) -> Settings:
    return Settings(auth="jwt", jwt_jwks={ISSUER: url}, **more)


@pytest.mark.parametrize("algorithm", list(KINDS))
async def test_a_token_of_the_issuer_is_taken_everywhere(tmp_path: Path, algorithm: str) -> None:
    issuer = Issuer(algorithm)
    async with publishing(issuer.published("k1")) as publisher:
        token = issuer.token(headers={"kid": "k1"}, iss=ISSUER)
        async with (
            live(
                {"agent": ScriptedAgent(answer("hi"))},
                tmp_path,
                store=MemoryStore(),
                auth="jwt",
                jwt_jwks={ISSUER: publisher.url},
            ) as server,
            client(server.socket_url, token) as alice,
            client(server.socket_url, token) as again,
        ):
            assert alice.ready["user"] == again.ready["user"] == "alice"
        assert publisher.asked == 1


async def test_a_forged_token_is_refused_whatever_it_says_of_keys() -> None:
    issuer, mallory = Issuer(), Issuer()
    elliptic = Issuer("ES256")
    async with publishing(issuer.published("k1"), elliptic.published("k2")) as publisher:
        auth = authenticator(settings(publisher.url, jwt_secret="x" * 32))
        header = {"kid": "k1"}
        forged = {
            "another key": mallory.token(headers=header, iss=ISSUER),
            "embedded key": mallory.token(
                headers={**header, "jwk": mallory.published("k1")}, iss=ISSUER
            ),
            "a key elsewhere": mallory.token(
                headers={**header, "jku": "http://127.0.0.1:1/keys"}, iss=ISSUER
            ),
            "a certificate": mallory.token(headers={**header, "x5c": ["MIIB"]}, iss=ISSUER),
            "a certificate elsewhere": mallory.token(
                headers={**header, "x5u": "http://127.0.0.1:1/c"}, iss=ISSUER
            ),
            "an issuer that is not configured": issuer.token(headers=header, iss="https://other"),
            "no issuer": issuer.token(headers=header),
            "an issuer that is a list": signed_by_hand(
                {"alg": "HS256"}, {**claims_of(), "iss": [ISSUER]}, b"y" * 32
            ),
            "the issuer with a slash": issuer.token(headers=header, iss=f"{ISSUER}/"),
            "a key of another kind": issuer.token(headers={"kid": "k2"}, iss=ISSUER),
            "no such key": issuer.token(headers={"kid": "../../k1"}, iss=ISSUER),
            "an SQL key": issuer.token(headers={"kid": "k1' OR '1'='1"}, iss=ISSUER),
            "a file as key": issuer.token(headers={"kid": "/dev/null"}, iss=ISSUER),
            "a public key as secret": signed_by_hand(
                {"alg": "HS256", "kid": "k1"}, claims_of(iss=ISSUER), issuer.public.encode()
            ),
            "the static secret for the issuer": hs256(key="x" * 32, iss=ISSUER),
            "critical": issuer.token(headers={**header, "crit": ["b64"], "b64": True}, iss=ISSUER),
            "not yet": issuer.token(headers=header, iss=ISSUER, nbf=4_000_000_000),
            "issued tomorrow": issuer.token(headers=header, iss=ISSUER, iat=4_000_000_000),
            "expired": issuer.token(headers=header, iss=ISSUER, exp=1),
            "claims nested without end": signed_by_hand(
                {"alg": "HS256"}, b"[" * 100_000, b"y" * 32
            ),
        }
        for name, token in forged.items():
            with pytest.raises(Refused) as refusal:
                raise AssertionError(f"{name}: {await auth.verify(token)}")
            assert refusal.value.code is ErrorCode.UNAUTHENTICATED
        assert (await auth.verify(issuer.token(headers=header, iss=ISSUER))).id == "alice"
        assert (await auth.verify(elliptic.token(headers={"kid": "k2"}, iss=ISSUER))).id == "alice"
        assert (
            await auth.verify(hs256(key="x" * 32))
        ).id == "alice"  # of no issuer: the static key
        assert publisher.asked == 1, "made-up key ids were looked up again and again"


async def test_a_new_key_is_found_and_an_old_one_is_forgotten() -> None:
    clock, old, new = Clock(), Issuer("EdDSA"), Issuer("EdDSA")
    async with publishing(old.published("old")) as publisher:
        keys = KeySet(publisher.url, clock=clock)
        assert await keys.find("old", "EdDSA") is not None
        publisher.members = [new.published("new")]
        assert await keys.find("new", "EdDSA") is None  # it was looked for a moment ago
        clock.now += PAUSE
        assert await keys.find("new", "EdDSA") is not None
        assert await keys.find("old", "EdDSA") is None
        publisher.members = []
        clock.now += MAX_AGE
        assert await keys.find("new", "EdDSA") is None
        assert publisher.asked == 3


async def test_a_thousand_requests_at_once_ask_the_issuer_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(jwks, "TIMEOUT", BOUND)  # a machine that is busy is no issuer that is slow
    async with publishing(Issuer("EdDSA").published("k")) as publisher:
        keys = KeySet(publisher.url)
        found = await asyncio.gather(
            *(keys.find("k", "EdDSA") for _ in range(500)),
            *(keys.find(f"made up {number}", "EdDSA") for number in range(500)),
        )
        assert [key is not None for key in found] == [True] * 500 + [False] * 500
        assert publisher.asked == 1


@pytest.mark.parametrize(
    "fault",
    [
        lambda: Response("no", status_code=500),
        lambda: Response("<html>"),
        lambda: Response(b"\xff"),
        lambda: Response("[]"),
        lambda: Response('{"keys": 1}'),
        lambda: Response("[" * 100_000),
        lambda: Response('{"keys": ' + "[" * 100_000),
        lambda: Response(" " * (MAX_BYTES + 1)),
        lambda: RedirectResponse("/keys?again"),
    ],
)
async def test_while_the_issuer_fails_the_keys_that_it_gave_last_count(
    fault: Callable[[], Response], log_lines: Lines
) -> None:
    clock = Clock()
    async with publishing(Issuer("EdDSA").published("k")) as publisher:
        keys, works = KeySet(publisher.url, clock=clock), publisher.answer
        publisher.answer = fault
        assert await keys.find("k", "EdDSA") is None
        assert await keys.find("k", "EdDSA") is None
        assert publisher.asked == 1
        publisher.answer = works
        clock.now += RETRY
        assert await keys.find("k", "EdDSA") is not None
        publisher.answer = fault
        clock.now += MAX_AGE
        assert await keys.find("k", "EdDSA") is not None
        assert publisher.asked == 3
    told = [line for line in log_lines() if "keys of an issuer cannot be had" in line["message"]]
    assert [line["level"] for line in told] == ["ERROR"] * 2


@asynccontextmanager
async def saying(*words: bytes | None) -> AsyncIterator[tuple[str, list[bytes | None]]]:
    """Serve these words, one for each connection and the last for all that follow; None hangs.

    Yields the URL, and what was said so far.
    """
    said: list[bytes | None] = []
    hung: list[asyncio.StreamWriter] = []

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        word = words[min(len(said), len(words) - 1)]
        said.append(word)
        if word is None:
            hung.append(writer)
        else:
            writer.write(word)
            writer.close()

    server = await asyncio.start_server(say, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/keys", said
    finally:
        for writer in hung:
            writer.close()
        server.close()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "words",
    [
        b"SSH-2.0-netra\r\n",
        b"",
        CHUNKED + b"no number\r\n",
        CHUNKED + b"ff\r\n{}",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
    ],
)
async def test_what_is_no_http_is_a_failure_like_any_other(words: bytes) -> None:
    async with saying(words) as (url, said):
        keys = KeySet(url)
        assert await keys.find("k", "EdDSA") is None
        assert await keys.find("k", "EdDSA") is None
        assert said == [words], "it was asked again at once"


async def test_who_has_a_known_key_does_not_wait_for_an_issuer_that_hangs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    document = json.dumps({"keys": [Issuer("EdDSA").published("k")]}).encode()
    good = b"HTTP/1.0 200 OK\r\n\r\n" + document
    async with saying(good, None) as (url, said):
        keys = KeySet(url, clock=clock)
        assert await keys.find("k", "EdDSA") is not None
        clock.now += MAX_AGE
        monkeypatch.setattr(jwks, "TIMEOUT", 0.1)
        waiting = asyncio.create_task(keys.find("k", "EdDSA"))
        await asyncio.sleep(0)  # so it waits so long, and the question, which begins now, longer
        monkeypatch.setattr(jwks, "TIMEOUT", 3_600.0)
        assert await waiting is not None  # the key may have been withdrawn: so this one waited
        await until(lambda: len(said) == 2)

        for _ in range(10):
            clock.now += RETRY
            assert await asyncio.wait_for(keys.find("k", "EdDSA"), 1.0) is not None
        assert said == [good, None], "one question at a time"


async def test_an_answer_that_comes_little_by_little_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Else its issuer would never be asked again, and a new key never be known."""
    monkeypatch.setattr(jwks, "LONGEST", 0.1)
    clock = Clock()
    asked: list[asyncio.StreamWriter] = []

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(writer)
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.0 200 OK\r\n\r\n")
        with suppress(ConnectionError):
            while not writer.is_closing():
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.02)

    async with await asyncio.start_server(drip, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        keys = KeySet(f"http://127.0.0.1:{port}/keys", clock=clock)
        assert await keys.find("k", "EdDSA") is None
        await until(lambda: keys._asking is None)
        clock.now += RETRY
        assert await keys.find("k", "EdDSA") is None
        assert len(asked) == 2
        for writer in asked:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def test_an_issuer_that_is_gone_lets_nobody_in() -> None:
    auth = authenticator(settings("http://127.0.0.1:1/keys"))
    with pytest.raises(Refused):
        await auth.verify(Issuer().token(iss=ISSUER))


def test_only_keys_that_verify_signatures_are_taken() -> None:
    good, elliptic = Issuer(), Issuer("ES256")
    members = [
        {**good.published("good"), "use": "sig"},
        {**good.published("encrypts"), "use": "enc"},
        {**good.published("wraps"), "key_ops": ["wrapKey"]},
        {**good.published("other"), "alg": "RS512"},
        {**good.published("padded"), "alg": "PS256"},
        {**good.published("said"), "alg": "RS256", "key_ops": ["verify"]},
        {"kty": "oct", "kid": "shared", "k": "eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHh4eHg"},
        {"kty": "RSA", "kid": "broken"},
        {"kty": "new", "kid": "unknown"},
        {"kid": "without a kind"},
        {"kty": 1},
        "no object",
        None,
        elliptic.published(),
    ]
    keys = keys_of(json.dumps({"keys": members}).encode())

    assert [(key.id, key.algorithm) for key in keys] == [
        ("good", "RS256"),
        ("said", "RS256"),
        (None, "ES256"),
    ]


async def test_without_a_key_id_there_must_be_only_one_key() -> None:
    first, second = Issuer("ES256"), Issuer("EdDSA")
    async with publishing(first.published("a"), second.published("b")) as publisher:
        keys = KeySet(publisher.url)
        found = await keys.find(None, "ES256")
        assert found is not None
        assert found.id == "a"
        publisher.members.append(Issuer("ES256").published("c"))
        assert await KeySet(publisher.url).find(None, "ES256") is None


@pytest.mark.parametrize("url", ["http://issuer.example/keys", "ftp://127.0.0.1/k", "keys.json"])
def test_keys_are_had_over_tls_or_from_this_machine_only(url: str) -> None:
    with pytest.raises(ValueError, match="jwt_jwks"):
        settings(url)
