"""The store fails at its n-th call, for every n: nothing acknowledged is lost, every run ends."""

import asyncio
import gc
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from ag_ui.core import BaseEvent, Interrupt, RunAgentInput, RunFinishedEvent
from ag_ui.core import RunFinishedInterruptOutcome as Asks

from netra_backend.agents.base import Text, ToolCall
from netra_backend.core.ids import RunId, RunKey, UserId
from netra_backend.core.ports import Store
from netra_backend.errors import StoreFailed
from netra_backend.stores.memory import MemoryStore
from netra_backend.stores.sqlite import SqliteStore
from tests.checker import Name, judge
from tests.client import Frame, run_input
from tests.eventually import until
from tests.live import BOUND, Live, live
from tests.person import Person, read_logs

pytestmark = pytest.mark.anyio

LIFE = frozenset({"open", "close", "probe", "withdrawals", "revocations"})
"""What is asked when the server opens or at times of its own: tests/server/test_withdrawals.py."""
BACKGROUND = frozenset({"renew", "orphans", "adopt", "undelivered"})
"""What the sweep asks, at times of its own."""
LEASE = 0.3
AT_ONCE = 8
"""Visits at once: mostly they wait for a lease to expire."""
NAMES: list[Name] = [("alice", "t"), ("alice", "u")]


class FaultyStore:
    """The same as the store it is given; the calls whose numbers are in `failing` fail.

    As the contract has it, a call that fails has done nothing.
    """

    def __init__(self, store: Store, failing: range) -> None:
        self.inner = store
        self._failing = failing
        self.calls = 0
        """How many calls there were, without those of the sweep."""
        self.swept = 0
        """How many calls of the sweep there were."""
        self.sweepable = True
        """Cleared, the calls of the sweep fail."""

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        method = getattr(self.inner, name)

        def call(*args: Any, **fields: Any) -> Awaitable[Any]:
            return _fail(name) if self._fails(name) else method(*args, **fields)

        return call

    def heal(self) -> None:
        """Fail no more."""
        self._failing = range(0)

    def _fails(self, name: str) -> bool:
        if name in BACKGROUND:
            self.swept += 1
            return not self.sweepable
        if name in LIFE:
            return False
        self.calls += 1
        return self.calls in self._failing


async def _fail(name: str) -> None:
    raise StoreFailed(f"{name}: the disk is gone")


async def agent(given: RunAgentInput) -> AsyncIterator[BaseEvent]:
    """Do what the last message asks for: ``talk``, ``wait`` until it is cancelled, or ``ask``."""
    text, call, wish = Text(), ToolCall("look"), given.messages[-1].content
    for event in [*text.start(), *text.add("so "), *text.add("and so"), *call.whole({})]:
        yield event
        await asyncio.sleep(0)
    if wish == "wait":
        await asyncio.Event().wait()
    for event in [*call.result("found"), *text.end()]:
        yield event
    if wish == "ask" and not given.resume:
        asked = Interrupt(id=f"ask-{given.run_id}", reason="approval")
        ids = {"thread_id": given.thread_id, "run_id": given.run_id}
        yield RunFinishedEvent(outcome=Asks(interrupts=[asked]), **ids)


@pytest.fixture
async def _complaints() -> AsyncIterator[None]:
    """Fail the test if a task failed and nobody asked why."""
    seen: list[dict[str, Any]] = []
    loop = asyncio.get_running_loop()
    before = loop.get_exception_handler()
    loop.set_exception_handler(lambda _, about: seen.append(about))
    yield
    gc.collect()
    loop.set_exception_handler(before)
    assert not seen, seen


class Visit:
    """One person's visit, during which the store may fail at any call."""

    def __init__(self, server: Live, store: FaultyStore) -> None:
        self._server = server
        self._store = store
        self.person = Person(server, "ann", "alice")
        self.decided = False

    async def command(self, type: str, **fields: Any) -> Frame:
        """Send a command; what the failing store does to it is an error, or a new connection."""
        if not self.person.connected:
            await self.person.leave()
            await self.person.connect()
        try:
            answer = await self.person.client.command(type, **fields)
        except ConnectionError:
            assert await self.person.client.closed() == 1011
            return {"type": "closed"}
        if answer["type"] == "error":
            assert answer["message"]
            assert answer["code"] in ("store_failed", "thread_busy", "not_found"), answer
            assert answer["retry"] == (answer["code"] != "not_found")
        return answer

    async def run(self, thread: str, run: str, wish: str) -> bool:
        """Start a run, follow it, and return whether it was accepted."""
        answer = await self.command("run", input=run_input(thread, run, wish))
        after = self.person.reader(thread).after
        await self.command("follow", thread=thread, **({"after": after} if after else {}))
        return answer["type"] == "accepted"

    async def ended(self, run: str) -> None:
        """Return when the run, which was accepted, has ended: soon, or by the sweep."""
        key = RunKey(UserId("alice"), RunId(run))
        while (await self._store.inner.run(key)).ended is None:  # noqa: ASYNC110
            await asyncio.sleep(0.005)

    async def everything(self) -> None:
        """Run, follow, cancel, ask, decide, look back and delete."""
        if await self.run("t", "talk", "talk"):
            await self.ended("talk")
        if await self.run("u", "wait", "wait"):
            await self.command("cancel", run="wait")
            await self.command("cancel", run="wait")
            await self.ended("wait")
        if await self.run("t", "ask", "ask"):
            await self.ended("ask")
            decision = {"thread": "t", "interrupt": "ask-ask", "payload": True}
            answers = [await self.command("decide", **decision) for _ in range(2)]
            self.decided = any(answer["type"] == "decided" for answer in answers)
        await self._get("/threads/t/messages")
        await self._get("/threads")
        if await self.run("u", "left", "wait"):
            await self.command("unfollow", thread="t")

    async def _get(self, path: str) -> Any:
        """Return what the API answers; None if it failed, or has nothing."""
        headers = {"Authorization": f"Bearer {self._server.token()}"}
        async with httpx.AsyncClient(verify=False) as http:  # noqa: S501
            answer = await http.get(self._server.url + path, headers=headers)
        if answer.status_code == 503:
            assert answer.json()["error"]["code"] == "store_failed"
            return None
        if answer.status_code == 404:  # in a long outage no run could open the thread
            return None
        return answer.raise_for_status().json()


@asynccontextmanager
async def faulty(store: FaultyStore, data_dir: Path) -> AsyncIterator[Live]:
    """Run a server over the store, with short leases."""
    served: Any = store
    async with live(
        {"agent": agent}, data_dir, store=served, lease_seconds=LEASE, grace_seconds=0.2
    ) as server:
        yield server


async def visit(store: FaultyStore, data_dir: Path) -> int:
    """Have everything happen over the store, judge what came of it, and return its calls."""
    async with faulty(store, data_dir) as server:
        guest = Visit(server, store)
        await guest.everything()
        calls = store.calls
        store.heal()
        await guest.command("cancel", run="left")
        if guest.decided or await store.inner.undelivered():
            await resumed(server)  # an answer may be kept though the visitor was told of a fault
        await guest.command("ping")  # connects again, if a fault has ended the connection
        person = guest.person
        async with Person(server, "late", "alice") as late:
            for who in (person, late):
                for _, thread in NAMES:
                    await who.settle(thread)
            logs = await read_logs(server, NAMES)
            verdict = judge([*person.settled(), *late.settled()], logs)
        await person.leave()
    assert verdict, verdict
    return calls


async def resumed(server: Live) -> None:
    """Return when the run that goes on with the decision has begun: at once, or by the sweep."""
    while True:
        log = (await read_logs(server, [("alice", "t")]))["alice", "t"]
        if any(entry["run"].startswith("resume_") for entry in log):
            return
        await asyncio.sleep(0.02)


STORES: dict[str, Callable[[Path], Store]] = {
    "memory": lambda directory: MemoryStore(),
    "sqlite": SqliteStore,
}


@pytest.mark.slow
@pytest.mark.usefixtures("_complaints")
@pytest.mark.parametrize(
    ("kind", "outage", "step"),
    [
        ("memory", 1, 14),
        ("memory", 9, 9),
        ("sqlite", 1, 22),
        pytest.param("memory", 1, 1, marks=pytest.mark.nightly),
        pytest.param("memory", 9, 1, marks=pytest.mark.nightly),
        pytest.param("sqlite", 1, 1, marks=pytest.mark.nightly),
    ],
)
async def test_every_call_fails_in_turn(tmp_path: Path, kind: str, outage: int, step: int) -> None:
    async def fail_from(number: int) -> int:
        directory = tmp_path / str(number)
        store = FaultyStore(STORES[kind](directory), range(number, number + outage))
        try:
            async with asyncio.timeout(BOUND):
                return await visit(store, directory)
        except BaseException as error:
            error.add_note(f"the store failed from its call {number} on, {outage} times")
            raise

    calls = await fail_from(1_000)  # there is no such call
    assert calls > 30
    for first in range(1, calls + 1, AT_ONCE * step):
        numbers = range(first, min(first + AT_ONCE * step, calls + 1), step)
        await asyncio.gather(*(fail_from(number) for number in numbers))


@pytest.mark.usefixtures("_complaints")
async def test_a_run_survives_a_sweep_that_cannot_reach_the_store(tmp_path: Path) -> None:
    store = FaultyStore(MemoryStore(), range(0))
    async with faulty(store, tmp_path) as server, Person(server, "ann", "alice") as ann:
        store.sweepable = False
        await ann.client.run("t", "wait", "wait")
        await ann.follow("t")
        await until(lambda: store.swept > 6)  # one a sweep, three sweeps a lease
        store.sweepable, healed = True, store.swept
        await until(lambda: store.swept > healed + 6)
        assert (await ann.client.command("cancel", run="wait"))["type"] == "cancelled"
        await ann.settle("t")
        verdict = judge(ann.settled(), logs := await read_logs(server, NAMES))
    assert verdict, verdict
    assert logs["alice", "t"][-1]["chunk"]["outcome"] == {"type": "cancelled"}
