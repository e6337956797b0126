"""The roster: whichever node is asked, it has the connections of all.

With real processes: ``tests/faults/test_operator.py``.
"""

import asyncio
import os
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from netra_backend.core import pages
from netra_backend.server import roster
from netra_backend.server.views import ConnectionView
from netra_backend.stores import gatherings, remote
from tests.eventually import until
from tests.http import http
from tests.server.test_seating import Pair, joined, pair

pytestmark = pytest.mark.anyio

ROOT = {"admins": ("root",)}


async def test_connections_of_all_nodes_are_listed_and_paged(tmp_path: Path) -> None:
    async with pair(tmp_path, **ROOT) as there, AsyncExitStack() as stack:
        ids = []
        for server in (there.one, there.two, there.two, there.one, there.two):
            one = await stack.enter_async_context(joined(server, "alice"))
            await one.run(f"t{len(ids)}", f"r{len(ids)}", agent="endless")
            await one.follow(f"t{len(ids)}")
            ids.append(one.ready["connection"])
        await stack.enter_async_context(joined(there.two, "bob"))
        for server in (there.one, there.two):
            async with http(server.url, server.token("root")) as root:
                whole = (await root.get("/connections")).json()
                assert (whole["total"], whole["next"], whole["missing"]) == (6, None, [])
                assert {each["worker"] for each in whole["connections"]} == {os.getpid()}
                times = [(each["since"], each["id"]) for each in whole["connections"]]
                assert times == sorted(times)
                for limit in (1, 2, 5):
                    seen: list[str] = []
                    after: dict[str, str] = {}
                    while True:
                        query = {"limit": str(limit), "user": "alice", **after}
                        page = (await root.get("/connections", params=query)).json()
                        seen += [each["id"] for each in page["connections"]]
                        if page["next"] is None:
                            break
                        after = {"after": page["next"]}
                    assert sorted(seen) == sorted(ids)
                threads = {
                    followed["thread"]
                    for each in whole["connections"]
                    for followed in each["threads"]
                    if followed["lag"] >= 0
                }
                assert threads == {f"t{number}" for number in range(5)}


async def test_a_page_ends_when_it_is_full_and_leaves_out_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each node ends its part where that is full, which is sooner on the one whose follow more."""
    room = 2_000
    monkeypatch.setattr(pages, "READ_BYTES", room)
    async with pair(tmp_path, **ROOT) as there, AsyncExitStack() as stack:
        ids: list[str] = []
        for number, server in enumerate([there.one, there.two] * 4):
            one = await stack.enter_async_context(joined(server, "alice"))
            ids.append(one.ready["connection"])
            for thread in range(4 if server is there.one else 1):
                name = f"{number}-{thread}-{'x' * 100}"
                await one.run(name, f"r{number}-{thread}", agent="endless")
                await one.follow(name)
        for server in (there.one, there.two):
            async with http(server.url, server.token("root")) as root:
                seen: list[str] = []
                sizes: list[int] = []
                after: dict[str, str] = {}
                while True:
                    answered = await root.get("/connections", params=after)
                    page = answered.json()
                    assert page["total"] == len(ids)
                    seen += [each["id"] for each in page["connections"]]
                    sizes.append(len(answered.content))
                    if page["next"] is None:
                        break
                    after = {"after": page["next"]}
                assert sorted(seen) == sorted(ids), "all of both nodes, each once"
                assert len(sizes) > 2
                assert max(sizes) < 2 * room


def test_a_page_ends_where_one_of_its_parts_does() -> None:
    """Behind that, the node may have some that are older than what the others show."""
    views = [
        ConnectionView(str(at), 1, "alice", "Connection", "READY", "", at, 0.0, 0, [])
        for at in range(4)
    ]
    parts = [roster._Part([views[0], views[3]], False, 2), roster._Part([views[1]], True, 2)]
    page = roster._page(roster.Wanted(100, (-1, "")), parts, [])
    assert (page.connections, page.total, page.next) == (views[:2], 4, "1-1")


async def test_one_that_is_larger_than_a_page_comes_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "READ_BYTES", 1)
    async with (
        pair(tmp_path, **ROOT) as there,
        joined(there.one),
        joined(there.two),
        http(there.one.url, there.one.token("root")) as root,
    ):
        first = (await root.get("/connections")).json()
        assert len(first["connections"]) == 1
        second = (await root.get("/connections", params={"after": first["next"]})).json()
        assert (len(second["connections"]), second["next"]) == (1, None)


async def test_a_connection_is_closed_from_either_node(tmp_path: Path) -> None:
    async with pair(tmp_path, **ROOT) as there:
        for asked in (there.one, there.two):
            async with (
                joined(there.one) as alice,
                http(asked.url, asked.token("root")) as root,
                http(asked.url, asked.token("alice")) as eve,
            ):
                path = f"/connections/{alice.ready['connection']}"
                assert (await eve.delete(path)).status_code == 403
                assert (await root.delete(path)).status_code == 204
                assert await alice.closed() == 1001
                await until(lambda: not len(there.one.app.pool))
                gone = await root.delete(path)
                assert (gone.status_code, gone.json()["error"]["code"]) == (404, "not_found")


async def test_a_node_that_says_nothing_is_named_and_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gatherings, "ANSWER_SECONDS", 0.05)
    async with pair(tmp_path, **ROOT) as there, joined(there.one), joined(there.two) as alice:
        frozen, line = _line_of(there, 1)
        line.pause_reading()
        async with http(there.one.url, there.one.token("root")) as root:
            listed = (await root.get("/connections")).json()
            assert (len(listed["connections"]), listed["total"]) == (1, 1)
            assert listed["missing"] == [frozen]
            told = await root.delete(f"/connections/{alice.ready['connection']}")
            assert (told.status_code, told.json()["error"]["code"]) == (503, "overloaded")
            assert str(frozen) in told.json()["error"]["message"]
            metrics = (await root.get("/metrics")).text
            assert f'netra_worker_up{{worker="{frozen}"}} 0.0' in metrics
            line.resume_reading()


async def test_a_keeper_that_says_nothing_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remote, "PATIENCE", 0.05)
    async with pair(tmp_path, **ROOT) as there, http(there.one.url, None) as monitor:
        transport = next(iter(there.workers.keeper._lines))._transport
        assert transport is not None
        transport.pause_reading()
        told = await monitor.get("/metrics")
        assert (told.status_code, told.json()["error"]["code"]) == (503, "store_failed")
        transport.resume_reading()
        monkeypatch.undo()
        assert (await monitor.get("/metrics")).status_code == 200


def _line_of(there: Pair, number: int) -> "tuple[int, asyncio.Transport]":
    """Return the id of a worker, and its own end of its line."""
    server = (there.one, there.two)[number]
    line = server.app._house.store._line._transport  # type: ignore[attr-defined]
    return list(there.workers.keeper._lines)[number].worker, line
