"""A peer that is gone without a word is found, and always leaves."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from netra_backend.server.metrics import ADDRESSES, CONNECTIONS, USERS
from netra_backend.stores.memory import MemoryStore
from netra_backend.testing.scripted_agent import ScriptedAgent, answer, endless
from tests.cable import cable
from tests.conftest import Tell
from tests.eventually import until
from tests.faults.netspace import own_network, silence
from tests.live import BOUND, Live, live
from tests.person import Address, Person, Through

pytestmark = pytest.mark.anyio

PING, PONG = 0.5, 2.0
FOUND = PING + PONG + 0.5
"""Seconds within which a dead peer has to be found: a ping, the time for its pong, and a half."""
SLACK = 5.0
"""Seconds that a busy machine may be late. The system's own timers would take minutes."""
PEERS = 12

EACH = pytest.mark.parametrize("busy", [False, True], ids=["idle", "streaming"])
LANES = pytest.mark.parametrize(
    "direct", [True, pytest.param(False, marks=pytest.mark.nightly)], ids=["lane", "send"]
)


@asynccontextmanager
async def serving(tmp_path: Path, *, direct: bool) -> AsyncIterator[Live]:
    agents = {"brief": ScriptedAgent(answer("hi")), "endless": ScriptedAgent(endless(pause=0.01))}
    async with live(
        agents,
        tmp_path,
        store=MemoryStore(),
        direct=direct,
        ping_seconds=PING,
        uvicorn={"ws_ping_timeout": PONG},
    ) as server:
        yield server


async def connect_all(stack: AsyncExitStack, place: Address, *, busy: bool) -> list[Person]:
    """Connect peers of several users who follow a thread, in which much or nothing is said."""
    people = []
    for number in range(PEERS):
        person = Person(place, f"peer {number}", f"user{number % 4}", ping_interval=None)
        people.append(await stack.enter_async_context(person))
        await person.client.run("t", f"r{number}", agent="endless" if busy else "brief")
        await person.follow("t")
        await person.client.until("TEXT_MESSAGE_CONTENT")
    return people


async def all_leave(server: Live, go_silent: Callable[[], None]) -> float:
    """Return after how many seconds of silence the server has nobody any more."""
    began = asyncio.get_running_loop().time()
    assert len(server.app.pool) == PEERS
    go_silent()
    await until(lambda: len(server.app.pool) == 0)
    return asyncio.get_running_loop().time() - began


async def nothing_is_left(server: Live) -> None:
    """See that counts and sockets are as if nobody had been there."""
    counts = [gauge._value.get() for gauge in (CONNECTIONS, USERS, ADDRESSES)]
    assert counts == [0, 0, 0]
    assert server.app._house.hub.followers == 0

    def sockets() -> list[str]:
        """Return the established ones of the server: proc_pid_net(5)."""
        rows = [row.split() for row in Path("/proc/self/net/tcp").read_text().splitlines()]
        return [row[2] for row in rows if row[1].endswith(f":{server.port:04X}") and row[3] == "01"]

    async with asyncio.timeout(BOUND):
        while sockets():  # noqa: ASYNC110 - the system's table takes long to read: not all the time
            await asyncio.sleep(0.05)


@LANES
@EACH
async def test_behind_a_cable_that_went_silent(
    tmp_path: Path, tell: Tell, direct: bool, busy: bool
) -> None:
    async with (
        serving(tmp_path, direct=direct) as server,
        cable(server.port) as wire,
        AsyncExitStack() as stack,
    ):
        place = Through(server, wire.port)
        people = await connect_all(stack, place, busy=busy)
        took = await all_leave(server, wire.deaden)
        tell(said(took))
        await nothing_is_left(server)
        wire.unhush()
        for person in people:
            await person.drop()
    assert took < FOUND + SLACK


@LANES
@EACH
async def test_behind_a_filter_that_drops_every_packet(
    tmp_path: Path, tell: Tell, direct: bool, busy: bool
) -> None:
    with own_network():
        async with serving(tmp_path, direct=direct) as server, AsyncExitStack() as stack:
            people = await connect_all(stack, server, busy=busy)
            ports = [person.client.socket.local_address[1] for person in people]
            took = await all_leave(server, lambda: silence(ports))
            tell(said(took))
            await nothing_is_left(server)
            for person in people:
                await person.drop()
    assert took < FOUND + SLACK


def said(took: float) -> str:
    return f"{PEERS} dead peers found in {took:.2f} s; {FOUND} s are promised"
