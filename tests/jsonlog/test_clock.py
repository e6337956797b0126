"""Times as text."""

import datetime as dt
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_backend.jsonlog.clock import Clock


@given(st.integers(0, 4_000_000_000_000))
def test_each_millisecond_of_the_centuries(number: int) -> None:
    moment = dt.datetime.fromtimestamp(number // 1000, dt.UTC)
    expected = f"{moment:%Y-%m-%dT%H:%M:%S}.{number % 1000:03d}Z"
    assert abs(_parsed(Clock().text(number / 1000)) - _parsed(expected)) <= 0.0011


def _parsed(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


def test_it_does_not_remember_too_long() -> None:
    clock = Clock()
    texts = [clock.text(1_700_000_000 + step) for step in (0.1, 0.1, 0.101, 1.101, 0.1)]
    assert [text[-7:] for text in texts] == ["20.100Z", "20.100Z", "20.101Z", "21.101Z", "20.100Z"]


@pytest.mark.parametrize("odd", [None, "x", 1e300, float("nan"), -1e12, 10**400, object()])
def test_what_is_no_time_is_now(odd: object) -> None:
    assert abs(_parsed(Clock().any_text(odd)) - time.time()) < 10
