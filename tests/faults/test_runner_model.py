"""Random interleavings of all that is asked of runners, several of which may share a store.

A seed makes a life: some nodes, a few threads, and people who submit runs, cancel, decide, delete
and share, while agents talk, ask, fail and hang, sweeps come at any moment, and in a rough life a
node loses its store for longer than its leases last. When all is at rest, the log is compared with
what a `Witness` at the store has seen, and with what people and agents were told.
"""

import asyncio
import gc
import logging
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from random import Random
from typing import Any

import pytest
from ag_ui.core import BaseEvent, EventType, RunAgentInput

from netra_backend.agents.base import Text, ToolCall
from netra_backend.agents.execution import Limits
from netra_backend.agents.loading import adapt
from netra_backend.agents.policy import Policy
from netra_backend.agents.run_context import RunContext
from netra_backend.agents.run_request import run_request
from netra_backend.agents.runner import Runner
from netra_backend.config import WhenBusy
from netra_backend.core.events import TERMINAL, Entry
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId
from netra_backend.core.nodes import Cancel, Freed, Seat
from netra_backend.core.ports import Answer
from netra_backend.core.positions import Position
from netra_backend.core.roles import Role
from netra_backend.core.run import ENDED, RunStatus
from netra_backend.errors import Refused, StoreError
from netra_backend.stores.local_bus import LocalBus
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.stores.sqlite_inspection import inspection
from netra_backend.testing import asking
from tests.faults.jittery_store import JitteryStore
from tests.faults.witness import Watched, Witness

pytestmark = pytest.mark.anyio

BOUND = 30.0
"""Seconds in which a life is over; no second sweep comes in those of a calm one, and helps out."""
SPAN = 0.1
"""Seconds in which all that people ask is spread."""
USERS = (UserId("alice"), UserId("bob"))
THREADS = tuple(ThreadKey(USERS[n % 2], ThreadId(f"t{n}")) for n in range(4))
NAMES = tuple(RunId(f"r{n}") for n in range(14))
ACTS = (
    *("submit",) * 6, "start", "cancel", "cancel", "delete", "decide", "decide", "sweep", "read",
    "share", "crowd",
)  # fmt: skip
KINDS = ("say", "say", "say", "ask", "ask", "fail", "hang", "pause", "tool", "give up")


class Told:
    """The agent, which does anything, and what it was told in which run."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self.executed: Counter[tuple[str, str]] = Counter()
        """How often it was called, by the thread's scope and the run."""
        self.answers: defaultdict[str, set[str]] = defaultdict(set)
        """In which runs an answer was told, by the interrupt."""
        self.inside = 0
        """How many of its calls have not returned."""

    async def __call__(self, given: RunAgentInput, run: RunContext) -> AsyncIterator[BaseEvent]:
        self.executed[run.scope, given.run_id] += 1
        for answer in given.resume or ():
            self.answers[answer.interrupt_id].add(given.run_id)
        self.inside += 1
        try:
            async for event in self._act(run):
                yield event
        finally:
            self.inside -= 1

    async def _act(self, run: RunContext) -> AsyncIterator[BaseEvent]:
        random, text = self._random, Text()
        kind = random.choice(KINDS)
        for event in text.start():
            yield event
        for _ in range(random.randint(0, 6)):
            for event in text.add("abc"):
                yield event
            if random.random() < 0.4:
                await asyncio.sleep(random.choice((0, 0, 0, 0, 0.002)))
        await _come_to(kind, run)
        for event in text.end():
            yield event
        if kind == "tool":
            call = ToolCall("look")
            for event in [*call.whole({"for": "it"}), *call.result("found")]:
                yield event


async def _come_to(kind: str, run: RunContext) -> None:
    """Do what an agent does in the middle of what it says."""
    match kind:
        case "ask":
            await run.ask("Shall I?", reason="approval")
        case "fail":
            raise RuntimeError("told to fail")
        case "hang":
            await asyncio.Event().wait()
        case "pause":
            await asyncio.sleep(0.03)
        case "give up":
            raise asyncio.CancelledError


class Neighbours:
    """The nodes of one process, as each of them sees the others."""

    def __init__(self) -> None:
        self._cancels: list[Cancel] = []

    def join(self, cancel: Cancel) -> None:
        self._cancels.append(cancel)

    async def cancel(self, run: RunKey) -> Position | None:
        for cancel in self._cancels:
            if (position := await cancel(run)) is not None:
                return position
        return None

    async def take(self, _seats: Sequence[Seat]) -> Sequence[Seat]:
        return ()

    def give(self, _seats: Sequence[Seat], *, used: bool = False) -> None: ...

    def tell_freed(self, freed: Freed) -> None: ...


class Life:
    """What happens in one life, and the judgement of it."""

    def __init__(self, seed: int, data_dir: Path) -> None:
        self.random = random = Random(seed)
        self.data_dir = data_dir
        self.rough = seed % 3 == 2
        """Whether leases are short, and nodes lose the store."""
        self.agent = Told(random)
        self.witness = Witness()
        self.nodes: list[tuple[Runner, Watched]] = []
        self.asked: list[tuple[ThreadKey, int, RunKey]] = []
        """The runs that were accepted: of the thread after so many deletions."""
        self.submissions: Counter[tuple[ThreadKey, RunId]] = Counter()
        self.refused: set[RunKey] = set()
        self.tried: set[RunKey] = set()
        """What may have been accepted before it failed: it waits, say, and the store is gone."""
        self.cancelled: list[tuple[RunKey, Position]] = []
        self.wins: Counter[str] = Counter()
        """How many were told that they decided, by the interrupt."""
        self.problems: list[str] = []

    async def live(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, about: self.problems.append(str(about)))
        on_disk = self.random.random() < 0.5
        store: Any = SqliteStore(self.data_dir) if on_disk else JitteryStore(self.random)
        await store.open()
        self.store = store
        async with asyncio.timeout(BOUND), AsyncExitStack() as stack:
            await self.settle_in(stack)
            acts = [self.act() for _ in range(self.random.choice((20, 60, 100)))]
            if self.rough:
                acts += [self.cut(watched) for _, watched in self.nodes]
            acting = asyncio.gather(*acts)
            await asyncio.wait({acting}, timeout=2 * SPAN)  # some wait for what hangs
            await self.come_to_rest(acting)
            await acting
            await self.judge()
        await store.close()
        if on_disk:
            with inspection(self.data_dir) as found:
                assert not list(found.file_findings())
                assert not [each.findings for each in found.threads() if each.findings]
        gc.collect()
        await asyncio.sleep(0)
        assert not self.problems, self.problems

    async def settle_in(self, stack: AsyncExitStack) -> None:
        """Open the threads, and the nodes."""
        random = self.random
        for thread in THREADS:
            await self.store.open_thread(thread, "", 1)
            await self.share(thread)
        limits = Limits(timeout=random.choice((60.0, 0.05)), events=1_000, grace=0.2)
        when_busy = random.choice(list(WhenBusy))
        policy = Policy(limits, when_busy=when_busy, queued=random.choice((1, 3, 16)))
        bus, neighbours = LocalBus(), Neighbours()
        for _ in range(random.choice((1, 1, 2, 3))):
            watched = Watched(self.store, self.witness)
            runner = Runner(
                watched,  # type: ignore[arg-type]
                bus,
                {"agent": adapt(self.agent)},
                policies={"agent": policy},
                lease_ms=random.choice((60, 300)) if self.rough else 600_000,
                window=random.choice((0.0, 0.002)),
                now=lambda: time.time_ns() // 1_000_000,
            )
            self.nodes.append((runner, watched))
            stack.push_async_callback(runner.close)
        for runner, _ in self.nodes:
            if len(self.nodes) > 1:
                runner.share(neighbours)  # type: ignore[arg-type]
            await runner.open()

    # --- what happens ---

    async def act(self) -> None:
        """Have somebody ask for something of a node, at some moment."""
        random = self.random
        await asyncio.sleep(random.random() * SPAN)
        (runner, _), thread, user = random.choice(self.nodes), random.choice(THREADS), None
        user = random.choice(USERS)
        doing: dict[str, Callable[[], Awaitable[object]]] = {
            "submit": lambda: self.submit(runner, thread, user, runner.submit),
            "start": lambda: self.submit(runner, thread, user, runner.start),
            "crowd": lambda: self.crowd(runner, thread, user),
            "cancel": lambda: self.cancel(runner, thread, user),
            "delete": lambda: self.delete(runner, thread),
            "decide": lambda: self.decide(runner, thread, user),
            "sweep": runner._sweep.look,
            "read": lambda: runner.conversations.fold(thread),
            "share": lambda: self.share(thread),
        }
        try:
            await doing[random.choice(ACTS)]()
        except (Refused, StoreError) as error:
            self.check(error)

    def check(self, error: BaseException) -> None:
        """Raise what may not be told: in a calm life the store does not fail."""
        fails = not isinstance(error, Refused) or error.code == "store_failed"
        if fails and not (self.rough and isinstance(error, (Refused, StoreError))):
            raise error

    async def crowd(self, runner: Runner, thread: ThreadKey, user: UserId) -> None:
        """Submit some runs at once, and cancel each at one of the moments in which it begins."""
        names = self.random.sample(NAMES, 3)
        asks = [self.submit(runner, thread, user, runner.submit, name) for name in names]
        regrets = [self.regret(RunKey(user, name)) for name in names for _ in range(2)]
        outcomes = await asyncio.gather(*asks, *regrets, return_exceptions=True)
        for error in outcomes:
            if error is not None:
                self.check(error)

    async def regret(self, key: RunKey) -> None:
        for _ in range(self.random.randint(0, 40)):
            await asyncio.sleep(0)
        runner, _ = self.random.choice(self.nodes)
        self.cancelled.append((key, await runner.cancel(key)))

    async def submit(
        self,
        runner: Runner,
        thread: ThreadKey,
        user: UserId,
        ask: Callable[..., Any],
        name: RunId | None = None,
    ) -> None:
        key = RunKey(user, name or self.random.choice(NAMES))
        given = asking("hi", thread_id=thread.id, run_id=key.id)
        before = self.witness.deletions[thread]
        self.submissions[thread, key.id] += 1
        try:
            await ask(run_request(user, given, thread=thread))
        except (Refused, StoreError) as error:
            is_sure = isinstance(error, Refused) and ask == runner.submit
            (self.refused if is_sure else self.tried).add(key)
            raise
        self.asked.append((thread, before, key))

    async def cancel(self, runner: Runner, thread: ThreadKey, user: UserId) -> None:
        key, last = RunKey(user, self.random.choice(NAMES)), await self.store.last_run(thread)
        if last is not None and self.random.random() < 0.6:
            key = last.key
        self.cancelled.append((key, await runner.cancel(key)))

    async def delete(self, runner: Runner, thread: ThreadKey) -> None:
        if self.random.random() < 0.4:
            try:
                await runner.delete_thread(thread)
            finally:  # it may be deleted also where the store failed afterwards
                await self.store.open_thread(thread, "", 1)

    async def decide(self, runner: Runner, thread: ThreadKey, user: UserId) -> None:
        asked = await self.store.asked(thread, 100)
        asked = [each for each in asked if each.decided_by is None or self.random.random() < 0.1]
        if asked:
            interrupt = self.random.choice(asked).id
            status = self.random.choice(("resolved", "cancelled"))
            answer = Answer(interrupt, status, b'{"approved":true}')
            decided = await runner.interrupts.decide(thread, answer, user)
            self.wins[interrupt] += decided.decision.won

    async def share(self, thread: ThreadKey) -> None:
        (other,) = {*USERS} - {thread.owner}
        role = self.random.choice((Role.WRITE, Role.DECIDE, Role.DECIDE))
        await self.store.set_member(thread, other, role, 9)

    async def cut(self, watched: Watched) -> None:
        """Take the store away from a node, sometimes for longer than its leases last."""
        await asyncio.sleep(self.random.random() * SPAN)
        watched.cut = True
        await asyncio.sleep(self.random.choice((0.001, 0.01, 0.1)))
        watched.cut = False

    async def come_to_rest(self, acting: asyncio.Future[Any]) -> None:
        """Return when nothing runs and nothing waits; only what hangs in a thread is cancelled."""
        while not acting.done() or await self.is_busy():
            # A run may have begun on one node while another deleted its thread.
            for runner, _ in self.nodes:
                await runner._sweep.look()
            for thread in THREADS:
                last = await self.store.last_run(thread)
                if last is not None and last.status not in ENDED:
                    with suppress(Refused, StoreError):
                        await self.nodes[0][0].cancel(last.key)
            await asyncio.sleep(0.005)

    async def is_busy(self) -> bool:
        if await self.store.queued():
            return True
        # In a calm life no sweep comes to take up a decision that found its thread busy.
        if self.rough and await self.store.undelivered():
            return True
        last = [await self.store.last_run(thread) for thread in THREADS]
        if any(run is not None and run.status not in ENDED for run in last):
            return True
        # Last of all: what waited may have begun since it was looked for.
        runners = [runner for runner, _ in self.nodes]
        begins = any(runner.active or runner._starting.keys() for runner in runners)
        return begins or self.agent.inside > 0

    # --- the judgement ---

    async def judge(self) -> None:
        """Compare the log with what was acknowledged and told."""
        assert not self.witness.trespasses, self.witness.trespasses
        assert max(self.agent.executed.values(), default=0) <= 1, self.agent.executed
        twice = {id: runs for id, runs in self.agent.answers.items() if len(runs) > 1}
        assert not twice, f"answers that were told twice: {twice}"
        assert max(self.wins.values(), default=0) <= 1, self.wins
        refused = self.refused - self.tried - {key for _, _, key in self.asked}
        assert not refused & self.witness.accepted, refused & self.witness.accepted
        for runner, _ in self.nodes:
            # Who was told that the store fails while they began to wait is forgotten by a sweep.
            assert self.rough or not runner.waiting._begun
        for thread in THREADS:
            await self.judge_thread(thread, await self.store.read(thread, 0, 100_000))

    async def judge_thread(self, thread: ThreadKey, entries: Sequence[Entry]) -> None:
        head = (await self.store.thread(thread)).head
        offsets = [Position(head.epoch, n) for n in range(1, head.offset + 1)]
        assert [entry.position for entry in entries] == offsets
        runs = list(_runs(entries))
        names = [run[0].run for run in runs]
        assert names == self.witness.begun[thread]
        waited = self.witness.queued[thread]
        assert {*waited} <= {*names}
        # Of two who submit one run, one may begin it at once while the other has it wait; so may
        # each node that finds a decision to be taken up.
        waited = [name for name in waited if self.submissions[thread, name] == 1]
        assert [name for name in names if name in waited] == waited, (names, waited)
        for place, deletions, key in self.asked:
            if place == thread and deletions == self.witness.deletions[thread]:
                assert key.id in names, f"{key} was accepted"
        for key, position in self.cancelled:
            for run in runs:
                if run[0].run == key.id and position.epoch == head.epoch:
                    self.judge_cancelled(run, position)
        for name in names:
            run = await self.store.run_in(thread, name)
            assert run.status in ENDED
            assert self.rough or run.status is not RunStatus.INTERRUPTED, run

    def judge_cancelled(self, run: Sequence[Entry], position: Position) -> None:
        """After the acknowledgement comes nothing but its end, of one that waited its start too."""
        late = [entry for entry in run if entry.position > position]
        assert len(late) <= 1 or late == run[-2:] == run[:2], (position, run)


def _runs(entries: Sequence[Entry]) -> list[list[Entry]]:
    """Return the entries of each run: it begins once when no other goes on, and ends once."""
    runs: list[list[Entry]] = []
    for entry in entries:
        begins = entry.event.type is EventType.RUN_STARTED
        goes_on = bool(runs) and runs[-1][-1].event.type not in TERMINAL
        assert begins is not goes_on, entry
        if begins:
            runs.append([])
        runs[-1].append(entry)
        assert entry.run == runs[-1][0].run, entry
    assert not runs or runs[-1][-1].event.type in TERMINAL, runs[-1]
    names = [run[0].run for run in runs]
    assert len(names) == len({*names}), names
    return runs


UNEXPECTED = frozenset({"the sweep failed for a run"})
UNEXPECTED_WHEN_CALM = UNEXPECTED | {"the queue of a thread waits"}


async def _live(seeds: range, data_dir: Path, caplog: pytest.LogCaptureFixture) -> None:
    for seed in seeds:
        caplog.clear()
        try:
            life = Life(seed, data_dir / str(seed))
            await life.live()
            unexpected = UNEXPECTED if life.rough else UNEXPECTED_WHEN_CALM
            failures = [each for each in caplog.records if each.getMessage() in unexpected]
            assert not failures, failures
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise


@pytest.mark.parametrize("seed", range(6))
async def test_runs_of_a_life(seed: int, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR):
        await _live(range(seed, seed + 1), tmp_path, caplog)


@pytest.mark.nightly
@pytest.mark.parametrize("first", range(6, 606, 50))
async def test_runs_of_many_lives(
    first: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        await _live(range(first, first + 50), tmp_path, caplog)
