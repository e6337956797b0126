"""Lines are written at once where that needs no waiting; nothing waits, nothing is lost unsaid."""

import _thread
import asyncio
import io
import multiprocessing
import os
import select
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any, TextIO

import pytest

from netra_backend.jsonlog.counts import counters
from netra_backend.jsonlog.outlet import ATOMIC_BYTES, Outlet
from netra_backend.jsonlog.writer import LINE_COST, RING_BYTES, Writer
from tests.eventually import until

OUTLET = "netra_backend.jsonlog.outlet"


@pytest.fixture
def pipe() -> Iterator[tuple[TextIO, TextIO]]:
    """The two ends of a pipe, to write and to read."""
    read, write = os.pipe()
    with os.fdopen(write, "w") as writer, os.fdopen(read, "r", encoding="utf-8") as reader:
        yield writer, reader


def fill(writer: Writer, text: bytes) -> int:
    """Put lines until one is dropped; return how many were kept."""
    kept = 0
    while not writer.unreported.numbers:
        writer.put(text, "INFO")
        kept += 1
    return kept - 1


def test_a_file_has_each_line_when_the_call_returns(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with path.open("w") as stream:
        writer = Writer(stream)
        threads = _thread._count()
        for number in range(100):
            writer.put(b"%d\n" % number, "INFO")
            assert path.read_text().endswith(f"{number}\n")
        assert _thread._count() == threads
        writer.close()


def test_a_full_pipe_is_waited_for_by_a_thread_and_the_order_is_kept(
    pipe: tuple[TextIO, TextIO],
) -> None:
    stream, reader = pipe
    writer = Writer(stream)
    lines = [f"{number:099}\n" for number in range(5_000)]
    for line in lines:
        writer.put(line.encode(), "INFO")
    assert not writer.wait(0.01)
    assert [reader.readline() for _ in lines] == lines
    assert writer.wait(10)
    writer.put(b"at once again\n", "INFO")
    assert reader.readline() == "at once again\n"
    writer.close()


def test_the_ring_is_bounded_and_drops_are_counted_by_level(pipe: tuple[TextIO, TextIO]) -> None:
    stream, reader = pipe
    writer, before = Writer(stream), counters().dropped
    text = b"x" * 9_999 + b"\n"
    kept = fill(writer, text)
    assert kept * len(text) <= RING_BYTES + 300_000  # the pipe, and the batch on its way
    assert kept * (len(text) + LINE_COST) >= RING_BYTES - 300_000
    writer.drop("ERROR", {"DEBUG": 3})
    assert writer.unreported.numbers == {"INFO": 1, "ERROR": 1, "DEBUG": 3}
    after = counters().dropped
    assert after["INFO"] == before.get("INFO", 0) + 1
    assert after["ERROR"] == before.get("ERROR", 0) + 1
    assert after.get("DEBUG", 0) == before.get("DEBUG", 0)  # those were counted before
    assert [reader.readline() for _ in range(kept)] == [text.decode()] * kept
    writer.close()


def test_closing_is_bounded_and_what_comes_later_is_written(
    pipe: tuple[TextIO, TextIO],
) -> None:
    stream, reader = pipe
    writer = Writer(stream)
    kept = fill(writer, b"x" * 9_999 + b"\n")
    assert not writer.wait(0.01)
    writer.close()  # it does not wait again for what was stuck a moment ago
    writer.put(b"late\n", "WARNING")
    writer.close()
    writer.put(b"last\n", "WARNING")
    for _ in range(kept):
        reader.readline()
    assert (reader.readline(), reader.readline()) == ("late\n", "last\n")
    asyncio.run(until(lambda: writer._accepted == writer._done))
    writer.put(b"later\n", "INFO")
    assert reader.readline() == "later\n"


def test_the_thread_ends_with_the_writer(pipe: tuple[TextIO, TextIO]) -> None:
    stream, reader = pipe
    before = _thread._count()
    writer = Writer(stream)
    writer.put(b"x" * 200_000 + b"\n", "INFO")
    asyncio.run(until(lambda: _thread._count() == before + 1))
    assert len(reader.readline()) == 200_001
    writer.close()
    asyncio.run(until(lambda: _thread._count() == before))


def test_a_signal_that_logs_while_this_thread_writes_does_not_deadlock(
    pipe: tuple[TextIO, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handler runs inside of `put`, while the outlet is in use by the code it interrupted."""
    stream, reader = pipe
    writer = Writer(stream)
    entered: list[bytes] = []

    def interrupted(descriptor: int, line: bytes) -> int:
        if not entered:
            entered.append(line)
            signal.raise_signal(signal.SIGUSR1)
        return os.write(descriptor, line)

    monkeypatch.setattr("netra_backend.jsonlog.writer._write", interrupted)
    old = signal.signal(signal.SIGUSR1, lambda *_: writer.put(b"from the signal\n", "INFO"))
    try:
        writer.put(b"from the thread\n", "INFO")
    finally:
        signal.signal(signal.SIGUSR1, old)
    assert sorted(reader.readline() for _ in range(2)) == ["from the signal\n", "from the thread\n"]
    writer.close()


class Torn(BaseException):
    """As a signal's handler raises: `KeyboardInterrupt`."""


def torn_at(step: int, call: Callable[[], None]) -> bool:
    """Tear somebody out of a call before its next step of ours; return whether it had so many."""
    left = step

    def trace(frame: FrameType, event: str, _arg: object) -> Any:
        nonlocal left
        if frame.f_globals["__name__"] not in ("netra_backend.jsonlog.writer", OUTLET):
            return None
        left -= event == "line"
        if left < 0:
            sys.settrace(None)
            raise Torn
        return trace

    sys.settrace(trace)
    try:
        call()
    except Torn:
        return True
    finally:
        sys.settrace(None)
    return False


def test_who_is_torn_out_of_any_step_keeps_nobody_else_from_writing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("netra_backend.jsonlog.writer.TURN_TRIES", 2)
    steps = 0
    for step in range(100):
        with (tmp_path / "log").open("w") as stream:
            writer = Writer(stream)
            torn = torn_at(step, lambda writer=writer: writer.put(b"torn\n", "INFO"))  # type: ignore[misc]
            writer.put(b"after\n", "INFO")
            assert writer.wait(10), step
            writer.put(b"again\n", "INFO")
            assert writer.wait(10), step
            assert (tmp_path / "log").read_text() in ("torn\nafter\nagain\n", "after\nagain\n")
            writer.close()
        if not torn:
            break
        steps += 1
    assert 10 < steps < 100


def test_who_is_torn_away_with_the_rest_of_a_line_lets_no_other_line_pass_it(
    pipe: tuple[TextIO, TextIO],
) -> None:
    stream, _ = pipe
    kept = []
    for step in range(100):
        outlet = Outlet(stream)
        if not torn_at(step, lambda outlet=outlet: outlet.go_on_after(b"rest\n")):  # type: ignore[misc]
            break
        assert outlet.at_once is None or not outlet._rest, step
        kept.append(outlet._rest)
    assert len(set(kept)) == 2


def test_the_turn_is_waited_for_also_where_a_test_has_replaced_sleep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(_seconds: float) -> None:
        raise AssertionError

    monkeypatch.setattr(time, "sleep", never)
    with (tmp_path / "log").open("w") as stream:
        writer = Writer(stream)
        writer._turn.pop()
        writer.put(b"a\n", "INFO")
        while not writer._ring.empty():
            pass
        writer._turn.append(None)
        assert writer.wait(5)
        writer.close()
    assert (tmp_path / "log").read_text() == "a\n"


def test_many_threads_write_whole_lines(tmp_path: Path) -> None:
    with (tmp_path / "log").open("w") as stream:
        writer = Writer(stream)

        def work(name: int) -> None:
            for number in range(1_000):
                writer.put(b"%d %d %b\n" % (name, number, b"x" * 50), "INFO")

        threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert writer.wait(10)
        lines = (tmp_path / "log").read_text().splitlines()
    assert len(lines) == 4_000
    for name in range(4):
        own = [line.split()[1] for line in lines if line.startswith(f"{name} ")]
        assert own == [str(number) for number in range(1_000)]


def test_a_stream_that_logs_what_is_written_to_it_does_not_go_on_for_ever() -> None:
    class Logging:
        """Standard error as it is where it was sent into a log."""

        def __init__(self) -> None:
            self.written: list[str] = []

        def write(self, text: str) -> None:
            self.written.append(text)
            writer.put(f"again: {text}".encode(), "INFO")

        def flush(self) -> None:
            pass

    stream = Logging()
    writer = Writer(stream)
    for text in (b"one\n", b"two\n"):
        writer.put(text, "INFO")
        assert writer.wait(10)
    writer.close()
    assert "".join(stream.written) == "one\ntwo\n"
    assert writer.unreported.numbers == {"INFO": 2}
    assert writer._own == 0


def test_memory_that_is_closed_is_a_drop() -> None:
    stream = io.StringIO()
    writer = Writer(stream)
    stream.close()
    writer.put(b"a\n", "INFO")
    assert writer.unreported.numbers == {"INFO": 1}


def test_a_child_begins_empty(pipe: tuple[TextIO, TextIO]) -> None:
    stream, reader = pipe
    writer = Writer(stream)
    fill(writer, b"x" * 9_999 + b"\n")
    child = os.fork()
    if child == 0:
        empty = writer._accepted == 0 and not writer.unreported.numbers
        os._exit(0 if empty and writer.wait(0) else 1)
    assert os.waitpid(child, 0)[1] == 0
    assert writer.unreported.numbers == {"INFO": 1}
    writer.close()
    assert reader.readline()


def test_a_child_leaves_the_rest_of_a_line_to_its_parent(pipe: tuple[TextIO, TextIO]) -> None:
    stream, reader = pipe
    writer = Writer(stream)
    long = b"x" * 200_000 + b"\n"  # more than a pipe holds
    outlet = writer._outlet
    assert outlet.at_once is not None
    outlet.go_on_after(long[os.write(outlet.at_once, long) :])
    child = os.fork()
    if child == 0:
        os._exit(1 if outlet.at_once is None else 0)
    assert os.waitpid(child, 0)[1] == 0
    writer.put(b"next\n", "INFO")
    assert reader.readline().encode() == long
    assert reader.readline() == "next\n"
    writer.close()


def test_no_line_is_lost_while_what_starts_processes_is_being_loaded(
    pipe: tuple[TextIO, TextIO], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream, reader = pipe
    monkeypatch.setitem(sys.modules, "billiard.util", ModuleType("billiard.util"))
    writer = Writer(stream)
    long = b"x" * (ATOMIC_BYTES + 1) + b"\n"  # which only the thread writes where writing waits
    writer._outlet.at_once = None
    writer.put(long, "INFO")
    writer.close()
    assert not writer.unreported.numbers
    assert reader.readline().encode() == long


def test_a_worker_process_that_ends_writes_what_waits(pipe: tuple[TextIO, TextIO]) -> None:
    stream, reader = pipe
    writer = Writer(stream)
    line = b"x" * 9_999 + b"\n"

    def work() -> None:
        for _ in range(50):  # seven are more than the pipe holds
            writer.put(line, "INFO")

    worker = multiprocessing.get_context("fork").Process(target=work)
    worker.start()
    worker.join(0.2)  # it has time to end without having written
    got = 0
    while _is_readable(reader) or worker.is_alive():
        got += len(os.read(reader.fileno(), 65_536)) if _is_readable(reader) else 0
    assert got == 50 * len(line)


def _is_readable(reader: TextIO) -> bool:
    return bool(select.select([reader], [], [], 0.01)[0])
