"""Workers: one that cannot begin ends it all, one that dies is started again.

What they do together, ``tests/faults/test_workers.py`` shows with real ones.
"""

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from netra_backend.cli import workers
from netra_backend.cli.workers import Workers, command_line
from netra_backend.config import Settings
from netra_backend.stores import worker_line
from tests.eventually import until

pytestmark = pytest.mark.anyio

CALLS_AND_DIES = """
import asyncio, os, sys
from netra_backend.cli.workers import inherited

async def main():
    store = inherited(int(sys.argv[-1].partition("=")[2]))
    await store.open()
    await store.probe()
    with open({notes!r}, "a") as file:
        file.write("born\\n")
    os._exit(9)

asyncio.run(main())
"""


def test_a_worker_is_started_as_this_process_was() -> None:
    assert command_line(["docs", "--workers", "2"]) == [
        sys.executable, "-m", "netra_backend.cli", "serve", "docs", "--workers", "2",
    ]  # fmt: skip


async def test_workers_that_cannot_begin_end_it_with_their_exit_code(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit(3)"]
    settings = Settings(data_dir=tmp_path)
    kept = Workers(settings, command, count=2, host="127.0.0.1", port=0)
    assert await asyncio.wait_for(kept.run(), 60) == 3


FAILS_LATER = """
import pathlib
if pathlib.Path({notes!r}).read_text():
    raise SystemExit(3)
"""


async def test_a_worker_that_cannot_begin_any_more_ends_it_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Somebody has changed what the agents need, and there is no way back to where it served."""
    monkeypatch.setattr(workers, "PAUSE", 0.001)
    notes = tmp_path / "notes"
    notes.touch()
    program = FAILS_LATER.format(notes=str(notes)) + CALLS_AND_DIES.format(notes=str(notes))
    command = [sys.executable, "-c", program]
    kept = Workers(Settings(data_dir=tmp_path), command, count=1, host="127.0.0.1", port=0)
    assert await asyncio.wait_for(kept.run(), 60) == 3
    assert notes.read_text().count("born") == 1
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert told.count("a worker has ended and is started again") == workers.TRIES
    assert told[-1] == "a worker cannot begin"


CALLS_AND_FREEZES = """
import asyncio, os, signal, sys
from netra_backend.cli.workers import inherited

async def main():
    store = inherited(int(sys.argv[-1].partition("=")[2]))
    await store.open()
    await store.probe()
    with open({notes!r}, "a") as file:
        file.write(str(os.getpid()) + "\\n")
    os.kill(os.getpid(), signal.SIGSTOP)

asyncio.run(main())
"""


async def test_a_worker_that_is_frozen_is_killed_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "PAUSE", 0.01)
    monkeypatch.setattr(worker_line, "LOOK", 0.01)
    notes = tmp_path / "notes"
    notes.touch()
    command = [sys.executable, "-c", CALLS_AND_FREEZES.format(notes=str(notes))]
    kept = Workers(Settings(data_dir=tmp_path), command, count=1, host="127.0.0.1", port=0)
    running = asyncio.create_task(kept.run())
    await until(lambda: len(notes.read_text().split()) >= 2)
    assert not psutil.pid_exists(int(notes.read_text().split()[0]))
    kept._stop()  # also one that is frozen then
    assert await asyncio.wait_for(running, 60) == 0


async def test_a_worker_that_is_frozen_delays_no_stop(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The keeper would notice it in half a minute."""
    notes = tmp_path / "notes"
    notes.touch()
    command = [sys.executable, "-c", CALLS_AND_FREEZES.format(notes=str(notes))]
    settings = Settings(data_dir=tmp_path, grace_seconds=0.1)
    kept = Workers(settings, command, count=1, host="127.0.0.1", port=0)
    running = asyncio.create_task(kept.run())
    await until(lambda: notes.read_text().endswith("\n"))
    kept._stop()
    assert await asyncio.wait_for(running, worker_line.LOOK * worker_line.SILENT / 2) == 0
    pid = int(notes.read_text())
    assert not psutil.pid_exists(pid)
    told = [(record.getMessage(), record.__dict__.get("worker")) for record in caplog.records]
    assert told[-1] == ("a worker does not stop and is killed", pid)


async def test_a_worker_that_dies_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "PAUSE", 0.01)
    notes = tmp_path / "notes"
    notes.touch()
    command = [sys.executable, "-c", CALLS_AND_DIES.format(notes=str(notes))]
    kept = Workers(Settings(data_dir=tmp_path), command, count=1, host="127.0.0.1", port=0)
    running = asyncio.create_task(kept.run())
    await until(lambda: notes.read_text().count("born") >= 3)
    kept._stop()
    assert await asyncio.wait_for(running, 60) == 0
