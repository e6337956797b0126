"""LaneRoom: everybody who waits is told."""

import asyncio

import pytest

from netra_backend.server.lane_room import LaneRoom

pytestmark = pytest.mark.anyio


async def test_all_are_told_and_who_has_given_up_does_no_harm() -> None:
    room = LaneRoom()
    waiting = [asyncio.create_task(room.wait()) for _ in range(3)]
    await asyncio.sleep(0)
    waiting[1].cancel()
    await asyncio.sleep(0)
    room.tell()
    await asyncio.gather(waiting[0], waiting[2])
    room.tell()
