"""Terminal events: what a user reads of a run that did not end by itself."""

import json
from typing import Any

import pytest

from netra_backend.agents import terminals
from netra_backend.core.events import TERMINAL, Event
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId
from netra_backend.core.positions import Position
from netra_backend.core.run import Run, RunStatus
from netra_backend.errors import RunError

ALICE = UserId("alice")
RUN = Run(
    key=RunKey(ALICE, RunId("r")),
    thread=ThreadKey(ALICE, ThreadId("t")),
    agent="a",
    status=RunStatus.RUNNING,
    correlation="c0ffee",
    started=Position(1, 1),
)


def body(event: Event) -> dict[str, Any]:
    assert event.type in TERMINAL
    return dict(json.loads(event.data))


@pytest.mark.parametrize("said", ["The run failed", "No luck"])
def test_a_failure_names_where_the_log_tells_more(said: str) -> None:
    assert body(terminals.failed(RUN, RunError.AGENT_FAILED, said)) == {
        "type": "RUN_ERROR",
        "code": "agent_failed",
        "message": f"{said}. The server's log tells more under c0ffee.",
    }


def test_a_cancelled_run_is_finished_with_that_outcome() -> None:
    assert body(terminals.stopped(RUN, RunStatus.CANCELLED)) == {
        "type": "RUN_FINISHED",
        "threadId": "t",
        "runId": "r",
        "outcome": {"type": "cancelled"},
    }


@pytest.mark.parametrize(
    ("status", "code"),
    [(RunStatus.TIMED_OUT, "timeout"), (RunStatus.INTERRUPTED, "interrupted")],
)
def test_other_stops_are_errors_with_a_code(status: RunStatus, code: str) -> None:
    told = body(terminals.stopped(RUN, status))
    assert (told["type"], told["code"]) == ("RUN_ERROR", code)
    assert told["message"]


def test_a_run_that_goes_on_was_not_stopped() -> None:
    with pytest.raises(KeyError):
        terminals.stopped(RUN, RunStatus.RUNNING)
