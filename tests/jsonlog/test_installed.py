"""Every record of the process comes through our sink once; the sinks of others keep theirs."""

import io
import logging
import warnings
from typing import Any

import orjson
import pytest
import uvicorn.config

from netra_backend import jsonlog
from netra_backend.jsonlog.sinks import Sink

pytestmark = pytest.mark.usefixtures("clean_logging")


def configured(level: str = "DEBUG") -> io.StringIO:
    stream = io.StringIO()
    jsonlog.configure(level, "json", stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    assert jsonlog.flush(10)
    return [orjson.loads(one) for one in stream.getvalue().splitlines()]


def test_standard_output_gets_no_second_copy(capsys: pytest.CaptureFixture[str]) -> None:
    plain = logging.StreamHandler()
    logging.getLogger().addHandler(plain)
    configured()
    assert plain not in logging.getLogger().handlers
    logging.getLogger("app").error("once")
    assert capsys.readouterr().err == ""


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
