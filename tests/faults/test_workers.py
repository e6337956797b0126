"""``netra serve --workers``: a run and its followers on different workers, and workers that die."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus
from websockets.typing import Subprotocol

from tests.checker import Name, judge
from tests.client import offset
from tests.conftest import Tell
from tests.eventually import until
from tests.faults.busy_agent import write_busy_agent
from tests.faults.crew import apart, processes, worker_of, workers
from tests.http import http
from tests.live import BOUND, ServerProcess
from tests.night import NIGHTLY
from tests.person import Person, comes_back, read_logs

pytestmark = pytest.mark.anyio

ROUNDS = 20 if NIGHTLY else 3
NAMES: list[Name] = [*(("alice", f"t{n}") for n in range(3)), ("bob", "t0")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """A server of two workers for the tests that leave it as good as they found it."""
    folder = tmp_path_factory.mktemp("server")
    process = ServerProcess(
        folder / "data", (write_busy_agent(folder), "--workers", "2"), cwd=folder
    )
    process.start()
    try:
        asyncio.run(process.wait_ready())
        yield process
    finally:
        process.stop(signal.SIGKILL)


async def test_a_run_is_followed_and_cancelled_on_another_worker(server: ServerProcess) -> None:
    async with AsyncExitStack() as stack:
        one, two = await apart(server, stack)
        await one.client.run("t0", "r1", "go on")
        await two.follow("t0")
        await two.client.until("REASONING_MESSAGE_CONTENT")
        answer = await two.client.command("cancel", run="r1")
        assert answer["type"] == "cancelled"
        await two.client.until("RUN_FINISHED")
        assert (await one.follow("t0"))["run"] == {"id": "r1", "status": "cancelled"}
        await one.settle("t0")
        await two.settle("t0")
        logs = await read_logs(server, [("alice", "t0")])
        verdict = judge([*one.settled(), *two.settled()], logs)
        assert verdict, verdict


@pytest.mark.nightly
async def test_a_queued_run_begins_when_another_worker_is_done(tmp_path: Path) -> None:
    async with (
        workers(tmp_path, NETRA_WHEN_BUSY="enqueue", NETRA_LEASE_SECONDS="3000") as server,
        AsyncExitStack() as stack,
    ):
        one, two = await apart(server, stack)
        await one.client.run("t0", "r1", "go on")
        queued = await two.client.run("t0", "r2", "go on")
        assert queued["type"] == "accepted"
        await two.follow("t0")
        await two.client.until_frame(
            lambda f: f["chunk"]["type"] == "RUN_FINISHED" and f["chunk"]["runId"] == "r2"
        )


@pytest.mark.nightly
async def test_with_interrupt_a_run_takes_the_place_of_one_elsewhere(tmp_path: Path) -> None:
    async with workers(tmp_path, NETRA_WHEN_BUSY="interrupt") as server, AsyncExitStack() as stack:
        one, two = await apart(server, stack)
        await one.client.run("t0", "r1", "go on")
        await one.follow("t0")
        assert (await two.client.run("t0", "r2", "go on"))["type"] == "accepted"
        await one.client.until_frame(
            lambda f: f["chunk"]["type"] == "RUN_FINISHED" and f["chunk"]["runId"] == "r2"
        )


async def test_told_to_stop_all_workers_say_so(tmp_path: Path) -> None:
    """Each has half of the clients, and lets them come back half as fast."""
    async with (
        workers(tmp_path, NETRA_RECONNECTS_PER_SECOND="2") as server,
        AsyncExitStack() as stack,
    ):
        one, two = await apart(server, stack)
        await one.client.run("t0", "r1", "go on")
        await one.follow("t0")
        await one.client.until("REASONING_MESSAGE_CONTENT")
        assert await asyncio.to_thread(server.stop, signal.SIGTERM) == 0
        for person in (one, two):
            told = await person.client.notice("draining")
            assert told["retry_after_ms"] % 1_000 == 0
            assert await person.client.closed() == 1012


async def test_a_worker_that_is_frozen_delays_no_stop(tmp_path: Path) -> None:
    """The clients of the others are told; its own are cut off. Its runs end at the next start."""
    async with workers(tmp_path, NETRA_GRACE_SECONDS="1") as server, AsyncExitStack() as stack:
        one, two = await apart(server, stack)
        await one.client.run("t0", "r1", "go on")
        frozen = worker_of(server, one)
        assert frozen is not None
        os.kill(frozen.pid, signal.SIGSTOP)
        stopping = asyncio.to_thread(server.stop, signal.SIGTERM)
        assert await asyncio.wait_for(stopping, BOUND / 4) == 0
        await two.client.notice("draining")
        assert await two.client.closed() == 1012
        assert await one.client.closed() == 1006
        server.start()
        await server.wait_ready()
        async with Person(server, "again") as person:
            await person.follow("t0")
            await person.settle("t0")
        (log,) = (await read_logs(server, [("alice", "t0")])).values()
        assert log[-1]["chunk"]["code"] == "interrupted"


async def test_the_log_tells_the_workers_apart(server: ServerProcess) -> None:
    """They share one standard error: each line says whose it is, also that one has died."""
    async with AsyncExitStack() as stack:
        await apart(server, stack)
        pids = {process.pid for process in processes(server)}
        connected = [line for line in server.log_lines() if line["message"] == "connected"]
        assert {line["worker"] for line in connected} == pids
        os.kill(min(pids), signal.SIGKILL)
        message = "a worker has ended and is started again"
        await until(lambda: message in [line["message"] for line in server.log_lines()])
        (ended,) = [line for line in server.log_lines() if line["message"] == message]
        assert (ended["worker"], ended["exit_code"]) == (min(pids), -signal.SIGKILL)


@pytest.mark.nightly
async def test_workers_end_when_their_keeper_is_killed(tmp_path: Path) -> None:
    async with workers(tmp_path) as server:
        left = processes(server)
        assert len(left) == 2
        server.kill()
        await until(lambda: not any(process.is_running() for process in left))
        server.start()
        await server.wait_ready()


@pytest.mark.nightly
async def test_an_agent_that_cannot_be_loaded_ends_it_all(tmp_path: Path) -> None:
    server = ServerProcess(tmp_path / "data", ("no_such_module:agent", "--workers", "2"))
    server.start()
    assert server.process is not None
    assert await asyncio.to_thread(server.process.wait, BOUND) == 2
    assert "no_such_module" in server.log_file.read_text()


class Life:
    """One person's life with workers that die: whoever loses a connection opens another."""

    def __init__(self, server: ServerProcess, person: Person, runs: "count[int]") -> None:
        self.person = person
        self._server = server
        self._runs = runs
        self.losses = 0

    async def live(self, done: asyncio.Event) -> None:
        await comes_back(self._use, self._lose, done)

    async def _lose(self) -> None:
        self.losses += 1
        await self.person.leave()
        await self._server.wait_ready()

    async def _use(self, done: asyncio.Event) -> None:
        if not self.person.connected:
            await self.person.connect()
        threads = [thread for user, thread in NAMES if user == self.person.user]
        for thread in threads:
            await self.person.follow(thread)
        while not done.is_set():
            for thread in threads:
                answer = await self.person.client.run(thread, f"r{next(self._runs)}", "go on")
                if answer["type"] == "accepted" and thread not in self.person.following():
                    await self.person.follow(thread)
            await self.person.client.any_frame(0.05)


@pytest.mark.slow
async def test_workers_are_killed_while_streaming_and_nothing_is_lost(
    tmp_path: Path, tell: Tell
) -> None:
    random, runs = Random(6), count()
    async with workers(tmp_path, NETRA_LEASE_SECONDS="2") as server:
        people = [Person(server, name, user) for name, user in CROWD]
        lives = [Life(server, person, runs) for person in people]
        done = asyncio.Event()
        living = [asyncio.create_task(life.live(done)) for life in lives]
        for _ in range(ROUNDS):
            await asyncio.wait(living, timeout=0.8 + random.random() * 0.6)
            there = [person for person in people if person.connected]
            one = worker_of(server, random.choice(there)) if there else None
            os.kill((one or random.choice(processes(server))).pid, signal.SIGKILL)
            await until(lambda: len(processes(server)) == 2)
            await server.wait_ready()
        done.set()
        await asyncio.gather(*living)
        for person in people:
            if not person.connected:
                await person.leave()
                await person.connect()
            for user, thread in NAMES:
                if user == person.user:
                    await person.settle(thread)
        logs = await read_logs(server, NAMES)
        tapes = [tape for person in people for tape in person.settled()]
        for person in people:
            await person.leave()
    verdict = judge(tapes, logs)
    assert verdict, verdict
    ends = [entry["chunk"].get("code") for log in logs.values() for entry in log]
    losses = sum(life.losses for life in lives)
    tell(
        f"{ROUNDS} workers killed: {losses} connections lost, {ends.count('interrupted')}"
        f" runs interrupted, {verdict.events} events judged on {len(tapes)} connections"
    )
    assert losses
    # By day a few workers are killed, which may have had no run just then.
    assert ends.count("interrupted") or not NIGHTLY


CROWD = [("ann", "alice"), ("abe", "alice"), ("ada", "alice"), ("bob", "bob"), ("ben", "bob")]


@pytest.mark.nightly
async def test_what_is_taken_away_on_one_worker_ends_on_the_others(tmp_path: Path) -> None:
    """A member who is removed, and a user who is revoked, within five seconds."""
    async with (
        workers(tmp_path) as server,
        AsyncExitStack() as stack,
        http(server.url, server.token("carol")) as carol,
    ):
        one, two = await apart(server, stack)
        await carol.post("/threads", json={"id": "shared"})
        await carol.put("/threads/shared/members/alice", json={"role": "read"})
        for person in (one, two):
            assert (await person.client.follow("carol,shared"))["resume"] == "caught_up"
        assert (await carol.delete("/threads/shared/members/alice")).status_code == 204
        for person in (one, two):
            told = await person.client.notice("unfollowed", 5.0)
            assert (told["thread"], told["why"]) == ("carol,shared", "denied")

        async with http(server.url, server.token("alice")) as alice:
            assert (await alice.delete("/users/alice/sessions")).status_code == 204
            for person in (one, two):
                assert await person.client.closed(5.0) == 4401
            for _ in range(8):  # whichever worker answers
                async with http(server.url, alice.headers["Authorization"][7:]) as again:
                    assert (await again.get("/threads")).status_code == 401


async def test_a_ticket_opens_one_socket_whichever_workers_are_asked(server: ServerProcess) -> None:
    async def opens(ticket: str) -> bool:
        """Return whether the ticket opens a socket: at a worker that the system chooses."""
        address = f"{server.socket_url}?ticket={ticket}"
        try:
            async with connect(address, subprotocols=[Subprotocol("netra.v1")]) as socket:
                return bool(json.loads(await socket.recv())["type"] == "ready")
        except InvalidStatus as refused:
            return refused.response.status_code != 401

    async with http(server.url, server.token()) as alice:
        await until(lambda: len(processes(server)) == 2)
        for _ in range(8):
            ticket = (await alice.post("/auth/ticket")).json()["ticket"]
            opened = await asyncio.gather(*(opens(ticket) for _ in range(8)))
            assert opened.count(True) == 1
            assert not await opens(ticket)


@pytest.mark.nightly
async def test_a_tail_misses_nothing_though_every_worker_is_killed(tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    async with workers(tmp_path, 3, NETRA_LEASE_SECONDS="2") as server:
        async with Person(server, "first") as person:
            await person.client.run("t0", "r0", "go on")
            await person.settle("t0")
        netra = str(Path(sys.executable).with_name("netra"))
        options = ("--json", "--url", server.url, "--token", server.token())
        with shown.open("wb") as output:
            tail = await asyncio.create_subprocess_exec(
                netra, "tail", "t0", *options, stdout=output, stderr=asyncio.subprocess.DEVNULL
            )
        try:
            await until(lambda: "RUN_FINISHED" in shown.read_text())
            for victim in processes(server):
                async with Person(server, "asker") as asker:
                    await asker.client.run("t0", f"r{victim.pid}", "go on")
                    victim.kill()
                await until(lambda: len(processes(server)) == 3)
                await server.wait_ready()
                async with Person(server, "waiter") as waiter:
                    await waiter.settle("t0")
            (log,) = (await read_logs(server, [("alice", "t0")])).values()
            await until(lambda: str(log[-1]["id"]) in shown.read_text())
        finally:
            tail.kill()
            await tail.wait()
    told = [json.loads(line) for line in shown.read_text().splitlines()]
    offsets = [offset(frame["id"]) for frame in told]
    assert offsets == sorted(set(offsets))
    assert _said(told) == _said(log)


def _said(events: list[dict[str, Any]]) -> dict[str, str]:
    """Return what each message and tool call says in all: a replay joins deltas."""
    said: dict[str, str] = {}
    for chunk in (event["chunk"] for event in events):
        name = chunk.get("messageId") or chunk.get("toolCallId") or chunk.get("runId")
        text = chunk.get("delta") or chunk.get("content") or f"({chunk['type']})"
        said[name] = said.get(name, "") + text
    return said
