"""All clients are cut at once, come back at once, and have everything once."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import Gate, ScriptedAgent, answer
from tests.cable import cable
from tests.checker import judge
from tests.conftest import Tell
from tests.live import BOUND, live
from tests.person import Person, Through, read_logs
from tests.watched_store import WatchedStore

pytestmark = pytest.mark.anyio

PART = [f"word{n} " for n in range(40)]
LIMITS = {"connections_per_user": 10_000, "coalesce_ms": 0, "ping_seconds": 600}
UNHURRIED = {"open_timeout": 4 * BOUND, "ping_interval": None}
"""Thousands of sockets in one process on a busy machine are slow, and that is not judged."""


@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("clients", [100, pytest.param(1_000, marks=pytest.mark.nightly)])
async def test_all_resume_with_one_call_of_the_store_each(
    tmp_path: Path, tell: Tell, clients: int
) -> None:
    cut, plugged = Gate(), Gate()
    script = answer(*PART, cut, *PART, plugged, *PART)
    store = WatchedStore(MemoryStore())
    async with (
        live({"agent": ScriptedAgent(script)}, tmp_path, store=store, **LIMITS) as server,
        cable(server.port) as wire,
        Person(server, "witness", **UNHURRIED) as witness,
    ):
        place = Through(server, wire.port)
        people = [Person(place, f"client {n}", **UNHURRIED) for n in range(clients)]
        await witness.client.run("t", "r")
        await witness.follow("t")
        await together(people, Person.connect)
        await together(people, follow)
        await cut.reached()
        await together(people, lambda p: p.sees(lambda: said(p, PART[-1]), 4 * BOUND))
        await wire.pull()
        await together(people, lambda p: p.client.closed(4 * BOUND))
        await together(people, Person.leave)
        cut.open()
        await plugged.reached()
        await witness.sees(lambda: said(witness, PART[-1], times=2))
        store.calls.clear()
        began = asyncio.get_running_loop().time()
        await wire.plug()
        await asyncio.gather(*(come_back(person) for person in people))
        took = asyncio.get_running_loop().time() - began
        asked = {name: store.calls.count(name) for name in set(store.calls)}
        plugged.open()
        await witness.settle("t")
        logs = await read_logs(server, [("alice", "t")])
        end = logs["alice", "t"][-1]["id"]
        await together(people, lambda p: p.reaches("t", end, 4 * BOUND))
        tapes = [tape for person in (*people, witness) for tape in person.settled()]
        verdict = judge(tapes, logs)
        await together(people, Person.leave)
    assert verdict, verdict
    tell(
        f"{clients} cut at once: all resumed in {took:.1f} s, {verdict.events} events judged,"
        f" asked of the store: {asked}"
    )
    assert sum(asked.values()) <= clients, asked


async def follow(person: Person) -> None:
    await person.follow("t")


async def come_back(person: Person) -> None:
    """Connect, go on after what was applied last, and have what was said meanwhile."""
    await person.connect()
    answer = await person.follow("t")
    assert answer["resume"] == "replay", answer
    await person.sees(lambda: said(person, PART[-1]), 4 * BOUND)


def said(person: Person, word: str, times: int = 1) -> bool:
    """Return whether the word has come on this connection so many times."""
    deltas = "".join(f["chunk"].get("delta", "") for f in person.client.events)
    return deltas.count(word) >= times


async def together(people: list[Person], do: Callable[[Person], Awaitable[object]]) -> None:
    """Have all of them do it at the same time."""
    await asyncio.gather(*(do(person) for person in people))
