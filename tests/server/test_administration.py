"""Administration: for administrators, and for what is one's own."""

from pathlib import Path

import pytest

from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import ScriptedAgent, answer
from tests.client import client
from tests.http import http
from tests.live import live
from tests.server.issuer import SECRET, hs256
from tests.server.test_withdrawals import token

pytestmark = pytest.mark.anyio

AGENTS = {"agent": ScriptedAgent(answer("hi"))}
JWT = {"auth": "jwt", "jwt_secret": SECRET, "jwt_admin_claim": "operator", "admins": ("root",)}


async def test_an_administrator_revokes_anyone(tmp_path: Path) -> None:
    for user, claims in (("root", {}), ("eve", {"operator": True})):
        async with (
            live(AGENTS, tmp_path, store=MemoryStore(), **JWT) as server,
            client(server.socket_url, token("bob", 60)) as bob,
            http(server.url, token(user, 1, **claims)) as admin,
        ):
            assert (await admin.delete("/users/bob/sessions")).status_code == 204
            assert await bob.closed(5.0) == 4401


async def test_nobody_else_does(tmp_path: Path) -> None:
    async with (
        live(AGENTS, tmp_path, store=MemoryStore(), **JWT) as server,
        client(server.socket_url, token("bob", 60)) as bob,
    ):
        for claims in ({}, {"operator": False}, {"operator": "true"}, {"operator": 1}):
            async with http(server.url, token("eve", 1, **claims)) as eve:
                refused = [
                    await eve.delete(f"/users/{user}/sessions")
                    for user in ("bob", "nobody", "root")
                ]
            bodies = [{**r.json()["error"], "correlation": ""} for r in refused]
            assert [r.status_code for r in refused] == [403] * 3
            assert bodies == [bodies[0]] * 3
        assert (await bob.command("ping"))["type"] == "pong"


async def test_everybody_may_end_what_is_their_own(tmp_path: Path) -> None:
    async with (
        live(AGENTS, tmp_path, store=MemoryStore(), **JWT) as server,
        client(server.socket_url, token("bob", 60)) as lost_phone,
        http(server.url, token("bob", 60)) as bob,
    ):
        assert (await bob.delete("/users/bob/sessions")).status_code == 204
        assert await lost_phone.closed(5.0) == 4401
        assert (await bob.get("/threads")).status_code == 401


async def test_a_token_for_oneself_is_no_administrators(tmp_path: Path) -> None:
    """A claim counts only in a token that is signed, and only the one that is configured."""
    async with live(AGENTS, tmp_path, store=MemoryStore(), **JWT) as server:
        forged = hs256("x" * 64, sub="eve", operator=True)
        for text, status in ((forged, 401), (token("eve", 1, admin=True), 403)):
            async with http(server.url, text) as eve:
                assert (await eve.delete("/users/bob/sessions")).status_code == status
