"""The audit: what a writer of ours can have written has no finding, whatever it is."""

from typing import Any

import msgspec
import pytest
from ag_ui.core import EventType
from hypothesis import given
from hypothesis import strategies as st

from netra_backend.agents.terminals import error, failed, status_of, stopped
from netra_backend.core.audit import (
    MAX_FINDINGS,
    Audit,
    EntryRecord,
    Finding,
    InterruptRecord,
    RunRecord,
    ThreadRecord,
    ends_of,
)
from netra_backend.core.events import body_of, event_from_json
from netra_backend.core.ids import RunId, RunKey, ThreadId, ThreadKey, UserId
from netra_backend.core.positions import Position
from netra_backend.core.run import ENDED, Run, RunStatus
from netra_backend.errors import RunError
from tests.strategies import JsonObject, threads

RUN = Run(
    RunKey(UserId("u"), RunId("r")),
    ThreadKey(UserId("u"), ThreadId("t")),
    "agent",
    RunStatus.RUNNING,
    "c",
    Position(7, 1),
)


def audit(
    events: list[JsonObject], runs: list[RunRecord], *, head: int | None = None, **more: Any
) -> tuple[list[Finding], Audit]:
    """Return what is found in a thread with these events, and the audit; `run` is a field more."""
    judge = Audit(ThreadRecord("u,t", 7, len(events) if head is None else head), runs, **more)
    findings: list[Finding] = []
    run = 0
    for offset, event in enumerate(events, 1):
        run += event["type"] == "RUN_STARTED"
        entry = EntryRecord(offset, run, event["type"], msgspec.json.encode(event))
        findings += judge.take(entry)
    return [*findings, *judge.close()], judge


@given(threads())
def test_what_agents_may_do_has_no_finding(said: list[list[JsonObject]]) -> None:
    bodies = [event for run in said for event in run]
    runs: list[RunRecord] = []
    for offset, body in enumerate(bodies, 1):
        if body["type"] == "RUN_STARTED":
            runs.append(RunRecord(len(runs) + 1, f"r{offset}", "running", offset, None, held=True))
        elif body["type"] in ("RUN_FINISHED", "RUN_ERROR"):
            status = status_of(body_of(event_from_json(msgspec.json.encode(body)))).value
            runs[-1] = msgspec.structs.replace(runs[-1], status=status, ended=offset, held=False)
    findings, judge = audit(bodies, runs)
    assert findings == []
    assert judge.open_runs == [run.name for run in runs if run.held]


@pytest.mark.parametrize(
    ("status", "event"),
    [
        (RunStatus.TIMED_OUT, stopped(RUN, RunStatus.TIMED_OUT)),
        (RunStatus.INTERRUPTED, stopped(RUN, RunStatus.INTERRUPTED)),
        (RunStatus.CANCELLED, stopped(RUN, RunStatus.CANCELLED)),
        (RunStatus.FAILED, failed(RUN, RunError.STORE_FAILED)),
        (RunStatus.FAILED, error("timeout", "an agent's own words")),
        (RunStatus.FAILED, error("its_own", "words")),
    ],
)
def test_an_end_agrees_with_how_it_is_recorded_and_no_other(status: RunStatus, event: Any) -> None:
    ends = ends_of(body_of(event))
    assert status in ends
    assert status_of(body_of(event)) in ends
    assert RunStatus.RUNNING not in ends
    assert ends <= ENDED
    assert len(ends) <= 2


@given(st.binary(), st.sampled_from([*EventType, "", "OTHER"]))
def test_nothing_that_a_store_may_have_makes_it_raise(data: bytes, type: str) -> None:
    judge = Audit(
        ThreadRecord("u,t", 7, 1),
        [RunRecord(1, "r", "lost", 9, -1, held=False)],
        [InterruptRecord("q", 5)],
    )
    findings = [*judge.take(EntryRecord(1, 1, type, data)), *judge.close()]
    assert any("unknown status 'lost'" in finding.what for finding in findings)
    assert all(finding.thread == "u,t" for finding in findings)


@pytest.mark.parametrize(
    "field",
    [
        {"input": {"messages": [1]}},
        {"input": {"messages": 5}},
        {"input": {"messages": {"a": 1}}},
        {"input": {"resume": [1]}},
        {"input": {"messages": [{"role": "assistant", "id": "m", "toolCalls": [1]}]}},
    ],
)
def test_a_field_of_a_wrong_shape_is_a_finding_or_none(field: JsonObject) -> None:
    event = {"type": "RUN_STARTED", "threadId": "t", "runId": "r", **field}
    findings, _ = audit([event], [RunRecord(1, "r", "running", 1, None, held=True)])
    assert len(findings) <= 1


def test_one_fault_is_one_finding() -> None:
    """What follows an illegal event would look illegal too, and what follows a gap."""
    text = {"type": "TEXT_MESSAGE_CONTENT", "messageId": "m", "delta": "x"}
    started = {"type": "RUN_STARTED", "threadId": "t", "runId": "r"}
    run = RunRecord(1, "r", "running", 1, None, held=True)
    findings, judge = audit([started, text, text, text], [run])
    assert [finding.position for finding in findings] == ["7-2"]
    assert judge.open_runs == ["r"]


def test_no_more_than_so_many_are_told() -> None:
    other = {"type": "CUSTOM", "name": "n", "value": 1}
    findings, _ = audit([other] * 50, [])
    assert len(findings) == MAX_FINDINGS + 1
    assert findings[-1].what == f"and {50 - MAX_FINDINGS} more findings"
