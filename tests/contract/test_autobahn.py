"""Autobahn's cases, run by `kosoku` against the served application through our lane.

The server is the one that `netra serve` runs: uvicorn with `server.lane.Protocol`, and Netra
mounted in it. Beside it is an endpoint that echoes: text through the lane, as every frame of
Netra goes, and binary through ASGI's ``send``. Compression (cases 12 and 13) is off by default.
"""

from pathlib import Path
from typing import Any

import pytest
from kosoku import FailureError, run_fuzzingclient
from starlette.applications import Starlette
from starlette.routing import Mount, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from netra_backend.config import Settings
from netra_backend.server import parsing
from netra_backend.server.app import create_app
from netra_backend.server.direct_lane import DirectLane
from netra_backend.server.lane import Protocol
from netra_backend.server.websocket import lane_for
from netra_backend.stores.memory import MemoryStore
from tests.live import serving
from tests.server.agents import echo

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]

MAX_SIZE = 64 * 1024 * 1024
"""Bytes of the largest message: 9.* send 16 MB."""

COMPRESSION = ["12.*", "13.*"]
LIMITS_AND_SPEED = ["9.*", "10.*"]

PUBLISHED = {
    "7.1.5": "A close frame that comes between the fragments of a message is answered with 1002."
}
"""Cases that fail because of a limit of ours, and the sentence of docs/protocol.md that says so."""


async def echo_endpoint(websocket: WebSocket) -> None:
    await websocket.accept()
    lane = lane_for(websocket.scope, websocket.send, high_water=MAX_SIZE)
    assert isinstance(lane, DirectLane)
    try:
        while True:
            received = await websocket.receive()
            if received["type"] == "websocket.disconnect":
                return
            if received.get("text") is not None:
                lane.send(received["text"].encode())
            else:
                await websocket.send_bytes(received["bytes"])
    except WebSocketDisconnect:
        pass
    finally:
        lane.abandon()


async def failures(
    tmp_path: Path, cases: list[str] | None, without: list[str], **options: Any
) -> tuple[int, dict[str, str]]:
    """Return how many cases were run, and those that failed with what they said."""
    netra = create_app({"echo": echo}, settings=Settings(data_dir=tmp_path), store=MemoryStore())
    app = Starlette(
        routes=[WebSocketRoute("/echo", echo_endpoint), Mount("/", netra)], lifespan=netra.lifespan
    )
    async with serving(app, Protocol, ws_max_size=MAX_SIZE, **options) as port:
        try:
            results = await run_fuzzingclient(f"ws://127.0.0.1:{port}/echo", cases, without, 4)
        except FailureError as failure:
            results = failure.results
    failed = {
        result.case_id: f"{result.behavior.value}/{result.behavior_close.value}: {result.result}"
        for result in results
        if not result.passed
    }
    return len(results), failed


async def test_the_cases_of_the_protocol_pass(tmp_path: Path) -> None:
    count, failed = await failures(tmp_path, None, [*COMPRESSION, *LIMITS_AND_SPEED])

    assert count > 240
    assert failed.keys() == PUBLISHED.keys(), failed
    limits = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8").replace("\n", " ")
    assert all(sentence in limits for sentence in PUBLISHED.values())


@pytest.mark.nightly
async def test_the_cases_of_large_messages_pass(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the limit of fragments raised: 9.3.* and 9.4.* send one message in up to 65,536."""
    monkeypatch.setattr(parsing, "FRAGMENTS", 100_000)
    count, failed = await failures(tmp_path, LIMITS_AND_SPEED, [])

    assert count > 50
    assert failed == {}


@pytest.mark.nightly
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("section", COMPRESSION)
async def test_the_cases_of_compression_pass(tmp_path: Path, section: str) -> None:
    """Without pings of ours, at which a case that takes longer than their 20 s is given up."""
    options = {"ws_per_message_deflate": True, "ws_ping_interval": None}
    count, failed = await failures(tmp_path, [section], [], **options)

    assert count >= 90
    assert failed == {}
