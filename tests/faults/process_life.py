"""A life of a server of real processes: players, an operator who kills and freezes, and the rest.

A seed makes a life: the settings, what each player chooses, what the operator does. Not the moment
at which that happens, which is the machine's. `tests.faults.process_judge` judges it.
"""

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from random import Random

import psutil
from msgspec import Struct

from tests.eventually import until
from tests.faults.crew import frozen, keeper_of, processes
from tests.faults.game import PEOPLE, THREADS, Game
from tests.faults.moody_agent import write_moody_agent
from tests.faults.players import Player
from tests.live import ServerProcess

LASTING = 1.0
"""Seconds after which nothing is felt any more of what the operator did."""

BUSY = """SELECT (SELECT count(*) FROM runs WHERE holder IS NOT NULL),
    (SELECT count(*) FROM queued_runs),
    (SELECT count(*) FROM interrupts i WHERE decided_by IS NOT NULL AND resumed_by IS NULL
        AND NOT EXISTS (SELECT 1 FROM interrupts o WHERE o.run = i.run AND o.decided_by IS NULL))
"""
"""The runs that are executed, those that wait, and the answers that no run has taken up."""

FREEZES = ("freeze one", "freeze keeper", "freeze all")
KILLS = ("kill one", "kill two")
RESTARTS = ("stop", "crash")


class Disturbance(Struct):
    """What the operator did, from when on, and until all served again."""

    what: str
    begin: float
    end: float = float("inf")


class ProcessLife:
    """One life in a folder; `workers` are chosen if they are not given. People play for `seconds`.

    In a calm one the operator does nothing, and leases last: what needs a sweep is seen to wait.
    """

    def __init__(
        self, seed: int, folder: Path, *, seconds: float, workers: int = 0, calm: bool = False
    ) -> None:
        self.random = random = Random(seed)
        self.folder = folder
        self.seconds = seconds
        self.calm = calm
        self.workers = workers or random.choice((1, 2, 2, 3))
        self.lease = 60.0 if calm else random.choice((0.5, 1.0, 2.0))
        self.pause = random.choice((0.3, 1.0, 1.0, 5.0))
        """Seconds between two things that the operator does, on average."""
        self.environment = {"MOOD": str(seed), **_settings(random, self.lease)}
        agent = write_moody_agent(folder)
        arguments = (agent, *(("--workers", str(self.workers)) if self.workers > 1 else ()))
        self.server = ServerProcess(
            folder / "data", arguments, cwd=folder, environment=self.environment
        )
        self.game = Game(self.server, random.choice((0.01, 0.1, 0.1)))
        self.players = [Player(self.game, *who, seed) for who in PEOPLE]
        for one, other in zip(self.players[:4:2], self.players[1:4:2], strict=True):
            one.partner, other.partner = other, one
        self.disturbances: list[Disturbance] = []
        self.descriptors: dict[int, int] = {}
        """How many each process had when the first people came."""

    async def live(self) -> None:
        """Start the server, have people play, and return when all is at rest."""
        with self.disturbed("start"):
            self.server.start()
            await self._all_serve()
        self.descriptors = {one.pid: one.num_fds() for one in self.everything()}
        await self._settle_in()
        playing = [asyncio.create_task(player.play()) for player in self.players]
        operating = asyncio.create_task(self._operate())
        doing = {operating, *playing}
        await asyncio.wait(doing, timeout=self.seconds, return_when=asyncio.FIRST_EXCEPTION)
        self.game.over = True
        await asyncio.gather(*doing)
        with self.disturbed("rest"):
            await until(self._rests)

    def quiet(self, since: float, until: float) -> bool:
        """Return whether nothing of what the operator did could be felt in that time."""
        done = self.disturbances
        return all(one.end + LASTING < since or one.begin > until for one in done)

    @contextmanager
    def disturbed(self, what: str) -> Iterator[None]:
        """Note that the operator is at work; what was done before is over then, too."""
        self.disturbances.append(Disturbance(what, time.monotonic()))
        yield
        for one in self.disturbances:
            one.end = min(one.end, time.monotonic())

    def everything(self) -> list[psutil.Process]:
        """Return all processes of the server."""
        return [psutil.Process(keeper_of(self.server)), *processes(self.server)]

    async def _settle_in(self) -> None:
        alice, _, bob, *_ = self.players
        for name in THREADS:
            player, other = (alice, "bob") if name[0] == "alice" else (bob, "alice")
            await player.open(name)
            await player.share_with(name, other, "decide")
        await alice.share_with(THREADS[0], "carol", "write")

    async def _all_serve(self) -> None:
        await self.server.wait_ready()
        if self.workers > 1:
            await until(self._serving)

    def _serving(self) -> bool:
        there = {process.pid for process in processes(self.server)}
        said = [line for line in self.server.log_lines() if line["message"] == "serving"]
        return len(there) == self.workers and there <= {line["worker"] for line in said}

    def _rests(self) -> bool:
        file = self.folder / "data" / "netra.db"
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as database:
            return bool(database.execute(BUSY).fetchone() == (0, 0, 0))

    # --- the operator ---

    async def _operate(self) -> None:
        while not self.game.over:
            await asyncio.sleep(self.random.random() * 2 * self.pause)
            if not self.calm:
                with self.disturbed("all that follows"):
                    await self._disturb(self._choice())
                    while self.random.random() < 0.3:  # while not all serve yet
                        await asyncio.sleep(self.random.random())
                        await self._disturb(self._choice())
                    await self._all_serve()

    def _choice(self) -> str:
        kinds = (*FREEZES, *RESTARTS, *(KILLS * 2 if self.workers > 1 else ()))
        return self.random.choice(kinds)

    async def _disturb(self, kind: str) -> None:
        self.disturbances[-1].what += f", {kind}"
        if kind in FREEZES:
            await self._freeze(kind)
        elif kind in KILLS:
            await self._kill(2 if kind == "kill two" else 1)
        else:
            how = signal.SIGTERM if kind == "stop" else signal.SIGKILL
            workers = processes(self.server)
            code = await asyncio.to_thread(self.server.stop, how)
            # Workers whose keeper was killed have the port until they end, and no other starts.
            await until(lambda: not any(worker.is_running() for worker in workers))
            assert code == (0 if kind == "stop" else -how), f"exit code {code}"
            self.server.start()
            await self._all_serve()  # a worker that does not come to serve at first ends it all

    async def _freeze(self, kind: str) -> None:
        """Let processes stand still, for less than a lease or for more."""
        keeper, *rest = (process.pid for process in self.everything())
        which = {
            "freeze one": [self.random.choice(rest or [keeper])],
            "freeze keeper": [keeper],
            "freeze all": [keeper, *rest],
        }[kind]
        with frozen(*self.random.sample(which, len(which))):
            await asyncio.sleep(self.lease * self.random.choice((0.2, 0.7, 1.3, 2.5)))

    async def _kill(self, number: int) -> None:
        there = processes(self.server)
        for process in self.random.sample(there, min(number, len(there))):
            os.kill(process.pid, signal.SIGKILL)
            await asyncio.sleep(self.random.random() * 0.1)


def _settings(random: Random, lease: float) -> dict[str, str]:
    """Return settings with small limits."""
    chosen = {
        "WHEN_BUSY": random.choice(("reject", "enqueue", "interrupt")),
        "LEASE_SECONDS": lease,
        "RUN_TIMEOUT": random.choice((0.5, 1.5)),
        "QUEUED_RUNS": random.choice((1, 3, 16)),
        "COALESCE_MS": random.choice((0, 40)),
        "GRACE_SECONDS": random.choice((0.2, 1.0)),
        "FINISH_SECONDS": random.choice((0, 0, 0.5)),
        "REPLAY_ENTRIES": random.choice((30, 5_000)),
        "WRITE_HIGH_WATER": random.choice((4_000, 65_536)),
    }
    if random.random() < 0.3:
        chosen["CONCURRENT_RUNS"] = random.choice((1, 2, 4, 4))
    if random.random() < 0.25:
        chosen["RUNS_PER_USER"] = random.choice((1, 3))
    return {f"NETRA_{name}": str(value) for name, value in chosen.items()}
