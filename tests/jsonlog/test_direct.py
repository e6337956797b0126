"""A usual line is written without a record, and just as with one."""

import io
import json
import logging
import sys
import types
from collections.abc import Callable
from typing import Any

import pytest

from netra_backend import jsonlog
from netra_backend.jsonlog import direct
from netra_backend.jsonlog.presets import PRESETS
from tests.jsonlog.test_standard import Listener, alone

pytestmark = pytest.mark.usefixtures("clean_logging")

log = logging.getLogger("tests.direct")


def is_said(logger: logging.Logger = log) -> bool:
    """Return whether a line is written without a record."""
    return direct.said(logger, logging.INFO, "text", (), {}, None)


def test_a_record_is_made_only_where_somebody_else_sees_it(monkeypatch: pytest.MonkeyPatch) -> None:
    jsonlog.configure("DEBUG", "json", io.StringIO())
    alone()
    assert is_said()
    other = Listener()
    for logger in (log, logging.getLogger("tests"), logging.getLogger()):
        logger.addHandler(other)
        assert not is_said()
        logger.removeHandler(other)
    with monkeypatch.context() as patch:
        patch.setattr(log, "propagate", False)
        assert not is_said()
    for name in ("makeRecord", "handle", "callHandlers"):
        with monkeypatch.context() as patch:
            patch.setattr(logging.Logger, name, lambda *_: None)
            assert not is_said()
    logging.setLogRecordFactory(type("Own", (logging.LogRecord,), {}))
    assert not is_said()
    logging.setLogRecordFactory(logging.LogRecord)
    assert not is_said(type("Own", (logging.Logger,), {})("own"))
    log.addFilter(lambda _record: True)
    assert not is_said()
    log.filters.clear()
    assert is_said()


@pytest.mark.parametrize("preset", PRESETS)
def test_a_line_is_written_again_only_where_all_is_the_same(
    preset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    other, error = logging.getLogger("tests.other"), ValueError("wrong")
    at = 1_700_000_000.1255  # between two milliseconds: at an end nothing is remembered
    span = types.SimpleNamespace(trace_id=1, span_id=2, trace_flags=1)
    api = types.ModuleType("opentelemetry.trace")
    api.get_current_span = lambda: types.SimpleNamespace(get_span_context=lambda: span)  # type: ignore[attr-defined]

    def say(**options: Any) -> None:
        log.info("text", **options)

    def bound() -> None:
        with jsonlog.bind(user="ann"):
            say()

    def traced() -> None:
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, "opentelemetry.trace", api)
            say()

    def later() -> None:
        with monkeypatch.context() as patch:
            patch.setattr(direct, "now", lambda: at + 0.001)
            say()

    asked: list[Callable[[], object]] = [
        say, bound, traced, later,
        lambda: say(extra={"run": "r"}),
        lambda: say(exc_info=error),
        lambda: log.warning("text"),
        lambda: log.info("%s", "text"),
        lambda: other.info("text"),
    ]  # fmt: skip

    def written(*calls: Callable[[], object]) -> list[bytes]:
        made = io.BytesIO()
        jsonlog.configure("DEBUG", preset, made)
        alone()
        for call in calls:
            call()
        return made.getvalue().splitlines()

    monkeypatch.delitem(sys.modules, "opentelemetry.trace", raising=False)
    monkeypatch.setattr(direct, "now", lambda: at)
    for ask in asked:
        (first,) = written(ask)
        assert written(say, say, ask, say, ask)[2::2] == [first, first]
    assert len({*written(*asked)}) == len(asked) - 1  # an argument or a text, the line is the same


@pytest.mark.parametrize("watched", [False, True], ids=["without a record", "with one"])
def test_a_level_that_is_named_anew_is_called_so_from_then_on(
    watched: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "_levelToName", dict(logging._levelToName))
    monkeypatch.setattr(logging, "_nameToLevel", dict(logging._nameToLevel))
    plain, stream = logging.addLevelName, io.StringIO()
    jsonlog.configure("DEBUG", "json", stream)
    alone()
    if watched:
        log.addFilter(lambda _record: True)
    for name in ("NOTICE", "ADVICE"):
        logging.addLevelName(25, name)
        for _ in range(2):
            log.log(25, "text")
            log.log(25, "text", extra={"run": "r"})
    log.filters.clear()
    assert jsonlog.flush()
    said = [json.loads(line)["level"] for line in stream.getvalue().splitlines()]
    assert said == ["NOTICE"] * 4 + ["ADVICE"] * 4
    jsonlog.unconfigure()
    assert logging.addLevelName is plain
