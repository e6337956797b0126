"""How many findings each rule has."""

from netra_backend.scan.finding import Edit
from netra_backend.scan.report.statistics import write
from tests.scan.findings import finding


def test_the_most_frequent_rule_is_first() -> None:
    found = [finding(rule="JS002", edits=(Edit(1, 0, 1, 0, ""),))]
    found += [finding()] * 12
    assert list(write(found, {"JS001": "plain enum"})) == [
        "12  JS001  plain enum",
        " 1  JS002   (1 fixable)",
    ]
    assert list(write([], {})) == ["Nothing found."]
