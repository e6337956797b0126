"""The routes: what is asked of a request before it reaches its endpoint."""

from pathlib import Path

import pytest

from netra_backend.stores.memory import MemoryStore
from tests.http import http
from tests.live import live
from tests.server.agents import echo

pytestmark = pytest.mark.anyio


async def test_a_request_is_looked_at_before_its_endpoint_is_called(tmp_path: Path) -> None:
    hosts = ("127.0.0.1",)
    async with (
        live({"echo": echo}, tmp_path, store=MemoryStore(), allowed_hosts=hosts) as server,
        http(server.url, server.token()) as alice,
        http(server.url, "no token") as stranger,
    ):
        evil = {"Origin": "http://evil.example"}
        assert (await alice.get("/threads")).status_code == 200
        assert (await alice.get("/threads", headers=evil)).status_code == 200
        assert (await alice.get("/threads", headers={"Host": "evil.example"})).status_code == 403
        assert (await alice.post("/auth/ticket", headers=evil)).status_code == 403
        assert (await stranger.get("/threads")).status_code == 401
        assert (await stranger.get("/health/live")).status_code == 200
        assert (await alice.get("/ws")).status_code == 426
