"""No credential reaches the log, at any level, whichever way it came; no answer, and no disk."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from tests.client import BOUND, run_input
from tests.http import http
from tests.live import ServerProcess

pytestmark = pytest.mark.anyio

SECRET = "canary-of-the-signing-secret-0123456789"


def issued(user: str) -> str:
    claims = {"sub": user, "exp": int(time.time()) + 600}
    return jwt.encode(claims, SECRET, algorithm="HS256")


def as_subprotocol(token: str) -> str:
    return f"netra.token.{base64.urlsafe_b64encode(token.encode()).rstrip(b'=').decode()}"


@asynccontextmanager
async def serving(tmp_path: Path) -> AsyncIterator[ServerProcess]:
    server = ServerProcess(
        tmp_path / "data",
        environment={
            "NETRA_AUTH": "jwt",
            "NETRA_JWT_SECRET": SECRET,
            "NETRA_JWT_COOKIE": "sign_in",
            "NETRA_LOG_LEVEL": "DEBUG",
            "NETRA_BAD_FRAMES": "100",
        },
    )
    server.start()
    try:
        await server.wait_ready()
        yield server
    finally:
        server.stop()


async def test_no_credential_is_logged_or_repeated(tmp_path: Path) -> None:
    good, bobs = issued("alice"), issued("bob")
    forged = f"{good[:-6]}canary"
    opaque = "opaque-canary-credential-0123456789"
    heard: list[str] = []

    async with serving(tmp_path) as server:
        async with http(server.url, good) as browser:
            queries = [f"?{name}={good}" for name in ("token", "access_token", "ticket", "api_key")]
            for rest in (*queries, f"/{good}", f"/{good}/events?after={good}"):
                await browser.get(f"/threads{rest}")
            heard.append((await browser.post("/agui/docs", json=run_input("t", "r"))).text)
        for header in (f"Bearer {forged}", f"Basic {opaque}", f"bearer {opaque}"):
            async with http(server.url, None, headers={"Authorization": header}) as stranger:
                heard.append((await stranger.get("/threads")).text)
        cookies = [f"netra_dev={forged}"]
        cookies += [f"sign_in={one}" for one in (good, forged, opaque, f"{good}; sign_in={bobs}")]
        for cookie in cookies:
            async with http(server.url, None, headers={"Cookie": cookie}) as stranger:
                heard.append((await stranger.get("/threads")).text)

        for offered in (["netra.v1", as_subprotocol(forged)], [as_subprotocol(good)]):
            with pytest.raises(InvalidStatus) as refused:
                async with connect(f"{server.socket_url}?token={good}", subprotocols=offered):
                    pass
            heard.append(refused.value.response.body.decode())

        async with connect(
            server.socket_url, subprotocols=["netra.v1", as_subprotocol(good)]
        ) as socket:
            heard.append(str(await socket.recv()))
            frames = [
                {"type": "auth", "request": "a", "token": good},
                {"type": "auth", "request": "b", "token": forged},
                {"type": "auth", "request": "c", "token": opaque},
                {"type": "auth", "request": "d", "tokken": opaque},
                {"type": "auth", "request": "e", "token": [opaque]},
                {"type": "authenticate", "request": "f", "token": opaque},
            ]
            texts = [json.dumps(frame) for frame in frames]
            # Blanks move the token to where a log that shortens frames in the middle ends.
            texts.append(f'{{"type":"auth",{" " * 300}"token":"{opaque}"}}')
            texts.append(opaque)
            texts.append(json.dumps({"type": "auth", "request": "z", "token": bobs}))
            async with http(server.url, good) as browser:
                ticket = (await browser.post("/auth/ticket")).json()["ticket"]
                heard.append((await browser.get("/metrics")).text)
            async with http(server.url, None) as stranger:
                spent = await stranger.get(f"/threads?ticket={ticket}")
                refused_ticket = await stranger.get(f"/threads?ticket={ticket}")
                heard += [spent.text, refused_ticket.text]
            async with asyncio.timeout(BOUND):
                for text in texts:
                    await socket.send(text)
                    heard.append(str(await socket.recv()))
                await socket.wait_closed()
            assert socket.close_code == 4403

    log = server.log_file.read_text()
    lines = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert {line["level"] for line in lines} >= {"DEBUG", "INFO"}
    assert {line["logger"] for line in lines} >= {
        "netra_backend.server.request_log",
        "netra_backend.server.refusals",
    }
    secrets = {
        "the secret": SECRET,
        "an opaque token": opaque,
        "the end of an opaque token": opaque[-12:],
        "a forged token": forged.split(".")[2],
        "a ticket": ticket.split(".")[2],
        **{
            f"{name} of {user}": part
            for user, token in (("alice", good), ("bob", bobs))
            for name, part in zip(("claims", "signature"), token.split(".")[1:], strict=True)
        },
    }
    files = [path for path in server.data_dir.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"netra.db"}
    kept = b"".join(path.read_bytes() for path in files)
    for name, secret in secrets.items():
        assert secret not in log, name
        assert not [text for text in heard if secret in text], name
        assert secret.encode() not in kept, name
