"""Room: the places for runs, of agents and of users."""

import asyncio

import pytest

from netra_backend.agents.policy import Policy
from netra_backend.agents.room import Room
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId
from netra_backend.core.positions import Position
from netra_backend.core.run import Run, RunStatus
from netra_backend.errors import ErrorCode, Refused, StoreFailed
from netra_backend.testing import ScriptedAgent
from netra_backend.testing.scripted_agent import endless
from tests.agents.running import ALICE, BOB, LIMITS, ask, executed, executing, running
from tests.eventually import until
from tests.stores.workers import Workers, settled

pytestmark = pytest.mark.anyio


def run(user: UserId, agent: str) -> Run:
    thread = ThreadKey(ALICE, ThreadId("t"))
    key = RunKey(user, RunId(f"of {agent}"))
    return Run(key, thread, agent, RunStatus.RUNNING, "c", Position(1, 1))


async def refused(room: Room, user: UserId, agent: str) -> str | None:
    try:
        async with room.kept(RunKey(user, RunId("new")), agent):
            return None
    except Refused as refusal:
        return refusal.message if refusal.code is ErrorCode.TOO_MANY else refusal.code


async def test_a_user_and_an_agent_have_room_of_their_own() -> None:
    executions = executing(run(ALICE, "a"), run(ALICE, "b"), run(BOB, "a"))
    room = Room(
        executions,
        {"a": Policy(LIMITS, concurrent=2, per_user=2), "b": Policy(LIMITS, per_user=2)},
    )
    assert await refused(room, ALICE, "b") == "you have 2 runs already"
    assert await refused(room, BOB, "b") is None
    assert await refused(room, BOB, "a") == "the agent has 2 runs already"
    executions.discard(next(iter(executions.values())))
    assert await refused(room, BOB, "a") is None


async def test_what_begins_counts_until_it_is_executed_or_not() -> None:
    room = Room(executing(), {"a": Policy(LIMITS, concurrent=2, per_user=1)})
    key = RunKey(ALICE, RunId("r"))
    async with room.kept(key, "a"):
        assert await refused(room, ALICE, "a") == "you have 1 runs already"
        async with room.kept(RunKey(BOB, RunId("r")), "a"):
            assert await refused(room, UserId("carol"), "a") == "the agent has 2 runs already"
    with pytest.raises(RuntimeError):
        async with room.kept(key, "a"):
            raise RuntimeError("the store is gone")
    assert await refused(room, ALICE, "a") is None
    assert room._beginning == {}


async def test_runs_count_among_all_nodes_as_long_as_they_are_executed() -> None:
    workers = Workers()
    one, two = [await workers.worker() for _ in range(2)]
    policies = {"a": Policy(LIMITS, concurrent=3, per_user=1), "b": Policy(LIMITS)}
    key, executions = RunKey(ALICE, RunId("of a")), executing()
    here, there = Room(executions, policies), Room(executing(), policies)
    freed: list[str] = []
    here.share(one, lambda: freed.append("here"))
    there.share(two, lambda: freed.append("there"))
    seats = workers.keeper.seats

    # It is asked for twice: nothing is taken twice, and nothing given early.
    async with here.kept(key, "b"), here.kept(key, "a"):
        assert await refused(there, ALICE, "a") == "you have 1 runs already"
        assert await refused(there, BOB, "a") is None
        execution = executed(run(ALICE, "a"))
        executions.add(execution)
    await settled()
    assert freed == [], "what was only tried frees nothing"
    assert await refused(there, ALICE, "a") == "you have 1 runs already"
    executions.discard(execution)
    here.leave(key)
    here.leave(key)
    await settled()
    assert len(seats) == 0
    assert freed == ["there"]
    assert await refused(there, ALICE, "a") is None

    async with here.kept(key, "a"):
        one._line._transport.abort()  # a node that dies has no runs
        await settled()
        assert await refused(there, ALICE, "a") is None
    await settled()
    assert len(seats) == 0
    assert freed == ["there", "there"]
    with pytest.raises(StoreFailed):
        await refused(here, ALICE, "a")
    await two.close()


async def test_an_agent_has_so_many_runs_at_once() -> None:
    policy = Policy(LIMITS, concurrent=2)
    async with running(ScriptedAgent(endless()), policy=policy) as house:
        started = await asyncio.gather(
            *(house.start(ALICE, ask(f"r{n}", f"t{n}")) for n in range(5)),
            return_exceptions=True,
        )
        refused = [one for one in started if isinstance(one, Refused)]
        assert [one.code for one in refused] == [ErrorCode.TOO_MANY] * 3
        assert house.runner.active == 2
        (first, *_) = [one for one in started if not isinstance(one, BaseException)]
        await house.runner.cancel(first.run.key)
        await house.ended(first.run.key.id)
        await until(lambda: house.runner.active == 1)
        assert (await house.start(ALICE, ask("r9", "t9"))).started
