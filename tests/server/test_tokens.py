"""Tokens, as somebody who tries to forge one sees them."""

import json
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from netra_backend.config import Settings
from netra_backend.errors import ErrorCode, Refused
from netra_backend.server import tokens
from netra_backend.server.auth import Authenticator, authenticator
from netra_backend.server.keys import Key
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import ScriptedAgent, answer
from tests.client import client
from tests.http import http
from tests.live import live
from tests.server.handshake import refusal_of
from tests.server.issuer import SECRET, Issuer, claims_of, encoded, hs256, signed_by_hand

pytestmark = pytest.mark.anyio

AGENTS = {"agent": ScriptedAgent(answer("hi"))}


@pytest.fixture(scope="module")
def issuer() -> Issuer:
    return Issuer()


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
        **{
            f"{claim} of {value[:9]}": signed_by_hand(
                {"alg": "HS256"},
                json.dumps({**claims_of(), claim: 0}).replace(": 0}", f": {value}}}").encode(),
                SECRET.encode(),
            )
            for claim in ("exp", "iat", "nbf")
            for value in ("Infinity", "-Infinity", "NaN", "-1" + "0" * 400, "1e400", "[]", "{}")
            if (claim, value[:2]) != ("nbf", "-1")  # long ago, and never made a float
        },
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


async def outcome(auth: Authenticator, token: str) -> str:
    """Return what the token is answered with; its text is never part of it."""
    try:
        return f"accepted as {(await auth.verify(token)).id}"
    except Refused as refusal:
        quoted = token in refusal.message and token.strip(".")
        return "quoted" if quoted else refusal.code.value


async def test_a_forged_token_is_refused(issuer: Issuer) -> None:
    settings = Settings(auth="jwt", jwt_secret=SECRET, jwt_public_key=issuer.public)
    auth = authenticator(settings)
    outcomes = {name: await outcome(auth, token) for name, token in forgeries(issuer).items()}

    assert {name for name, said in outcomes.items() if said != "unauthenticated"} == set()
    assert await outcome(auth, hs256()) == "accepted as alice"
    assert await outcome(auth, issuer.token()) == "accepted as alice"


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
        ({}, {"iss": "whoever"}, True),
        ({}, {"aud": "another application"}, False),
    ],
)
async def test_a_token_is_for_the_audience_and_of_the_issuer_that_are_set(
    issuer: Issuer, settings: dict[str, str], claims: dict[str, Any], good: bool
) -> None:
    both = Settings(auth="jwt", jwt_secret=SECRET, jwt_public_key=issuer.public, **settings)
    for token in (hs256(**claims), issuer.token(**claims)):
        if good:
            assert (await authenticator(both).verify(token)).id == "alice"
            continue
        with pytest.raises(Refused) as refusal:
            await authenticator(both).verify(token)
        assert refusal.value.code is ErrorCode.UNAUTHENTICATED


async def test_only_the_algorithm_of_a_configured_key_is_taken(issuer: Issuer) -> None:
    only_secret = authenticator(Settings(auth="jwt", jwt_secret=SECRET))
    only_key = authenticator(Settings(auth="jwt", jwt_public_key=issuer.public))

    assert (await only_secret.verify(hs256())).id == "alice"
    assert (await only_key.verify(issuer.token())).id == "alice"
    for auth, token in ((only_secret, issuer.token()), (only_key, hs256())):
        with pytest.raises(Refused):
            await auth.verify(token)


@pytest.mark.parametrize(
    ("given", "seconds"),
    [(2_000_000_000, 2_000_000_000), (2_000_000_000.9, 2_000_000_000), (10**30, 253_402_300_799)],
)
async def test_an_end_may_have_a_fraction_or_be_far_away(given: float, seconds: int) -> None:
    user = await authenticator(Settings(auth="jwt", jwt_secret=SECRET)).verify(hs256(exp=given))

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


async def test_a_time_that_is_no_float_is_refused_over_http_and_on_a_socket(tmp_path: Path) -> None:
    claims = json.dumps({**claims_of(), "iat": -(10**400)}).encode()
    token = signed_by_hand({"alg": "HS256"}, claims, SECRET.encode())
    settings = {"auth": "jwt", "jwt_secret": SECRET}
    async with (
        live(AGENTS, tmp_path, store=MemoryStore(), **settings) as server,
        http(server.url, token) as browser,
    ):
        assert (await browser.get("/threads")).status_code == 401
        bearer = {"Authorization": f"Bearer {token}"}
        assert (await refusal_of(server.socket_url, ["netra.v1"], **bearer)).status_code == 401


async def test_a_token_is_verified_once_and_not_believed_after_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    verified: list[str] = []
    decode = jwt.decode

    def counting(token: str, *args: Any, **options: Any) -> Any:
        verified.append(token)
        return decode(token, *args, **options)

    monkeypatch.setattr(tokens.jwt, "decode", counting)
    monkeypatch.setattr(tokens, "MAX_VERIFIED", 2)
    judge = tokens.Tokens([Key("HS256", SECRET)])
    now = time.time()
    one, two, three = (
        jwt.encode({"sub": user, "exp": int(now) + 600}, SECRET, algorithm="HS256")
        for user in "abc"
    )
    for token in (one, two, one, two):
        await judge.verify(token)
    assert verified == [one, two]
    await judge.verify(three)
    await judge.verify(one)
    assert verified == [one, two, three, one]
    with pytest.raises(Refused):
        await judge.verify(one[:-6] + "xxxxxx")
    endless = jwt.encode({"sub": "d"}, SECRET, algorithm="HS256")
    await judge.verify(endless, require_expiry=False)
    with pytest.raises(Refused):
        await judge.verify(endless)

    monkeypatch.setattr(tokens.time, "time", lambda: now + 1_000)
    verified.clear()
    await judge.verify(one)
    assert verified == [one], "it is looked at again, not believed"


async def test_heads_that_are_alike_are_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    library = jwt.get_unverified_header

    def counting(token: str) -> dict[str, Any]:
        read.append(token)
        return library(token)

    monkeypatch.setattr(tokens.jwt, "get_unverified_header", counting)
    tokens._algorithm_in.cache_clear()  # the process may have read them before
    judge = tokens.Tokens([Key("HS256", SECRET)])
    for user in "abc":
        assert (await judge.verify(hs256(sub=user, headers={"kid": "alike"}))).id == user
    assert len(read) == 1
    long = {"kid": "k" * tokens.MAX_HEAD}
    for user in "ab":
        assert (await judge.verify(hs256(sub=user, headers=long))).id == user
    assert len(read) == 3, "what is long is not kept"
    with pytest.raises(Refused):
        await judge.verify(hs256(headers={"kid": "alike"}).partition(".")[0])


async def test_the_log_is_told_why_a_token_is_not_valid_and_how_it_is_signed() -> None:
    settings = Settings(auth="jwt", jwt_secret=SECRET, jwt_issuer="us", jwt_audience="netra")
    auth = authenticator(settings)
    good: dict[str, Any] = {"iss": "us", "aud": "netra"}
    causes = {
        "issuer": hs256(**good | {"iss": "them"}, headers={"kid": "k1"}),
        "Audience": hs256(**good | {"aud": "other"}, headers={"kid": "k1"}),
        '"exp"': hs256(**good, exp=None, headers={"kid": "k1"}),
        "sub is no id": hs256(**good, sub="../a-secret", headers={"kid": "k1"}),
        "not yet valid": hs256(**good, nbf=int(time.time()) + 600, headers={"kid": "k1"}),
        "ignature": hs256(**good, key=SECRET[::-1], headers={"kid": "k1"}),
    }
    for cause, token in causes.items():
        with pytest.raises(Refused) as refused:
            await auth.verify(token)
        assert refused.value.message == "the token is not valid"
        about = refused.value.about
        assert cause in about["cause"]
        assert (about["algorithm"], about["key_id"]) == ("HS256", "k1")
        assert "a-secret" not in str(about)
    without = authenticator(Settings(auth="jwt", jwt_secret=SECRET))
    with pytest.raises(Refused) as refused:
        await without.verify(hs256(aud="other"))
    assert refused.value.about["cause"].endswith("jwt_audience names none")
