"""The verdict agrees with what ``json.dumps`` does: generated programs are scanned and executed."""

import sys
from collections import Counter

from hypothesis import HealthCheck, given, note, settings

from netra_backend.scan.engine import link, summarise
from netra_backend.scan.finding import Severity
from netra_backend.scan.options import Options
from tests.night import NIGHTLY
from tests.scan.programs import FILE, execute, programs

PROGRAMS = 2_000 if NIGHTLY else 100
"""``make nightly`` tries them all; that takes minutes."""

TALLY: Counter[str] = Counter()


@settings(
    max_examples=PROGRAMS,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
@given(programs())
def agree(source: str) -> None:
    summary = summarise(FILE, "program", source)
    assert summary.skipped is None
    findings = [f for f in link([summary], Options()) if f.severity is not Severity.NOTE]
    written, ended = execute(source)
    note(source)
    TALLY["programs"] += 1
    TALLY["ended early"] += ended is not None
    said = {finding.line: finding for finding in reversed(findings)}
    for finding in findings:
        calls = [call for call in written if finding.line in call.lines]
        if finding.severity is Severity.ERROR and calls:
            TALLY["errors"] += 1
            assert any(call.raised for call in calls), finding
        elif calls:
            TALLY["warnings"] += 1
            TALLY["warnings that did not raise"] += not any(call.raised for call in calls)
    for call in written:
        TALLY["refusals"] += call.raised
        TALLY["refusals not found"] += call.raised and not call.lines & said.keys()


def test_every_error_raises() -> None:
    TALLY.clear()
    agree()
    sys.stdout.write(f"{dict(TALLY)}\n")  # counted, not judged: warnings are of some values
    # Of a hundred programs, 27 to 69 have one: many are generated from one another.
    assert TALLY["errors"] > TALLY["programs"] / (4 if NIGHTLY else 10)
    assert TALLY["refusals not found"] < TALLY["refusals"] / 2
