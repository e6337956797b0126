"""Tickets: good for one socket or stream, for half a minute, and for nothing else."""

import asyncio
import base64
import time
from pathlib import Path
from typing import Any

import jwt
import pytest
from websockets.asyncio.client import connect

from netra_backend.core.ids import UserId
from netra_backend.core.ports import Store
from netra_backend.errors import Refused
from netra_backend.server.auth import DevAuth
from netra_backend.server.tickets import SECONDS, TicketAuth
from netra_backend.server.user import User
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.scripted_agent import ScriptedAgent, answer
from tests.client import client
from tests.http import http
from tests.live import live
from tests.server.handshake import refusal_of
from tests.server.issuer import SECRET, hs256

pytestmark = pytest.mark.anyio

AGENTS = {"agent": ScriptedAgent(answer("hi"))}


async def test_a_ticket_opens_one_socket(tmp_path: Path) -> None:
    async with (
        live(AGENTS, tmp_path, store=SqliteStore(tmp_path)) as server,
        http(server.url, server.token("alice")) as browser,
    ):
        issued = await browser.post("/auth/ticket")
        assert issued.status_code == 201
        assert issued.headers["cache-control"] == "no-store"
        ticket, seconds = issued.json()["ticket"], issued.json()["expires_in"]
        assert seconds == SECONDS
        url = f"{server.socket_url}?ticket={ticket}"
        async with client(url, None) as alice:
            assert alice.ready["user"] == "alice"
        again = await refusal_of(url, ["netra.v1"])
        assert again.status_code == 401
        assert b"used before" in again.body
        assert ticket.encode() not in again.body


async def test_a_ticket_is_asked_for_with_a_credential_and_from_the_own_origin(
    tmp_path: Path,
) -> None:
    async with (
        live(AGENTS, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token("alice")) as browser,
        http(server.url, None) as stranger,
    ):
        assert (await stranger.post("/auth/ticket")).status_code == 401
        foreign = await browser.post("/auth/ticket", headers={"Origin": "http://evil.example"})
        assert foreign.status_code == 403
        ticket = (await browser.post("/auth/ticket")).json()["ticket"]
        for call in (
            stranger.post(f"/auth/ticket?ticket={ticket}"),
            stranger.post(f"/threads?ticket={ticket}", json={}),
            stranger.delete(f"/threads/t?ticket={ticket}"),
        ):
            assert (await call).status_code == 401
        assert (await stranger.get(f"/threads?ticket={ticket}")).status_code == 200
        assert (await stranger.get(f"/threads?ticket={ticket}")).status_code == 401


async def test_a_socket_ends_with_the_credential_the_ticket_was_asked_for_with(
    tmp_path: Path,
) -> None:
    end = int(time.time()) + 600
    async with (
        live(AGENTS, tmp_path, store=MemoryStore(), auth="jwt", jwt_secret=SECRET) as server,
        http(server.url, hs256(exp=end)) as browser,
    ):
        ticket = (await browser.post("/auth/ticket")).json()["ticket"]
        async with client(f"{server.socket_url}?ticket={ticket}", None) as alice:
            assert alice.ready["expires"] == end * 1_000


def auth(store: Store, key: str) -> TicketAuth:
    return TicketAuth(DevAuth("k" * 64), store, lambda: key, lambda: time.time_ns() // 1_000_000)


async def test_of_many_uses_at_once_on_two_servers_one_counts(tmp_path: Path) -> None:
    """Two workers of one machine share the store and the key."""
    store, key = SqliteStore(tmp_path), "t" * 64
    await store.open()
    try:
        workers = [auth(store, key), auth(store, key)]
        ticket = workers[0].issue(User(UserId("alice"), None))
        outcomes = await asyncio.gather(
            *(workers[number % 2]._redeem(ticket) for number in range(50)), return_exceptions=True
        )
    finally:
        await store.close()

    assert sum(isinstance(outcome, User) for outcome in outcomes) == 1
    assert sum(isinstance(outcome, Refused) for outcome in outcomes) == 49


@pytest.mark.parametrize(
    "change",
    [
        {"exp": 1},
        {"exp": None},
        {"aud": "another"},
        {"aud": None},
        {"jti": None},
        {"sub": None},
    ],
)
async def test_what_is_no_ticket_of_ours_is_refused(change: dict[str, Any]) -> None:
    key, store = "t" * 64, MemoryStore()
    good = {
        "sub": "alice",
        "aud": "netra ticket",
        "exp": int(time.time()) + 30,
        "jti": "t",
        "until": None,
    }
    claims = {name: value for name, value in {**good, **change}.items() if value is not None}
    tickets = auth(store, key)
    with pytest.raises(Refused):
        await tickets._redeem(jwt.encode(claims, key, algorithm="HS256"))
    with pytest.raises(Refused):
        await tickets._redeem(jwt.encode(good, "u" * 64, algorithm="HS256"))
    assert (await tickets._redeem(jwt.encode(good, key, algorithm="HS256"))).id == "alice"


async def test_a_ticket_is_no_token_and_a_token_no_ticket(tmp_path: Path) -> None:
    async with (
        live(AGENTS, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token("alice")) as browser,
    ):
        ticket = (await browser.post("/auth/ticket")).json()["ticket"]
        async with http(server.url, ticket) as other:
            assert (await other.get("/threads")).status_code == 401
        url = f"{server.socket_url}?ticket={server.token('alice')}"
        assert (await refusal_of(url, ["netra.v1"])).status_code == 401
        async with connect(
            f"{server.socket_url}?ticket={ticket}", subprotocols=["netra.v1"]
        ) as socket:
            assert socket.subprotocol == "netra.v1"


async def test_two_credentials_are_none(tmp_path: Path) -> None:
    """Of whatever sort they are, and each good by itself; the tickets are not used up."""
    async with (
        live(AGENTS, tmp_path, store=MemoryStore()) as server,
        http(server.url, server.token("alice")) as browser,
        http(server.url, None) as stranger,
    ):
        first, second = [(await browser.post("/auth/ticket")).json()["ticket"] for _ in range(2)]
        bearer = {"Authorization": f"Bearer {server.token('alice')}"}
        spelt = base64.urlsafe_b64encode(server.token("alice").encode()).decode().rstrip("=")
        offered = f"netra.token.{spelt}"
        both, one = f"ticket={first}&ticket={second}", f"ticket={first}"
        asked: list[tuple[str, list[str], dict[str, str]]] = [
            ("", [offered, offered], {}),
            ("", [offered], bearer),
            (both, [], {}),
            (one, [offered], {}),
            (one, [], bearer),
        ]
        for query, protocols, headers in asked:
            address = f"{server.socket_url}?{query}"
            refused = await refusal_of(address, ["netra.v1", *protocols], **headers)
            assert refused.status_code == 401
        assert (await stranger.get(f"/threads?{both}")).status_code == 401
        assert (await stranger.get(f"/threads?{one}", headers=bearer)).status_code == 401
        for ticket in (first, second):
            assert (await stranger.get(f"/threads?ticket={ticket}")).status_code == 200
