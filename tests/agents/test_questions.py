"""Questions: what a run leaves for people to answer, each with an id that its thread had never."""

import pytest
from ag_ui.core import Interrupt, RunFinishedEvent, RunFinishedInterruptOutcome

from netra_backend.core.ids import ThreadId, ThreadKey
from netra_backend.core.run import RunStatus
from netra_backend.testing import ScriptedAgent, asking
from netra_backend.testing.scripted_agent import events
from tests.agents.running import ALICE, Running, running

pytestmark = pytest.mark.anyio


def asks(*ids: str) -> ScriptedAgent:
    """Return an agent whose run ends with questions of these ids."""
    asked = [Interrupt(id=id, reason="approval") for id in ids]
    outcome = RunFinishedInterruptOutcome(interrupts=asked)
    return ScriptedAgent(events(RunFinishedEvent(thread_id="t", run_id="r", outcome=outcome)))


async def ran(house: Running, run: str) -> RunStatus:
    await house.start(ALICE, asking("hi", thread_id="t1", run_id=run))
    return (await house.ended(run)).status


async def test_an_interrupts_id_is_used_once() -> None:
    """Otherwise a late answer to the first question would decide the second."""
    async with running(asks("q")) as house:
        assert await ran(house, "r1") is RunStatus.AWAITING
        assert await ran(house, "r2") is RunStatus.FAILED


@pytest.mark.parametrize("ids", [("q", "q"), ("",), ("a", "b", "a")])
async def test_each_question_has_an_id_of_its_own(ids: tuple[str, ...]) -> None:
    async with running(asks(*ids)) as house:
        assert await ran(house, "r1") is RunStatus.FAILED
        assert (await house.chunks())[-1]["code"] == "illegal_event"
        assert list(await house.store.asked(ThreadKey(ALICE, ThreadId("t1")), 9)) == []
