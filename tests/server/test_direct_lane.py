"""The direct lane: what goes to the system at once, what is joined, and what little is kept."""

import asyncio
import json
import os
from typing import Any

import pytest
from websockets.frames import Frame, Opcode

from netra_backend.errors import CloseCode
from netra_backend.server import direct_lane, parsing
from netra_backend.server.direct_lane import DirectLane
from netra_backend.server.lane import Protocol
from tests.client import BOUND
from tests.eventually import until
from tests.server.test_lane import batch, closed, ends, received

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


async def test_the_first_write_of_a_turn_goes_at_once_and_the_others_are_joined(
    writes: list[int],
) -> None:
    async with ends(Protocol) as (lane, socket):
        writes.clear()
        for number in range(1, 9):
            lane.write(batch(number))
        assert len(writes) == 1
        assert lane.buffered > 0
        assert [frame["id"] for frame in await received(socket, 8)] == [
            f"1-{n}" for n in range(1, 9)
        ]
        writes.clear()
        lane.write(batch(9))
        assert len(writes) == 1
        assert lane.buffered == 0
        assert (await received(socket, 1))[0]["id"] == "1-9"
        for number in range(10, 300):
            lane.write(batch(number, text="x" * (9_000 if number % 50 == 0 else 1)))
            assert lane.buffered < 20_000
        assert [f["id"] for f in await received(socket, 290)] == [f"1-{n}" for n in range(10, 300)]


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

    def short(descriptor: int, data: bytes) -> int:
        if taken == 0:
            raise BlockingIOError
        return write(descriptor, data[:taken])

    async with ends(Protocol) as (lane, socket):
        with monkeypatch.context() as patch:
            patch.setattr(direct_lane.os, "write", short)
            lane.write(batch(1))
            lane.write(batch(2))
        frames = await received(socket, 2)

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
    """One turn of the event loop never parses more than a slice, and all come in order."""
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


async def test_a_foreign_message_of_the_application_is_refused() -> None:
    async with ends(Protocol) as (lane, socket):
        lane.send(json.dumps({"a": 1}).encode())
        assert await received(socket, 1) == [{"a": 1}]
        assert isinstance(lane, DirectLane)
        with pytest.raises(RuntimeError, match=r"websocket\.accept"):
            await lane._listener.send({"type": "websocket.accept"})  # type: ignore[attr-defined]
