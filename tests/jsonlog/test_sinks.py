"""Lines leave in order, a stuck stream costs nobody anything, and every drop is reported."""

import json
import logging
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from netra_backend.jsonlog.counts import counters
from netra_backend.jsonlog.record import Notes, line
from netra_backend.jsonlog.sinks import Sink
from netra_backend.jsonlog.writer import RING_BYTES


def record(text: str = "hello", **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("app", logging.INFO, "f.py", 1, text, (), None)
    made.__dict__.update(fields)
    return made


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def stream(path: Path) -> Iterator[TextIO]:
    with path.open("w", encoding="utf-8") as opened:
        yield opened


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(one) for one in path.read_text("utf-8").splitlines()]


class Pipe:
    """A pipe that nobody reads until told so, with a sink that writes into it."""

    def __init__(self) -> None:
        read, write = os.pipe()
        self.writer = os.fdopen(write, "w")
        self.reader = os.fdopen(read, "r", encoding="utf-8")
        self.sink = Sink(self.writer, line)

    def read(self) -> list[dict[str, Any]]:
        """Close the sink and return every line that got through."""
        self.writer.close()
        got: list[dict[str, Any]] = []
        done = threading.Event()

        def drain() -> None:
            for one in self.reader:
                got.append(json.loads(one))
                if got[-1]["message"] == "the end":
                    done.set()

        thread = threading.Thread(target=drain, daemon=True)
        thread.start()
        assert self.sink.wait(20)
        self.sink.handle(record("the end"))
        assert done.wait(20)
        self.sink.close()
        return got


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    made = Pipe()
    yield made
    made.sink.close()
    made.writer.close()


def test_records_of_many_threads_arrive_whole_and_each_threads_in_order(
    stream: TextIO, path: Path
) -> None:
    sink = Sink(stream, line)

    def work(name: int) -> None:
        for number in range(500):
            sink.handle(record(thread_name=name, number=number))

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sink.wait(10)
    shown = lines(path)
    assert len(shown) == 2_000
    for name in range(4):
        numbers = [one["number"] for one in shown if one["thread_name"] == name]
        assert numbers == list(range(500))
    sink.close()


def test_an_unread_pipe_drops_and_says_how_many(pipe: Pipe) -> None:
    text = "x" * 10_000
    count = RING_BYTES // len(text) + 200
    before = counters().dropped.get("INFO", 0)
    for number in range(count):
        pipe.sink.handle(record(text, number=number))
    assert not pipe.sink.wait(0.01)
    assert counters().dropped["INFO"] > before
    got = pipe.read()
    delivered = [one for one in got if one["message"] == text]
    reported = [one["dropped"] for one in got if "dropped" in one]
    assert [one["number"] for one in delivered] == list(range(len(delivered)))
    assert len(reported) == 1
    assert len(delivered) + reported[0]["INFO"] == count
    assert got[-1]["dropped"] == reported[0]


def test_a_sink_that_fails_counts_its_lines_and_reports_them_once(
    stream: TextIO, path: Path
) -> None:
    class Flaky:
        """A stream whose writes fail with each of these, then work."""

        errors = iter((OSError(28, "No space left"), ValueError(), RecursionError(), MemoryError()))

        def write(self, text: str) -> None:
            for error in self.errors:
                raise error
            stream.write(text)

        def flush(self) -> None:
            stream.flush()

    sink = Sink(Flaky(), line)  # type: ignore[arg-type]
    for _ in range(3):
        sink.handle(record("lost"))
        assert sink.wait(10)
    sink.handle(record("lost, and it said that others were"))
    assert sink.wait(10)
    sink.handle(record("first"))
    sink.handle(record("second"))
    assert sink.wait(10)
    assert [(one["message"], one.get("dropped")) for one in lines(path)] == [
        ("first", {"INFO": 4}),
        ("second", None),
    ]
    sink.close()


def test_drops_that_nothing_reported_are_reported_at_the_end(stream: TextIO, path: Path) -> None:
    def fail(one: logging.LogRecord, notes: Notes) -> str:
        if one.name == "app":
            raise RecursionError
        return line(one, notes)

    sink = Sink(stream, fail)
    sink.handle(record())
    sink.handle(record())
    sink.close()
    shown = lines(path)
    assert [(one["logger"], one["dropped"]) for one in shown] == [
        ("netra_backend.jsonlog", {"INFO": 2})
    ]


def test_a_filter_that_fails_costs_its_record_only(stream: TextIO, path: Path) -> None:
    sink = Sink(stream, line)

    def picky(one: logging.LogRecord) -> bool:
        if one.msg == "bad":
            raise ValueError
        return one.msg != "unwanted"

    sink.addFilter(picky)
    assert not sink.handle(record("bad"))
    assert not sink.handle(record("unwanted"))
    assert sink.handle(record("good"))
    sink.close()
    assert [(one["message"], one["dropped"]) for one in lines(path)] == [("good", {"INFO": 1})]


def test_a_thread_that_waits_for_a_logging_thread_gets_through(stream: TextIO, path: Path) -> None:
    sink = Sink(stream, line)
    inside, logged = threading.Event(), threading.Event()

    class Waits:
        def __str__(self) -> str:
            inside.set()
            return str(logged.wait(10))

    def other() -> None:
        assert inside.wait(10)
        sink.handle(record("other"))
        logged.set()

    thread = threading.Thread(target=other)
    thread.start()
    sink.handle(logging.LogRecord("app", 20, "f.py", 1, "%s", (Waits(),), None))
    thread.join()
    sink.close()
    assert [one["message"] for one in lines(path)] == ["other", "True"]


def test_what_is_logged_after_the_end_is_written_at_once(stream: TextIO, path: Path) -> None:
    sink = Sink(stream, line)
    sink.handle(record("before"))
    sink.close()
    sink.close()
    sink.handle(record("after"))
    assert [one["message"] for one in lines(path)] == ["before", "after"]
    assert sink.wait(0)


def test_no_line_is_made_while_nobody_reads_the_pipe_and_who_comes_back_reads_on(
    tmp_path: Path,
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    made: list[str] = []

    def render(record: logging.LogRecord, notes: Notes) -> str:
        made.append(record.getMessage())
        return line(record, notes)

    with fifo.open("w") as stream:
        sink = Sink(stream, render)
        os.close(reader)
        for number in range(100):
            sink.emit(record(f"lost {number}"))
        assert made == ["lost 0"]  # by which it was learnt
        reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
        sink.emit(record("read"))
        got = json.loads(os.read(reader, 65_536))
        sink.close()
    os.close(reader)
    assert (got["message"], got["dropped"]) == ("read", {"INFO": 100})


def test_a_socket_that_tells_of_a_past_error_takes_the_next_line() -> None:
    """The error goes with the next write: who made no line meanwhile would make none ever again."""
    ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
        peer.bind(("127.0.0.1", 0))
        address = peer.getsockname()
    ours.connect(address)
    with ours, ours.makefile("w") as stream:
        sink = Sink(stream, line)
        sink.emit(record("nobody is there"))
        sink.emit(record("which is learnt now"))
        ours.send(b"another that shares the socket learns it once more")
        sink.emit(record("dropped"))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as peer:
            peer.bind(address)
            sink.emit(record("read"))
            peer.settimeout(30)
            got = json.loads(peer.recv(65_536))
        sink.close()
    assert (got["message"], got["dropped"]) == ("read", {"INFO": 2})
