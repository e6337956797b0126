"""One call, and every record of the process is one line."""

import asyncio
import io
import json
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from starlette.websockets import WebSocketState

from netra_backend import jsonlog
from netra_backend.jsonlog.sinks import Sink

pytestmark = pytest.mark.usefixtures("clean_logging")


def configured(level: str | int = "DEBUG", format: str = "json") -> io.StringIO:  # noqa: A002
    stream = io.StringIO()
    jsonlog.configure(level, format, stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    assert jsonlog.flush(10)
    return [orjson.loads(one) for one in stream.getvalue().splitlines()]


def sinks() -> list[logging.Handler]:
    return [one for one in logging.getLogger().handlers if isinstance(one, Sink)]


@pytest.mark.parametrize("level", ["loud", "", "10", -1, 1.5, True])
def test_a_bad_level_names_the_allowed_ones(level: Any) -> None:
    with pytest.raises(ValueError, match="DEBUG, INFO, WARNING, ERROR, CRITICAL"):
        jsonlog.configure(level=level)
    assert sinks() == []


@pytest.mark.parametrize("variable", ["NETRA_LOG_LEVEL", "NETRA_LOG_FORMAT"])
def test_a_bad_variable_is_named(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "Loud")
    with pytest.raises(ValueError, match=f"^{variable} is 'Loud'; it can be "):
        jsonlog.configure()


@pytest.mark.parametrize("name", ["yaml", ""])
def test_a_bad_format_names_the_allowed_ones(name: str) -> None:
    with pytest.raises(ValueError, match="auto, text, json, gcp, ecs, datadog"):
        jsonlog.configure(format=name)
    assert sinks() == []


@pytest.mark.parametrize("level", ["debug", "Info", "CRITICAL", logging.WARNING, 35])
def test_the_level_is_the_least_severe_that_is_logged(level: Any) -> None:
    stream = configured(level)
    for number in (10, 20, 30, 40, 50):
        logging.getLogger("app").log(number, "at %d", number)
    least = level if type(level) is int else getattr(logging, level.upper())
    assert [one["message"] for one in lines(stream)] == [
        f"at {number}" for number in (10, 20, 30, 40, 50) if number >= least
    ]


@pytest.mark.parametrize("stream", ["app.log", Path("app.log"), 1])
def test_the_name_of_a_file_is_no_stream(stream: object) -> None:
    before = sinks()
    with pytest.raises(TypeError, match=f"a {type(stream).__name__}; it must be an open file"):
        jsonlog.configure(stream=stream)
    assert sinks() == before


def test_called_again_it_replaces_itself() -> None:
    first = configured()
    logging.getLogger("app").info("one")
    second = configured()
    logging.getLogger("app").info("two")
    assert len(sinks()) == 1
    assert [one["message"] for one in lines(second)] == ["two"]
    assert [json.loads(one)["message"] for one in first.getvalue().splitlines()] == ["one"]


def test_as_many_lines_as_records_whatever_is_in_them() -> None:
    stream = configured()
    texts = [
        "a\r\nb",
        "a\u2028b\u2029c",
        "\x85\x0b\x0c\x1c",
        '"}\n{"level":"x"}',
        "\x1b[2J",
        "\n" * 50,
    ]
    for text in texts:
        logging.getLogger(text).error(text, extra={text: text, "b": [text, {text: text}]})
        logging.getLogger("app").error("%s", text, exc_info=ValueError(text), stack_info=True)
    assert jsonlog.flush(10)
    written = stream.getvalue()
    assert len(written.splitlines()) == written.count("\n") == 2 * len(texts)
    assert [one["message"] for one in lines(stream)] == [text for text in texts for _ in (1, 2)]


def test_a_state_is_logged_by_its_name_everywhere() -> None:
    stream = configured()
    for state in WebSocketState:
        jsonlog.get_logger("app").debug("state", state=state, info={state: {"client_state": state}})
    for state, shown in zip(WebSocketState, lines(stream), strict=True):
        assert shown["state"] == state.name
        assert shown["info"] == {state.name: {"client_state": state.name}}


def test_text_is_for_reading() -> None:
    stream = configured(format="text")
    jsonlog.get_logger("app").warning("two\nwords", run="r1", api_key="s3cr3t")
    assert jsonlog.flush(10)
    assert "WARNING  app two\\nwords" in stream.getvalue()
    assert "run=r1" in stream.getvalue()
    assert "s3cr3t" not in stream.getvalue()
    assert "\x1b" not in stream.getvalue()


PRINTS = """
import sys
from netra_backend import jsonlog
jsonlog.configure("INFO", "auto", sys.stdout)
jsonlog.get_logger("app").error("hello", run="r1")
"""


def on_terminal(**env: str) -> str:
    ours, theirs = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    environment["TERM"] = "xterm"
    child = subprocess.Popen(
        [sys.executable, "-c", PRINTS], stdout=theirs, env={**environment, **env}
    )
    os.close(theirs)
    try:
        assert child.wait(30) == 0
        return os.read(ours, 10_000).decode()
    finally:
        os.close(ours)


def test_auto_is_coloured_text_on_a_terminal_and_json_elsewhere() -> None:
    assert "\x1b[31mERROR" in on_terminal()
    for no in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
        plain = on_terminal(**no)
        assert "ERROR    app hello" in plain
        assert "\x1b" not in plain
    piped = subprocess.run([sys.executable, "-c", PRINTS], stdout=subprocess.PIPE, check=True)
    assert json.loads(piped.stdout)["run"] == "r1"


def test_standard_error_is_the_default() -> None:
    code = PRINTS.replace(', "auto", sys.stdout', "")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert json.loads(done.stderr)["message"] == "hello"
    assert done.stdout == b""


@pytest.mark.parametrize("closed", ["stdout", "both"])
def test_closed_standard_streams_hurt_nobody(closed: str) -> None:
    code = "import os, sys\nos.close(1)\n" + ("os.close(2)\n" if closed == "both" else "")
    done = subprocess.run([sys.executable, "-c", code + PRINTS + "os._exit(7)"], timeout=30)  # noqa: PLW1510
    assert done.returncode == 7


def test_no_stream_at_all_hurts_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    jsonlog.configure("INFO", "auto")
    logging.getLogger("app").error("into the void")
    assert jsonlog.flush(10)


def test_a_reader_that_goes_away_ends_nobody() -> None:
    code = PRINTS + (
        "sys.stdin.read()\n"
        "for _ in range(100): jsonlog.get_logger('app').info('x')\n"
        "assert jsonlog.flush(10)\n"
        "print('alive', file=sys.stderr)\n"
    )
    child = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    assert json.loads(child.stdout.readline())["message"] == "hello"
    child.stdout.close()
    child.stdout = None
    _, err = child.communicate("", timeout=60)
    assert child.returncode == 0
    assert "alive" in err


def test_flush_without_a_sink_is_done() -> None:
    assert jsonlog.flush(0)


def test_the_loop_is_never_waited_for() -> None:
    """The writer takes what a task logs while the task's thread is busy elsewhere."""
    stream = configured()

    async def main() -> None:
        with jsonlog.bind(run="r1"):
            await asyncio.gather(*(child(number) for number in range(10)))

    async def child(number: int) -> None:
        jsonlog.get_logger("app").info("child", number=number)

    asyncio.run(main())
    shown = [one for one in lines(stream) if one["logger"] == "app"]
    assert {one["run"] for one in shown} == {"r1"}
    assert sorted(one["number"] for one in shown) == list(range(10))
