"""Who is let in, in whose name, and until when: without each of these checks somebody gets in."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import httpx
import jwt
import pytest
from msgspec.structs import replace
from starlette.websockets import WebSocket
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.typing import Subprotocol

from netra_backend.agents import turns
from netra_backend.core.ids import ThreadId, ThreadKey, UserId
from netra_backend.core.roles import Role
from netra_backend.server import administration, dialogue, sse, tickets, tokens, websocket
from netra_backend.server.access import Access
from netra_backend.server.auth import DevAuth
from netra_backend.server.clock import now
from netra_backend.server.connection import Connection
from netra_backend.server.seating import Seating
from netra_backend.server.websocket import SocketRoute
from netra_backend.server.withdrawals import Withdrawals
from netra_backend.stores import decisions, memory, sqlite_interrupts, sqlite_ledger, sqlite_queries
from netra_backend.stores.sqlite import SqliteStore
from tests.client import client, run_input
from tests.http import http
from tests.live import Live, live
from tests.security.test_checks import (
    Check,
    decide_after_withdrawal,
    follow_foreign,
    missed,
    renewal_with_a_strangers_token,
    socket_of_a_foreign_page,
)
from tests.server.agents import echo
from tests.server.issuer import hs256

pytestmark = pytest.mark.anyio

BOB = UserId("bob")
T = ThreadKey(UserId("alice"), ThreadId("t"))
SOON = 4.0
"""Seconds in which a check that is there has done its work, and that one that is not costs."""


async def opens(url: str, name: str | None = None, **headers: str) -> bool:
    """Return whether a socket is opened and greeted, where the server is called by a `name`."""
    place = urlsplit(url)
    named = place._replace(netloc=f"{name}:{place.port}").geturl() if name else url
    try:
        async with connect(
            named,
            host=place.hostname,
            port=place.port,
            subprotocols=[Subprotocol("netra.v1")],
            additional_headers=headers,
        ) as socket:
            return "ready" in str(await socket.recv())
    except (InvalidStatus, ConnectionClosed):
        return False


async def socket_of_a_foreign_host(server: Live) -> bool:
    token = f"Bearer {hs256(sub='bob')}"
    assert await opens(server.socket_url, "127.0.0.1", Authorization=token)
    return not await opens(server.socket_url, "evil.example", Authorization=token)


async def socket_after_revocation(server: Live) -> bool:
    old = hs256(sub="bob", iat=now() // 1_000 - 60)
    async with client(server.socket_url, old) as bob:
        await server.app._withdrawals.revoke(BOB, now() - 30_000)
        return await _closes(bob)


async def _closes(person: Any) -> bool:
    try:
        return bool(await person.closed(SOON) == 4401)
    except TimeoutError:
        return False


async def socket_after_expiry(server: Live) -> bool:
    async with client(server.socket_url, hs256(sub="bob", exp=time.time() + 1.5)) as bob:
        return await _closes(bob)


async def stream_after_expiry(server: Live) -> bool:
    async with http(server.url, hs256(sub="bob", exp=time.time() + 1.5)) as bob:
        return await _breaks_off(bob)


async def _breaks_off(browser: httpx.AsyncClient) -> bool:
    try:
        async with asyncio.timeout(SOON):
            await browser.post("/agui/endless", json=run_input("own", "r"))
    except httpx.RemoteProtocolError:
        return True
    except TimeoutError:
        return False
    return False


async def token_that_was_good(server: Live) -> bool:
    """It was remembered as valid."""
    end = int(time.time()) + 2
    async with http(server.url, hs256(sub="bob", exp=end)) as bob:
        assert (await bob.get("/threads")).status_code == 200
        await asyncio.sleep(end + 0.1 - time.time())
        return (await bob.get("/threads")).status_code == 401


async def socket_that_is_accepted_late(server: Live) -> bool:
    """Revoke the user after the handshake was authenticated, before the pool has the socket."""
    accept = WebSocket.accept

    async def late(self: WebSocket, *given: Any, **named: Any) -> None:
        await server.app._withdrawals.revoke(BOB, now())
        await accept(self, *given, **named)

    async with http(server.url, hs256(sub="bob", iat=now() // 1_000 - 60)) as bob:
        ticket = (await bob.post("/auth/ticket")).json()["ticket"]
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(WebSocket, "accept", late)
        return not await opens(f"{server.socket_url}?ticket={ticket}")


async def stream_that_is_begun_late(server: Live) -> bool:
    """Revoke the user while the body of the request is read."""

    async def body() -> AsyncIterator[bytes]:
        whole = json.dumps(run_input("own", "r")).encode()
        yield whole[:5]
        await asyncio.sleep(0.2)
        await server.app._withdrawals.revoke(BOB, now())
        yield whole[5:]

    async with http(server.url, hs256(sub="bob", iat=now() // 1_000 - 60)) as bob:
        return (await bob.post("/agui/echo", content=body())).status_code == 401


async def forged_ticket(server: Live) -> bool:
    claims = {
        "sub": "alice", "aud": "netra ticket", "exp": now() // 1_000 + 20, "jti": "x",
        "until": None, "since": now() / 1_000,
    }  # fmt: skip
    ticket = jwt.encode(claims, "x" * 64, algorithm="HS256")
    async with http(server.url, None) as thief:
        return (await thief.get(f"/threads?ticket={ticket}")).status_code == 401


async def ticket_beside_a_token(server: Live) -> bool:
    async with (
        http(server.url, hs256(sub="bob")) as bob,
        http(server.url, hs256(sub="alice")) as alice,
    ):
        ticket = (await bob.post("/auth/ticket")).json()["ticket"]
        return (await alice.get(f"/threads?ticket={ticket}")).status_code == 401


async def development_from_elsewhere(server: Live) -> bool:
    """A page whose name was made to resolve to this machine."""
    async with (
        live({"echo": echo}, server.data_dir / "dev", auth="dev") as dev,
        http(dev.url, dev.token(), headers={"Host": "evil.example"}) as page,
    ):
        return (await page.get("/threads")).status_code == 403


async def closing_by_anyone(server: Live) -> bool:
    async with (
        client(server.socket_url, hs256(sub="alice")) as alice,
        http(server.url, hs256(sub="bob")) as bob,
    ):
        closed = await bob.delete(f"/connections/{alice.ready['connection']}")
        return closed.status_code == 403


async def revocation_by_anyone(server: Live) -> bool:
    async with http(server.url, hs256(sub="bob")) as bob:
        return (await bob.delete("/users/alice/sessions")).status_code == 403


async def member_removed_elsewhere(server: Live) -> bool:
    async with client(server.socket_url, hs256(sub="bob")) as bob:
        await bob.follow("alice,t")
        await server.app._house.store.remove_member(T, BOB)
        try:
            return (await bob.notice("unfollowed", SOON))["why"] == "denied"
        except TimeoutError:
            return False


async def answer_by_a_run(server: Live) -> bool:
    """Answer what was asked by starting a run, with the role to write only."""
    await server.app._house.store.set_member(T, BOB, Role.WRITE, 9)
    async with (
        http(server.url, hs256(sub="alice")) as alice,
        http(server.url, hs256(sub="bob")) as bob,
    ):
        await alice.post("/agui/asks", json=run_input("t", "r", "ask q1"))
        resume = [{"interruptId": "q1", "status": "resolved", "payload": True}]
        body = {**run_input("alice,t", "r2"), "resume": resume}
        refused = await bob.post("/agui/asks", json=body)
        (asked,) = (await alice.get("/threads/t/interrupts")).json()["interrupts"]
        return refused.status_code == 403 and asked["status"] == "open"


async def words_of_a_former_writer(server: Live) -> bool:
    """Cancel the run with which somebody who was removed waits: it has to end, and says nothing."""
    await server.app._house.store.set_member(T, BOB, Role.WRITE, 9)
    async with (
        client(server.socket_url, hs256(sub="bob")) as bob,
        client(server.socket_url, hs256(sub="alice")) as owner,
    ):
        await owner.run("t", "first", agent="endless")
        await owner.follow("t")
        await bob.run("alice,t", "second", "the last word", agent="echo")
        await server.app._house.store.remove_member(T, BOB)
        await owner.command("cancel", run="second", thread="t")
        await owner.command("cancel", run="first")
        await owner.until_frame(
            lambda f: f["chunk"]["type"] == "RUN_FINISHED" and f["chunk"]["runId"] == "second"
        )
        return "the last word" not in json.dumps(owner.tape)


def _enter_unlooked(self: SocketRoute, *given: Any) -> bool:
    self._check = lambda _: None  # type: ignore[method-assign]
    try:
        return _enter(self, *given)
    finally:
        del self._check


_enter = SocketRoute.enter


async def _admit_unlooked(self: SocketRoute, websocket: WebSocket) -> Any:
    return await self._house.authenticator.user(websocket)


async def _refresh_anyone(self: Connection, effect: Any) -> None:
    await self._house.authenticator.verify(effect.token)
    self._send(self._ready(effect.request))


def _into_the_pool(self: Seating, member: Any, address: str) -> Any:
    return self._pool.admit(member, address, now()).refused


def _as_asked(new: Any, find: Any) -> Any:
    return replace(decisions.resumption(new, find), needs=new.needs)


def _ignore(*_: Any, **__: Any) -> None:
    return None


async def _nothing(*_: Any, **__: Any) -> None:
    return None


async def _yes(*_: Any, **__: Any) -> bool:
    return True


def _unsigned(ticket: str, *_: Any, **__: Any) -> Any:
    return jwt.decode(ticket, options={"verify_signature": False})


NEVER = SimpleNamespace(time=lambda: 0.0)
BELIEVES = SimpleNamespace(decode=_unsigned, encode=jwt.encode, PyJWTError=jwt.PyJWTError)

CHECKS = {
    "the host of sockets": Check(websocket, "check_host", _ignore, socket_of_a_foreign_host),
    "the entrance looks": Check(SocketRoute, "enter", _enter_unlooked, socket_of_a_foreign_page),
    "so does the way of ASGI": Check(
        SocketRoute, "_admit", _admit_unlooked, socket_of_a_foreign_page
    ),
    "revocation ends sockets": Check(Withdrawals, "_look", _nothing, socket_after_revocation),
    "sockets expire": Check(dialogue, "at_expiry", _ignore, socket_after_expiry),
    "streams expire": Check(sse, "at_expiry", _ignore, stream_after_expiry),
    "what is remembered expires": Check(tokens, "time", NEVER, token_that_was_good),
    "revoked while it is accepted": Check(
        Seating, "enter", _into_the_pool, socket_that_is_accepted_late
    ),
    "revoked while it is read": Check(Seating, "enter", _into_the_pool, stream_that_is_begun_late),
    "tickets are signed": Check(tickets, "jwt", BELIEVES, forged_ticket),
    "a ticket is alone": Check(tickets, "presents", lambda _: False, ticket_beside_a_token),
    "development is local": Check(
        DevAuth, "_check_local", staticmethod(_ignore), development_from_elsewhere
    ),
    "administrators close": Check(administration, "check_admin", _ignore, closing_by_anyone),
    "administrators revoke": Check(administration, "check_admin", _ignore, revocation_by_anyone),
    "a socket keeps its user": Check(
        Connection, "_refresh", _refresh_anyone, renewal_with_a_strangers_token
    ),
    "removal elsewhere": Check(Access, "look_again", _nothing, member_removed_elsewhere),
    "an answer by a run": Check(memory, "resumption", _as_asked, answer_by_a_run),
    "who may not write says nothing": Check(turns, "may", _yes, words_of_a_former_writer),
}

IN_SQLITE = {
    "a role is needed to follow": Check(
        sqlite_queries, "role_of", lambda *_: Role.OWNER, follow_foreign
    ),
    "who decides may still decide": Check(
        sqlite_interrupts, "check_role", _ignore, decide_after_withdrawal
    ),
    "an answer by a run": Check(sqlite_ledger, "resumption", _as_asked, answer_by_a_run),
}


@pytest.mark.parametrize("name", CHECKS)
async def test_a_check_that_is_taken_away_is_missed(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await missed(CHECKS[name], tmp_path, monkeypatch)


@pytest.mark.parametrize("name", IN_SQLITE)
async def test_a_check_of_the_database_that_is_taken_away_is_missed(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await missed(IN_SQLITE[name], tmp_path, monkeypatch, SqliteStore)
