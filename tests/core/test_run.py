"""The life of a run: every pair of states, and that its end is the end."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_backend.core.run import ENDED, MOVES, IllegalMove, RunStatus, move

LEGAL = {
    (RunStatus.RUNNING, RunStatus.FINISHED),
    (RunStatus.RUNNING, RunStatus.AWAITING),
    (RunStatus.RUNNING, RunStatus.FAILED),
    (RunStatus.RUNNING, RunStatus.TIMED_OUT),
    (RunStatus.RUNNING, RunStatus.CANCELLED),
    (RunStatus.RUNNING, RunStatus.INTERRUPTED),
}


@pytest.mark.parametrize(("now", "to"), list(product(RunStatus, RunStatus)))
def test_each_pair_of_states(now: RunStatus, to: RunStatus) -> None:
    if (now, to) in LEGAL:
        assert move(now, to) is to
    else:
        with pytest.raises(IllegalMove, match=f"from {now.name} to {to.name}"):
            move(now, to)


def test_the_table_has_every_state_and_the_legal_moves() -> None:
    assert MOVES.keys() == set(RunStatus)
    assert {(now, to) for now, moves in MOVES.items() for to in moves} == LEGAL


def test_what_has_ended() -> None:
    assert set(RunStatus) - {RunStatus.RUNNING} == ENDED


@given(st.lists(st.sampled_from(RunStatus), max_size=6))
def test_a_run_ends_once(tries: list[RunStatus]) -> None:
    status, moved = RunStatus.RUNNING, 0
    for to in tries:
        try:
            status = move(status, to)
        except IllegalMove:
            continue
        moved += 1
    assert moved == (1 if any(to in ENDED for to in tries) else 0)
    assert (status in ENDED) == (moved == 1)


def test_the_stored_values_do_not_change() -> None:
    """They are in databases and on the wire: a new name needs a migration."""
    assert {status.value for status in RunStatus} == {
        "running",
        "finished",
        "awaiting",
        "failed",
        "timed_out",
        "cancelled",
        "interrupted",
    }
