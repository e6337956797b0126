"""Findings as JSON."""

import json

from netra_backend.scan.finding import Edit, Origin
from netra_backend.scan.report.json import write
from tests.scan.findings import finding


def test_the_fields_are_those_that_are_promised() -> None:
    one = finding(
        3, 4, value_path='["s"]', origin=Origin("b.py", 7), edits=(Edit(3, 0, 3, 1, "é"),)
    )
    assert json.loads(write([one])) == [
        {
            "path": "a.py",
            "line": 3,
            "column": 5,
            "end_line": 3,
            "rule": "JS001",
            "severity": "error",
            "message": "plain enum State reaches json.dumps",
            "value_path": '["s"]',
            "origin": {"path": "b.py", "line": 7},
            "fix": {
                "message": "Use .name",
                "edits": [
                    {"line": 3, "column": 1, "end_line": 3, "end_column": 2, "text": "é"},
                ],
            },
        }
    ]


def test_what_is_not_there_is_null_and_nothing_is_an_empty_list() -> None:
    (one,) = json.loads(write([finding()]))
    assert one["origin"] is None
    assert one["fix"] is None
    assert json.loads(write([])) == []
