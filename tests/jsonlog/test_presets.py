"""Lines as Google Cloud, Elastic and Datadog read them."""

import enum
import io
import json
import logging
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import pytest

from netra_backend.jsonlog import bind, configure, unconfigure
from netra_backend.jsonlog.attributes import STANDARD
from netra_backend.jsonlog.presets import PRESETS, Layout, layout
from netra_backend.jsonlog.record import line
from netra_backend.jsonlog.tracing import Trace

TRACE = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", sampled=True)


@dataclass(frozen=True)
class Price:
    cents: int


class Plan(Price, enum.Enum):
    """Its members have fields, and are their names in a line."""

    FREE = 0


def written(shape: Layout, level: int = logging.WARNING, /, **given: Any) -> dict[str, Any]:
    one = logging.LogRecord("app", level, "f.py", 1, "hello", (), None)
    one.__dict__.update(given)
    with bind(correlation="c"):
        shown: dict[str, Any] = json.loads(line(one, shape=shape))
    return shown


def failed() -> dict[str, Any]:
    try:
        int("x")
    except ValueError as error:
        return {"exc_info": (ValueError, error, error.__traceback__)}
    raise AssertionError


@pytest.mark.parametrize(
    ("preset", "head"),
    [
        ("json", {"level": "WARNING", "logger": "app"}),
        ("gcp", {"severity": "WARNING", "logger": "app"}),
        ("ecs", {"log.level": "warning", "log.logger": "app", "ecs.version": "8.11.0"}),
        ("datadog", {"status": "warning", "logger.name": "app"}),
    ],
)
def test_the_head(preset: str, head: dict[str, str]) -> None:
    shape = layout(preset)
    shown = written(shape, run="r")
    if preset == "ecs":  # https://github.com/elastic/ecs-logging/blob/main/spec/spec.json
        assert list(shown)[:3] == ["@timestamp", "log.level", "message"]
    assert shown.pop(shape.time).endswith("Z")
    assert shown == {**head, "message": "hello", "correlation": "c", "run": "r"}


def test_elastic_gets_no_text_under_a_name_that_it_keeps_objects_under() -> None:
    stream = io.StringIO()
    configure("INFO", "ecs", stream)
    try:
        with bind(user="ann", run="r"):
            host = OrderedDict(name="h")
            given = {"host": host, "url": "/x", "service_": 1, "labels": ["a"]}
            log = logging.getLogger("tests.presets")
            log.info("hello", extra=given)
            log.info("hello", extra={**given, "service": "s"})
    finally:
        unconfigure()
    quick, slow = map(json.loads, stream.getvalue().splitlines())
    told = {"user_": "ann", "run": "r", "host": {"name": "h"}, "url_": "/x", "labels_": ["a"]}
    assert quick.items() >= {**told, "service_": 1}.items()
    assert slow.items() >= {**told, "service_": 1, "service_~2": "s"}.items()
    assert "user" in written(layout("json"), user="ann")
    assert written(layout("ecs"), user=Plan.FREE)["user_"] == "FREE"


@pytest.mark.parametrize(
    ("level", "word"),
    [
        (5, "DEBUG"),
        (10, "DEBUG"),
        (20, "INFO"),
        (25, "NOTICE"),
        (30, "WARNING"),
        (40, "ERROR"),
        (50, "CRITICAL"),
    ],
)
def test_google_has_words_of_its_own_for_levels(level: int, word: str) -> None:
    assert written(layout("gcp"), level)["severity"] == word


def test_exceptions_are_told_the_way_each_reads_them() -> None:
    for preset in PRESETS:
        assert written(layout(preset), **failed())["exception"]["type"] == "ValueError"
    google = written(layout("gcp"), **failed())["stack_trace"]
    assert google.startswith("Traceback (most recent call last):\n  File ")
    assert google.endswith("ValueError: invalid literal for int() with base 10: 'x'")
    elastic = written(layout("ecs"), **failed())
    assert elastic["error.type"] == "ValueError"
    assert elastic["error.stack_trace"] == google
    datadog = written(layout("datadog"), **failed())
    assert (datadog["error.kind"], datadog["error.stack"]) == ("ValueError", google)


def test_traces_are_told_the_way_each_reads_them(monkeypatch: pytest.MonkeyPatch) -> None:
    assert layout("json").trace(TRACE) == {
        "trace_id": TRACE.trace,
        "span_id": TRACE.span,
        "trace_flags": "01",
    }
    place = "logging.googleapis.com/"
    assert layout("gcp").trace(TRACE)[f"{place}trace"] == TRACE.trace
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "p")
    assert layout("gcp").trace(TRACE) == {
        f"{place}trace": f"projects/p/traces/{TRACE.trace}",
        f"{place}spanId": TRACE.span,
        f"{place}trace_sampled": True,
    }
    assert layout("ecs").trace(TRACE) == {"trace.id": TRACE.trace, "span.id": TRACE.span}
    assert layout("datadog").trace(TRACE) == {
        "dd.trace_id": str(0xA3CE929D0E0E4736),
        "dd.span_id": str(0x00F067AA0BA902B7),
    }


def test_datadog_names_the_service(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DD_SERVICE", "chat")
    monkeypatch.setenv("DD_ENV", "test")
    shown = written(layout("datadog"))
    assert (shown["service"], shown["env"]) == ("chat", "test")
    assert "version" not in shown


@pytest.mark.parametrize("preset", PRESETS)
def test_no_field_takes_the_place_of_a_key_of_the_layout(preset: str) -> None:
    shape = layout(preset)
    for name in shape.reserved - STANDARD:
        shown = written(shape, **{name: "mine"})
        assert shown[f"{name}_"] == "mine"
        assert shown.get(name) != "mine"
