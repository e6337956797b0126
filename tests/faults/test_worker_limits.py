"""Limits of a service of several workers: each counts what all have, and what is gone is free."""

import asyncio
import json
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from tests.client import run_input
from tests.eventually import until
from tests.faults.crew import apart, processes, worker_of, workers
from tests.http import http
from tests.live import BOUND, ServerProcess
from tests.night import NIGHTLY
from tests.person import Person

pytestmark = pytest.mark.anyio

WORKERS = 3 if NIGHTLY else 2
"""By day the fewest that share a limit."""

TRIES = 6
"""Attempts beyond a limit: as good as never does the same worker get all of them."""

LIMITS = {
    "NETRA_CONNECTIONS": "8",
    "NETRA_CONNECTIONS_PER_ADDRESS": "5",
    "NETRA_CONNECTIONS_PER_USER": "3",
    "NETRA_RUNS_PER_USER": "3",
}

HOME, WORK, TRAIN = "127.0.0.2", "127.0.0.3", "127.0.0.4"

WAITS = """
import asyncio

async def waits(given):
    await asyncio.Event().wait()
    yield
"""


class Crowd:
    """People at a server of several workers; whoever joins, stays."""

    def __init__(self, server: ServerProcess, stack: AsyncExitStack) -> None:
        self._server = server
        self._stack = stack
        self.people: list[Person] = []

    async def join(self, user: str, address: str, number: int) -> list[Person]:
        """Have so many connections of a user from an address, of which two workers have some."""
        while True:
            joined = [await self._one(user, address) for _ in range(number)]
            if number == 1 or len({worker_of(self._server, person) for person in joined}) > 1:
                self.people += joined
                return joined
            for person in joined:
                await person.leave()

    async def _one(self, user: str, address: str) -> Person:
        """Open a connection; one that has just been closed may still have its seat."""
        person = Person(self._server, user, user, local_addr=(address, 0))
        async with asyncio.timeout(BOUND):
            while not person.connected:
                try:
                    await person.connect()
                except (ConnectionClosed, ConnectionError):
                    await person.leave()
        self._stack.push_async_callback(person.leave)
        return person

    async def refused(self, user: str, address: str) -> set[int | None]:
        """Return the codes with which further connections are closed."""
        return {await self._code(user, address) for _ in range(TRIES)}

    async def _code(self, user: str, address: str) -> int | None:
        headers = {"Authorization": f"Bearer {self._server.token(user)}"}
        async with connect(
            self._server.socket_url,
            subprotocols=["netra.v1"],
            additional_headers=headers,
            local_addr=(address, 0),
        ) as socket:
            with pytest.raises(ConnectionClosed):
                await socket.recv()
            return socket.close_code

    def of(self, worker: psutil.Process) -> list[Person]:
        """Return the people whose connection this worker has."""
        return [person for person in self.people if worker_of(self._server, person) == worker]


@pytest.mark.nightly
async def test_connections_count_on_all_workers_and_those_of_the_killed_are_free(
    tmp_path: Path,
) -> None:
    async with workers(tmp_path, 3, **LIMITS) as server, AsyncExitStack() as stack:
        await until(lambda: len(processes(server)) == 3)
        crowd = Crowd(server, stack)
        await crowd.join("alice", HOME, 3)
        assert await crowd.refused("alice", WORK) == {4429}
        async with http(server.url, server.token("alice")) as alice:
            stream = await alice.post("/agui/busy", json=run_input("t", "r"))
            assert (stream.status_code, stream.json()["error"]["code"]) == (429, "too_many")

        await crowd.join("bob", HOME, 2)
        assert await crowd.refused("carol", HOME) == {4429}

        await crowd.join("bob", WORK, 1)
        await crowd.join("carol", WORK, 2)
        assert await crowd.refused("dave", TRAIN) == {1013}

        victim = max(processes(server), key=lambda worker: len(crowd.of(worker)))
        gone = crowd.of(victim)
        assert gone
        victim.kill()
        for person in gone:
            assert await person.client.closed() == 1006
            await person.leave()
            crowd.people.remove(person)
        for person in gone:
            await crowd.join(person.user, str(person._options["local_addr"][0]), 1)
        assert await crowd.refused("dave", TRAIN) == {1013}
        assert await crowd.refused("alice", TRAIN) == {1013}
        await crowd.people.pop().leave()
        await crowd.join("erin", TRAIN, 1)
        assert await crowd.refused("erin", TRAIN) == {1013}


async def test_runs_count_on_all_workers_and_those_of_the_killed_are_free(tmp_path: Path) -> None:
    (tmp_path / "waiting_module.py").write_text(WAITS)
    async with (
        workers(tmp_path, WORKERS, agent="waiting_module:waits", NETRA_RUNS_PER_USER="3") as server,
        AsyncExitStack() as stack,
    ):
        crowd = Crowd(server, stack)
        alices = await crowd.join("alice", HOME, 3)
        (bob,) = await crowd.join("bob", HOME, 1)
        for number, alice in enumerate(alices):
            assert (await alice.client.run(f"t{number}", f"r{number}"))["type"] == "accepted"
        for alice in alices:
            assert (await alice.client.run("t9", "r9"))["code"] == "too_many"
        assert (await bob.client.run("t0", "r0"))["type"] == "accepted"

        victim = worker_of(server, alices[0])
        assert victim is not None
        lost = [n for n, alice in enumerate(alices) if worker_of(server, alice) == victim]
        (left, *_) = [alice for alice in alices if worker_of(server, alice) != victim]
        os.kill(victim.pid, signal.SIGKILL)
        for number in lost:
            await _accepted(left, f"t1{number}", f"r1{number}")
        assert (await left.client.run("t9", "r9"))["code"] == "too_many"
        async with http(server.url, server.token("alice")) as browser:
            for number in range(3):
                status = "interrupted" if number in lost else "running"
                await _has_status(browser, f"r{number}", status)
        await left.client.command("cancel", run=f"r1{lost[0]}")
        await _accepted(left, "t9", "r9")


@pytest.mark.nightly
async def test_a_run_that_waits_for_room_begins_when_another_worker_has_some(
    tmp_path: Path,
) -> None:
    """At once: its own worker looks again after twenty minutes."""
    (tmp_path / "waiting_module.py").write_text(WAITS)
    scarce = {"scarce": {"concurrent_runs": 1, "when_busy": "enqueue"}}
    agents = "scarce=waiting_module:waits other=waiting_module:waits"
    settings = {"NETRA_AGENTS": json.dumps(scarce), "NETRA_LEASE_SECONDS": "3600"}
    async with workers(tmp_path, agent=agents, **settings) as server, AsyncExitStack() as stack:
        here, there = await apart(server, stack)
        assert (await here.client.run("t", "before", agent="other"))["type"] == "accepted"
        assert (await here.client.run("t", "waits", agent="scarce"))["queued"]
        await here.follow("t")
        assert (await there.client.run("far", "far", agent="scarce"))["type"] == "accepted"
        await here.client.command("cancel", run="before")
        for _ in range(TRIES):  # by then what waits has tried, too
            assert (await here.client.run("t9", "r9", agent="scarce"))["code"] == "too_many"
        await there.client.command("cancel", run="far")
        await here.client.until_frame(lambda frame: frame["chunk"].get("runId") == "waits")


async def _accepted(person: Person, thread: str, run: str) -> None:
    """Start a run, as soon as there is room: who kills a worker knows of it before its keeper."""
    async with asyncio.timeout(BOUND):
        while (answer := await person.client.run(thread, run))["type"] != "accepted":
            assert answer["code"] == "too_many"


async def _has_status(browser: Any, run: str, status: str) -> None:
    """Return when a run has this status."""
    async with asyncio.timeout(BOUND):
        while (await browser.get(f"/runs/{run}")).json()["status"] != status:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


@pytest.mark.nightly
async def test_with_the_keeper_all_ends_and_nothing_counts_when_it_starts_again(
    tmp_path: Path,
) -> None:
    """Its clients are told to come back, its runs end as interrupted, once, at the next start.

    Nobody waits for runs of which nothing can be kept.
    """
    (tmp_path / "waiting_module.py").write_text(WAITS)
    async with (
        workers(
            tmp_path, 3, agent="waiting_module:waits", NETRA_FINISH_SECONDS="600", **LIMITS
        ) as server,
        AsyncExitStack() as stack,
    ):
        crowd = Crowd(server, stack)
        alices = await crowd.join("alice", HOME, 3)
        for number, alice in enumerate(alices):
            assert (await alice.client.run(f"t{number}", f"r{number}"))["type"] == "accepted"
        left = processes(server)
        server.kill()
        for alice in alices:
            assert (await alice.client.notice("draining"))["retry_after_ms"] > 0
            assert await alice.client.closed() == 1012
        await until(lambda: not any(process.is_running() for process in left))

        server.start()
        await server.wait_ready()
        again = Crowd(server, stack)
        alices = await again.join("alice", HOME, 3)
        assert await again.refused("alice", WORK) == {4429}
        for number, alice in enumerate(alices):
            assert (await alice.follow(f"t{number}"))["run"] == {
                "id": f"r{number}",
                "status": "interrupted",
            }
            assert (await alice.client.run(f"t{number}", f"again{number}"))["type"] == "accepted"
        assert (await alices[0].client.run("t9", "r9"))["code"] == "too_many"
