"""Random lives of real processes: ``netra serve`` with one to three workers, players, an operator.

At night there are many; one seed is
``pytest -m nightly "tests/faults/test_process_model.py::test_many_lives[7]"``.
"""

import json
import signal
from pathlib import Path

import pytest

from tests.client import Frame, run_input
from tests.conftest import Tell
from tests.faults.game import THREADS, Told
from tests.faults.process_judge import Judgement
from tests.faults.process_life import Disturbance, ProcessLife

pytestmark = pytest.mark.anyio

T0 = THREADS[0]
VIEW = ",".join(T0)
"""What others call it."""


async def _live(life: ProcessLife, tell: Tell) -> None:
    judgement = Judgement(life)
    try:
        await life.live()
        problems = await judgement.judge()
    finally:
        life.server.stop(signal.SIGKILL)
    done = ", ".join(one.what for one in life.disturbances)
    tell(
        f"{len(life.game.told)} commands, {judgement.events} events judged;"
        f" runs: {dict(sorted(judgement.ends.items()))}; {done}"
    )
    assert not problems, f"{life.environment}, {life.disturbances}:\n" + "\n".join(problems)
    assert judgement.events


async def test_a_life_of_one_process_that_is_killed(tmp_path: Path, tell: Tell) -> None:
    life = ProcessLife(2, tmp_path, seconds=2.0, workers=1)
    await _live(life, tell)
    assert "crash" in "".join(one.what for one in life.disturbances)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(12))
async def test_many_lives(seed: int, tmp_path: Path, tell: Tell) -> None:
    await _live(ProcessLife(seed, tmp_path, seconds=20.0), tell)


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(4))
async def test_many_calm_lives(seed: int, tmp_path: Path, tell: Tell) -> None:
    """Leases last: whatever needed a sweep to go on would come too late."""
    await _live(ProcessLife(seed, tmp_path, seconds=10.0, calm=True), tell)


# --- the judgement is seen failing ---


@pytest.fixture
def judgement(tmp_path: Path) -> Judgement:
    """A judgement of a life in which nothing has happened yet."""
    life = ProcessLife(0, tmp_path, seconds=0.0)
    life.disturbances.append(Disturbance("stop", 100.0, 110.0))
    life.game.roles[T0, "bob"].append((1.0, 2.0, "read"))
    return Judgement(life)


def asks(user: str, run: str, asked: float, **answer: object) -> Told:
    """Return what a user was told, a second later, of a run in alice's thread."""
    view = T0[1] if user == "alice" else VIEW
    return Told(user, "run", {"input": run_input(view, run)}, asked, asked + 1.0, answer)


def says(*runs: str) -> list[Frame]:
    """Return a log in which these runs began in this order."""
    return [{"run": run} for run in runs]


def test_who_was_shown_or_refused_too_much(judgement: Judgement) -> None:
    for told, problem in (
        (asks("bob", "r1", 10.0, type="accepted"), "bob may read, and not write"),
        (asks("carol", "r2", 10.0, type="accepted"), "carol may None, and not write"),
        (asks("bob", "r3", 1.5, type="accepted"), ""),
        (Told("bob", "join", {"thread": VIEW}, 10.0, 11.0, {"status": 200}), ""),
        (asks("alice", "r4", 10.0, type="error", code="store_failed"), "store_failed"),
        (asks("alice", "r5", 105.0, type="error", code="store_failed"), ""),
        (asks("alice", "r6", 105.0, type="error", code="internal"), "internal"),
    ):
        judgement.problems = []
        judgement._judge_told(told)
        assert bool(judgement.problems) is bool(problem), told
        assert problem in "".join(judgement.problems)


def test_who_began_in_vain_or_out_of_turn(judgement: Judgement) -> None:
    queued = {"type": "accepted", "queued": True}
    judgement.game.told += [
        asks("alice", "r1", 1.0, **queued),
        asks("alice", "r2", 10.0, **queued),
        asks("alice", "r3", 20.0, type="error", code="thread_busy"),
    ]
    judgement._judge_runs({T0: says("r1", "r2")})
    assert not judgement.problems
    judgement._judge_runs({T0: says("r2", "r1", "r3")})
    early, refused = sorted(judgement.problems, reverse=True)
    assert refused.startswith("r2 was asked for when r1 waited")
    assert early.startswith("r3 began, and was refused")


def test_what_the_agent_noted_twice(judgement: Judgement) -> None:
    noted = [("r1", ["q1"]), ("r2", ["q1"]), ("r2", [])]
    lines = [json.dumps({"scope": "s", "run": run, "answers": told}) for run, told in noted]
    (judgement.life.folder / "notes").write_text("\n".join(lines))
    judgement._judge_notes()
    again, answered = judgement.problems
    assert again == "the agent was called 2 times for ('s', 'r2')"
    assert answered.startswith("the answer to q1 was told in ")


def test_a_line_that_is_not_expected(judgement: Judgement) -> None:
    file = judgement.life.server.log_file
    file.write_text('{"level": "ERROR", "message": "the agent failed"}\n')
    judgement._judge_lines()
    assert not judgement.problems
    file.write_text('{"level": "ERROR", "message": "the sweep failed for a run"}\nTraceback\n')
    judgement._judge_lines()
    unexpected, no_json = judgement.problems
    assert unexpected.startswith("in the log: ")
    assert no_json == "no line of JSON: Traceback"
