"""Random interleavings of everything that clients, agents and owners of threads do.

Hypothesis chooses who does what, and for how many turns of the event loop the server may work in
between; a store that is as slow as a database makes every wait in the server a real one. The
oracle is `tests.checker`: in the end each person who followed on has exactly what the log has,
and nothing is left behind in the server.
"""

import asyncio
import gc
import logging
import shutil
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path
from random import Random
from typing import Any, TypeVar

import httpx
import pytest
import uvloop
from ag_ui.core import BaseEvent, Interrupt, RunAgentInput, RunFinishedEvent
from ag_ui.core import RunFinishedInterruptOutcome as Asks
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from netra_backend.agents.base import Reasoning, Text, ToolCall
from netra_backend.server import follower, hub, metrics
from tests.checker import Name, judge
from tests.client import Frame, run_input
from tests.eventually import until
from tests.faults.jittery_store import JitteryStore
from tests.live import live
from tests.night import NIGHTLY
from tests.person import Person, read_logs

T = TypeVar("T")

THREADS = ("t1", "t2")
PEOPLE = (("ann", "alice"), ("abe", "alice"), ("amy", "alice"), ("bob", "bob"))
HOW = ("on", "on", "on", "anew", "from", "wrong")
SIZES = (
    (hub, "SLICE", 1e-9),
    (hub, "STEP", 1),
    (follower, "READ_LIMIT", 3),
    (follower, "PORTION", 1_000),
)
"""What is so large that a small test would never reach it, and a smaller size for each."""
BOUND = 60.0

people = st.integers(0, len(PEOPLE) - 1)
threads = st.sampled_from(THREADS)
steps = st.one_of(
    st.lists(st.sampled_from(("say", "say much", "think", "call")), min_size=3, max_size=12),
    st.sampled_from((["end"], ["fail"], ["say", "ask"])),
)


class DrivenAgent:
    """An agent that does what it is told, one step at a time."""

    def __init__(self) -> None:
        self.steps: dict[str, asyncio.Queue[str]] = {}

    async def __call__(self, given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        steps = self.steps.setdefault(given.run_id, asyncio.Queue())
        text = Text()
        for event in text.start():
            yield event
        while (step := "end" if given.resume else await steps.get()) != "end":
            for event in _events(step, text, given):
                yield event
        for event in [*text.add("bye"), *text.end()]:
            yield event


def _events(step: str, text: Text, given: RunAgentInput) -> list[BaseEvent]:
    match step:
        case "say":
            return [e for word in ("a ", "few ", "words ") for e in text.add(word)]
        case "say much":
            return [e for _ in range(8) for e in text.add("much " * 400)]
        case "think":
            thought = Reasoning()
            return [*thought.start(), *thought.add("hm "), *thought.add("so"), *thought.end()]
        case "call":
            call = ToolCall("look")
            return [*call.whole({"for": "it"}), *call.result("found " * 50)]
        case "ask":
            ids = {"thread_id": given.thread_id, "run_id": given.run_id}
            asked = Interrupt(id=f"ask-{given.run_id}", reason="approval")
            return [*text.end(), RunFinishedEvent(outcome=Asks(interrupts=[asked]), **ids)]
        case _:
            raise RuntimeError("told to fail")


class Problems(logging.Handler):
    """What was logged as an error, except for what agents were told to do."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() != "the agent failed":
            self.seen.append(logging.Formatter().format(record))


class Delivery(RuleBasedStateMachine):
    """A server, four people of two users, and two threads of each user with the same names."""

    @initialize(seed=st.integers(0, 2**32), direct=st.booleans(), uv=st.booleans())
    def begin(self, seed: int, direct: bool, uv: bool) -> None:
        self.loop = asyncio.Runner(loop_factory=uvloop.new_event_loop if uv else None)
        self.loop.get_loop().set_exception_handler(self.complain)
        self.problems = Problems()
        logging.getLogger().addHandler(self.problems)
        self.stack = AsyncExitStack()
        self.data_dir = Path(tempfile.mkdtemp())
        self.agent = DrivenAgent()
        self.runs: list[tuple[str, str, str]] = []
        self.asked: list[tuple[str, str, str]] = []
        self.answers: list[asyncio.Future[Frame]] = []
        self.deletions: list[asyncio.Task[None]] = []
        self.deleted: set[Name] = set()
        self.leaks = metrics.LEAKS._value.get()
        self.run(self.open(Random(seed), direct))

    async def open(self, random: Random, direct: bool) -> None:
        patch = pytest.MonkeyPatch()
        self.stack.callback(patch.undo)
        for module, name, small in SIZES:
            if random.random() < 0.5:
                patch.setattr(module, name, small)
        self.store = JitteryStore(random)
        self.server = await self.stack.enter_async_context(
            live(
                {"agent": self.agent},
                self.data_dir,
                store=self.store,  # type: ignore[arg-type]
                direct=direct,
                send_buffer=4_096,
                write_high_water=4_000,
                replay_entries=25,
                coalesce_ms=random.choice((0, 2)),
                lease_seconds=0.3,
                grace_seconds=10.0,
            )
        )
        self.http = await self.stack.enter_async_context(
            httpx.AsyncClient(base_url=self.server.url, verify=False)  # noqa: S501
        )
        self.people = [Person(self.server, *who, receive_buffer=2_048) for who in PEOPLE]
        for person in self.people:
            await person.connect()

    def run(self, doing: Coroutine[Any, Any, T]) -> T:
        return self.loop.run(asyncio.wait_for(doing, BOUND))

    def complain(self, loop: asyncio.AbstractEventLoop, about: dict[str, Any]) -> None:
        self.problems.seen.append(f"{about['message']}: {about.get('exception')!r}")

    # --- what happens ---

    @rule(turns=st.integers(0, 40))
    def work(self, turns: int) -> None:
        async def breathe() -> None:
            for _ in range(turns):
                await asyncio.sleep(0)

        self.run(breathe())

    @rule(person=people, thread=threads, first=steps, follow=st.booleans())
    def start(self, person: int, thread: str, first: list[str], follow: bool) -> None:
        who = self.people[person]
        run = (who.user, thread, f"run{len(self.runs)}")
        if self.post(who, "run", input=run_input(thread, run[2])):
            self.runs.append(run)
            self.instruct(run, first)
        if follow:
            self.post(who, "follow", thread=thread)

    @precondition(lambda self: self.runs)
    @rule(person=people, which=st.integers(0, 99))
    def start_again(self, person: int, which: int) -> None:
        who = self.people[person]
        user, thread, run = self.runs[which % len(self.runs)]
        if who.user == user:
            self.post(who, "run", input=run_input(thread, run))

    @precondition(lambda self: self.runs)
    @rule(which=st.integers(0, 1), steps=steps)
    def tell(self, which: int, steps: list[str]) -> None:
        self.instruct(self.runs[-1 - which % len(self.runs)], steps)

    def instruct(self, run: tuple[str, str, str], steps: list[str]) -> None:
        queue = self.agent.steps.setdefault(run[2], asyncio.Queue())
        for step in steps:
            queue.put_nowait(step)
        if "ask" in steps:
            self.asked.append(run)

    @precondition(lambda self: self.runs)
    @rule(person=people, which=st.integers(0, 3), how=st.sampled_from(HOW))
    def follow(self, person: int, which: int, how: str) -> None:
        who = self.people[person]
        thread = self.runs[-1 - which % len(self.runs)][1]
        reader = who.reader(thread)
        after = {
            "on": reader.after,
            "anew": None,
            "from": f"{reader.epoch}-{reader.offset // 2}" if reader.epoch else None,
            "wrong": "17-4",
        }[how]
        self.post(who, "follow", thread=thread, **({"after": after} if after else {}))

    @precondition(lambda self: self.runs)
    @rule(person=people, thread=threads)
    def unfollow(self, person: int, thread: str) -> None:
        self.post(self.people[person], "unfollow", thread=thread)

    @precondition(lambda self: self.runs)
    @rule(person=people, which=st.integers(0, 1))
    def cancel(self, person: int, which: int) -> None:
        self.post(self.people[person], "cancel", run=self.runs[-1 - which % len(self.runs)][2])

    @precondition(lambda self: self.asked)
    @rule(person=people, which=st.integers(0, 3), payload=st.integers(0, 1))
    def decide(self, person: int, which: int, payload: int) -> None:
        _, thread, run = self.asked[-1 - which % len(self.asked)]
        fields = {"thread": thread, "interrupt": f"ask-{run}", "payload": payload}
        self.post(self.people[person], "decide", **fields)

    @precondition(lambda self: len(self.runs) > 1)
    @rule(which=st.integers(0, 3))
    def delete(self, which: int) -> None:
        user, thread, _ = self.runs[-1 - which % len(self.runs)]

        async def send() -> None:
            headers = {"Authorization": f"Bearer {self.server.token(user)}"}
            answer = await self.http.delete(f"/threads/{thread}", headers=headers)
            assert answer.status_code in (204, 404), answer.text

        self.deleted.add((user, thread))
        self.deletions.append(self.loop.get_loop().create_task(send()))

    @rule(person=people, polite=st.booleans())
    def reconnect(self, person: int, polite: bool) -> None:
        who = self.people[person]

        async def again() -> None:
            await (who.leave() if polite else who.drop())
            await who.connect()

        self.run(again())

    @rule(person=people)
    def hang(self, person: int) -> None:
        self.people[person].client.reading.clear()

    @rule(person=people)
    def wake(self, person: int) -> None:
        self.people[person].client.reading.set()

    def post(self, who: Person, type: str, **fields: Any) -> bool:
        """Send a command without waiting for its answer; return whether it was sent."""
        request = f"q{len(self.answers)}"
        posting = who.client.post({"type": type, "request": request, **fields})
        try:
            self.answers.append(self.run(posting))
        except ConnectionError:
            return False
        return True

    # --- the end ---

    def teardown(self) -> None:
        try:
            self.run(self.judge())
        finally:
            logging.getLogger().removeHandler(self.problems)
            try:
                self.run(self.stack.aclose())
            finally:
                self.loop.close()
                shutil.rmtree(self.data_dir)
        gc.collect()
        assert not self.problems.seen, "\n".join(self.problems.seen)

    async def judge(self) -> None:
        """Let everybody have everything, and look."""
        await self.come_to_rest()
        for name, user in (("late ann", "alice"), ("late bob", "bob")):
            self.people.append(Person(self.server, name, user))
        for who in self.people:
            if not who.connected:
                await who.connect()
            for thread in THREADS:
                await who.settle(thread)
        names = [(user, thread) for user in ("alice", "bob") for thread in THREADS]
        logs = await read_logs(self.server, names)
        tapes = [tape for who in self.people for tape in who.settled()]
        verdict = judge(tapes, logs, deleted=self.deleted)
        assert verdict, verdict
        await self.look_inside()

    async def come_to_rest(self) -> None:
        """Have every command answered, and every run ended."""
        for who in self.people:
            who.client.reading.set()
        await asyncio.gather(*self.deletions)
        for _, _, run in self.runs:
            self.agent.steps.setdefault(run, asyncio.Queue()).put_nowait("end")
        for answer in self.answers:
            await asyncio.wait({answer})
        runner = self.server.app._house.runner
        while (  # noqa: ASYNC110
            runner.active or runner._starting.keys() or await self.store.inner.undelivered()
        ):
            await asyncio.sleep(0.002)  # a decision that waits starts a run, by the sweep

    async def look_inside(self) -> None:
        """Nothing has leaked, to other users or as memory."""
        assert metrics.LEAKS._value.get() == self.leaks
        app = self.server.app
        for who in self.people:
            await who.drop()
        await until(lambda: not len(app.pool) and not app._house.hub.followers)
        await until(lambda: not any(t.get_name().startswith(BUSY) for t in asyncio.all_tasks()))


BUSY = ("catch up", "lane", "run ", "store")


TestDelivery = pytest.mark.slow(Delivery.TestCase)
TestDelivery.settings = settings(
    max_examples=400 if NIGHTLY else 8,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
