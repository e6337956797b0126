"""The process that keeps the store of several workers stands still, and goes on later.

Who asks for something meanwhile is told in time that the store failed and to try again; nothing of
that is done in secret, so trying again does it once.
"""

import asyncio
import time
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from netra_backend.stores.keeper_line import ANSWERS
from tests.checker import Name, judge
from tests.faults.crew import apart, frozen, keeper_of, workers
from tests.http import http
from tests.live import BOUND
from tests.person import read_logs

pytestmark = pytest.mark.anyio


async def _status(browser: httpx.AsyncClient, wanted: int) -> None:
    """Return when the server says that it is, or is not, ready."""
    async with asyncio.timeout(BOUND):
        while (await browser.get("/health/ready")).status_code != wanted:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_who_asks_is_told_to_try_again_and_that_does_it_once(tmp_path: Path) -> None:
    async with (
        workers(tmp_path) as server,
        AsyncExitStack() as stack,
        http(server.url, server.token()) as browser,
    ):
        one, two = await apart(server, stack)
        await one.client.run("t0", "r0", "go on")
        await one.follow("t0")
        await two.follow("t0")
        await two.client.until("REASONING_MESSAGE_CONTENT")
        with frozen(keeper_of(server)):
            began = time.monotonic()
            asked = await asyncio.gather(
                one.client.run("t1", "r1", "go on"),
                two.client.run("t1", "r1", "go on"),
                one.client.command("cancel", run="r0"),
                two.client.command("follow", thread="t2"),
            )
            created = await browser.post("/threads", json={"id": "t3"})
            assert time.monotonic() - began < 3 * ANSWERS
            for answer in asked:
                assert (answer["type"], answer["code"]) == ("error", "store_failed"), answer
                assert answer["retry"]
            assert (created.status_code, created.json()["error"]["code"]) == (503, "store_failed")
            for path in ("/health/ready", "/metrics", "/threads"):
                told = await browser.get(path)
                assert (told.status_code, told.json()["error"]["code"]) == (503, "store_failed")
            assert (await browser.get("/health/live")).status_code == 200
        await _status(browser, 200)
        threads = (await browser.get("/threads")).json()["threads"]
        assert {thread["id"] for thread in threads} == {"t0"}, "nothing was done late"
        for person in (one, two):
            again = await person.client.run("t1", "r1", "go on")
            assert again["type"] == "accepted"
        assert (await browser.post("/threads", json={"id": "t3"})).status_code == 201
        for person in (one, two):
            await person.follow("t1")
            for thread in ("t0", "t1"):
                await person.settle(thread)
        logs = await read_logs(server, [("alice", "t0"), ("alice", "t1")])
        verdict = judge([*one.settled(), *two.settled()], logs)
        assert verdict, verdict
        for log in logs.values():
            types = [entry["chunk"]["type"] for entry in log]
            assert types.count("RUN_STARTED") == 1
            assert types.count("RUN_FINISHED") + types.count("RUN_ERROR") == 1


async def test_a_keeper_that_stands_still_for_less_is_waited_for(tmp_path: Path) -> None:
    async with workers(tmp_path) as server, AsyncExitStack() as stack:
        one, two = await apart(server, stack)
        await one.client.run("t0", "r0", "go on")
        await two.follow("t0")
        await two.client.until("REASONING_MESSAGE_CONTENT")
        with frozen(keeper_of(server)):
            asking = asyncio.ensure_future(two.client.run("t1", "r1", "go on"))
            await asyncio.wait({asking}, timeout=ANSWERS / 5)
            assert not asking.done()
        assert (await asking)["type"] == "accepted"
        await two.follow("t1")
        names: list[Name] = [("alice", "t0"), ("alice", "t1")]
        for _, thread in names:
            await two.settle(thread)
        logs = await read_logs(server, names)
        verdict = judge(two.settled(), logs)
        assert verdict, verdict
        assert {log[-1]["chunk"]["type"] for log in logs.values()} == {"RUN_FINISHED"}
