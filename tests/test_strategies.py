"""The strategies give what they promise: legal runs, of every kind of event."""

import random

from ag_ui.core import EventType
from hypothesis import given, settings

from netra_backend.core.events import Entry
from tests.legality import illegal
from tests.night import NIGHTLY, examples
from tests.strategies import JsonObject, Writer, logs, model, runs, threads, wire


def test_night_is_told_from_day() -> None:
    assert NIGHTLY is (settings.get_current_profile_name() == "nightly")


@settings(max_examples=examples(100), deadline=None)
@given(runs())
def test_a_run_is_legal(events: list[JsonObject]) -> None:
    assert illegal(events) == []


@settings(max_examples=examples(100), deadline=None)
@given(runs(chunks=True))
def test_every_event_is_one_of_ag_ui(events: list[JsonObject]) -> None:
    for event in events:
        model(event)
        wire(event)


@settings(max_examples=examples(50), deadline=None)
@given(threads())
def test_a_thread_is_legal(thread: list[list[JsonObject]]) -> None:
    assert illegal([event for run in thread for event in run], later_run=True) == []


@settings(max_examples=examples(50), deadline=None)
@given(logs())
def test_a_log_is_dense(log: list[Entry]) -> None:
    assert [entry.position.offset for entry in log] == list(range(1, len(log) + 1))
    assert len({entry.position.epoch for entry in log}) == 1


def test_every_kind_of_event_comes() -> None:
    numbers = random.Random(1)
    seen: set[str] = set()
    for _ in range(200):
        steps = [(*numbers.randbytes(3), "x", 1) for _ in range(60)]
        writer = Writer("run-1", "r", chunks=True)
        writer.write(steps, {}, numbers.randrange(6))
        seen.update(event["type"] for event in writer.events)
    assert seen == EventType.__members__.keys() - {"RAW"}
