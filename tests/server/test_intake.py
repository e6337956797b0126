"""The intake: what is read of a direct lane's socket, when, and who is told."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from netra_backend.server import clockwork, intake, parsing
from netra_backend.server.clockwork import STEP
from netra_backend.server.direct_lane import DirectLane
from netra_backend.server.intake import Intake
from netra_backend.server.lane import Protocol
from netra_backend.stores.memory import MemoryStore
from tests.client import BOUND, client
from tests.eventually import until
from tests.live import live
from tests.server.agents import echo
from tests.server.test_lane_port import ends

pytestmark = pytest.mark.anyio


class Notes:
    """A listener that notes what it is told."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, bool]] = []
        self.ends: list[tuple[int, str]] = []

    def received(self, payload: bytes, *, is_text: bool) -> None:
        self.messages.append((payload, is_text))

    def lost(self, code: int, reason: str) -> None:
        self.ends.append((code, reason))

    def hand_over(self, listener: Any) -> None:
        raise AssertionError("it is the last")


async def test_a_silent_connection_keeps_no_parser() -> None:
    async with ends(Protocol) as (lane, socket):
        assert isinstance(lane, DirectLane)
        lane.listen(notes := Notes())
        assert lane._conn is None
        for part in (b"\x81", b"\x85\x00\x00", b"\x00\x00he", b"l"):
            socket.transport.write(part)
            await until(lambda: lane._conn is not None)
            await asyncio.sleep(0.01)
            assert (lane._conn is not None, notes.messages) == (True, [])
        socket.transport.write(b"lo")
        await until(lambda: notes.messages)
        assert lane._conn is None
        socket.transport.write(b"\x01\x81\x00\x00\x00\x00a")
        await until(lambda: lane._fragments)
        assert lane._conn is not None
        socket.transport.write(b"\x80\x81\x00\x00\x00\x00b")
        await until(lambda: len(notes.messages) == 2)
        assert lane._conn is None
        socket.transport.abort()
        await until(lambda: notes.ends)

    assert notes.messages == [(b"hello", True), (b"ab", True)]
    assert notes.ends == [(1006, "")]


async def test_many_small_frames_are_parsed_in_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """One turn of the event loop never parses longer than a slice, and all come in order."""
    monkeypatch.setattr(intake, "SLICE", 1e-9)
    frames = [Frame(Opcode.TEXT, str(n).encode()).serialize(mask=True) for n in range(2_000)]
    async with ends(Protocol) as (lane, _):
        assert isinstance(lane, DirectLane)
        lane.listen(notes := Notes())
        lane.data_received(b"".join(frames))
        assert 0 < len(notes.messages) <= parsing.READ_SLICE // 7
        lane.hold(True)
        held = len(notes.messages)
        for _ in range(5):
            await asyncio.sleep(0)
        assert len(notes.messages) == held
        lane.hold(False)
        await until(lambda: len(notes.messages) == 2_000)

    assert [int(payload) for payload, _ in notes.messages] == list(range(2_000))


async def test_a_turn_goes_on_with_one_slice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake, "SLICE", 1e-9)
    slices: list[int] = []
    async with ends(Protocol) as (lane, _):
        assert isinstance(lane, DirectLane)
        lane.listen(notes := Notes())
        take = lane.data_received
        monkeypatch.setattr(
            DirectLane, "data_received", lambda _, data: (slices.append(1), take(data))
        )
        lane.data_received(Frame(Opcode.TEXT, b"x").serialize(mask=True) * 2_000)
        while len(notes.messages) < 2_000:
            slices.clear()
            await asyncio.sleep(0)
            assert len(slices) <= 1


@pytest.mark.parametrize(
    ("last", "code"),
    [
        (Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True), 1000),
        (b"\xf1\x80\x00\x00\x00\x00", 1002),  # reserved bits
        (Frame(Opcode.TEXT, b"\xff").serialize(mask=True), 1007),
    ],
    ids=["close", "no frame", "no UTF-8"],
)
async def test_what_comes_with_the_end_is_told_and_nothing_behind_it(
    last: bytes, code: int
) -> None:
    texts = [Frame(Opcode.TEXT, text).serialize(mask=True) for text in (b"one", b"two", b"late")]
    async with ends(Protocol) as (lane, socket):
        assert isinstance(lane, DirectLane)
        lane.listen(notes := Notes())
        socket.transport.write(b"".join([*texts[:2], last, texts[2]]))
        await until(lambda: notes.ends)
        assert notes.messages == [(b"one", True), (b"two", True)]
        assert notes.ends[0][0] == code


async def test_much_behind_the_end_is_taken_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be megabytes, and costs neither time nor memory."""
    parts: list[bytes] = []
    monkeypatch.setattr(DirectLane, "_part", lambda _, answer: parts.append(answer))
    async with ends(Protocol) as (lane, _):
        assert isinstance(lane, DirectLane)
        lane.listen(notes := Notes())
        lane.data_received(Frame(Opcode.TEXT, b"half", fin=False).serialize(mask=True))
        for _ in range(10):
            lane.data_received(b"\xf1\x80\x00\x00\x00\x00" + b"x" * parsing.READ_SLICE * 10)
        await until(lambda: parts and not lane._unread)
        assert (len(parts), lane._fragments) == (1, None)
        assert [code for code, _ in notes.ends] == [1002]
        lane._transport.abort()


async def test_what_came_before_a_listener_is_handed_to_it() -> None:
    async with ends(Protocol) as (lane, socket):
        assert isinstance(lane, DirectLane)
        lane.data_received(Frame(Opcode.BINARY, b"early").serialize(mask=True) * 3)
        lane.listen(notes := Notes())
        await socket.send("late")
        await until(lambda: len(notes.messages) == 4)
        await socket.close(4001, "enough")
        await until(lambda: notes.ends)

    assert notes.messages == [(b"early", False)] * 3 + [(b"late", True)]
    assert notes.ends == [(4001, "enough")]


async def test_a_peer_that_answers_pings_stays_and_one_that_does_not_is_closed() -> None:
    async with ends(Protocol, ws_ping_interval=0.05, ws_ping_timeout=0.2) as (lane, socket):
        assert isinstance(lane, DirectLane)
        lane.listen(notes := Notes())
        async with asyncio.timeout(BOUND):
            for _ in range(3):
                answered = lane._pinged
                while lane._pinged in (None, answered):  # noqa: ASYNC110 - the sweep's own time
                    await asyncio.sleep(0.005)
        assert notes.ends == []
        socket.transport.pause_reading()
        await until(lambda: notes.ends)

    assert notes.ends == [(4408, "too slow, resume")]


async def test_a_peer_whose_answer_we_do_not_read_is_asked_again() -> None:
    """As while its command waits behind those of ten thousand others."""
    async with ends(Protocol, ws_ping_interval=0.05, ws_ping_timeout=0.1) as (lane, socket):
        assert isinstance(lane, DirectLane)
        lane.listen(notes := Notes())
        lane.hold(True)
        asked: set[bytes | None] = set()
        async with asyncio.timeout(BOUND):
            while len(asked) < 4:
                asked.add(lane._pinged)
                await asyncio.sleep(0.005)
        assert notes.ends == []
        lane.hold(False)
        await until(lambda: lane._pinged is None)
        await socket.send("still here")
        await until(lambda: notes.messages)
        assert notes.ends == []


@pytest.mark.parametrize(
    "said",
    [b"\x88\x82\0\0\0\0\x03\xe8", b"\x89\x80\0\0\0\0", b"\x8a\x80\0\0\0\0", b"\x81\x81\0\0\0\0x"],
    ids=["close", "ping", "pong", "text"],
)
async def test_of_many_who_speak_at_once_few_are_read_in_a_turn(
    tmp_path: Path, said: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, turns, read = asyncio.get_running_loop(), [0], Counter[int]()
    reading = Intake._read

    def counting(self: Intake, data: bytes) -> None:
        read[turns[0]] += 1
        reading(self, data)

    def next_turn() -> None:
        turns[0] += 1
        if read.total() < 100:
            loop.call_soon(next_turn)

    server = live({"echo": echo}, tmp_path, store=MemoryStore(), connections_per_user=100)
    async with asyncio.timeout(BOUND), server as at, AsyncExitStack() as stack:
        sockets = [
            await stack.enter_async_context(client(at.socket_url, at.token())) for _ in range(100)
        ]
        monkeypatch.setattr(Intake, "_read", counting)
        loop.call_soon(next_turn)
        for socket in sockets:  # without a breath: the loop finds all of it in one look
            os.write(socket.socket.transport.get_extra_info("socket").fileno(), said)
        await until(lambda: read.total() == len(sockets))
        assert max(read.values()) <= STEP


@pytest.mark.parametrize("seed", range(8))
async def test_the_transport_reads_exactly_while_what_comes_could_be_taken(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever happened before, and in whatever order: else a peer is deaf, or costs memory."""
    monkeypatch.setattr(intake, "SLICE", 1e-9)
    monkeypatch.setattr(clockwork, "STEP", 1)
    chance, sent = random.Random(seed), 0
    frame = Frame(Opcode.TEXT, b"x" * 700).serialize(mask=True)
    async with ends(Protocol) as (lane, _):
        assert isinstance(lane, DirectLane)
        lane.listen(notes := Notes())

        def receive() -> None:
            nonlocal sent
            count = chance.choice([1, 1, 40])
            lane.data_received(frame * count)
            sent += count

        actions: list[Callable[[], None]] = [
            receive,
            lambda: lane.hold(True),
            lambda: lane.hold(False),
            lane.pause_writing,
            lane.resume_writing,
            lane.ping,
        ]
        for _ in range(300):
            chance.choice(actions)()
            takes = not (lane._held or lane.full or lane._unread)
            assert lane._transport.is_reading() is takes
            if chance.random() < 0.3:
                await asyncio.sleep(0)
        lane.resume_writing()
        lane.hold(False)
        await until(lambda: len(notes.messages) == sent)
        assert lane._transport.is_reading()
        lane.hold(True)
        lane.close_with(1000, "")
        assert lane._transport.is_reading(), "the peer's answer has to be read"
