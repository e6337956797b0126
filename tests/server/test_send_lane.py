"""The lane over ASGI's ``send``: what the other lane has no need of; `test_lane` has the rest."""

import asyncio
from typing import Any

import pytest

from netra_backend.server.send_lane import SendLane

pytestmark = pytest.mark.anyio


async def test_the_lane_over_asgi_counts_bytes_and_not_characters() -> None:
    """What a peer does not take is bounded by what it costs: an emoji is four bytes."""
    never = asyncio.Event()

    async def send(message: dict[str, Any]) -> None:
        await never.wait()

    lane = SendLane(send, high_water=100)
    lane.send('"\N{GRINNING FACE}"'.encode() * 20)
    assert (lane.buffered, lane.full) == (120, True)
    lane.abandon()
    assert lane.buffered == 0
