"""A bucket: a burst at once, then a steady rate, and never more."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netra_backend.server.bucket import Bucket


def test_a_burst_is_there_from_the_beginning_and_comes_back() -> None:
    bucket = Bucket(rate=2, burst=3, now=10.0)
    assert [bucket.take(10.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert bucket.take(10.25) == pytest.approx(0.25)
    assert [bucket.take(10.5), bucket.take(10.5)] == [0, 0.5]
    assert [bucket.take(1_000.0) for _ in range(4)] == [0, 0, 0, 0.5]


@given(
    st.integers(1, 50),
    st.integers(1, 50),
    st.lists(st.floats(0, 5, allow_nan=False), max_size=200),
)
def test_never_more_than_burst_and_rate_and_never_less_for_who_waits(
    rate: int, burst: int, pauses: list[float]
) -> None:
    now = 0.0
    bucket = Bucket(rate, burst, now)
    for taken, pause in enumerate(pauses, start=1):
        now += pause
        wait = bucket.take(now)
        if wait:
            assert wait <= 1 / rate + 1e-9
            now += wait + 1e-6
            assert bucket.take(now) == 0
        assert taken <= burst + rate * now + 1e-3
