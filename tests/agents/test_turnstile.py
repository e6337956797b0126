"""The turnstile: one after the other reads a thread, and who waits behind has least to read."""

import asyncio

import pytest

from netra_backend.agents.turnstile import Turnstile
from netra_backend.core.prelude import Prelude

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("leaves", "order"),
    [([], [5, 7, 9, 1, 3]), ([7], [5, 9, 1, 3]), ([9, 1], [5, 7, 3])],
    ids=["all stay", "the next one leaves", "others leave"],
)
async def test_the_next_goes_on_from_the_one_before_or_begins_anew(
    leaves: list[int], order: list[int]
) -> None:
    turnstile, turns, goes_on = Turnstile(), [], asyncio.Event()

    async def read(upto: int) -> None:
        async with turnstile.alone(upto):
            turns.append(upto)
            turnstile.told = Prelude(1, upto, None, [])
            await goes_on.wait()

    tasks = {upto: asyncio.create_task(read(upto)) for upto in (5, 3, 9, 1, 7)}
    await asyncio.sleep(0)
    goes_on.set()
    await asyncio.sleep(0)  # now the next one has its turn, and has not gone on yet
    for upto in leaves:
        tasks[upto].cancel()
    await asyncio.gather(*tasks.values(), return_exceptions=True)
    assert turns == order
    assert not turnstile._taken
