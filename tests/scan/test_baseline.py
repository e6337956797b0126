"""The baseline: what old code is forgiven."""

import pytest

from netra_backend.errors import ConfigError
from netra_backend.scan.baseline import (
    Baseline,
    make_baseline,
    parse_baseline,
    subtract,
    write_baseline,
)
from netra_backend.scan.finding import Finding
from netra_backend.scan.lines import split_lines
from tests.scan.findings import finding

OLD = "import json\njson.dumps(a)\njson.dumps(b)\njson.dumps(a)\n"


def identify(source: str):
    lines = split_lines(source)
    return lambda it: (it.path, lines[it.line - 1])


def old() -> Baseline:
    return make_baseline([finding(2), finding(3), finding(4)], identify(OLD))


def new(source: str, *found: Finding) -> tuple[list[int], int]:
    """Return the lines of what is not forgiven, and how much is forgiven in vain."""
    left, stale = subtract(found, old(), identify(source))
    return [it.line for it in left], sum(entry.count for entry in stale)


def test_old_findings_are_forgiven() -> None:
    assert new(OLD, finding(2), finding(3), finding(4)) == ([], 0)


def test_it_holds_when_lines_move_and_blanks_change() -> None:
    moved = "import json\n\n\nif x:\n    json.dumps(a)\n    json.dumps(b)\n    json.dumps(a)\n"
    assert new(moved, finding(5), finding(6), finding(7)) == ([], 0)


def test_one_more_of_the_same_is_new() -> None:
    source = OLD + "json.dumps(a)\n"
    assert new(source, finding(2), finding(3), finding(4), finding(5)) == ([5], 0)


@pytest.mark.parametrize(
    "other",
    [finding(2, rule="JS002"), finding(2, path="b.py"), finding(2, value_path='["state"]')],
)
def test_another_file_rule_or_value_is_new(other: Finding) -> None:
    assert new(OLD, other) == ([2], 3)


def test_what_was_repaired_is_told() -> None:
    assert new(OLD, finding(2)) == ([], 2)


def test_it_is_read_as_it_was_written() -> None:
    assert parse_baseline(write_baseline(old()), "b.json") == old()
    assert [entry.count for entry in old().findings] == [2, 1]


def test_a_small_change_makes_a_small_difference() -> None:
    before = write_baseline(old()).decode().splitlines()
    after = write_baseline(make_baseline([finding(2), finding(4)], identify(OLD))).decode()
    assert set(after.splitlines()) < set(before)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (b"", "b.json is no baseline"),
        (b"{", "b.json is no baseline"),
        (b"[]", "b.json is no baseline"),
        (b'{"version": 1, "findings": [{"path": 1}]}', r"\$.findings\[0\].path"),
        (b'{"version": 9, "findings": []}', "has version 9 and this scanner reads 1"),
    ],
)
def test_what_is_no_baseline_is_refused(text: bytes, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_baseline(text, "b.json")
