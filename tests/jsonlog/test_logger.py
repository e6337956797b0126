"""Fields by keyword, over the standard loggers."""

import inspect
import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.websockets import WebSocketState

from netra_backend.jsonlog import Logger, configure, get_logger, logger
from netra_backend.jsonlog.attributes import STANDARD
from netra_backend.jsonlog.record import fields
from netra_backend.jsonlog.sinks import Sink


class Keeper(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def last(self) -> logging.LogRecord:
        return self.records[-1]

    @property
    def shown(self) -> dict[str, Any]:
        return fields(self.last)


@pytest.fixture
def kept() -> Iterator[Keeper]:
    standard, keeper = logging.getLogger("tests.keyword"), Keeper()
    standard.addHandler(keeper)
    standard.setLevel(logging.DEBUG)
    standard.propagate = False
    yield keeper
    standard.removeHandler(keeper)
    standard.setLevel(logging.NOTSET)
    standard.propagate = True


@pytest.fixture
def log() -> Logger:
    return get_logger("tests.keyword")


def test_keywords_are_fields(log: Logger, kept: Keeper) -> None:
    log.info("run %s", "started", run="r1", state=WebSocketState.CONNECTED)
    assert kept.shown["message"] == "run started"
    assert (kept.shown["run"], kept.shown["state"]) == ("r1", "CONNECTED")
    assert kept.shown["logger"] == "tests.keyword"


def test_a_call_of_logging_moves_here_as_it_is(log: Logger, kept: Keeper) -> None:
    extra = {"k": 1, "name": "n", WebSocketState.CONNECTED: 2}
    log.info("x", extra=extra, own=3)
    shown = kept.shown
    assert (shown["k"], shown["name_"], shown["CONNECTED"], shown["own"]) == (1, "n", 2, 3)
    assert "extra" not in shown
    log.info("x", extra={"k": 1, "name": 3}, k=2, name_=4)  # noqa: G101
    shown = kept.shown
    assert (shown["k"], shown["k~2"], shown["name_"], shown["name_~2"]) == (2, 1, 4, 3)
    for odd in ([], ["ab", "cd"]):
        log.info("x", extra=odd)
        assert kept.shown["extra"] == odd
    log.info("x", extra=None, stacklevel=1)
    assert not {"extra", "stacklevel"} & set(kept.shown)
    log.info("x", extra=5)
    assert kept.shown["extra"] == 5


@pytest.mark.usefixtures("clean_logging")
def test_fields_in_extra_are_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    before, stream, asked = root.handlers[:], io.StringIO(), []
    configure("INFO", "json", stream)
    (sink,) = root.handlers[:] = [one for one in root.handlers if isinstance(one, Sink)]
    line = sink.quick.line

    def counting(*given: Any) -> bytes | None:
        asked.append(given)
        return line(*given)

    monkeypatch.setattr(sink.quick, "line", counting)
    get_logger("tests.extra").info("text", extra={"a": 1, "state": WebSocketState.CONNECTED})
    root.handlers[:] = [*before, sink]
    written = json.loads(stream.getvalue())
    assert (written["message"], written["a"], written["state"]) == ("text", 1, "CONNECTED")
    assert len(asked) == 1


@pytest.mark.parametrize("name", ["info", "exception", "log"])
def test_the_level_of_the_stack_is_the_callers(log: Logger, kept: Keeper, name: str) -> None:
    given = (logging.INFO, "x") if name == "log" else ("x",)

    def helper(**options: int) -> None:
        getattr(log, name)(*given, **options)

    helper()
    assert kept.last.funcName == "helper"
    helper(stacklevel=2)
    assert kept.last.funcName == "test_the_level_of_the_stack_is_the_callers"


@pytest.mark.parametrize("name", ["debug", "info", "warning", "error", "critical"])
def test_each_level(log: Logger, kept: Keeper, name: str) -> None:
    getattr(log, name)("text", a=1)
    assert kept.shown["level"] == name.upper()
    assert kept.shown["a"] == 1


@pytest.mark.parametrize("name", ["debug", "info", "warning", "error", "critical"])
def test_each_level_has_the_signature_that_is_written(name: str) -> None:
    method = getattr(Logger, name)
    assert (method.__name__, method.__doc__) == (name, f"Log at {name.upper()}.")
    assert inspect.signature(method) == inspect.signature(Logger.exception)


def test_a_level_of_any_number(log: Logger, kept: Keeper) -> None:
    log.log(logging.INFO, "n is %d", 3, a=1)
    assert (kept.shown["level"], kept.shown["message"], kept.shown["a"]) == ("INFO", "n is 3", 1)
    log.log(25, "text")
    assert (kept.shown["level"], kept.last.funcName) == ("Level 25", "test_a_level_of_any_number")
    count = len(kept.records)
    log.log(5, "below")
    assert len(kept.records) == count
    with pytest.raises(TypeError):
        log.log("INFO", "text")  # type: ignore[arg-type]


def test_what_logs_at_a_level_is_made_once_and_not_for_what_is_left_out(
    log: Logger, kept: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []

    def counted(level: int, **options: Any) -> Callable[..., None]:
        made.append(level)
        return make(level, **options)

    logger._logging_at_any.cache_clear()
    make = logger._logging_at
    monkeypatch.setattr(logger, "_logging_at", counted)
    for level in (6, 26, 26):
        log.log(level, "text")
    assert made == [26]
    assert len(kept.records) == 2


def test_an_exception_comes_along(log: Logger, kept: Keeper) -> None:
    try:
        int("x")
    except ValueError as error:
        log.exception("failed", a=1)
        assert kept.shown["exception"]["type"] == "ValueError"
        log.warning("failed", exc_info=error, stack_info=True)
    assert kept.shown["exception"]["type"] == "ValueError"
    assert kept.shown["stack"].startswith("Stack")
    try:
        int("y")
    except ValueError:
        log.exception("failed", stack_info=True)
        assert kept.shown["exception"]["type"] == "ValueError"
        assert kept.shown["stack"].startswith("Stack")
        for other in (KeyError("other"), None):
            log.exception("failed", exc_info=other)
            assert kept.shown.get("exception", {}).get("type") == (other and "KeyError")
    log.exception("no exception now")  # noqa: LOG004
    assert "exception" not in kept.shown


def test_the_caller_is_the_one_who_logs(log: Logger, kept: Keeper) -> None:
    log.info("here")
    assert kept.last.funcName == "test_the_caller_is_the_one_who_logs"
    assert kept.last.pathname == __file__
    log.exception("here")  # noqa: LOG004
    assert kept.last.funcName == "test_the_caller_is_the_one_who_logs"


@pytest.mark.parametrize("name", sorted(STANDARD - {"exc_info", "stack_info"}))
def test_names_of_record_attributes_are_renamed(log: Logger, kept: Keeper, name: str) -> None:
    log.info("text", **{name: "mine"})
    assert kept.shown[f"{name}_"] == "mine"


@pytest.mark.parametrize("name", ["self", "text", "level", "extra", "time", "logger"])
def test_no_field_name_is_taken(log: Logger, kept: Keeper, name: str) -> None:
    log.info("text", **{name: "mine"})
    assert "mine" in (kept.shown.get(name), kept.shown.get(f"{name}_"))
    assert kept.shown["message"] == "text"


def test_below_the_level_nothing_happens(log: Logger, kept: Keeper) -> None:
    logging.getLogger("tests.keyword").setLevel(logging.ERROR)
    log.info("quiet", a=1)
    assert kept.records == []


def test_who_asks_or_stands_before_it_finds_what_logging_has(log: Logger, kept: Keeper) -> None:
    logging.getLogger("tests.keyword").setLevel(logging.INFO)
    assert (log.isEnabledFor(logging.INFO), log.isEnabledFor(logging.DEBUG)) == (True, False)
    adapter = logging.LoggerAdapter(log, {"user": "ann"})  # type: ignore[arg-type]
    adapter.debug("nothing")
    adapter.info("hello")
    assert [one.msg for one in kept.records] == ["hello"]
    assert kept.shown["user"] == "ann"
