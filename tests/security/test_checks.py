"""Each check of who may do what is taken away once, and a probe notices every time.

A probe tries an attack and returns whether it was held off. It must be held off by the server as
it is, and succeed on one without the check: so no check is there that nothing depends on, and no
probe that cannot fail.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jwt
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from netra_backend.core.ids import ThreadId, ThreadKey, UserId
from netra_backend.core.ports import Store
from netra_backend.core.positions import Position
from netra_backend.core.resume import pieces
from netra_backend.core.roles import Role
from netra_backend.server import access, administration, follower, routes, tickets, websocket
from netra_backend.server.access import Access, Sight
from netra_backend.server.batch import Batch
from netra_backend.server.clock import now
from netra_backend.server.revocations import UnrevokedAuth
from netra_backend.server.tokens import Tokens
from netra_backend.server.user import User
from netra_backend.stores import memory
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer, endless
from tests.client import client, run_input
from tests.eventually import until
from tests.http import http
from tests.live import Live, live
from tests.server.agents import asks, echo
from tests.server.issuer import SECRET, hs256

pytestmark = pytest.mark.anyio

EVIL = {"Origin": "http://evil.example"}


@asynccontextmanager
async def place(
    tmp_path: Path, gate: Gate | None = None, store: Store | None = None
) -> AsyncIterator[Live]:
    """Run a server on which alice has a thread, which bob may read."""
    agents = {
        "asks": asks,
        "echo": echo,
        "endless": ScriptedAgent(endless()),
        "waits": ScriptedAgent(answer("so", gate or Gate())),
    }
    async with (
        live(
            agents, tmp_path, store=store or MemoryStore(), auth="jwt", jwt_secret=SECRET,
            allowed_hosts=("127.0.0.1",), when_busy="enqueue",
        ) as server,
        http(server.url, hs256(sub="alice")) as alice,
    ):  # fmt: skip
        await alice.post("/threads", json={"id": "t"})
        await alice.put("/threads/t/members/bob", json={"role": "read"})
        yield server


async def read_foreign(server: Live) -> bool:
    async with http(server.url, hs256(sub="eve")) as eve:
        return (await eve.get("/threads/alice,t")).status_code == 404


async def rename_as_reader(server: Live) -> bool:
    async with http(server.url, hs256(sub="bob")) as bob:
        return (await bob.patch("/threads/alice,t", json={"title": "x"})).status_code == 403


async def follow_foreign(server: Live) -> bool:
    async with client(server.socket_url, hs256(sub="eve")) as eve:
        return (await eve.follow("alice,t"))["resume"] == "unknown"


async def follow_after_removal(server: Live) -> bool:
    """Remove the member, in another process, while the prelude is made."""
    async with (
        http(server.url, hs256(sub="alice")) as alice,
        client(server.socket_url, hs256(sub="bob")) as bob,
    ):
        await alice.post("/agui/echo", json=run_input("t", "r", "secret"))
        store = server.app._house.store
        read = store.read

        async def removed(key: Any, *page: int) -> Any:
            await store.remove_member(key, UserId("bob"))
            return await read(key, *page)

        store.read = removed  # type: ignore[method-assign]
        await bob.follow("alice,t", "1-1")
        return "secret" not in json.dumps(bob.tape)


async def stay_after_removal(server: Live) -> bool:
    async with (
        http(server.url, hs256(sub="alice")) as alice,
        client(server.socket_url, hs256(sub="bob")) as bob,
        client(server.socket_url, hs256(sub="alice")) as owner,
    ):
        await owner.run("t", "r", agent="endless")
        await owner.follow("t")
        await bob.follow("alice,t")
        await bob.until("TEXT_MESSAGE_CONTENT")
        server.app._withdrawals._seen = 1  # the look each second comes too late
        await alice.delete("/threads/t/members/bob")
        await bob.command("ping")
        seen, more = len(bob.events), len(owner.events) + 20
        await owner.arrived(lambda: len(owner.events) >= more)
        await bob.command("ping")
        return len(bob.events) == seen


async def misrouted_frame(server: Live) -> bool:
    """Let the hub give bob's follower what was published in another thread of alice."""
    async with (
        client(server.socket_url, hs256(sub="bob")) as bob,
        client(server.socket_url, hs256(sub="alice")) as alice,
    ):
        await bob.follow("alice,t")
        (member,) = [member for member in server.app.pool if member.user == "bob"]
        (followed,) = member.following
        await until(lambda: followed.state is follower.FollowerState.LIVE)
        await alice.run("secret", "r", agent="echo")
        secret = ThreadKey(UserId("alice"), ThreadId("secret"))
        (entry,) = await server.app._house.store.read(secret, 0, 1)
        followed._position = Position(entry.position.epoch, 0)
        followed.deliver(Batch(secret, pieces([entry])))
        for _ in range(50):
            await bob.command("ping")
        return bob.events == []


async def forged_token(server: Live) -> bool:
    async with http(server.url, hs256("x" * 64, sub="alice")) as eve:
        return (await eve.get("/threads")).status_code == 401


async def revoked_token(server: Live) -> bool:
    old = hs256(sub="bob", iat=now() // 1_000 - 60)
    await server.app._withdrawals.revoke(UserId("bob"), now() - 30_000)
    async with http(server.url, old) as bob:
        return (await bob.get("/threads")).status_code == 401


async def ticket_used_twice(server: Live) -> bool:
    async with http(server.url, hs256(sub="bob")) as bob, http(server.url, None) as thief:
        ticket = (await bob.post("/auth/ticket")).json()["ticket"]
        await thief.get(f"/threads?ticket={ticket}")
        return (await thief.get(f"/threads?ticket={ticket}")).status_code == 401


async def ticket_that_commands(server: Live) -> bool:
    async with http(server.url, hs256(sub="bob")) as bob, http(server.url, None) as thief:
        ticket = (await bob.post("/auth/ticket")).json()["ticket"]
        return (await thief.post(f"/threads?ticket={ticket}", json={})).status_code == 401


async def command_of_a_foreign_page(server: Live) -> bool:
    async with http(server.url, hs256(sub="bob")) as bob:
        return (await bob.post("/threads", json={}, headers=EVIL)).status_code == 403


async def socket_of_a_foreign_page(server: Live) -> bool:
    headers = {**EVIL, "Authorization": f"Bearer {hs256(sub='bob')}"}
    try:
        async with connect(
            server.socket_url, subprotocols=["netra.v1"], additional_headers=headers
        ) as socket:
            return "ready" not in str(await socket.recv())
    except InvalidStatus as refused:
        return refused.response.status_code == 403


async def rebound_host(server: Live) -> bool:
    async with http(server.url, hs256(sub="bob")) as bob:
        return (await bob.get("/threads", headers={"Host": "evil.example"})).status_code == 403


async def administration_by_anyone(server: Live) -> bool:
    async with http(server.url, hs256(sub="bob")) as bob:
        return (await bob.get("/connections")).status_code == 403


async def renewal_with_a_strangers_token(server: Live) -> bool:
    async with client(server.socket_url, hs256(sub="bob")) as bob:
        return (await bob.command("auth", token=hs256(sub="alice")))["type"] == "error"


async def run_that_waits_for_a_former_writer(server: Live) -> bool:
    async with (
        http(server.url, hs256(sub="alice")) as alice,
        client(server.socket_url, hs256(sub="bob")) as bob,
        client(server.socket_url, hs256(sub="alice")) as owner,
    ):
        await alice.put("/threads/t/members/bob", json={"role": "write"})
        await owner.run("t", "first", agent="endless")
        await owner.follow("t")
        await bob.run("alice,t", "second", agent="echo")
        await alice.delete("/threads/t/members/bob")
        await owner.command("cancel", run="first")
        ended = await owner.until_frame(
            lambda f: (
                f["chunk"]["type"] in ("RUN_FINISHED", "RUN_ERROR")
                and f["chunk"].get("runId") != "first"
            )
        )
        return "forbidden" in json.dumps(ended)


async def decide_after_withdrawal(server: Live) -> bool:
    """Take the role away, in another process, between the command's check and the decision."""
    thread, bob = ThreadKey(UserId("alice"), ThreadId("t")), UserId("bob")
    store = server.app._house.store
    await store.set_member(thread, bob, Role.DECIDE, 9)
    async with (
        http(server.url, hs256(sub="alice")) as alice,
        http(server.url, hs256(sub="bob")) as of_bob,
    ):
        await alice.post("/agui/asks", json=run_input("t", "r", "ask q1"))
        find = store.interrupt

        async def withdrawn(*asked: Any) -> Any:
            await store.set_member(thread, bob, Role.WRITE, 9)
            return await find(*asked)

        store.interrupt = withdrawn  # type: ignore[method-assign]
        answer = {"interrupt": "q1", "status": "resolved", "payload": True}
        refused = await of_bob.post("/threads/alice,t/interrupts", json=answer)
        (asked,) = (await alice.get("/threads/t/interrupts")).json()["interrupts"]
        return refused.status_code == 403 and asked["status"] == "open"


class Check(NamedTuple):
    """Where a check is, what it is without, and the attack that it holds off."""

    place: Any
    name: str
    without: Any
    attack: Callable[[Live], Awaitable[bool]]


async def _yes(*_: Any, **__: Any) -> bool:
    return True


async def _ask_once(self: follower.ThreadFollower, after: Position | None) -> Any:
    """Remember what the store said."""
    if self not in _ASKED:
        _ASKED[self] = await _ask(self, after)
    return _ASKED[self]


_ask = follower.ThreadFollower.ask
_ASKED: dict[follower.ThreadFollower, Any] = {}


async def _owner(*_: Any, **__: Any) -> Role:
    return Role.OWNER


async def _nothing(*_: Any, **__: Any) -> None:
    return None


def _ignore(*_: Any, **__: Any) -> None:
    return None


class _Everything:
    """A thread that every thread is equal to."""

    def __eq__(self, other: object) -> bool:
        return True

    def __hash__(self) -> int:
        return 0


class _SeesAll(Sight):
    """A sight of everything."""

    thread = property(lambda self: _Everything(), lambda self, _: None)


def _believe(self: Tokens, token: str, *key: Any, require_expiry: bool = True) -> User:
    claims = jwt.decode(token, options={"verify_signature": False})
    return User(UserId(claims["sub"]), claims.get("exp"), issued=0.0)


CHECKS = {
    "a role is needed": Check(Access, "role", _owner, read_foreign),
    "the role is enough": Check(Access, "check", _nothing, rename_as_reader),
    "a role is needed to follow": Check(memory, "role_of", lambda *_: Role.OWNER, follow_foreign),
    "a follower asks again": Check(follower.ThreadFollower, "ask", _ask_once, follow_after_removal),
    "removal ends what is open": Check(Access, "withdraw", _ignore, stay_after_removal),
    "the last hop": Check(access, "Sight", _SeesAll, misrouted_frame),
    "signatures": Check(Tokens, "_judged", _believe, forged_token),
    "revocations": Check(UnrevokedAuth, "is_revoked", lambda *_: False, revoked_token),
    "tickets are good once": Check(MemoryStore, "spend", _yes, ticket_used_twice),
    "tickets command nothing": Check(
        tickets, "_may_have_ticket", lambda _: True, ticket_that_commands
    ),
    "the origin of commands": Check(routes, "check_origin", _ignore, command_of_a_foreign_page),
    "the origin of sockets": Check(websocket, "check_origin", _ignore, socket_of_a_foreign_page),
    "the host": Check(routes, "check_host", _ignore, rebound_host),
    "administrators": Check(administration, "check_admin", _ignore, administration_by_anyone),
    "who waits may still write": Check(
        MemoryStore, "_check_role", _ignore, run_that_waits_for_a_former_writer
    ),
    "who decides may still decide": Check(
        MemoryStore, "_check_role", _ignore, decide_after_withdrawal
    ),
}


@pytest.mark.parametrize("name", CHECKS)
async def test_a_check_that_is_taken_away_is_missed(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await missed(CHECKS[name], tmp_path, monkeypatch)


async def missed(
    check: Check,
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    store: Callable[[Path], Store] = lambda _: MemoryStore(),
) -> None:
    """See that the attack is held off with the check, and not without it."""
    place_of = directory / "with"
    async with place(place_of, store=store(place_of)) as server:
        assert await check.attack(server), "the server as it is does not hold the attack off"
    monkeypatch.setattr(check.place, check.name, check.without)
    place_of = directory / "without"
    async with place(place_of, store=store(place_of)) as server:
        assert not await check.attack(server), "nothing depends on this check"
