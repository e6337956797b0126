"""No call of the standard loggers raises, and whoever else listens gets what he always got."""

import io
import json
import logging
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from netra_backend import jsonlog
from netra_backend.jsonlog import standard
from netra_backend.jsonlog.attributes import STANDARD
from netra_backend.jsonlog.sinks import Sink
from tests.jsonlog import hostile_classes as of
from tests.jsonlog.hostile_classes import raiser, with_methods

pytestmark = pytest.mark.usefixtures("clean_logging")

log = logging.getLogger("tests.standard")


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    made = io.StringIO()
    jsonlog.configure("DEBUG", "json", made)
    yield made
    jsonlog.unconfigure()


def alone() -> logging.Handler:
    """Leave our sink alone on the root logger: those of pytest fail where an argument does."""
    root = logging.getLogger()
    (sink,) = root.handlers[:] = [one for one in root.handlers if isinstance(one, Sink)]
    return sink


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(one) for one in stream.getvalue().splitlines()]


def last(stream: io.StringIO) -> dict[str, Any]:
    return lines(stream)[-1]


class Listener(logging.Handler):
    """Another handler: it keeps the records, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self.error = error

    def emit(self, record: logging.LogRecord) -> None:
        if self.error is not None:
            raise self.error
        self.records.append(record)


@pytest.fixture
def listener(stream: io.StringIO) -> Iterator[Listener]:
    made = Listener()
    log.addHandler(made)
    yield made
    log.removeHandler(made)


@pytest.mark.parametrize("listened", [False, True])
@pytest.mark.parametrize("name", sorted(STANDARD))
def test_extras_that_clash_are_renamed(stream: io.StringIO, name: str, listened: bool) -> None:
    other = Listener()
    if listened:
        log.addHandler(other)
    try:
        log.info("text", extra={name: "mine"})
    finally:
        log.removeHandler(other)
    assert last(stream)[f"{name}_"] == "mine"
    assert last(stream)["message"] == "text"
    assert len(other.records) == listened


@pytest.mark.parametrize(
    "extra", [5, "text", [1], [("a", 1)], of.HostileDict(a=1), {"a": 1}.keys()]
)
def test_extras_of_any_kind(stream: io.StringIO, extra: Any) -> None:
    alone()
    log.info("text", extra=extra)
    assert last(stream)["message"] == "text"
    assert ("extra" in last(stream)) == (type(extra) is not dict)


def test_extras_that_are_renamed_take_no_place(stream: io.StringIO, listener: Listener) -> None:
    log.info("text", extra={"name": 1, "name_": 2})  # noqa: G101
    assert (last(stream)["name_"], last(stream)["name_~2"]) == (2, 1)
    assert listener.records[0].__dict__["name_"] == 2


@pytest.mark.parametrize("args", [(1, 2), ({},), ({"a": 1},), ("x",)])
def test_arguments_that_do_not_fit(stream: io.StringIO, args: tuple[Any, ...]) -> None:
    alone()
    log.info("%d %s %s %s", *args)
    assert last(stream)["message"] == "%d %s %s %s"
    assert last(stream)["args"]


def test_hostile_arguments(stream: io.StringIO) -> None:
    alone()
    empty = with_methods(__bool__=raiser(SystemExit), __len__=raiser(SystemExit))
    log.info("%s", of.LyingClass())
    log.info("text", exc_info=empty)  # type: ignore[arg-type]
    log.info("text", stack_info=empty, stacklevel=empty)  # type: ignore[arg-type]
    log.info("%(a)s", with_methods(keys=raiser(SystemExit), __getitem__=raiser(SystemExit)))
    assert len(lines(stream)) == 4


@pytest.mark.parametrize("listened", [False, True])
def test_exceptions_by_all_their_spellings(stream: io.StringIO, listened: bool) -> None:
    other = Listener()
    if listened:
        log.addHandler(other)
    try:
        int("x")
    except ValueError as error:
        for info in (True, 1, error, (ValueError, error, error.__traceback__)):
            log.error("text", exc_info=info)  # type: ignore[arg-type]  # noqa: TRY400
    finally:
        log.removeHandler(other)
    for info in (None, False, (None, None, None)):
        log.error("text", exc_info=info)
    shown = lines(stream)
    assert [one.get("exception", {}).get("type") for one in shown] == ["ValueError"] * 4 + [
        None
    ] * 3
    assert all(one["exception"]["frames"] for one in shown[:4])


def test_the_caller_is_still_found(stream: io.StringIO, listener: Listener) -> None:
    log.info("text")
    log.log(20, "text")
    log.warning("text", stacklevel=1)
    jsonlog.get_logger("tests.standard").info("text")
    assert [one.funcName for one in listener.records] == ["test_the_caller_is_still_found"] * 4
    assert len(lines(stream)) == 4


def test_another_handler_that_fails_costs_nobody_else_the_record(stream: io.StringIO) -> None:
    alone()
    other = Listener(RecursionError("deep"))
    log.addHandler(other)
    try:
        log.info("text")
    finally:
        log.removeHandler(other)
    failed, said = lines(stream)
    assert failed["message"] == "a filter or handler of the log failed"
    assert failed["exception"]["type"] == "RecursionError"
    assert said["message"] == "text"


def test_a_filter_that_fails_is_told(stream: io.StringIO) -> None:
    alone()

    def picky(_record: logging.LogRecord) -> bool:
        raise ValueError("picky")

    log.addFilter(picky)
    try:
        log.info("text")
    finally:
        log.removeFilter(picky)
    assert last(stream)["exception"]["message"] == "picky"


def test_records_with_attributes_missing(stream: io.StringIO) -> None:
    alone()
    for name in sorted(STANDARD):
        record = logging.LogRecord("app", 20, "f.py", 1, "text", (), None)
        record.__dict__.pop(name, None)
        log.handle(record)
        if name not in ("msg", "message"):
            assert last(stream)["message"] == "text"
    assert len(lines(stream)) == len(STANDARD)


def test_a_filter_of_the_sink_sees_records(stream: io.StringIO) -> None:
    sink = alone()
    seen: list[logging.LogRecord] = []
    sink.addFilter(lambda record: bool(seen.append(record)) or record.msg != "unwanted")
    log.info("unwanted")
    log.info("wanted")
    assert [one["message"] for one in lines(stream)] == ["wanted"]
    assert len(seen) == 2


def test_what_is_put_back_is_what_was_there() -> None:
    names = ("_log", "makeRecord", "callHandlers")
    jsonlog.unconfigure()
    before = [getattr(logging.Logger, name) for name in names]
    jsonlog.configure("INFO", "json", io.StringIO())
    jsonlog.configure("INFO", "json", io.StringIO())
    assert all(
        getattr(logging.Logger, name) is not one for name, one in zip(names, before, strict=True)
    )
    jsonlog.unconfigure()
    assert [getattr(logging.Logger, name) for name in names] == before


def test_a_handler_that_fails_is_told_in_a_line_and_not_as_text(
    stream: io.StringIO, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    alone()
    handler = logging.FileHandler(tmp_path / "log")
    log.addHandler(handler)
    try:
        log.info("%s of %d", "hunter2")  # noqa: PLE1206 - that is its fault
    finally:
        log.removeHandler(handler)
        handler.close()
    told, written = lines(stream)
    assert written["args"] == ["hunter2"]
    assert told["message"] == "a filter or handler of the log failed"
    assert (told["handler"], told["of"]) == ("logging.FileHandler", "tests.standard")
    assert told["exception"]["type"] == "TypeError"
    assert capsys.readouterr().err == ""


@pytest.fixture
def tracked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[logging.LogRecord]]:
    """What an error tracker hears that was there before us, and put itself around two methods.

    As sentry_sdk does with ``callHandlers``, and ddtrace with ``makeRecord``.
    """
    heard: list[logging.LogRecord] = []
    own_call, own_make = logging.Logger.callHandlers, logging.Logger.makeRecord

    def call_handlers(self: logging.Logger, record: logging.LogRecord) -> None:
        try:
            own_call(self, record)
        finally:
            heard.append(record)

    def make_record(self: logging.Logger, *args: Any, **named: Any) -> logging.LogRecord:
        record = own_make(self, *args, **named)
        record.trace = "t1"
        return record

    jsonlog.unconfigure()
    monkeypatch.setattr(logging.Logger, "callHandlers", call_handlers)
    monkeypatch.setattr(logging.Logger, "makeRecord", make_record)
    yield heard
    jsonlog.unconfigure()
    assert logging.Logger.callHandlers is call_handlers
    assert logging.Logger.makeRecord is make_record


def test_an_error_tracker_that_was_there_before_hears_of_each_record_once(
    tracked: list[logging.LogRecord],
) -> None:
    stream = io.StringIO()
    jsonlog.configure("INFO", "json", stream)
    alone()
    log.error("bad", extra={"name": 1, "k": 2})  # noqa: G101 - it is renamed
    jsonlog.get_logger("tests.standard").info("fine", k=3)
    assert [one.msg for one in tracked] == ["bad", "fine"]
    told = [(one["message"], one["trace"], one["k"]) for one in lines(stream)]
    assert told == [("bad", "t1", 2), ("fine", "t1", 3)]
    assert lines(stream)[0]["name_"] == 1


def test_what_is_put_around_a_method_after_us_is_asked(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    alone()
    heard: list[str] = []
    names = ("makeRecord", "handle", "callHandlers")
    for name in names:
        own = getattr(logging.Logger, name)

        def other(*given: Any, own: Any = own, name: str = name, **named: Any) -> Any:
            heard.append(name)
            return own(*given, **named)

        with monkeypatch.context() as meanwhile:
            meanwhile.setattr(logging.Logger, name, other)
            log.info("by the standard logger")
            jsonlog.get_logger("tests.standard").info("by ours")
    assert heard == [name for name in names for _ in range(2)]
    assert len(lines(stream)) == 6


@pytest.mark.parametrize("when", ["before", "after"])
def test_what_handles_records_instead_of_logging_changes_each(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Dynatrace's example for AWS Lambda does, to name the trace; others take out secrets."""
    own = logging.Logger.handle

    def handle(self: logging.Logger, record: logging.LogRecord) -> None:
        record.msg = record.msg.replace("hunter2", "***")
        own(self, record)

    jsonlog.unconfigure()
    stream = io.StringIO()
    if when == "before":
        monkeypatch.setattr(logging.Logger, "handle", handle)
    jsonlog.configure("INFO", "json", stream)
    monkeypatch.setattr(logging.Logger, "handle", handle)
    alone()
    log.info("it is hunter2")
    jsonlog.get_logger("tests.standard").info("it was hunter2")
    assert [one["message"] for one in lines(stream)] == ["it is ***", "it was ***"]
    jsonlog.unconfigure()


def test_an_error_tracker_that_fails_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_self: logging.Logger, _record: logging.LogRecord) -> None:
        raise ValueError("no connection")

    jsonlog.unconfigure()
    monkeypatch.setattr(logging.Logger, "callHandlers", fail)
    stream = io.StringIO()
    jsonlog.configure("INFO", "json", stream)
    log.error("bad")
    assert [one["message"] for one in lines(stream)] == [
        "bad",
        "a filter or handler of the log failed",
    ]
    jsonlog.unconfigure()


class Wrapped:
    """What `wrapt` puts around a method, for New Relic and others: it has all of what is inside."""

    def __init__(self, inside: Any, heard: list[str]) -> None:
        self._inside, self._heard = inside, heard

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inside, name)

    def __get__(self, logger: Any, _kind: object = None) -> Any:
        def called(*given: Any, **named: Any) -> Any:
            self._heard.append(self._inside.__name__)
            return self._inside(logger, *given, **named)

        return self if logger is None else called


@pytest.mark.parametrize("name", ["makeRecord", "handle", "callHandlers"])
def test_what_passes_the_code_of_a_method_off_as_its_own_is_asked(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    stream = io.StringIO()
    jsonlog.unconfigure()
    monkeypatch.setattr(logging.Logger, name, Wrapped(vars(logging.Logger)[name], heard))
    jsonlog.configure("DEBUG", "json", stream)
    alone()
    log.info("by the standard logger")
    jsonlog.get_logger("tests.standard").info("by ours")
    assert heard == [name] * 2
    assert len(lines(stream)) == 2
    jsonlog.unconfigure()


def test_fields_are_renamed_where_somebody_takes_back_what_was_there_before_us(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stream = io.StringIO()
    jsonlog.unconfigure()
    jsonlog.configure("DEBUG", "json", stream)
    alone()
    monkeypatch.setattr(logging.Logger, "makeRecord", standard._replaced["makeRecord"])
    log.info("text", extra={"name": 1, "run": "r"})  # noqa: G101 - it is renamed
    assert (last(stream)["name_"], last(stream)["run"]) == (1, "r")


def test_a_class_that_takes_options_by_keyword_alone_logs_too(stream: io.StringIO) -> None:
    class Own(logging.Logger):
        def _log(self, level: int, msg: object, args: Any, **named: Any) -> None:  # type: ignore[override]
            super()._log(level, f"own: {msg}", args, **named)

    own = Own("tests.own")
    own.parent = logging.getLogger()
    own.info("by the standard logger", extra={"run": "r"})
    jsonlog.Logger(own).info("by ours", run="r")
    assert [(one["message"], one["run"]) for one in lines(stream)] == [
        ("own: by the standard logger", "r"),
        ("own: by ours", "r"),
    ]


def test_who_is_inside_a_method_of_ours_when_it_goes_is_served(stream: io.StringIO) -> None:
    """Another thread may have looked it up before."""
    say, make = log._log, log.makeRecord
    jsonlog.unconfigure()
    other = Listener()
    log.addHandler(other)
    try:
        say(logging.ERROR, "text", ())
        record = make("tests", logging.ERROR, "file.py", 1, "text", (), None)
    finally:
        log.removeHandler(other)
    assert [one.msg for one in [*other.records, record]] == ["text", "text"]


def test_a_handler_gets_each_record_whenever_the_log_is_taken_back_meanwhile() -> None:
    """As another thread may, between any two steps of ours."""
    other = Listener()
    log.addHandler(other)
    left = 0

    def trace(frame: FrameType, event: str, _: object) -> Any:
        nonlocal left
        if frame.f_code.co_filename != standard.__file__:
            return None
        if not frame.f_trace_opcodes:
            frame.f_trace_opcodes = True
            sys.settrace(trace)  # Python 3.12 looks at it then only
        left -= event == "opcode"
        if left == 0 and event == "opcode":
            jsonlog.unconfigure()
        return trace

    before, tried = sys.gettrace(), 0
    try:
        while left <= 0:  # else it ended before that step
            tried += 1
            left = tried
            jsonlog.configure("DEBUG", "json", io.StringIO())
            sys.settrace(trace)
            log.error("text")
            sys.settrace(before)
            assert len(other.records) == tried
    finally:
        sys.settrace(before)
        log.removeHandler(other)
    assert tried > 100
