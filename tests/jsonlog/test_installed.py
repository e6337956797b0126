"""Every record of the process comes through our sink once; the sinks of others keep theirs."""

import io
import logging
import logging.config
import logging.handlers
import queue
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import uvicorn.config

from netra_backend import jsonlog
from netra_backend.jsonlog.presets import PRESETS
from netra_backend.jsonlog.sinks import Sink

pytestmark = pytest.mark.usefixtures("clean_logging")


def configured(level: str = "DEBUG") -> io.StringIO:
    stream = io.StringIO()
    jsonlog.configure(level, "json", stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    assert jsonlog.flush(10)
    return [orjson.loads(one) for one in stream.getvalue().splitlines()]


def test_both_loggers_take_the_same_call() -> None:
    stream = configured()
    for log in (jsonlog.get_logger("app"), logging.getLogger("app")):
        log.info("x", extra={"k": 1}, stacklevel=2)
        log.info({"message": "paid", "amount": 3})  # type: ignore[arg-type]
    first, second, *rest = ({**one, "time": ""} for one in lines(stream))
    assert (first["message"], first["k"], second["message"]) == ("x", 1, "paid")
    assert second["amount"] == 3
    assert not {"extra", "stacklevel"} & {*first, *second}
    assert rest == [first, second]


@pytest.mark.parametrize("format", [*PRESETS, "text"])
def test_no_way_to_log_shows_the_value_of_a_secret_that_a_name_tells(format: str) -> None:  # noqa: A002
    stream = io.StringIO()
    jsonlog.configure("DEBUG", format, stream)
    pair = {"name": "DB_PASSWORD", "value": "hunter2"}
    ours, theirs = jsonlog.get_logger("app"), logging.getLogger("app")
    for log in (ours, theirs):
        log.info("x", extra=pair)
        log.info({"message": "x", **pair})  # type: ignore[arg-type]
        log.info("x", extra={"name_": pair["name"], "value": pair["value"]})
        with jsonlog.bind(value=pair["value"]):
            log.info("x", extra={"name": pair["name"]})  # noqa: G101
    ours.info("x", **pair)
    assert jsonlog.flush(10)
    text = stream.getvalue()
    assert (len(text.splitlines()), text.count("[redacted]")) == (9, 9)
    assert "hunter2" not in text


def test_standard_output_gets_no_second_copy(capsys: pytest.CaptureFixture[str]) -> None:
    plain = logging.StreamHandler()
    logging.getLogger().addHandler(plain)
    configured()
    assert plain not in logging.getLogger().handlers
    logging.getLogger("app").error("once")
    assert capsys.readouterr().err == ""
    jsonlog.unconfigure()
    logging.getLogger().removeHandler(plain)


def test_sinks_of_others_stay(caplog: pytest.LogCaptureFixture) -> None:
    stream = configured()
    logging.getLogger("app").error("both")
    assert caplog.messages == ["both"]
    assert [one["message"] for one in lines(stream)] == ["both"]


def test_uvicorns_records_take_the_same_path() -> None:
    logging.config.dictConfig(uvicorn.config.LOGGING_CONFIG)
    stream = configured("INFO")
    logging.getLogger("uvicorn.error").info("up", extra={"color_message": "\x1b[1mup"})
    logging.getLogger("uvicorn.access").info(
        '%s - "%s %s HTTP/%s" %d', "127.0.0.1:5", "GET", "/ws?token=s3cr3t", "1.1", 200
    )
    logging.getLogger("uvicorn.asgi").debug("quiet")
    shown = lines(stream)
    assert [(one["logger"], one["message"]) for one in shown] == [
        ("uvicorn.error", "up"),
        ("uvicorn.access", '127.0.0.1:5 - "GET /ws?token=[redacted] HTTP/1.1" 200'),
    ]
    assert "color_message" not in shown[0]


@pytest.fixture
def app() -> Iterator[logging.Logger]:
    """A logger as a library has one that keeps its records to itself."""
    logger = logging.getLogger("app.standing")
    logger.propagate = False
    yield logger
    logger.handlers.clear()
    logger.filters.clear()
    logger.propagate = True


def messages(stream: io.StringIO) -> list[str]:
    return [one["message"] for one in lines(stream) if one["logger"] != "netra_backend.jsonlog"]


def test_a_plain_handler_added_later_gets_nothing_past_the_log(
    app: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    stream = configured()
    for output in (sys.stdout, sys.stderr):
        app.addHandler(logging.StreamHandler(output))
    app.warning("to %s", "http://h/?token=s3cr3t")
    app.warning("again")
    assert messages(stream) == ["to http://h/?token=[redacted]", "again"]
    (told,) = [one for one in lines(stream) if one["logger"] == "netra_backend.jsonlog"]
    assert (told["level"], told["of"]) == ("INFO", app.name)
    app.propagate = True
    app.warning("once")
    assert messages(stream)[2:] == ["once"]
    assert capsys.readouterr() == ("", "")


def test_that_the_log_stands_in_is_told_where_it_does_and_info_is_logged(
    app: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = configured("ERROR")
    plain = logging.StreamHandler()
    app.addHandler(plain)
    app.error("one")
    assert [one["message"] for one in lines(stream)] == ["one"]
    stream = configured("INFO")
    plain.addFilter(lambda record: record.msg != "unwanted")
    app.error("unwanted")
    assert lines(stream) == []
    own = logging.getLogger("netra_backend.jsonlog")
    monkeypatch.setattr(own, "disabled", True)  # as dictConfig does with what it does not name
    app.error("wanted")
    app.error("again")
    assert [one.get("of") for one in lines(stream)] == [app.name, None, None]


def test_it_is_told_of_each_logger_also_where_repeats_are_limited(app: logging.Logger) -> None:
    stream = io.StringIO()
    jsonlog.configure("INFO", "json", stream, repeats=jsonlog.Repeats(1, 1_000))
    for logger in (app, app.getChild("part")):
        logger.addHandler(logging.StreamHandler())
        logger.info("from %s", logger.name)
        logger.handlers.clear()
    told = [one for one in lines(stream) if "of" in one]
    assert [one["of"] for one in told] == [app.name, f"{app.name}.part"]
    assert told[0]["message"].endswith(f"terminal handler of {app.name}")


def test_what_a_handler_lets_through_is_what_it_would_have_written(app: logging.Logger) -> None:
    stream = configured()
    plain = logging.StreamHandler()
    plain.setLevel("ERROR")
    plain.addFilter(lambda record: "/health" not in record.getMessage())
    app.addHandler(plain)
    app.info("low")
    app.error("GET /health")
    app.error("GET /")
    assert messages(stream) == ["GET /"]


def test_a_filter_that_fails_costs_nobody_the_record(app: logging.Logger) -> None:
    stream = configured()
    plain = logging.StreamHandler()
    plain.addFilter(lambda record: 1 / 0)  # type: ignore[arg-type,return-value]
    app.addHandler(plain)
    app.info("told")
    assert "told" in messages(stream)


def test_a_logger_that_is_silenced_stays_silent(capsys: pytest.CaptureFixture[str]) -> None:
    """Who only takes propagation away hears warnings: from us, not from `logging` itself."""
    stream, logger = configured(), logging.getLogger("app.silenced")
    logger.propagate = False  # not before: pytest gives such loggers a handler, when a test begins
    logger.info("quiet")
    logger.warning("heard")
    logger.propagate = True
    assert messages(stream) == ["heard"]
    assert capsys.readouterr() == ("", "")


def test_a_handler_put_there_on_purpose_stays(app: logging.Logger, tmp_path: Path) -> None:
    class Report(logging.StreamHandler[io.StringIO]):
        """A handler of somebody who means it."""

    stream, shown = configured(), io.StringIO()
    audit = logging.FileHandler(tmp_path / "audit.log")
    app.addHandler(audit)
    app.addHandler(Report(shown))
    app.info("paid")
    audit.close()
    assert (messages(stream), shown.getvalue()) == ([], "paid\n")
    assert (tmp_path / "audit.log").read_text() == "paid\n"


@pytest.mark.parametrize("kind", ["queue", "memory"])
@pytest.mark.parametrize("propagate", [True, False])
def test_a_plain_handler_behind_another_writes_each_record_once_and_here(
    kind: str, app: logging.Logger, capsys: pytest.CaptureFixture[str], *, propagate: bool
) -> None:
    stream, plain = configured(), logging.StreamHandler()
    waiting: queue.SimpleQueue[Any] = queue.SimpleQueue()
    listener = logging.handlers.QueueListener(waiting, plain)
    held: logging.Handler = logging.handlers.QueueHandler(waiting)
    if kind == "memory":
        held = logging.handlers.MemoryHandler(1, target=plain)
    listener.start()
    app.addHandler(held)
    app.propagate = propagate
    app.info("one password=%s", "s3cr3t", extra={"password": "s3cr3t"})
    app.info("two")
    listener.stop()
    shown = lines(stream)
    assert [one["message"] for one in shown] == ["one password=[redacted]", "two"]
    assert shown[0]["password"] == "[redacted]"
    jsonlog.unconfigure()
    plain.handle(logging.makeLogRecord({"msg": "as before"}))
    assert capsys.readouterr().err == "as before\n"


def test_a_record_of_another_process_that_a_listener_brings_is_written(
    app: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    stream, plain = configured(), logging.StreamHandler()
    app.propagate = True
    told = {"name": app.name, "levelno": 20, "levelname": "INFO", "args": None}
    plain.handle(logging.makeLogRecord({**told, "msg": "a worker's", "process": 1}))
    plain.handle(logging.makeLogRecord({"msg": "of no logger", "name": None}))
    assert [one["message"] for one in lines(stream)] == ["a worker's", "of no logger"]
    assert capsys.readouterr() == ("", "")


def test_a_configuration_made_later_changes_levels_but_not_the_path(
    capsys: pytest.CaptureFixture[str],
) -> None:
    root, stream = logging.getLogger(), configured()
    before = root.handlers[:]
    try:
        logging.basicConfig(force=True, level="WARNING")
        logging.getLogger("app").info("quiet")
        logging.getLogger("app").warning("one")
        console = {"class": "logging.StreamHandler", "stream": "ext://sys.stdout"}
        later: dict[str, Any] = {"version": 1, "disable_existing_loggers": False}
        with_console = {**later, "handlers": {"c": console}, "root": {"handlers": ["c"]}}
        logging.config.dictConfig(with_console)
        logging.getLogger("app").warning("two")
        logging.config.dictConfig({**later, "root": {"handlers": []}})
        logging.getLogger("app").warning("three")
    finally:
        root.handlers[:] = before
    assert messages(stream) == ["one", "two", "three"]
    assert capsys.readouterr() == ("", "")


def test_warnings_take_the_same_path() -> None:
    stream = configured()
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        configured_again = io.StringIO()
        jsonlog.configure("DEBUG", "json", configured_again)
        warnings.warn("odd\nthing", UserWarning, stacklevel=1)
    assert lines(stream) == []
    (shown,) = lines(configured_again)
    assert (shown["logger"], shown["level"]) == ("py.warnings", "WARNING")
    assert "UserWarning: odd\nthing" in shown["message"]


def test_what_was_there_comes_back() -> None:
    root, access = logging.getLogger(), logging.getLogger("uvicorn.access")
    own = logging.NullHandler()
    access.addHandler(own)
    access.propagate = False
    before = [one for one in root.handlers if not isinstance(one, Sink)], root.level
    configured()
    configured("ERROR")
    assert own not in access.handlers
    assert access.propagate
    jsonlog.unconfigure()
    assert (root.handlers, root.level) == before
    assert own in access.handlers
    assert not access.propagate
    jsonlog.unconfigure()


def test_what_is_logged_while_it_is_configured_again_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By another thread, say: it finds the sink of before, or the new one."""
    first, second = io.StringIO(), io.StringIO()
    jsonlog.configure("INFO", "json", first)
    closes = Sink.close

    def logs(sink: Sink) -> None:
        logging.getLogger("tests.installed").info("meanwhile")
        closes(sink)

    monkeypatch.setattr(Sink, "close", logs)
    jsonlog.configure("INFO", "json", second)
    monkeypatch.undo()
    assert (first.getvalue() + second.getvalue()).count("meanwhile") == 1
