"""The direct lane: what is joined, what goes to the system when, and what little is kept."""

import asyncio
import json
import os
import random
from pathlib import Path

import pytest

from netra_backend.errors import CloseCode
from netra_backend.server import direct_lane
from netra_backend.server.batch import Batch
from netra_backend.server.clockwork import STEP, Turns
from netra_backend.server.direct_lane import DirectLane
from netra_backend.server.lane import Protocol
from netra_backend.stores.memory import MemoryStore
from tests.eventually import until
from tests.live import Live, live
from tests.server.agents import echo
from tests.server.test_lane_port import batch, closed, ends, received

pytestmark = pytest.mark.anyio


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the sizes of what is written on descriptors."""
    sizes: list[int] = []
    write = os.write

    def noting(descriptor: int, data: bytes) -> int:
        sizes.append(len(data))
        return write(descriptor, data)

    monkeypatch.setattr(direct_lane.os, "write", noting)
    return sizes


async def test_what_a_turn_has_for_a_socket_is_one_write_at_its_end(writes: list[int]) -> None:
    async with ends(Protocol) as (lane, socket):
        writes.clear()
        for number in range(1, 9):
            lane.write(batch(number))
        assert writes == []
        assert lane.buffered > 0
        await asyncio.sleep(0)
        assert len(writes) == 1
        assert lane.buffered == 0
        assert [frame["id"] for frame in await received(socket, 8)] == [
            f"1-{n}" for n in range(1, 9)
        ]


async def test_who_goes_without_a_word_is_told_by_a_plain_number() -> None:
    codes: list[int] = []

    class Ear:
        def lost(self, code: int, reason: str) -> None:
            codes.append(code)

    async with ends(Protocol) as (lane, socket):
        assert isinstance(lane, DirectLane)
        lane._listener = Ear()  # type: ignore[assignment]
        socket.transport.abort()
        await until(lambda: bool(codes))
        assert codes == [1006]
        assert type(codes[0]) is int, "a log line takes a member of an enum apart"


async def test_what_is_much_does_not_wait_for_the_end_of_the_turn(writes: list[int]) -> None:
    async with ends(Protocol) as (lane, socket):
        writes.clear()
        lane.write(batch(9, text="x" * 9_000))
        assert len(writes) == 1
        assert lane.buffered == 0
        assert (await received(socket, 1))[0]["id"] == "1-9"
        for number in range(10, 300):
            lane.write(batch(number, text="x" * (9_000 if number % 50 == 0 else 1)))
            assert lane.buffered < 20_000
        assert [f["id"] for f in await received(socket, 290)] == [f"1-{n}" for n in range(10, 300)]


async def test_a_lent_descriptor_is_written_on_after_what_waited(writes: list[int]) -> None:
    async with ends(Protocol) as (lane, socket):
        assert isinstance(lane, DirectLane)
        lane.write(batch(1))
        descriptor = lane.lend(lambda: None)
        os.write(descriptor, batch(2).prepared)
        writes.clear()
        lane.write(batch(3))
        assert len(writes) == 1, "who it is lent to may write on it in this turn"
        os.write(descriptor, batch(4).prepared)
        assert [f["id"] for f in await received(socket, 4)] == [f"1-{n}" for n in range(1, 5)]


async def test_what_waits_for_the_end_of_the_turn_comes_before_the_close_frame() -> None:
    async with ends(Protocol) as (lane, socket):
        for number in range(1, 4):
            lane.write(batch(number))
        await lane.close(CloseCode.RESTARTING)
        assert [f["id"] for f in await received(socket, 3)] == ["1-1", "1-2", "1-3"]
        assert await closed(socket) == (1012, "restarting")


@pytest.mark.parametrize("taken", [0, 1, 100])
async def test_what_the_system_does_not_take_goes_through_the_transport(
    taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write
    tried: list[int] = []

    def short(descriptor: int, data: bytes) -> int:
        tried.append(len(data))
        if taken == 0:
            raise BlockingIOError
        return write(descriptor, data[:taken])

    async with ends(Protocol) as (lane, socket):
        with monkeypatch.context() as patch:
            patch.setattr(direct_lane.os, "write", short)
            lane.write(batch(1))
            lane.write(batch(2))
            await asyncio.sleep(0)
        frames = await received(socket, 2)

    assert len(tried) == 1
    assert [frame["id"] for frame in frames] == ["1-1", "1-2"]


async def test_nothing_is_written_on_the_descriptor_of_a_socket_that_is_closing(
    writes: list[int],
) -> None:
    """Its number may belong to somebody else's socket by then."""
    for end in ("abandon", "abort", "close", "transport"):
        async with ends(Protocol) as (lane, _):
            assert isinstance(lane, DirectLane)
            if end == "close":
                lane.close_with(1000, "")
            elif end == "transport":
                lane._transport.abort()
            else:
                getattr(lane, end)()
            writes.clear()
            lane.write(batch(1))
            await asyncio.sleep(0)
            lane.write(batch(1))
            assert writes == []


async def test_a_foreign_message_of_the_application_is_refused() -> None:
    async with ends(Protocol) as (lane, socket):
        lane.send(json.dumps({"a": 1}).encode())
        assert await received(socket, 1) == [{"a": 1}]
        assert isinstance(lane, DirectLane)
        with pytest.raises(RuntimeError, match=r"websocket\.accept"):
            await lane._listener.send({"type": "websocket.accept"})  # type: ignore[attr-defined]


class Mix:
    """Writes batches to a lane in one way and another; `written` is how many."""

    def __init__(self, lane: DirectLane, chance: random.Random) -> None:
        self._lane = lane
        self._chance = chance
        self._system = os.write
        self._lent = -1
        self.written = 0

    def take(self, descriptor: int, data: bytes) -> int:
        """Take a part of the data, or nothing, as a system does whose buffer is full."""
        taken = self._chance.choice([0, 1, len(data) // 2, len(data), len(data)])
        if not taken:
            raise BlockingIOError
        return self._system(descriptor, data[:taken])

    def write(self) -> None:
        self._lane.write(self._next())

    def write_lent(self) -> None:
        """Write on the descriptor, if the lane lends it."""
        if self._lent < 0:
            self._lent = self._lane.lend(self._wanted)
        if self._lent < 0:
            return
        data = self._next().prepared
        try:
            sent = self.take(self._lent, data)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._lane.owe(data[sent:])

    def _wanted(self) -> None:
        self._lent = -1

    def _next(self) -> Batch:
        self.written += 1
        return batch(self.written, text="x" * self._chance.choice([1, 1, 1, 300, 5_000]))


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_is_mixed_leaves_whole_and_in_order(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Frames, pings, a lent descriptor and a close, on a system that takes what it likes."""
    chance = random.Random(seed)
    async with ends(Protocol) as (lane, socket):
        assert isinstance(lane, DirectLane)
        mix = Mix(lane, chance)
        acts = [*[mix.write] * 3, *[mix.write_lent] * 2, lane.ping, None, None]
        with monkeypatch.context() as patch:
            patch.setattr(direct_lane.os, "write", mix.take)
            for _ in range(400):
                act = chance.choice(acts)
                if act is None:
                    await asyncio.sleep(0)
                else:
                    act()
            mix.write()
            lane.close_with(CloseCode.DONE, "")
        frames = await received(socket, mix.written)
        assert [frame["id"] for frame in frames] == [f"1-{n}" for n in range(1, mix.written + 1)]
        assert await closed(socket) == (CloseCode.DONE, "")


UPGRADE = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Protocol: netra.v1\r\nAuthorization: Bearer %s\r\n\r\n"
)
CLOSE = b"\x88\x82\0\0\0\0\x03\xe8"


def lots(monkeypatch: pytest.MonkeyPatch, method: str) -> list[int]:
    """Return how often lanes call their method from each end of a turn to the next."""
    turns = [0]
    act, end = getattr(DirectLane, method), Turns._end

    def acting(lane: DirectLane, given: object) -> None:
        turns[-1] += 1
        act(lane, given)

    def ending(shared: Turns) -> None:
        turns.append(0)
        end(shared)

    monkeypatch.setattr(DirectLane, method, acting)
    monkeypatch.setattr(Turns, "_end", ending)
    return turns


async def crowd(server: Live) -> list[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Return more peers, who are connected, than are served in a turn."""
    peers = []
    for _ in range(4 * STEP):
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        writer.write((UPGRADE % server.token()).encode())
        await reader.readuntil(b"\r\n\r\n")
        peers.append((reader, writer))
    return peers


async def test_when_very_many_say_goodbye_some_are_answered_in_each_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = lots(monkeypatch, "_part")
    async with live({"echo": echo}, tmp_path, store=MemoryStore()) as server:
        peers = await crowd(server)
        for _, writer in peers:
            writer.write(CLOSE)  # at once: the server has had no turn in between
        for reader, writer in peers:
            assert (await reader.read()).endswith(b"\x88\x02\x03\xe8")
            writer.close()
        await until(lambda: len(server.app.pool) == 0)
    assert sum(turns) == 4 * STEP
    assert max(turns) <= STEP


async def test_who_end_at_the_same_moment_are_closed_in_several_turns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = lots(monkeypatch, "connection_lost")
    async with live({"echo": echo}, tmp_path, store=MemoryStore()) as server:
        peers = await crowd(server)
        for _, writer in peers:
            writer.write_eof()  # at once: the server has had no turn in between
        for reader, writer in peers:
            await reader.read()
            writer.close()
        await until(lambda: len(server.app.pool) == 0)
    assert sum(turns) == 4 * STEP
    assert max(turns) <= 2 * STEP  # between two ends there are two turns of the loop
