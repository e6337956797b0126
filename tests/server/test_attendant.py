"""The attendant: commands one after the other, one end, and no task in between."""

import asyncio
import json
from collections.abc import Callable
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from websockets.frames import Frame, Opcode
from websockets.server import ServerProtocol

from netra_backend.server.attendant import Attendant
from netra_backend.server.connection import Connection
from netra_backend.server.direct_lane import DirectLane
from netra_backend.server.edges.edge_dialogue import EdgeDialogue
from netra_backend.server.lane_port import LaneClosed
from netra_backend.server.pool import Pool
from netra_backend.testing.scripted_agent import ScriptedAgent, endless
from tests.client import BOUND, run_input
from tests.collector import alive, no_collector
from tests.eventually import until
from tests.live import Live, live
from tests.server.agents import echo

pytestmark = pytest.mark.anyio


class Desk:
    """A connection and its lane that note what is asked of them; commands wait for the gate."""

    user = "alice"

    def __init__(self) -> None:
        self.done: list[str] = []
        self.held: list[bool] = []
        self.gate = asyncio.Event()
        self.is_open = True
        self.closed_with = None
        self.pool = Pool(limit=1, per_user=1)
        self.pool.admit(self, "::1", 1)  # type: ignore[arg-type]
        self.attendant = Attendant(self, self, self.pool, "::1", copy_context())  # type: ignore[arg-type]

    async def receive(self, data: bytes) -> None:
        self.done.append(f"begin {data.decode()}")
        await self.gate.wait()
        if data == b"fault":
            raise RuntimeError("a fault of ours")
        if data == b"gone":
            raise LaneClosed
        self.done.append(f"end {data.decode()}")

    async def fail(self) -> None:
        self.done.append("fail")
        self.is_open = False
        self.attendant.lost(1011, "internal error")

    async def lost(self) -> None:
        self.done.append("lost")

    async def drain(self, retry_after_ms: int) -> None:
        raise AssertionError("nobody drains it")

    def hold(self, held: bool) -> None:
        self.held.append(held)

    def begin(self, act: Callable[[], None]) -> None:
        act()

    def say(self, *payloads: bytes) -> None:
        for payload in payloads:
            self.attendant.received(payload, is_text=True)


def tasks() -> int:
    return len(asyncio.all_tasks())


async def test_commands_are_carried_out_one_after_the_other() -> None:
    before, desk = tasks(), Desk()
    desk.say(b"a", b"b")
    await until(lambda: desk.done)
    assert (desk.done, desk.held) == (["begin a"], [True])
    desk.gate.set()
    await until(lambda: desk.held[-1] is False)
    desk.say(b"c")
    await until(lambda: desk.held[-1] is False and len(desk.held) == 4)

    assert desk.done == ["begin a", "end a", "begin b", "end b", "begin c", "end c"]
    assert tasks() == before
    assert len(desk.pool) == 1


async def test_the_end_comes_once_and_after_all_that_was_said_before() -> None:
    desk = Desk()
    desk.say(b"a", b"gone", b"b")
    await until(lambda: desk.done)
    desk.attendant.lost(1001, "")
    assert "lost" not in desk.done
    desk.gate.set()
    await until(lambda: not len(desk.pool) and desk.done[-1] == "lost")
    desk.attendant.lost(1006, "")
    desk.say(b"late")
    await asyncio.sleep(0)
    await asyncio.sleep(0)

    assert desk.done == ["begin a", "end a", "begin gone", "begin b", "end b", "lost"]


@pytest.mark.parametrize(("command", "then"), [(b"fault", ["fail", "lost"]), (b"gone", ["lost"])])
async def test_a_fault_and_a_closed_lane_end_it(command: bytes, then: list[str]) -> None:
    desk: Any = Desk()
    desk.gate.set()
    desk.say(command, *([b"never"] if command == b"fault" else []))
    await until(lambda: desk.done[-1:] == ["lost"])

    assert desk.done[1:] == then
    assert len(desk.pool) == 0


KINDS = (Attendant, Connection, DirectLane, ServerProtocol)
CLOSE = Frame(Opcode.CLOSE, b"\x03\xe8").serialize(mask=True)
PING = Frame(Opcode.TEXT, b'{"type":"ping"}').serialize(mask=True)
FOLLOW = Frame(Opcode.TEXT, b'{"type":"follow","request":"f","thread":"t"}').serialize(mask=True)
HALF = Frame(Opcode.TEXT, b"{", fin=False).serialize(mask=True)
HEAD = (
    "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "{protocol}Authorization: Bearer {token}\r\n\r\n"
)
NETRA = "Sec-WebSocket-Protocol: netra.v1\r\n"


def frame(said: dict[str, Any]) -> bytes:
    return Frame(Opcode.TEXT, json.dumps(said).encode()).serialize(mask=True)


INPUT = run_input("t", "r", "hi there")
RUN = frame({"type": "run", "request": "r", "input": INPUT})
SEND = {
    "type": "send",
    "requestId": "q",
    "id": "t",
    "trigger": "submit-message",
    "messages": [{"id": "m", "role": "user", "parts": [{"type": "text", "text": "hi there"}]}],
    "headers": {},
    "body": {},
}


@pytest.mark.parametrize(
    "said",
    [
        b"", PING + CLOSE, FOLLOW + CLOSE, RUN + FOLLOW + CLOSE, RUN + FOLLOW, HALF, HALF + CLOSE,
        HALF + b"\xf1\x80\0\0\0\0", b"\x81",
    ],
    ids=[
        "nothing", "close", "follow nothing", "follow", "follow, vanish", "half", "half, close",
        "half, no frame", "a byte",
    ],
)  # fmt: skip
async def test_nothing_of_a_connection_is_left_to_the_collector(
    said: bytes, tmp_path: Path
) -> None:
    """A peer that comes again and again would fill the memory until it comes."""
    async with live({"echo": echo}, tmp_path) as server:
        with no_collector():
            before = alive(KINDS)
            for _ in range(3):
                await _say(server, "/ws", NETRA, said, await_first=b'"ready"')
            await until(lambda: not alive(KINDS, before), bound=5)


@pytest.mark.parametrize(
    ("path", "said", "heard"),
    [("/ws", INPUT, b"TEXT_MESSAGE"), ("/ai-sdk/endless", SEND, b"text-delta")],
    ids=["TanStack AI", "AI SDK"],
)
async def test_nothing_of_another_client_is_left_to_the_collector(
    path: str, said: dict[str, Any], heard: bytes, tmp_path: Path
) -> None:
    async with live({"endless": ScriptedAgent(endless())}, tmp_path) as server:
        with no_collector():
            before = alive((*KINDS, EdgeDialogue))
            await _say(server, path, "", frame(said), await_last=heard)
            await until(lambda: not alive((*KINDS, EdgeDialogue), before), bound=5)


async def _say(
    server: Live,
    path: str,
    protocol: str,
    said: bytes,
    *,
    await_first: bytes = b"\r\n\r\n",
    await_last: bytes = b"",
) -> None:
    """Shake hands, say that, and go; the two are what is heard before and after it is said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    head = HEAD.format(path=path, protocol=protocol, token=server.token())
    writer.write(head.encode())
    await asyncio.wait_for(reader.readuntil(await_first), BOUND)
    writer.write(said)
    await writer.drain()
    if said.endswith(CLOSE):
        await asyncio.wait_for(reader.read(), BOUND)
    elif await_last:
        await asyncio.wait_for(reader.readuntil(await_last), BOUND)
    writer.transport.abort()
