"""Every log call is seen with what it gave, and the loggers do what they did before."""

import asyncio
import io
import logging
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from netra_backend import jsonlog
from netra_backend.jsonlog.sinks import Sink
from netra_backend.testing.log_watch import LEVELS, LogCall, watched
from tests.jsonlog.conftest import clean_logging  # noqa: F401 - a fixture

pytestmark = pytest.mark.strict_logs("off")  # it watches, too


@pytest.fixture
def calls() -> Iterator[list[LogCall]]:
    seen: list[LogCall] = []
    with watched(seen.append):
        yield seen


@pytest.fixture
def logger() -> logging.Logger:
    return logging.getLogger("tests.watched")


def test_loggers_are_left_as_they_were() -> None:
    places = [(logging.Logger, name) for name in (*LEVELS, "fatal", "log", "handle")]
    places += [(jsonlog.Logger, name) for name in LEVELS]  # type: ignore[list-item]
    before = [vars(cls)[name] for cls, name in places]
    with watched(lambda _: None):
        assert not set(before) & {vars(cls)[name] for cls, name in places}
    assert before == [vars(cls)[name] for cls, name in places]


def test_what_is_given(calls: list[LogCall], logger: logging.Logger) -> None:
    logger.debug("text %s", {"a": 1}, extra={"b": 2})
    logger.debug({"c": 3}, extra={"_logger": logger})
    logger.debug("%s %s", "d", ["e"])
    with jsonlog.bind(user="ann"):
        jsonlog.get_logger("ours").debug("text", f=4, exc_info=None)
    assert [call.given for call in calls] == [
        [("args[0]", {"a": 1}), ("extra", {"b": 2})],
        [("message", {"c": 3})],
        [],
        [("fields", {"f": 4}), ("bound", {"user": "ann"})],
    ]
    assert {call.level for call in calls} == {logging.DEBUG}
    assert [call.logger for call in calls] == ["tests.watched"] * 3 + ["ours"]


@pytest.mark.parametrize("name", LEVELS)
def test_every_method_is_seen_once_and_with_its_level(name: str, calls: list[LogCall]) -> None:
    getattr(jsonlog.get_logger("ours"), name)("text", a=1)
    getattr(logging.getLogger("app"), name)("text")
    level = LEVELS[name]
    assert [(call.logger, call.level) for call in calls] == [("ours", level), ("app", level)]


def test_other_ways_to_log_are_seen_once(calls: list[LogCall], logger: logging.Logger) -> None:
    logger.log(logging.INFO, "text", extra={"a": 1})
    logger.log(37, "text", extra={"a": 1})
    logger.fatal("text", extra={"a": 1})
    logger.info(msg="text", extra={"a": 1})
    logger._log(logging.WARNING, "a level of one's own", (), extra={"a": 1})
    logger.handle(logging.makeLogRecord({"levelno": logging.WARNING, "a": 1}))
    logging.LoggerAdapter(logger, {"a": 1}).debug("text")
    logging.LoggerAdapter(logging.LoggerAdapter(logger, {"a": 1})).warning("text")
    logging.warning("text", extra={"a": 1})  # noqa: LOG015
    jsonlog.get_logger("ours").log(37, "text", extra={"a": 1})
    assert [call.given for call in calls] == [[("extra", {"a": 1})]] * 10


def test_calls_that_logging_refuses_are_still_refused(logger: logging.Logger) -> None:
    with watched(lambda _: None):
        with pytest.raises(TypeError):
            logger.info()  # type: ignore[call-arg]
        with pytest.raises(TypeError, match="integer"):
            logger.log("high", "text")  # type: ignore[arg-type]


@pytest.mark.usefixtures("clean_logging")
def test_it_sees_what_a_configured_log_gets(calls: list[LogCall]) -> None:
    stream = io.StringIO()
    jsonlog.configure("INFO", "json", stream)
    logging.getLogger().handlers[:] = [
        one for one in logging.getLogger().handlers if isinstance(one, Sink)
    ]
    for say in (logging.getLogger("app").info, jsonlog.get_logger("ours").info):
        say("seen")
    for say in (logging.getLogger("app").debug, jsonlog.get_logger("ours").debug):
        say("below the level")
    assert jsonlog.flush(10)
    assert stream.getvalue().count("\n") == 2
    assert len(calls) == 4


def test_the_site_is_where_the_call_stands(calls: list[LogCall], logger: logging.Logger) -> None:
    def helper() -> None:
        logger.debug("text", stacklevel=2)

    logger.info("text")
    helper()
    jsonlog.get_logger("ours").info("text")
    logging.LoggerAdapter(logger, {}).info("text")
    logger.info("text", stacklevel=10_000)
    name = "test_the_site_is_where_the_call_stands"
    assert [Path(call.site.file).name for call in calls[:4]] == [Path(__file__).name] * 4
    assert [call.site.function for call in calls[:4]] == [name] * 4
    assert len({call.site.line for call in calls[:4]}) == 4
    assert calls[4].site.line > 0


def test_what_covers_a_logger_is_no_site(calls: list[LogCall]) -> None:
    code = compile("def info(logger): logger.info('text')", "/lib/structlog/base.py", "exec")
    cover = {"__name__": "structlog.base"}
    exec(code, cover)  # noqa: S102 - our own text
    cover["info"](logging.getLogger("app"))  # type: ignore[operator]
    assert calls[0].site.function == "test_what_covers_a_logger_is_no_site"


def test_records_keep_their_site(
    calls: list[LogCall], logger: logging.Logger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    logger.info("text")
    jsonlog.get_logger("ours").info("text")
    logger.debug("below the level")
    assert len(calls) == 3
    assert [(one.filename, one.funcName) for one in caplog.records] == [
        (Path(__file__).name, "test_records_keep_their_site")
    ] * 2


def test_a_level_that_is_off_stays_off(calls: list[LogCall], logger: logging.Logger) -> None:
    logger.setLevel(logging.ERROR)
    try:
        assert not logger.isEnabledFor(logging.INFO)
        assert not logging.LoggerAdapter(logger, {}).isEnabledFor(logging.INFO)
        logger.info("text")
        assert len(calls) == 1
    finally:
        logger.setLevel(logging.NOTSET)


def test_threads_and_tasks(calls: list[LogCall], logger: logging.Logger) -> None:
    async def main() -> None:
        await asyncio.gather(*(say() for _ in range(5)))

    async def say() -> None:
        await asyncio.sleep(0)
        logger.debug("text")

    threads = [threading.Thread(target=logger.debug, args=("text",)) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asyncio.run(main())
    assert len([call for call in calls if call.logger == "tests.watched"]) == 10


def test_who_looks_may_log(logger: logging.Logger) -> None:
    seen: list[LogCall] = []

    def look(call: LogCall) -> None:
        seen.append(call)
        logger.error("seen %s", call)

    with watched(look):
        logger.debug("text")
    assert len(seen) == 1
