"""The lane of a response: full until somebody takes, and whole at its end."""

import asyncio

import pytest

from netra_backend.errors import CloseCode
from netra_backend.server.lane_port import LaneClosed
from netra_backend.server.outlet import Outlet
from netra_backend.server.sse_lane import SseLane
from tests.client import BOUND

pytestmark = pytest.mark.anyio


async def test_a_lane_that_nobody_takes_from_is_full() -> None:
    lane = SseLane(Outlet(), high_water=10)
    lane.send(b"0123456789")
    assert lane.full
    assert lane.buffered == len(b"data: 0123456789\n\n")
    waiting = asyncio.ensure_future(lane.room())
    await asyncio.sleep(0)
    assert not waiting.done()

    parts = lane.parts()
    assert await anext(parts) == b"data: 0123456789\n\n"
    assert lane.full, "the part is on its way, and nobody has taken it yet"
    taken = asyncio.ensure_future(anext(parts))
    await asyncio.wait_for(waiting, BOUND)
    assert not lane.full
    taken.cancel()


async def test_a_lane_that_was_closed_takes_nothing_and_hands_out_what_it_has() -> None:
    lane = SseLane(Outlet(), high_water=1)
    lane.send(b"last")
    await lane.close(CloseCode.RESTARTING)
    lane.send(b"late")

    async with lane.unbroken():
        assert [part async for part in lane.parts()] == [b"data: last\n\n"]
    with pytest.raises(LaneClosed):
        await lane.room()
