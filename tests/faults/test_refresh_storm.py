"""All credentials end at the same moment, and all clients renew them at once.

The issuer has a new key by then. It is asked once for all of them, nobody is cut off who renews,
and who does not is closed with 4401.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from netra_backend.server import jwks
from netra_backend.stores.memory import MemoryStore
from tests.client import Client, client
from tests.live import BOUND, Live, live
from tests.night import NIGHTLY
from tests.server.agents import echo
from tests.server.issuer import Issuer
from tests.server.test_jwks import ISSUER, publishing

pytestmark = pytest.mark.anyio

CLIENTS = 300 if NIGHTLY else 100
LAZY = CLIENTS // 15
"""Those of them that renew nothing."""


async def test_all_renew_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pause = jwks.PAUSE
    monkeypatch.setattr(jwks, "PAUSE", 0.0)  # the first keys are as old as one may wish
    old, new = Issuer(), Issuer()
    async with (
        publishing(old.published("k1")) as publisher,
        live(
            {"echo": echo}, tmp_path, store=MemoryStore(), auth="jwt",
            jwt_jwks={ISSUER: publisher.url},
        ) as server,
        AsyncExitStack() as stack,
    ):  # fmt: skip
        end = int(time.time() + 20 + 2 * CLIENTS * await pace(server, old))
        people: list[Client] = []
        for number in range(CLIENTS):
            token = old.token({"kid": "k1"}, iss=ISSUER, sub=f"user{number}", exp=end)
            people.append(await stack.enter_async_context(client(server.socket_url, token)))
        monkeypatch.setattr(jwks, "PAUSE", pause)
        publisher.members = [new.published("k2")]
        asked = publisher.asked
        later = [
            new.token({"kid": "k2"}, iss=ISSUER, sub=f"user{number}") for number in range(CLIENTS)
        ]
        answers = await asyncio.gather(
            *(
                person.command("auth", token=token)
                for person, token in zip(people[LAZY:], later[LAZY:], strict=True)
            )
        )
        assert {answer["type"] for answer in answers} == {"ready"}
        assert publisher.asked - asked == 1
        for person in people[:LAZY]:
            assert await person.closed(end - time.time() + BOUND) == 4401
        assert time.time() >= end
        pongs = await asyncio.gather(*(person.command("ping") for person in people[LAZY:]))
        assert {pong["type"] for pong in pongs} == {"pong"}
        assert len(server.app.pool) == CLIENTS - LAZY


async def pace(server: Live, issuer: Issuer) -> float:
    """Return the seconds that one client takes to connect: on a busy machine many."""
    token, looks = issuer.token({"kid": "k1"}, iss=ISSUER, sub="first"), 10
    began = time.monotonic()
    for _ in range(looks):
        async with client(server.socket_url, token):
            pass
    return (time.monotonic() - began) / looks
