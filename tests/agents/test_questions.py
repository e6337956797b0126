"""Questions: what a run leaves for people to answer, each with an id that its thread had never."""

import pytest

from netra_backend.core.run import RunStatus
from tests.agents.running import ALICE, T1, Running, ask, running, that_asks

pytestmark = pytest.mark.anyio


async def ran(house: Running, run: str) -> RunStatus:
    await house.start(ALICE, ask(run))
    return (await house.ended(run)).status


async def test_an_interrupts_id_is_used_once() -> None:
    """Otherwise a late answer to the first question would decide the second."""
    async with running(that_asks("q")) as house:
        assert await ran(house, "r1") is RunStatus.AWAITING
        assert await ran(house, "r2") is RunStatus.FAILED


@pytest.mark.parametrize("ids", [("q", "q"), ("",), ("a", "b", "a")])
async def test_each_question_has_an_id_of_its_own(ids: tuple[str, ...]) -> None:
    async with running(that_asks(*ids)) as house:
        assert await ran(house, "r1") is RunStatus.FAILED
        assert (await house.chunks())[-1]["code"] == "illegal_event"
        assert list(await house.store.asked(T1, 9)) == []
