"""The slow hurt only themselves: bounded memory, nobody else delayed, nothing lost."""

import asyncio
import json
import os
from array import array
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from itertools import count
from pathlib import Path

import pytest
from ag_ui.core import BaseEvent, RunAgentInput

from netra_backend.agents.base import Text
from netra_backend.server import direct_lane, metrics, send_lane
from netra_backend.server import ring as rings
from netra_backend.server.follower import PORTION, FollowerState
from netra_backend.server.topic import FEW
from netra_backend.stores.memory import MemoryStore
from tests.checker import Tape, judge
from tests.client import run_input
from tests.eventually import until
from tests.http import http
from tests.live import BOUND, Live, live, token
from tests.person import Person, read_logs

pytestmark = pytest.mark.anyio

HIGH_WATER = 65_536
DELTA = "slow " * 1_000
MUCH = 60
"""Deltas of a long answer at least: 300 KB. It goes on until it is told that it is enough, because
the system's buffers take some too."""
BOTH = pytest.mark.parametrize("direct", [True, False], ids=["lane", "send"])
"""Our lane, and ASGI's ``send``."""


class Talker:
    """An agent that answers a few words, or much to who asks for it."""

    def __init__(self) -> None:
        self.enough = asyncio.Event()

    async def __call__(self, given: RunAgentInput) -> AsyncIterator[BaseEvent]:
        text = Text()
        for event in text.start():
            yield event
        if given.messages[-1].content == "much":
            for said in count():
                if said >= MUCH and self.enough.is_set():
                    break
                yield text.add(DELTA)[0]
                await asyncio.sleep(0)
        for event in [*text.add("That is all."), *text.end()]:
            yield event


@asynccontextmanager
async def talking(tmp_path: Path, direct: bool, **settings: float) -> AsyncIterator[Live]:
    """Run a server whose agent can say much, one delta an append."""
    talker = Talker()
    async with live(
        {"talker": talker},
        tmp_path,
        store=MemoryStore(),
        direct=direct,
        send_buffer=16_384,
        write_high_water=HIGH_WATER,
        coalesce_ms=0,
        **settings,
    ) as server:
        server.talker = talker  # type: ignore[attr-defined]
        yield server


class Gauge:
    """The largest number of bytes that waited for one socket, of all times it was looked at."""

    def __init__(self, server: Live) -> None:
        self._server = server
        self.most = 0

    def look(self) -> bool:
        """Look, and go on."""
        lanes = [connection._lane for connection in self._server.app.pool]
        self.most = max(self.most, *(lane.buffered for lane in lanes))
        return False


@asynccontextmanager
async def hung(server: Live, *threads: str) -> AsyncIterator[Person]:
    """Yield a person who follows the threads and has stopped reading."""
    async with Person(server, "slow", receive_buffer=16_384) as slow:
        for thread in threads:
            await slow.client.run(thread, f"first-{thread}")
            await slow.settle(thread)
        slow.client.reading.clear()
        yield slow


async def flood(server: Live, *threads: str) -> Person:
    """Have the agent say much in each thread until one who hangs is behind; return who saw it."""
    async with Person(server, "fast") as fast:
        for thread in threads:
            server.talker.enough.clear()  # type: ignore[attr-defined]
            await fast.client.run(thread, f"flood-{thread}", "much")
            await fast.follow(thread)
            await until(lambda: not keeps_up(server, thread), looks=20)  # noqa: B023
            server.talker.enough.set()  # type: ignore[attr-defined]
            await fast.settle(thread)
        fast.settled()
        return fast


@BOTH
async def test_a_client_that_does_not_read_gets_it_later_merged(
    tmp_path: Path, direct: bool
) -> None:
    async with talking(tmp_path, direct) as server, hung(server, "t") as slow:
        had, gauge = len(slow.client.events), Gauge(server)
        fast = await flood(server, "t")  # and it has come to this one
        gauge.look()
        assert gauge.most < HIGH_WATER + 2 * PORTION
        slow.client.reading.set()
        await slow.settle("t")
        verdict = judge([*slow.settled(), *fast.tapes], await read_logs(server, [("alice", "t")]))
        assert verdict, verdict
        assert any("from" in frame for frame in slow.client.events[had:])


@pytest.mark.parametrize("ring", [True, False], ids=["as the system has it", "without a ring"])
async def test_in_a_crowd_the_slow_one_falls_out_and_nobody_misses_anything(
    tmp_path: Path, ring: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not ring:
        monkeypatch.setattr(rings, "_SETUP", 1_000_000)
    async with (
        talking(tmp_path, direct=True) as server,
        hung(server, "t") as slow,
        AsyncExitStack() as stack,
    ):
        crowd = [Person(server, f"one of {FEW}", "alice") for _ in range(FEW + 2)]
        for one in crowd:
            await stack.enter_async_context(one)
            await one.follow("t")
        await flood(server, "t")
        (topic,) = server.app._house.hub._topics.values()
        assert topic.ranked >= FEW
        for one in crowd:
            await one.settle("t")
        slow.client.reading.set()
        await slow.settle("t")
        tapes = [tape for one in [slow, *crowd] for tape in one.settled()]
        verdict = judge(tapes, await read_logs(server, [("alice", "t")]))
        assert verdict, verdict
        assert len(tapes) > FEW


async def test_in_a_crowd_whose_write_a_signal_breaks_off_everybody_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Alarm(Exception):
        """What a signal's handler raises, wherever the program is."""

    async with talking(tmp_path, direct=True) as server, AsyncExitStack() as stack:
        crowd = [Person(server, f"one of {FEW}", "alice") for _ in range(FEW + 2)]
        for one in crowd:
            await stack.enter_async_context(one)
        await crowd[0].client.run("t", "first")
        for one in crowd:
            await one.settle("t")
        hub, cut = server.app._house.hub, asyncio.Event()
        write = hub._volley.write

        def broken_off(sockets: "array[int]", data: bytes) -> list[tuple[int, int]]:
            monkeypatch.setattr(hub._volley, "write", write)
            for descriptor, sent in zip(sockets, (len(data), len(data) // 2), strict=False):
                os.write(descriptor, data[:sent])
            cut.set()
            raise Alarm

        monkeypatch.setattr(hub._volley, "write", broken_off)
        # Where the loop called it, what it raises is told to nobody else.
        monkeypatch.setattr(asyncio.get_running_loop(), "call_exception_handler", lambda _: None)
        async with Person(server, "asker", "alice") as asker:
            run = {"type": "run", "thread": "t", "input": run_input("t", "again")}
            asked = await asker.client.post({**run, "request": "again"})
            await asyncio.wait_for(cut.wait(), BOUND)
            for one in crowd:
                await one.client.closed()
                await one.leave()
                await one.connect()
                await one.settle("t")
            asked.cancel()
        tapes = [tape for one in crowd for tape in one.settled()]
        verdict = judge(tapes, await read_logs(server, [("alice", "t")]))
        assert verdict, verdict
        assert len(tapes) > 2 * FEW


@BOTH
async def test_many_threads_behind_on_one_socket_cost_no_more_than_one(
    tmp_path: Path, direct: bool
) -> None:
    threads = [f"t{n}" for n in range(3)]
    async with talking(tmp_path, direct) as server, hung(server, *threads) as slow:
        await flood(server, *threads)
        logs = await read_logs(server, [("alice", thread) for thread in threads])
        ends = {log[-1]["id"] for log in logs.values()}
        gauge = Gauge(server)
        slow.client.reading.set()
        await slow.sees(lambda: gauge.look() or {slow.reader(t).after for t in threads} == ends)
        verdict = judge(slow.settled(), logs)
        assert verdict, verdict
        assert gauge.most < HIGH_WATER + 2 * PORTION


@BOTH
async def test_one_that_stays_behind_is_told_to_resume(
    tmp_path: Path, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_lane, "LINGER", BOUND)  # on a busy machine it takes long to read all
    monkeypatch.setattr(direct_lane, "LINGER", BOUND)
    closes = metrics.CLOSED.labels("4408")._value
    before = closes.get()
    async with (
        talking(tmp_path, direct, behind_seconds=0.3) as server,
        hung(server, "t") as slow,
    ):
        await flood(server, "t")
        await until(lambda: closes.get() > before)
        slow.client.reading.set()
        assert await slow.client.closed() == 4408
        await resume(slow, "t")
        verdict = judge(slow.settled(), await read_logs(server, [("alice", "t")]))
        assert verdict, verdict


@BOTH
async def test_one_that_never_reads_again_is_cut_off(
    tmp_path: Path, direct: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(send_lane, "LINGER", 0.2)
    monkeypatch.setattr(direct_lane, "LINGER", 0.2)
    async with (
        talking(tmp_path, direct, behind_seconds=0.2) as server,
        hung(server, "t") as slow,
    ):
        await flood(server, "t")
        await until(lambda: forgotten(server))
        await slow.drop()


@BOTH
async def test_one_that_hangs_and_goes_is_forgotten_at_once(tmp_path: Path, direct: bool) -> None:
    async with talking(tmp_path, direct) as server, hung(server, "t") as slow:
        await flood(server, "t")
        await ask_in_vain(slow, is_read=not direct)
        await slow.drop()
        await until(lambda: forgotten(server), bound=2.0)  # not the 60 s it may stay behind


async def test_pings_of_one_that_does_not_read_cost_no_memory(tmp_path: Path) -> None:
    async with talking(tmp_path, direct=True) as server, hung(server, "t") as slow:
        await flood(server, "t")
        gauge = Gauge(server)
        with suppress(TimeoutError):  # nobody reads them, so not all find room
            async with asyncio.timeout(1.0):
                for number in range(10_000):
                    await slow.client.socket.ping(f"{number:0100}")
        gauge.look()
        assert gauge.most < HIGH_WATER + 2 * PORTION
        await slow.drop()


async def test_one_that_answers_no_pings_is_told_to_resume(tmp_path: Path) -> None:
    async with (
        talking(tmp_path, direct=True, ping_seconds=0.2) as server,
        Person(server, "silent") as silent,
    ):
        silent.client.socket.transport.pause_reading()
        (connection,) = server.app.pool
        await until(lambda: not connection._lane._open)
        silent.client.socket.transport.resume_reading()
        assert await silent.client.closed() == 4408


async def test_server_sent_events_wait_for_one_that_does_not_read(tmp_path: Path) -> None:
    headers = {"Authorization": f"Bearer {token(tmp_path, 'alice')}"}
    async with (
        talking(tmp_path, direct=True) as server,
        http(server.url, None, headers=headers) as slow,
        slow.stream("POST", "/agui/talker", json=run_input("t", "r", "much")) as stream,
        Person(server, "fast") as fast,
    ):
        await fast.follow("t")
        await until(lambda: not keeps_up(server, "t"), looks=20)
        server.talker.enough.set()  # type: ignore[attr-defined]
        await fast.settle("t")  # and the other has read nothing
        async with asyncio.timeout(BOUND):
            lines = [line async for line in stream.aiter_lines()]
        logs = await read_logs(server, [("alice", "t")])
        frames = list(_frames(lines))
        verdict = judge([Tape("sse", "alice", frames), *fast.settled()], logs)
    assert verdict, verdict
    assert frames[-1][1]["id"] == logs["alice", "t"][-1]["id"]
    assert any("from" in frame for _, frame in frames), "nothing was merged: it was never behind"


# --- small parts ---


def keeps_up(server: Live, thread: str) -> bool:
    """Return whether the follower who was there first is live; who was cut off does not count."""
    (topic,) = (t for key, t in server.app._house.hub._topics.items() if key.id == thread)
    first, *others = topic
    return bool(others) and first.state is FollowerState.LIVE


async def resume(cut_off: Person, thread: str) -> None:
    """Have the person come again until they have all; who is slow is cut off more than once."""
    async with asyncio.timeout(BOUND):
        while True:
            await cut_off.leave()
            await cut_off.connect()
            with suppress(ConnectionError):
                return await cut_off.settle(thread)


async def ask_in_vain(hung: Person, *, is_read: bool) -> None:
    """Send a command whose answer is not read; return when the server has it, if it reads it.

    Our lane does not: it reads nothing of a peer that does not take what it is sent.
    """
    taken = metrics.FRAMES_IN._value.get()
    await hung.client.post({"type": "ping", "request": "in vain"})
    if is_read:
        await until(lambda: metrics.FRAMES_IN._value.get() > taken)
    else:
        await asyncio.sleep(0.1)
        assert metrics.FRAMES_IN._value.get() == taken


def forgotten(server: Live) -> bool:
    """Return whether the server has no connections and no followers any more."""
    return not len(server.app.pool) and not server.app._house.hub.followers


def _frames(lines: list[str]) -> Iterator[tuple[str, dict]]:
    """Return a stream of one run as the frames that a follower would have got."""
    ids = [line.removeprefix("id: ") for line in lines if line.startswith("id: ")]
    data = [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]
    epoch, first = ids[0].split("-")
    before = f"{epoch}-{int(first) - 1}"
    yield "sent", {"type": "follow", "request": "sse", "thread": "t", "after": before}
    yield (
        "got",
        {"type": "followed", "request": "sse", "thread": "t", "resume": "replay", "id": before},
    )
    for id, chunk in zip(ids, data, strict=True):
        begins = f"{epoch}-{int(before.split('-')[1]) + 1}"
        merged = {} if begins == id else {"from": begins}
        yield "got", {"id": id, **merged, "thread": "t", "chunk": chunk}
        before = id
