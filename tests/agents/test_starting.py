"""Starting: who waits for what begins, and for whom nobody waits."""

import asyncio
import gc

import pytest

from netra_backend.agents import starting as starting_module
from netra_backend.agents.starting import Starting
from netra_backend.core.ids import RunId, RunKey, UserId
from netra_backend.errors import ErrorCode, Refused
from tests.eventually import until

pytestmark = pytest.mark.anyio

KEY = RunKey(UserId("alice"), RunId("r"))


async def test_what_begins_has_its_outcome_though_nobody_waits_for_it() -> None:
    starting, let = Starting(), asyncio.Event()
    leaving = asyncio.create_task(starting.work(KEY, let.wait()))
    await until(lambda: KEY in starting)
    leaving.cancel()
    settled = asyncio.create_task(starting.settled())
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert not settled.done()
    let.set()
    await settled
    assert KEY not in starting


@pytest.mark.parametrize(
    ("error", "lines"),
    [(Refused(ErrorCode.THREAD_BUSY), 0), (RuntimeError("broken"), 1)],
    ids=["refused", "failed"],
)
async def test_a_refusal_that_reaches_nobody_is_no_error(
    error: Exception, lines: int, caplog: pytest.LogCaptureFixture
) -> None:
    starting, let = Starting(), asyncio.Event()

    async def begin() -> None:
        await let.wait()
        raise error

    leaving = asyncio.create_task(starting.work(KEY, begin()))
    await until(lambda: KEY in starting)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    let.set()
    await starting.settled()
    gc.collect()  # asyncio tells of an exception that nobody took when its task is forgotten
    assert [record.name for record in caplog.records] == [starting_module.__name__] * lines


async def test_who_is_asked_by_another_node_does_not_wait_for_what_is_held() -> None:
    """Else two nodes wait for ever, each of which begins a run in the place of the other's."""
    starting, hold, let = Starting(), asyncio.Event(), asyncio.Event()

    async def begin() -> None:
        await hold.wait()
        with starting.held():
            await let.wait()

    beginning = asyncio.create_task(starting.work(KEY, begin()))
    await until(lambda: KEY in starting)
    asked = asyncio.create_task(starting.outcome_or_held(KEY))
    outcome = asyncio.create_task(starting.outcome(KEY))
    await asyncio.sleep(0)
    assert not asked.done()
    hold.set()
    await asked
    assert not outcome.done()
    let.set()
    await outcome
    await beginning


async def test_a_run_that_two_begin_has_its_outcome_with_the_last() -> None:
    starting, let_first, let = Starting(), asyncio.Event(), asyncio.Event()
    first = asyncio.create_task(starting.work(KEY, let_first.wait()))
    last = asyncio.create_task(starting.work(KEY, let.wait()))
    await until(lambda: KEY in starting)
    outcome = asyncio.create_task(starting.outcome(KEY))
    let_first.set()
    await first
    await asyncio.sleep(0)
    assert not outcome.done()
    let.set()
    await outcome
    await last
