"""Executions: each is found by its key and by its place, and counted, until it has stopped."""

from netra_backend.agents.executions import Executions
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId
from netra_backend.core.positions import Position
from netra_backend.core.run import Run, RunStatus
from tests.agents.running import ALICE, executed, executing

BOB = UserId("bob")
SHARED = ThreadKey(ALICE, ThreadId("shared"))
OTHER = ThreadKey(ALICE, ThreadId("other"))


def run(id: str, user: UserId = ALICE, thread: ThreadKey = SHARED, agent: str = "a") -> Run:
    key = RunKey(user, RunId(id))
    return Run(key, thread, agent, RunStatus.RUNNING, "c", Position(1, 1))


def runs(executions: Executions, thread: ThreadKey) -> list[str]:
    return [execution.run.key.id for execution in executions.in_thread(thread)]


def test_each_is_found_by_its_key_and_in_its_thread() -> None:
    executions = executing(run("r", BOB), run("s"), run("r", thread=OTHER))

    assert runs(executions, SHARED) == ["r", "s"]
    assert runs(executions, OTHER) == ["r"]
    assert runs(executions, ThreadKey(BOB, SHARED.id)) == []
    assert executions[RunKey(ALICE, RunId("r"))].run.thread == OTHER
    shared = executions.named(SHARED, RunId("r"))
    assert shared is not None
    assert shared.run.key.owner == BOB
    assert executions.named(OTHER, RunId("s")) is None
    assert executions.named(ThreadKey(BOB, OTHER.id), RunId("r")) is None


def test_users_and_agents_have_so_many() -> None:
    executions = executing(run("1"), run("2", agent="b"), run("3", BOB))

    assert [executions.of_user(user) for user in (ALICE, BOB, UserId("carol"))] == [2, 1, 0]
    assert [executions.of_agent(agent) for agent in "abc"] == [2, 1, 0]


def test_nothing_is_left_of_those_that_have_stopped() -> None:
    executions = executing(run("1"), run("2", BOB), run("3", thread=OTHER, agent="b"))
    for execution in list(executions.values()) * 2:
        executions.discard(execution)

    assert vars(executions) == vars(Executions())


def test_runs_of_two_users_may_have_one_name_in_a_thread() -> None:
    executions = executing(run("r"), run("r", BOB))
    first, second = executions.values()

    assert executions.discard(first)
    assert runs(executions, SHARED) == ["r"]
    assert executions.discard(second)
    assert vars(executions) == vars(Executions())


def test_one_that_does_not_stop_gives_its_place_to_the_next_of_its_name() -> None:
    """Its thread was deleted meanwhile, and the name is free again."""
    executions = Executions()
    old, new = executed(run("r")), executed(run("r", thread=OTHER))
    executions.add(old)
    executions.add(new)
    executions.discard(old)

    assert executions[new.run.key] is new
    assert (runs(executions, SHARED), runs(executions, OTHER)) == ([], ["r"])
    assert executions.of_user(ALICE) == 1
