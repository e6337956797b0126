"""Withdrawals: what was taken away ends what is open, in every process on the store."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from netra_backend.config import Settings
from netra_backend.core.ids import UserId
from netra_backend.errors import StoreFailed
from netra_backend.server import withdrawals
from netra_backend.server.app import create_app
from netra_backend.server.clock import now
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import ScriptedAgent, endless
from tests.client import client
from tests.eventually import until
from tests.http import http, sse_stream
from tests.live import Live, live
from tests.server.handshake import refusal_of
from tests.server.issuer import SECRET, hs256
from tests.watched_store import WatchedStore

pytestmark = pytest.mark.anyio

BOB = UserId("bob")


@asynccontextmanager
async def pair(tmp_path: Path, store: WatchedStore) -> AsyncIterator[tuple[Live, Live]]:
    """Run two servers on one store, as two processes would."""
    agents = {"endless": ScriptedAgent(endless())}
    jwt = {"auth": "jwt", "jwt_secret": SECRET}
    async with (
        live(agents, tmp_path / "a", store=store, **jwt) as one,
        live(agents, tmp_path / "b", store=store, **jwt) as other,
    ):
        yield one, other


def token(user: str, ago: int, **claims: object) -> str:
    """Return a token that was issued so many seconds ago."""
    return hs256(**{"sub": user, "iat": now() // 1_000 - ago, **claims})


@pytest.fixture
def store() -> WatchedStore:
    return WatchedStore(MemoryStore())


async def test_a_revoked_user_is_closed_in_every_process(
    tmp_path: Path, store: WatchedStore
) -> None:
    async with (
        pair(tmp_path, store) as (one, other),
        client(one.socket_url, token("bob", 60)) as first,
        client(other.socket_url, token("bob", 60)) as second,
        client(other.socket_url, token("bob", 1)) as fresh,
        client(other.socket_url, token("carol", 60)) as carol,
        http(other.url, token("bob", 60)) as browser,
    ):
        began = asyncio.get_running_loop().time()
        await one.app._withdrawals.revoke(BOB, now() - 30_000)
        assert await first.closed(5.0) == 4401
        assert await second.closed(5.0) == 4401
        assert asyncio.get_running_loop().time() - began < 5.0
        for survivor in (fresh, carol):
            assert (await survivor.command("ping"))["type"] == "pong"
        for server in (one, other):
            for old in (token("bob", 60), token("bob", 60, iat=None)):
                refused = await refusal_of(
                    server.socket_url, ["netra.v1"], Authorization=f"Bearer {old}"
                )
                assert refused.status_code == 401
        assert (await browser.get("/threads")).status_code == 401
        refused_renewal = await fresh.command("auth", token=token("bob", 60))
        assert refused_renewal["code"] == "unauthenticated"
        assert (await fresh.command("auth", token=token("bob", 1)))["type"] == "ready"


async def test_a_ticket_of_before_is_refused(tmp_path: Path, store: WatchedStore) -> None:
    async with pair(tmp_path, store) as (one, _), http(one.url, token("bob", 60)) as browser:
        ticket = (await browser.post("/auth/ticket")).json()["ticket"]
        await one.app._withdrawals.revoke(BOB, now() - 30_000)
        refused = await refusal_of(f"{one.socket_url}?ticket={ticket}", ["netra.v1"])
        assert refused.status_code == 401


async def test_a_stream_of_a_revoked_user_breaks_off(tmp_path: Path, store: WatchedStore) -> None:
    async with pair(tmp_path, store) as (one, other), http(other.url, token("bob", 60)) as browser:
        body = {"threadId": "t", "runId": "r", "messages": [], "tools": [], "context": []}
        async with browser.stream("POST", "/agui/endless", json=body) as stream:
            events = sse_stream(stream)
            await anext(events)
            await one.app.revoke("bob")
            with pytest.raises(httpx.RemoteProtocolError):
                async for _ in events:
                    pass
        assert len(other.app.pool) == 0


async def test_a_member_who_was_removed_elsewhere_sees_no_more(
    tmp_path: Path, store: WatchedStore
) -> None:
    async with (
        pair(tmp_path, store) as (one, other),
        http(one.url, token("alice", 1)) as alice,
        client(other.socket_url, token("bob", 1)) as bob,
    ):
        await alice.post("/threads", json={"id": "t"})
        await alice.put("/threads/t/members/bob", json={"role": "read"})
        assert (await bob.follow("alice,t"))["resume"] == "caught_up"
        await alice.delete("/threads/t/members/bob")
        told = await bob.notice("unfollowed", 5.0)
        assert told == {"type": "unfollowed", "thread": "alice,t", "why": "denied"}


async def test_a_store_that_fails_for_a_while_delays_it(
    tmp_path: Path, store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(withdrawals, "EVERY", 0.01)
    async with (
        pair(tmp_path, store) as (one, other),
        client(other.socket_url, token("bob", 60)) as bob,
    ):
        failed = StoreFailed("the disk is gone")
        store.failures["revocations"] = failed
        with pytest.raises(StoreFailed):
            await one.app.revoke("bob")
        assert (await bob.command("ping"))["type"] == "pong"
        store.failures.clear()
        assert await bob.closed() == 4401


async def test_no_fault_of_the_store_ends_the_watch(
    tmp_path: Path,
    store: WatchedStore,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """A fault that no store should raise: it is told with its traceback, and then all goes on."""
    monkeypatch.setattr(withdrawals, "EVERY", 0.01)

    def told() -> list[logging.LogRecord]:
        return [r for r in caplog.records if r.msg == "withdrawals cannot be looked for"]

    async with (
        pair(tmp_path, store) as (one, other),
        client(other.socket_url, token("bob", 60)) as bob,
    ):
        store.failures["withdrawals"] = OSError("no such device")
        await until(lambda: len(told()) >= 2)
        store.failures.clear()
        await one.app.revoke("bob")
        assert await bob.closed(5.0) == 4401
    assert all(record.exc_info and record.exc_info[0] is OSError for record in told())


async def test_nothing_is_read_when_nothing_was_withdrawn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(withdrawals, "EVERY", 0.001)
    looks: list[str] = []

    class Counting(MemoryStore):
        async def withdrawals(self) -> int:
            looks.append("withdrawals")
            return await super().withdrawals()

        async def revocations(self) -> dict[UserId, int]:
            looks.append("revocations")
            return await super().revocations()

    async with live({"a": ScriptedAgent(endless())}, tmp_path, store=Counting()):
        await until(lambda: len(looks) > 20)
    assert looks.count("revocations") == 1


async def test_nobody_is_served_before_it_is_known_who_was_revoked(
    tmp_path: Path, store: WatchedStore
) -> None:
    app = create_app(
        {"a": ScriptedAgent(endless())}, settings=Settings(data_dir=tmp_path), store=store
    )
    transport = httpx.ASGITransport(app, client=("127.0.0.1", 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as browser:
        for failing in ("withdrawals", "revocations"):
            store.failures[failing] = StoreFailed("the disk is gone")
            assert (await browser.get("/health/live")).status_code == 503
            store.failures.clear()
        assert (await browser.get("/health/live")).status_code == 200
    await app.close()
