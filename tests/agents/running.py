"""A runner over a memory store for tests, and what its log says."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import msgspec
import pytest
from ag_ui.core import Interrupt, RunAgentInput, RunFinishedEvent, RunFinishedInterruptOutcome

from netra_backend.agents.base import Agent
from netra_backend.agents.execution import Execution, Limits
from netra_backend.agents.executions import Executions
from netra_backend.agents.policy import Policy
from netra_backend.agents.run_request import run_request
from netra_backend.agents.runner import Runner
from netra_backend.config import WhenBusy
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId
from netra_backend.core.ports import Store
from netra_backend.core.run import Lease, Run
from netra_backend.stores.local_bus import LocalBus
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing import ScriptedAgent, asking
from netra_backend.testing.scripted_agent import events

LIMITS = Limits(timeout=60.0, events=1_000, grace=1.0)
POLICY = Policy(LIMITS)
ENQUEUE = Policy(LIMITS, when_busy=WhenBusy.ENQUEUE, queued=3)
ALICE, BOB = UserId("alice"), UserId("bob")
T1 = ThreadKey(ALICE, ThreadId("t1"))
BOUND = 60.0

MakeStore = Callable[[Path], Store]

both_stores = pytest.mark.parametrize(
    "make_store", [lambda _: MemoryStore(), SqliteStore], ids=["memory", "sqlite"]
)
"""Passes what makes a store, in a directory, as `make_store`."""


def ask(run: str, thread: str = "t1") -> RunAgentInput:
    """Return what asks for the run of this name."""
    return asking("hi", thread_id=thread, run_id=run)


def key(run: str) -> RunKey:
    """Return the key of alice's run."""
    return RunKey(ALICE, RunId(run))


def that_asks(*ids: str) -> ScriptedAgent:
    """Return an agent whose every run ends with questions of these ids."""
    asked = [Interrupt(id=id, reason="approval") for id in ids]
    outcome = RunFinishedInterruptOutcome(interrupts=asked)
    return ScriptedAgent(events(RunFinishedEvent(thread_id="?", run_id="?", outcome=outcome)))


class Clock:
    """Milliseconds that only a test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000

    def __call__(self) -> int:
        return self.now


@dataclass
class Running:
    """A runner with its parts."""

    runner: Runner
    store: Store
    bus: LocalBus
    clock: Clock

    async def start(self, user: UserId, given: RunAgentInput, *, agent: str | None = None) -> Any:
        """Have the user start a run in a thread of their own."""
        return await self.runner.start(run_request(user, given, agent=agent))

    async def submit(self, user: UserId, given: RunAgentInput, agent: str | None = None) -> Any:
        """Have the user submit a run in a thread of their own."""
        return await self.runner.submit(run_request(user, given, agent=agent))

    async def chunks(self, thread: str = "t1") -> list[dict[str, Any]]:
        """Return the AG-UI events of a thread."""
        entries = await self.store.read(ThreadKey(ALICE, ThreadId(thread)), 0, 10_000)
        return [msgspec.json.decode(entry.event.data) for entry in entries]

    async def messages(self, thread: str = "t1") -> list[dict[str, Any]]:
        """Return the messages that a thread's next run is given."""
        key = ThreadKey(ALICE, ThreadId(thread))
        conversation, _ = await self.runner.conversations.fold(key)
        return conversation.messages()

    async def types(self, thread: str = "t1") -> list[str]:
        """Return the types of a thread's events."""
        return [chunk["type"] for chunk in await self.chunks(thread)]

    async def ended(self, run: str, user: UserId = ALICE) -> Run:
        """Return the user's run once it has ended."""
        return await self.when(run, lambda found: found.ended is not None, user)

    async def order(self) -> list[str]:
        """Return the runs of t1 in the order in which they began."""
        return [chunk["runId"] for chunk in await self.chunks() if chunk["type"] == "RUN_STARTED"]

    async def until_queued(self) -> None:
        """Return when a run waits."""
        while not await self.store.queued():  # noqa: ASYNC110 - nothing announces it
            await asyncio.sleep(0)

    async def until(self, wanted: Callable[[list[str]], bool], thread: str = "t1") -> None:
        """Return once `wanted` is true of the types of a thread's events."""
        changed = asyncio.Event()
        stop = self.bus.subscribe(lambda _thread, _entries: changed.set())
        try:
            async with asyncio.timeout(BOUND):
                while not wanted(await self.types(thread)):
                    await changed.wait()
                    changed.clear()  # before the next look: none may be missed during one
        finally:
            stop()

    async def when(self, run: str, wanted: Callable[[Run], bool], user: UserId = ALICE) -> Run:
        """Return the user's run once `wanted` is true of it; every change of the log is a look."""
        changed = asyncio.Event()
        stop = self.bus.subscribe(lambda _thread, _entries: changed.set())
        try:
            async with asyncio.timeout(BOUND):
                while True:
                    found = await self.store.run(RunKey(user, RunId(run)))
                    if found is not None and wanted(found):
                        return found
                    await changed.wait()
                    changed.clear()
        finally:
            stop()


def executed(run: Run) -> Execution:
    """Return an execution of the run that does nothing."""
    lease = Lease(run.key, run.thread, "node", 1, 0)
    return cast(Execution, SimpleNamespace(run=run, lease=lease, ends_itself=False))


def executing(*runs: Run) -> Executions:
    """Return the executions of runs, which do nothing."""
    executions = Executions()
    for run in runs:
        executions.add(executed(run))
    return executions


@asynccontextmanager
async def running(
    agents: Mapping[str, Agent] | Agent,
    *,
    store: Store | None = None,
    window: float = 0.0,
    lease_ms: int = 60_000,
    sweep: bool = False,
    policy: Policy = POLICY,
    clock: Clock | None = None,
    **limits: float,
) -> AsyncIterator[Running]:
    """Run a runner; with `sweep` it also renews leases and ends orphans."""
    store = store if store is not None else MemoryStore()
    bus, clock = LocalBus(), clock or Clock()
    named = agents if isinstance(agents, Mapping) else {"agent": agents}
    bounds = Limits(**{"timeout": 60.0, "events": 1_000, "grace": 1.0, **limits})  # type: ignore[arg-type]
    policies = {name: msgspec.structs.replace(policy, limits=bounds) for name in named}
    runner = Runner(
        store, bus, named, policies=policies, lease_ms=lease_ms, window=window, now=clock
    )
    if sweep:
        await runner.open()
    try:
        yield Running(runner, store, bus, clock)
    finally:
        await runner.close()
