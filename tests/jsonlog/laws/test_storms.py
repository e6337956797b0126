"""No deadlock and no lost line: forks, signals, destructors and the end of the interpreter.

A program that does not end is ended by SIGABRT, and shows where its threads stood.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.jsonlog.thoroughness import ROUNDS

pytestmark = pytest.mark.timeout(300)

SECONDS = 200

HEAD = f"""
ROUNDS = {ROUNDS}
import atexit, enum, faulthandler, gc, logging, os, signal, sys, threading
from netra_backend import jsonlog

faulthandler.enable()

class State(enum.Enum):
    UP = 1

jsonlog.configure("INFO", "json", sys.stdout)
log = jsonlog.get_logger("storm")
standard = logging.getLogger("standard")
"""

SIGNALS_AND_FORKS = """
stop = threading.Event()
counts = {"signals": 0, "threads": 0}

def on_signal(number, frame):
    counts["signals"] += 1
    log.info("signal", state=State.UP)

def noise():
    while not stop.is_set():
        counts["threads"] += 1
        standard.info("thread %s", "x" * 100, extra={"state": State.UP})

signal.signal(signal.SIGALRM, on_signal)
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
threads = [threading.Thread(target=noise, daemon=True) for _ in range(1)]
for thread in threads:
    thread.start()
for number in range(ROUNDS):
    log.info("round", number=number)
    child = os.fork()
    if child == 0:
        stop.set()
        log.info("child", number=number, state={State.UP: State.UP})
        standard.error("child's error", exc_info=ValueError(number))
        if number % 2:
            sys.exit(0)
        os._exit(0 if jsonlog.flush(30) else 1)
    while True:
        try:
            _, status = os.waitpid(child, 0)
            break
        except InterruptedError:
            continue
    assert status == 0, (number, status)
signal.setitimer(signal.ITIMER_REAL, 0)
stop.set()
for thread in threads:
    thread.join()
assert jsonlog.flush(60)
log.info("end", **counts)
"""


def run(program: str, path: Path) -> list[dict[str, Any]]:
    """Run the program with its output in a file; return its lines."""
    with path.open("wb") as stream:
        child = subprocess.Popen(
            [sys.executable, "-c", HEAD + program],
            stdout=stream,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # so that its own children are ended, too
        )
        try:
            _, err = child.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(child.pid, signal.SIGABRT)
            _, err = child.communicate()
    assert (child.returncode, err) == (0, "")
    text = path.read_bytes()
    assert text.endswith(b"\n")
    return [orjson.loads(line) for line in text.splitlines()]


def test_forks_in_a_storm_of_signals(tmp_path: Path) -> None:
    lines = run(SIGNALS_AND_FORKS, tmp_path / "log")
    rounds = [one["number"] for one in lines if one["message"] == "round"]
    children = [one["number"] for one in lines if one["message"] == "child"]
    errors = [one for one in lines if one["message"] == "child's error"]
    (end,) = [one for one in lines if one["message"] == "end"]
    assert rounds == list(range(ROUNDS))
    assert sorted(children) == list(range(ROUNDS))
    assert len(errors) == ROUNDS
    assert end["signals"] > 10
    assert sum(one["message"].startswith("thread") for one in lines) >= end["threads"]
    assert sum(one["message"] == "signal" for one in lines) >= end["signals"]
    assert not [one for one in lines if "dropped" in one]


SIGNALS_IN_A_PIPE = """
# Of CPU time: on a busy machine a timer of the clock on the wall nests handlers without end.
count = 0

def on_signal(number, frame):
    global count
    count += 1
    log.info("signal", state=State.UP)

signal.signal(signal.SIGPROF, on_signal)
for _ in range(ROUNDS):
    signal.setitimer(signal.ITIMER_PROF, 0.0002, 0.0002)
    for number in range(100):
        standard.info("main %d", number, extra={"state": State.UP})
    signal.setitimer(signal.ITIMER_PROF, 0)
    assert jsonlog.flush(60)
log.info("end", signals=count)
"""


def test_storms_of_signals_into_a_pipe_that_is_read_late() -> None:
    child = subprocess.Popen(
        [sys.executable, "-c", HEAD + SIGNALS_IN_A_PIPE],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    out, err = child.communicate()
    assert (child.returncode, err) == (0, b"")
    lines = [orjson.loads(line) for line in out.splitlines()]
    assert sum(one["message"].startswith("main") for one in lines) == 100 * ROUNDS
    assert sum(one["message"] == "signal" for one in lines) == lines[-1]["signals"]


DESTRUCTORS = """
class Late:
    def __init__(self):
        self.me = self
    def __del__(self, log=log, state=State.UP):
        log.info("gone", state=state)

class Value:
    def __repr__(self):
        Late()
        gc.collect()
        return "value"

gc.set_threshold(1)
for _ in range(100):
    Late()
    standard.info("now %r", Value(), extra={"state": State.UP})
kept = Late()
kept.me = None
"""


def test_destructors_log_while_others_do_and_at_the_end(tmp_path: Path) -> None:
    lines = run(DESTRUCTORS, tmp_path / "log")
    assert sum(one["message"] == "now value" for one in lines) == 100
    assert sum(one["message"] == "gone" for one in lines) == 201


THE_END = """
atexit.register(log.info, "registered before", state=State.UP)

class Last:
    def __del__(self, log=log, state=State.UP):
        log.info("module is cleared", state=state)

last = Last()
threading._register_atexit(log.info, "threads end", state=State.UP)
logging.shutdown()
log.info("after shutdown", state=State.UP)
standard.error("after shutdown", exc_info=ValueError("late"))
"""


def test_records_at_the_end_of_the_interpreter_are_written(tmp_path: Path) -> None:
    lines = run(THE_END, tmp_path / "log")
    messages = [one["message"] for one in lines]
    assert sorted(messages) == [
        *["after shutdown"] * 2,
        "module is cleared",
        "registered before",
        "threads end",
    ]
    assert lines[1]["exception"]["type"] == "ValueError"


DAEMONS = """
def forever():
    while True:
        log.info("still here", state=State.UP)

for _ in range(3):
    threading.Thread(target=forever, daemon=True).start()
log.info("last of the main thread")
"""


def test_threads_that_log_while_the_interpreter_ends_do_not_hinder_it(tmp_path: Path) -> None:
    for number in range(ROUNDS // 5):
        lines = run(DAEMONS, tmp_path / f"log{number}")
        assert "last of the main thread" in [one["message"] for one in lines]


THREADS = """
def work(name):
    for number in range(300):
        with jsonlog.bind(worker=name):
            log.info("work", number=number, state=State.UP)

for _ in range(ROUNDS // 5):
    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads: thread.start()
    for thread in threads: thread.join()
assert jsonlog.flush(60)
"""


def test_many_threads_lose_nothing_and_keep_their_own_order(tmp_path: Path) -> None:
    lines = run(THREADS, tmp_path / "log")
    assert len(lines) == ROUNDS // 5 * 8 * 300
    for worker in range(8):
        numbers = [one["number"] for one in lines if one["worker"] == worker]
        assert numbers == list(range(300)) * (ROUNDS // 5)
