"""Counts by level that threads and signals may add to."""

import threading

from netra_backend.jsonlog import Counters, counters
from netra_backend.jsonlog.counts import DROPPED, Tally


def test_counts_are_added_and_taken() -> None:
    tally = Tally()
    tally.add("INFO")
    tally.add("INFO", 2)
    tally.add_all({"INFO": 1, "ERROR": 5})
    assert tally.take() == {"INFO": 4, "ERROR": 5}
    assert tally.numbers == {}


def test_threads_lose_none() -> None:
    tally = Tally()
    threads = [
        threading.Thread(target=lambda: [tally.add("INFO") for _ in range(5_000)]) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert tally.numbers == {"INFO": 20_000}


def test_totals_are_copies() -> None:
    before = counters()
    assert type(before) is Counters
    DROPPED.add("TEST")
    assert counters().dropped["TEST"] == before.dropped.get("TEST", 0) + 1
