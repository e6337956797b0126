"""Samples and limits: what was left out is counted, and said."""

import io
import json
import logging
from typing import Any

import pytest

from netra_backend.jsonlog import Repeats, bind, configure, counters, get_logger, unconfigure
from netra_backend.jsonlog.thinning import MAX_KINDS, Thinning


class Now:
    """A clock that stands still until told."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def now() -> Now:
    return Now()


def record(text: Any = "text", level: int = logging.INFO, name: str = "app") -> logging.LogRecord:
    return logging.LogRecord(name, level, "f.py", 1, text, (), None)


def test_lines_of_one_kind_are_limited_and_the_next_says_how_many(now: Now) -> None:
    thinning = Thinning({}, Repeats(2, 10), now)
    assert [thinning.judge(record()) for _ in range(5)] == [{}, {}, None, None, None]
    assert thinning.judge(record("another")) == {}
    assert thinning.judge(record(level=logging.ERROR)) == {}
    assert thinning.judge(record(name="other")) == {}
    now.seconds += 10
    assert [thinning.judge(record()) for _ in range(3)] == [{"suppressed": 3}, {}, None]


def test_the_arguments_do_not_make_another_kind(now: Now) -> None:
    thinning = Thinning({}, Repeats(1), now)
    for number in range(3):
        one = record("number %d")
        one.args = (number,)
        assert (thinning.judge(one) is None) == (number > 0)


def test_what_nobody_said_is_said_at_the_end(now: Now) -> None:
    thinning = Thinning({}, Repeats(1), now)
    for _ in range(4):
        thinning.judge(record("often %s", logging.WARNING))
    (rest,) = thinning.rest()
    assert (rest.name, rest.levelname) == ("app", "WARNING")
    assert (rest.__dict__["template"], rest.__dict__["number"]) == ("often %s", 3)
    assert list(thinning.rest()) == []


def test_a_sample_is_drawn_by_correlation() -> None:
    thinning = Thinning({"app": 0.25}, None)
    kept = 0
    for number in range(2_000):
        with bind(correlation=f"request {number}"):
            first = thinning.judge(record()) is not None
            assert (thinning.judge(record("another")) is not None) == first
            assert thinning.judge(record(level=logging.WARNING)) is not None
        kept += first
    assert 400 < kept < 600


def test_where_no_correlation_is_bound_each_line_is_drawn_by_itself() -> None:
    thinning = Thinning({"app": 0.25}, None)
    same = [thinning.judge(record()) is not None for _ in range(2_000)]
    others = [thinning.judge(record(f"text {at}")) is not None for at in range(2_000)]
    assert 400 < sum(same) < 600
    assert 400 < sum(others) < 600


@pytest.mark.parametrize(
    ("name", "kept"),
    [("app", False), ("app.part", False), ("app.part.loud", True), ("apple", True), ("x", True)],
)
def test_a_sample_holds_for_the_loggers_below(name: str, kept: bool) -> None:
    thinning = Thinning({"app": 0, "app.part.loud": 1}, None)
    assert (thinning.judge(record(name=name)) is not None) == kept
    assert Thinning({"": 0}, None).judge(record(name=name)) is None


def test_kinds_are_bounded(now: Now) -> None:
    thinning = Thinning({}, Repeats(1), now)
    for number in range(MAX_KINDS + 100):
        thinning.judge(record(f"text {number}"))
    assert len(thinning._kinds) == MAX_KINDS
    assert thinning.judge(record("text 0")) == {}
    assert thinning.judge(record(f"text {MAX_KINDS + 99}")) is None


@pytest.mark.usefixtures("clean_logging")
def test_the_whole_path() -> None:
    stream = io.StringIO()
    before = counters().suppressed.get("INFO", 0)
    configure("INFO", "json", stream, sample={"noisy": 0}, repeats=Repeats(1, 1_000))
    log = get_logger("app")
    for number in range(3):
        log.info("tick", number=number)
        get_logger("noisy").info("tock")
        log.error("failed")
    unconfigure()
    shown = [json.loads(one) for one in stream.getvalue().splitlines()]
    assert [(one["message"], one.get("number")) for one in shown] == [
        ("tick", 0),
        ("failed", None),
        ("log records were suppressed", 2),
        ("log records were suppressed", 3),
        ("log records were suppressed", 2),
    ]
    assert counters().suppressed["INFO"] == before + 5


@pytest.mark.parametrize("sample", [{"a": -1}, {"a": 1.5}])
def test_a_bad_sample_is_refused(sample: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        configure(stream=io.StringIO(), sample=sample)


@pytest.mark.parametrize("repeats", [Repeats(0), Repeats(1, 0)])
def test_a_bad_limit_is_refused(repeats: Repeats) -> None:
    with pytest.raises(ValueError, match="at least 1 line"):
        configure(stream=io.StringIO(), repeats=repeats)
