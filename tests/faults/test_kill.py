"""``netra serve`` is killed, told to stop, and frozen while it streams to many clients."""

import asyncio
import signal
import statistics
from contextlib import suppress
from itertools import count
from pathlib import Path
from random import Random

import psutil
import pytest

from tests.checker import Name, judge
from tests.conftest import Tell
from tests.faults.busy_agent import write_busy_agent
from tests.live import BOUND, ServerProcess
from tests.person import GONE, Person, read_logs

pytestmark = pytest.mark.anyio

ROUNDS = 20
READY = 2.0
"""Seconds after which a server that was killed must be ready again, if it has a core to itself.

So it is the CPU time of the process that is judged, median of all rounds; it waits for nothing else
but the disk. What other work shares the cores only makes the clock on the wall run on.
"""
FROZEN = 1.5
"""Seconds, several times the lease that the server is given."""
NAMES: list[Name] = [*(("alice", f"t{n}") for n in range(4)), *(("bob", f"t{n}") for n in range(2))]


def serving(tmp_path: Path, **environment: str) -> ServerProcess:
    """Return a server of the busy agent that was not started yet."""
    agent = write_busy_agent(tmp_path)
    return ServerProcess(tmp_path / "data", (agent,), cwd=tmp_path, environment=environment)


class Crowd:
    """The people who use the server, and what they do until it dies."""

    def __init__(self, server: ServerProcess, random: Random) -> None:
        self._server = server
        self._random = random
        self._runs = count()
        self.steady = [Person(server, "ann", "alice"), Person(server, "bob", "bob")]
        self.restless = Person(server, "abe", "alice")
        self.late: list[Person] = []
        self.busy = asyncio.Event()
        """That a run has begun since it was cleared."""

    @property
    def everybody(self) -> list[Person]:
        """All who are or were there."""
        return [*self.steady, self.restless, *self.late]

    async def live_through(self) -> None:
        """Use the server until it is gone."""
        self.late.append(Person(self._server, f"late {len(self.late)}", "alice"))
        doing = [
            *(self._ask(person) for person in self.steady),
            self._come_and_go(),
            self._join_late(self.late[-1]),
        ]
        outcomes = await asyncio.gather(*doing, return_exceptions=True)
        odd = [o for o in outcomes if not isinstance(o, GONE) or isinstance(o, TimeoutError)]
        assert not odd, odd

    async def leave(self) -> None:
        """Leave the dead server."""
        for person in self.everybody:
            await person.leave()

    async def settle(self) -> None:
        """Have everybody see everything."""
        for person in self.everybody:
            await person.connect()
            for user, thread in NAMES:
                if user == person.user:
                    await person.settle(thread)

    async def _ask(self, person: Person) -> None:
        """Follow everything, and start one run after the other; some are cancelled."""
        await person.connect()
        threads = [thread for user, thread in NAMES if user == person.user]
        for thread in threads:
            await person.follow(thread)
        while True:
            for thread in threads:
                run = f"{person.name}-{next(self._runs)}"
                answer = await person.client.run(thread, run, "go on")
                if answer["type"] == "accepted":
                    self.busy.set()
                    if thread not in person.following():
                        await person.follow(thread)
                if self._random.random() < 0.1:
                    await person.client.command("cancel", run=run)
            await person.client.any_frame(0.05)

    async def _come_and_go(self) -> None:
        while True:
            await self.restless.connect()
            for user, thread in NAMES:
                if user == self.restless.user:
                    await self.restless.follow(thread)
            for _ in range(self._random.randint(0, 6)):
                await self.restless.client.any_frame(0.05)
            await (self.restless.drop() if self._random.random() < 0.5 else self.restless.leave())

    async def _join_late(self, person: Person) -> None:
        for _ in range(self._random.randint(0, 20)):
            await self.steady[0].client.any_frame(0.02) if self.steady[0].connected else None
        await person.connect()
        for user, thread in NAMES:
            if user == person.user:
                await person.follow(thread)
        await person.client.closed()
        raise ConnectionError("the server is gone")


@pytest.mark.slow
async def test_killed_twenty_times_while_streaming_nothing_is_lost(
    tmp_path: Path, tell: Tell
) -> None:
    random = Random(20)
    server = serving(tmp_path)
    crowd = Crowd(server, random)
    took: list[float] = []
    used: list[float] = []
    try:
        for _ in range(ROUNDS):
            server.start()
            took.append(await server.wait_ready())
            used.append(cpu_seconds(server))
            crowd.busy.clear()
            living = asyncio.create_task(crowd.live_through())
            await asyncio.wait_for(crowd.busy.wait(), BOUND)
            await asyncio.wait({living}, timeout=0.15 + random.random() * 0.35)
            server.kill()
            await living
            await crowd.leave()
        server.start()
        await server.wait_ready()
        await crowd.settle()
        logs = await read_logs(server, NAMES)
        tapes = [tape for person in crowd.everybody for tape in person.settled()]
        await crowd.leave()
    finally:
        server.stop(signal.SIGKILL)
    verdict = judge(tapes, logs)
    assert verdict, verdict
    ends = [entry["chunk"] for log in logs.values() for entry in log]
    interrupted = [end for end in ends if end.get("code") == "interrupted"]
    assert len(interrupted) >= ROUNDS, "the server was killed when it was idle"
    tell(
        f"{ROUNDS} kills: {len(interrupted)} runs interrupted, {verdict.events} events"
        f" judged on {len(tapes)} connections; ready again in {statistics.median(took):.2f} s,"
        f" {statistics.median(used):.2f} s of them on a core"
    )
    assert statistics.median(used) < READY


def cpu_seconds(server: ServerProcess) -> float:
    """Return what the server's process has had of the cores so far."""
    assert server.process is not None
    times = psutil.Process(server.process.pid).cpu_times()
    return times.user + times.system


async def test_told_to_stop_it_says_so_and_ends_its_runs(tmp_path: Path) -> None:
    server = serving(tmp_path)
    alice = Person(server, "alice")
    try:
        server.start()
        await server.wait_ready()
        await alice.connect()
        await alice.client.run("t0", "r1", "go on")
        await alice.follow("t0")
        await alice.client.until("REASONING_MESSAGE_CONTENT")
        assert await asyncio.to_thread(server.stop, signal.SIGTERM) == 0
        assert await alice.client.closed() == 1012
        assert (await alice.client.notice("draining"))["retry_after_ms"] > 0
        await alice.leave()
        server.start()
        await server.wait_ready()
        await alice.connect()
        await alice.settle("t0")
        logs = await read_logs(server, [("alice", "t0")])
        verdict = judge(alice.settled(), logs)
        await alice.leave()
    finally:
        with suppress(ProcessLookupError):
            server.stop(signal.SIGKILL)
    assert verdict, verdict
    assert logs["alice", "t0"][-1]["chunk"]["code"] == "interrupted"


@pytest.mark.slow
async def test_frozen_for_longer_than_its_leases_it_goes_on(tmp_path: Path) -> None:
    server = serving(tmp_path, NETRA_LEASE_SECONDS="0.4")
    ann, bob = Person(server, "ann", "alice"), Person(server, "bob", "bob")
    try:
        server.start()
        await server.wait_ready()
        async with ann, bob:
            for user, thread in NAMES:
                person = ann if user == "alice" else bob
                await person.client.run(thread, f"run-{thread}", "go on")
                await person.follow(thread)
            for _ in range(2):
                await ann.client.any_frame(BOUND)
                assert server.process is not None
                server.process.send_signal(signal.SIGSTOP)
                await asyncio.sleep(FROZEN)  # that this time passes is the fault
                server.process.send_signal(signal.SIGCONT)
            for user, thread in NAMES:
                await (ann if user == "alice" else bob).settle(thread)
            logs = await read_logs(server, NAMES)
            verdict = judge([*ann.settled(), *bob.settled()], logs)
    finally:
        server.stop(signal.SIGKILL)
    assert verdict, verdict
    assert [log[-1]["chunk"]["type"] for log in logs.values()] == ["RUN_FINISHED"] * len(NAMES)
