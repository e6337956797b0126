"""A stream that is not read, full, closed or gone: no wait, no error, and every drop is counted."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from bench.log_pipe import Program

pytestmark = pytest.mark.timeout(300)

RECORDS = 25_000
"""Of 500 bytes each: more than the ring holds."""
GAP_SECONDS = 2.0
"""The budget is 50 ms, see ``python -m bench log_pipe``. A loop that waits does so for ever."""
GROWTH_BYTES = 64 << 20


def test_a_pipe_that_nobody_reads_for_a_while(tmp_path: Path) -> None:
    with Program("Netra", tmp_path / "told", RECORDS) as program:
        told = program.wait()
        delivered, dropped = program.read_all()
    assert told.done
    assert told.gap < GAP_SECONDS
    assert told.grown < GROWTH_BYTES
    assert dropped > 0
    assert delivered + dropped == told.logged == RECORDS


def test_the_end_does_not_wait_for_a_pipe_that_nobody_reads(tmp_path: Path) -> None:
    with Program("Netra", tmp_path / "told", RECORDS) as program:
        assert program.wait().done
        seconds = program.exit()
    assert seconds is not None
    assert seconds < 3 + GAP_SECONDS


PROGRAM = """
import enum, json, os, sys
from netra_backend import jsonlog

class State(enum.Enum):
    UP = 1

jsonlog.configure("INFO", "json", sys.stdout)
log = jsonlog.get_logger("app")
log.info("first", state=State.UP)
sys.stdin.readline()
{before}
for number in range(200):
    log.info("number", number=number, state=State.UP)
    log.error("failed", exc_info=ValueError(number))
assert jsonlog.flush(60)
dropped = dict(jsonlog.counters().dropped)
{after}
log.warning("last")
jsonlog.flush(60)
print(json.dumps(dropped), file=sys.stderr)
"""


def start(stdout: Any, before: str = "", after: str = "") -> "subprocess.Popen[bytes]":
    program = PROGRAM.replace("{before}", before).replace("{after}", after)
    return subprocess.Popen(
        [sys.executable, "-c", program],
        stdin=subprocess.PIPE,
        stdout=stdout,
        stderr=subprocess.PIPE,
    )


def end(child: "subprocess.Popen[bytes]") -> tuple[dict[str, int], bytes]:
    """Let it go on; return what it counted as dropped, and its output from then on."""
    out, err = child.communicate(b"\n", timeout=120)
    assert child.returncode == 0, err
    return orjson.loads(err), out


ALL = {"INFO": 200, "ERROR": 200}


def test_a_reader_that_is_gone_costs_only_the_lines() -> None:
    child = start(subprocess.PIPE)
    assert child.stdout is not None
    assert orjson.loads(child.stdout.readline())["message"] == "first"
    child.stdout.close()
    child.stdout = None
    dropped, _ = end(child)
    assert dropped == ALL


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="LOUD: this system has no /dev/full")
def test_a_full_disk_costs_only_the_lines() -> None:
    with Path("/dev/full").open("wb") as full:
        dropped, _ = end(start(full))
    assert dropped == {"INFO": 201, "ERROR": 200}


def test_a_disk_that_is_full_for_a_while_is_written_on(tmp_path: Path) -> None:
    path = tmp_path / "log"
    before = (
        "import resource\n"
        "hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))"
    )
    after = "resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))"
    with path.open("wb") as stream:
        dropped, _ = end(start(stream, before, after))
    text = path.read_bytes()
    whole, torn = [], 0
    for line in text.splitlines():
        try:
            whole.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            torn += 1
    assert torn <= 1  # the line that met the limit, ended by the next one
    assert whole[-1]["message"] == "last"
    assert len(whole) - 2 + sum(dropped.values()) == 400
    assert sum(sum(one["dropped"].values()) for one in whole if "dropped" in one) == sum(
        dropped.values()
    )


@pytest.mark.parametrize("how", ["os.close(1)", "sys.stdout.close()", "os.close(1); os.close(2)"])
def test_a_descriptor_that_is_closed_by_somebody_hurts_nobody(how: str, tmp_path: Path) -> None:
    """Ours is another: what is logged still arrives, and never in a file that took its number."""
    other = tmp_path / "other"
    before = f"{how}\ntaken = open({str(other)!r}, 'w')"
    if "2" in how:
        before += "\nsys.stderr = open(os.devnull, 'w')"
    child = start(subprocess.PIPE, before)
    out, err = child.communicate(b"\n", timeout=120)
    assert child.returncode == 0, err
    lines = [orjson.loads(line) for line in out.splitlines()]
    assert [one["message"] for one in lines] == ["first", *["number", "failed"] * 200, "last"]
    assert other.read_bytes() == b""


def test_a_pipe_that_somebody_made_non_blocking_gets_everything() -> None:
    read, write = os.pipe()
    os.set_blocking(write, False)
    with os.fdopen(read, "rb") as reader:
        child = start(write)
        os.close(write)
        assert child.stdin is not None
        child.stdin.write(b"\n")
        child.stdin.flush()
        lines = [orjson.loads(line) for line in reader]
        _, err = child.communicate(timeout=120)
    assert orjson.loads(err) == {}
    assert len(lines) == 402
