"""Processes that stand still longer than a lease, and go on: the keeper's, workers', all of them.

Nobody's run is ended by others for time in which nobody could renew a lease, each ends once, and
what a client was told is not done otherwise later.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from itertools import count
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec import Struct

from tests.checker import TERMINAL, Log, Name, judge
from tests.client import Frame
from tests.conftest import Tell
from tests.faults.crew import (
    apart,
    frozen,
    keeper_of,
    processes,
    warnings,
    worker_of,
    workers,
)
from tests.live import ServerProcess
from tests.night import NIGHTLY
from tests.person import Person, comes_back, read_logs

pytestmark = pytest.mark.anyio

LEASE = 2.0
"""Seconds. Who goes on last has most of one to renew its leases, on a machine that is shared."""

ROUNDS = 40
LEASES = (0.3, 0.8, 1.2, 2.5, 6.0)
"""How many of them processes stand still; six are longer than the keeper is waited for."""

SOURCE = """
import asyncio
from pathlib import Path

from netra_backend.agents.base import Text


async def waits(given):
    text = Text()
    for event in [*text.start(), *text.add("I wait ")]:
        yield event
    while not Path("go-on").exists():
        await asyncio.sleep(0.05)
    for event in [*text.add("no more"), *text.end()]:
        yield event
"""


def waiting_agent(tmp_path: Path) -> str:
    """Write an agent that says nothing until the file ``go-on`` is there; return its name."""
    (tmp_path / "waiting_agent_module.py").write_text(SOURCE)
    return "waiting_agent_module:waits"


async def _stand_still(seconds: float, *pids: int) -> None:
    with frozen(*pids):
        await asyncio.sleep(seconds)


async def _ends(server: ServerProcess, threads: list[str]) -> list[Any]:
    logs = await read_logs(server, [("alice", thread) for thread in threads])
    assert len(logs) == len(threads)
    chunks = [[entry["chunk"] for entry in log] for log in logs.values()]
    return [
        chunk.get("code") or (chunk.get("outcome") or {}).get("type", "success")
        for log in chunks
        for chunk in log
        if chunk["type"] in ("RUN_FINISHED", "RUN_ERROR")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("which", ["keeper", "all"])
async def test_nobody_ends_the_run_of_who_could_not_renew_its_lease(
    tmp_path: Path, which: str
) -> None:
    async with (
        workers(
            tmp_path, 3, agent=waiting_agent(tmp_path), NETRA_LEASE_SECONDS=str(LEASE)
        ) as server,
        AsyncExitStack() as stack,
    ):
        one, two = await apart(server, stack)
        threads = [f"t{number}" for number in range(4)]
        for thread in threads:
            await one.client.run(thread, f"r-{thread}", "go on")
            await two.follow(thread)
            await two.client.until("TEXT_MESSAGE_CONTENT", thread=thread)
        executing = worker_of(server, one)
        assert executing is not None
        rest = [worker.pid for worker in processes(server) if worker != executing]
        for _ in range(ROUNDS // 10 if NIGHTLY else 1):
            if which == "keeper":
                await _stand_still(2.5 * LEASE, keeper_of(server))
            else:  # who executes the runs goes on last
                with frozen(executing.pid):
                    await _stand_still(2.5 * LEASE, keeper_of(server), *rest)
                    await asyncio.sleep(LEASE / 8)
            await asyncio.sleep(1.5 * LEASE)  # several sweeps, after the time that is left
        (tmp_path / "go-on").touch()
        for thread in threads:
            await two.settle(thread)
        ends = await _ends(server, threads)
        assert ends == ["success"] * len(threads), warnings(server)
        logs = await read_logs(server, [("alice", thread) for thread in threads])
        verdict = judge(two.settled(), logs)
        assert verdict, verdict


@pytest.mark.slow
async def test_a_worker_that_stood_still_cancels_nothing_that_was_given_up(tmp_path: Path) -> None:
    async with (
        workers(tmp_path, 2, agent=waiting_agent(tmp_path), NETRA_LEASE_SECONDS="60") as server,
        AsyncExitStack() as stack,
    ):
        one, two = await apart(server, stack)
        await one.client.run("t0", "r0", "go on")
        await two.follow("t0")
        executing = worker_of(server, one)
        assert executing is not None
        with frozen(executing.pid):
            told = await two.client.command("cancel", run="r0")
            assert (told["type"], told["code"], told["retry"]) == ("error", "store_failed", True)
        assert (await one.client.command("ping"))["type"] == "pong"  # it has read what came
        (tmp_path / "go-on").touch()
        await two.settle("t0")
        assert await _ends(server, ["t0"]) == ["success"]


SLOW_SOURCE = """
import asyncio
from random import Random

from netra_backend.agents.base import Text


async def slow(given):
    chance = Random(given.run_id)
    for part in range(chance.randint(1, 4)):
        text = Text()
        for event in text.start():
            yield event
        for step in range(chance.randint(1, 40)):
            await asyncio.sleep(chance.choice((0.0, 0.01, 0.05, 0.8)))
            for event in text.add(f"{part}.{step} of {given.run_id} "):
                yield event
        for event in text.end():
            yield event
"""

THREADS = [f"t{number}" for number in range(6)]
SLACK = 2_000
"""Milliseconds for what was under way when its client was told that it had failed."""


class Still(Struct, frozen=True):
    """Processes that stood still, from when to when in milliseconds."""

    pids: frozenset[int]
    begin: int
    end: int


class Told(Struct):
    """A command about a run: the worker that got it, when, and what was told when, if anything."""

    kind: str
    run: str
    worker: int | None
    asked: int
    answer: Frame | None = None
    answered: int = 0


def _now() -> int:
    return time.time_ns() // 1_000_000


class User:
    """One who begins runs, follows them all and cancels some, and comes back when cut off."""

    def __init__(self, server: ServerProcess, name: str, seed: int, runs: "count[int]") -> None:
        self.person = Person(server, name)
        self.told: list[Told] = []
        self._server = server
        self._random = Random(seed)
        self._runs = runs
        self._worker: int | None = None
        self._latest: dict[str, str] = {}

    async def live(self, done: asyncio.Event) -> None:
        await comes_back(self._use, self.person.leave, done)

    async def _use(self, done: asyncio.Event) -> None:
        if not self.person.connected:
            await self.person.connect()
            worker = worker_of(self._server, self.person)
            self._worker = None if worker is None else worker.pid
        while not done.is_set():
            thread = self._random.choice(THREADS)
            if thread not in self.person.following():
                await self.person.follow(thread)
            if thread in self._latest and self._random.random() < 0.15:
                await self._tell("cancel", self._latest[thread], run=self._latest[thread])
            else:
                run = f"r{next(self._runs)}"
                answer = await self._run(thread, run)
                if answer["type"] == "accepted":
                    self._latest[thread] = run
            await self.person.client.any_frame(0.2)

    async def _run(self, thread: str, run: str) -> Frame:
        message = {"id": f"{run}-user", "role": "user", "content": "go on"}
        given = {"threadId": thread, "runId": run, "state": {}, "messages": [message]}
        given |= {"tools": [], "context": [], "forwardedProps": {}}
        return await self._tell("run", run, input=given)

    async def _tell(self, kind: str, about: str, **fields: Any) -> Frame:
        told = Told(kind, about, self._worker, _now())
        self.told.append(told)
        told.answer = await self.person.client.command(kind, **fields)
        told.answered = _now()
        return told.answer


class Outcome:
    """What became of every run: when it began and ended, and how."""

    def __init__(self, logs: Sequence[Log]) -> None:
        self.began: dict[str, int] = {}
        self.ended: dict[str, tuple[int, str]] = {}
        for entry in (entry for log in logs for entry in log):
            chunk, run = entry["chunk"], entry["run"]
            if chunk["type"] == "RUN_STARTED":
                self.began[run] = entry["at"]
            elif chunk["type"] in TERMINAL:
                how = chunk.get("code") or (chunk.get("outcome") or {}).get("type", "success")
                self.ended[run] = (entry["at"], how)

    def contradictions(self, told: Sequence[Told]) -> list[str]:
        """Return what was done although all who had asked for it had been told that it was not."""
        found = []
        failed: dict[tuple[str, str], int | None] = {}
        for each in told:
            key = (each.kind, each.run)
            is_failure = each.answer is not None and each.answer["type"] == "error"
            until = failed.get(key, 0)
            failed[key] = None if until is None or not is_failure else max(until, each.answered)
        for (kind, run), until in failed.items():
            if until is None:
                continue
            at, how = self.ended.get(run, (0, "")) if kind == "cancel" else (0, "")
            if kind == "run" and self.began.get(run, 0) > until + SLACK:
                found.append(f"{run} began {self.began[run] - until} ms after it had failed")
            if how == "cancelled" and at > until + SLACK:
                found.append(f"{run} was cancelled {at - until} ms after that had failed")
        return found

    def robbed(self, told: Sequence[Told], still: Sequence[Still], all_: int) -> list[str]:
        """Return the runs that others ended though their worker could renew whenever they could."""
        found = []
        by = {each.run: each.worker for each in told if each.kind == "run"}
        for run, (at, how) in self.ended.items():
            lost = any(
                by[run] in each.pids
                and len(each.pids) < all_
                and each.end - each.begin > LEASE * 500
                and each.begin < at + SLACK
                and each.end > self.began[run] - SLACK
                for each in still
            )
            if how == "interrupted" and not lost:
                found.append(f"{run} of {by[run]}, from {self.began[run]} to {at}")
        return found


@pytest.mark.nightly
@pytest.mark.timeout(900)  # they stand still for most of it
async def test_processes_stand_still_at_random(tmp_path: Path, tell: Tell) -> None:
    (tmp_path / "slow_agent_module.py").write_text(SLOW_SOURCE)
    random, runs, still, done = Random(6), count(), [], asyncio.Event()
    async with workers(
        tmp_path, 3, agent="slow_agent_module:slow", NETRA_LEASE_SECONDS=str(LEASE)
    ) as server:
        users = [User(server, f"user {number}", number, runs) for number in range(5)]
        living = [asyncio.create_task(user.live(done)) for user in users]
        for _ in range(ROUNDS):
            await asyncio.wait(living, timeout=random.random() * 2 * LEASE)
            pids = [keeper_of(server), *(worker.pid for worker in processes(server))]
            some = random.choice((pids, pids[:1], pids[:2], pids[1:2], pids[2:]))
            some = random.sample(some, len(some))
            began = _now()
            await _stand_still(random.choice(LEASES) * LEASE, *some)
            still.append(Still(frozenset(some), began, _now()))
        done.set()
        await asyncio.gather(*living)
        await server.wait_ready()
        for user in users:
            if not user.person.connected:
                await user.person.leave()
                await user.person.connect()
            for thread in THREADS:
                await user.person.settle(thread)
        names: list[Name] = [("alice", thread) for thread in THREADS]
        logs = await read_logs(server, names)
        tapes = [tape for user in users for tape in user.person.settled()]
        for user in users:
            await user.person.leave()
    verdict = judge(tapes, logs)
    outcome = Outcome(list(logs.values()))
    told = [each for user in users for each in user.told]
    ends = [how for _, how in outcome.ended.values()]
    tell(
        f"{ROUNDS} times some processes stood still: {len(ends)} runs,"
        f" { ({how: ends.count(how) for how in sorted(set(ends))}) },"
        f" {verdict.events} events judged on {len(tapes)} connections"
    )
    assert verdict, verdict
    assert outcome.began.keys() == outcome.ended.keys()
    assert not outcome.contradictions(told)
    assert not outcome.robbed(told, still, 4)
