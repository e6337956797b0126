"""Room: the places for runs, of agents and of users."""

import pytest

from netra_backend.agents.execution import Limits
from netra_backend.agents.policy import Policy
from netra_backend.agents.room import Room
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId
from netra_backend.core.positions import Position
from netra_backend.core.run import Run, RunStatus
from netra_backend.errors import ErrorCode, Refused
from tests.agents.running import executing

ALICE, BOB = UserId("alice"), UserId("bob")
LIMITS = Limits(60.0, 100, 1.0)


def run(user: UserId, agent: str) -> Run:
    thread = ThreadKey(ALICE, ThreadId("t"))
    key = RunKey(user, RunId(f"of {agent}"))
    return Run(key, thread, agent, RunStatus.RUNNING, "c", Position(1, 1))


def refused(room: Room, user: UserId, agent: str) -> str | None:
    try:
        with room.kept(user, agent):
            return None
    except Refused as refusal:
        return refusal.message if refusal.code is ErrorCode.TOO_MANY else refusal.code


def test_a_user_and_an_agent_have_room_of_their_own() -> None:
    executions = executing(run(ALICE, "a"), run(ALICE, "b"), run(BOB, "a"))
    room = Room(
        executions,
        {"a": Policy(LIMITS, concurrent=2, per_user=2), "b": Policy(LIMITS, per_user=2)},
    )
    assert refused(room, ALICE, "b") == "you have 2 runs already"
    assert refused(room, BOB, "b") is None
    assert refused(room, BOB, "a") == "the agent has 2 runs already"
    executions.discard(next(iter(executions.values())))
    assert refused(room, BOB, "a") is None


def test_what_begins_counts_until_it_is_executed_or_not() -> None:
    room = Room(executing(), {"a": Policy(LIMITS, concurrent=2, per_user=1)})
    with room.kept(ALICE, "a"):
        assert refused(room, ALICE, "a") == "you have 1 runs already"
        with room.kept(BOB, "a"):
            assert refused(room, UserId("carol"), "a") == "the agent has 2 runs already"
    with pytest.raises(RuntimeError), room.kept(ALICE, "a"):
        raise RuntimeError("the store is gone")
    assert refused(room, ALICE, "a") is None
    assert room._beginning == {}
