"""Administration: for administrators, and for what is one's own."""

from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import ScriptedAgent, answer, endless
from tests.client import BOUND, client, run_input
from tests.eventually import until
from tests.http import http, sse_stream
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


async def test_connections_are_listed_with_what_they_do(tmp_path: Path) -> None:
    async with (
        live({"endless": ScriptedAgent(endless())}, tmp_path, store=MemoryStore(), **JWT) as server,
        client(server.socket_url, token("bob", 60)) as bob,
        http(server.url, token("root", 1)) as admin,
        http(server.url, token("carol", 1)) as carol,
    ):
        await bob.run("t", "r")
        await bob.follow("t")
        await bob.until("TEXT_MESSAGE_CONTENT")
        async with carol.stream("POST", "/agui/endless", json=run_input("u", "s")) as stream:
            await anext(sse_stream(stream))
            listed = (await admin.get("/connections")).json()
        of_bob, of_carol = listed["connections"]
        assert (listed["total"], listed["next"]) == (2, None)
        assert of_bob["id"] == bob.ready["connection"]
        assert (of_bob["user"], of_bob["kind"], of_bob["state"]) == ("bob", "Connection", "READY")
        assert of_bob["address"] == "127.0.0.1"
        assert 0 <= of_bob["seconds"] < BOUND
        assert of_bob["buffered"] >= 0
        (followed,) = of_bob["threads"]
        assert (followed["owner"], followed["thread"]) == ("bob", "t")
        assert followed["state"] in ("LIVE", "BEHIND")
        assert followed["lag"] >= 0
        assert (of_carol["user"], of_carol["kind"]) == ("carol", "RunStream")
        assert [each["thread"] for each in of_carol["threads"]] == ["u"]
        only = (await admin.get("/connections?user=bob")).json()["connections"]
        assert [each["id"] for each in only] == [of_bob["id"]]


async def test_connections_are_paged_without_holes_or_doubles(tmp_path: Path) -> None:
    async with (
        live(AGENTS, tmp_path, store=MemoryStore(), **JWT) as server,
        http(server.url, token("root", 1)) as admin,
        AsyncExitStack() as stack,
    ):
        ids = []
        for number in range(5):
            one = client(server.socket_url, token(f"user{number}", 1))
            ids.append((await stack.enter_async_context(one)).ready["connection"])
        for limit in (1, 2, 5):
            seen: list[str] = []
            after: dict[str, str] = {}
            while True:
                page = (await admin.get("/connections", params={"limit": limit, **after})).json()
                seen += [each["id"] for each in page["connections"]]
                if page["next"] is None:
                    break
                after = {"after": page["next"]}
            assert sorted(seen) == sorted(ids)
        for bad in ("x", "-1-c", "1", "1-a b"):
            refused = await admin.get("/connections", params={"after": bad})
            assert refused.json()["error"]["code"] == "bad_input"


async def test_an_administrator_closes_one_connection(tmp_path: Path) -> None:
    async with (
        live(AGENTS, tmp_path, store=MemoryStore(), **JWT) as server,
        client(server.socket_url, token("bob", 60)) as first,
        client(server.socket_url, token("bob", 60)) as second,
        http(server.url, token("root", 1)) as admin,
        http(server.url, token("bob", 1)) as bob,
    ):
        path = f"/connections/{first.ready['connection']}"
        for refused in (await bob.delete(path), await bob.delete("/connections/none")):
            assert refused.status_code == 403
        assert (await bob.get("/connections")).status_code == 403
        assert (await admin.delete(path)).status_code == 204
        assert await first.closed() == 1001
        await until(lambda: len(server.app.pool) == 1)
        assert (await admin.delete(path)).status_code == 404
        assert (await second.command("ping"))["type"] == "pong"
