"""Workers: one that cannot begin ends it all, one that dies is started again.

What they do together, ``tests/faults/test_workers.py`` shows with real ones.
"""

import asyncio
import sys
from pathlib import Path

import pytest

from netra_backend.cli import workers
from netra_backend.cli.workers import Workers, command_line
from netra_backend.config import Settings
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
    keeper = Workers(settings, command, count=2, host="127.0.0.1", port=0)
    assert await asyncio.wait_for(keeper.run(), 60) == 3


async def test_a_worker_that_dies_is_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers, "PAUSE", 0.01)
    notes = tmp_path / "notes"
    notes.touch()
    command = [sys.executable, "-c", CALLS_AND_DIES.format(notes=str(notes))]
    keeper = Workers(Settings(data_dir=tmp_path), command, count=1, host="127.0.0.1", port=0)
    running = asyncio.create_task(keeper.run())
    await until(lambda: notes.read_text().count("born") >= 3)
    keeper._stop()
    assert await asyncio.wait_for(running, 60) == 0
