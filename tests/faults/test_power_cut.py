"""The power goes off: what was acknowledged is in what the disk was told to keep.

A library that is preloaded keeps, of each file of the log, what was there at its last ``fsync``.
The process is killed, and the log is opened as that, as if all that was written since were lost.
"""

import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from netra_backend.core.events import Entry
from netra_backend.stores.sqlite import SqliteStore
from netra_backend.testing.scenario import dense, entries, event
from tests.stores.appending_process import THREADS

pytestmark = pytest.mark.anyio

ROOT = Path(__file__).parents[2]
APPENDS = "from tests.stores import appending_process as a; import asyncio, pathlib, sys; {before}"
RUNS = "asyncio.run(a._main(pathlib.Path(sys.argv[1])))"
CARELESS = (
    "from netra_backend.stores import sqlite_files as f; "
    "f._WRITER = tuple(p.replace('FULL', 'NORMAL') for p in f._WRITER); "
    "from netra_backend.stores.sqlite_transaction import Transaction; "
    "Transaction._sync = lambda self, syncs: None; "
)
"""SQLite then syncs at checkpoints only: the bug that the test has to find."""


@pytest.fixture(scope="module")
def keeping(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the library."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("there is no C compiler on Linux, with which what was synced is kept")
    library = tmp_path_factory.mktemp("library") / "synced.so"
    source = Path(__file__).with_name("synced.c")
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(source), "-ldl"], check=True
    )
    return library


def cut(library: Path, directory: Path, left: Path, lines: int, before: str = "") -> dict[str, int]:
    """Append in `directory` until the power is off; return what was acknowledged, by thread.

    What the disk has kept is in `left`.
    """
    acknowledged: dict[str, int] = {}
    directory.mkdir(exist_ok=True)
    shutil.copytree(directory, left)  # what was there before is on the disk
    program = APPENDS.format(before=before) + RUNS
    with subprocess.Popen(
        [sys.executable, "-c", program, str(directory)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        env={"LD_PRELOAD": str(library), "NETRA_SYNCED": str(left), "PATH": "/usr/bin:/bin"},
    ) as process:
        assert process.stdout is not None
        for count, line in enumerate(process.stdout):
            if line.endswith("\n"):
                thread, offset = line.split()
                acknowledged[thread] = int(offset)
            if count == lines:
                process.send_signal(signal.SIGKILL)
    assert process.returncode == -signal.SIGKILL
    return acknowledged


async def logs(directory: Path) -> dict[str, list[Entry]]:
    store = SqliteStore(directory)
    await store.open()
    found = {thread.id: list(await entries(store, thread)) for thread in THREADS}
    await store.close()
    return {str(thread): log for thread, log in found.items()}


async def test_what_was_acknowledged_survives_a_power_cut(keeping: Path, tmp_path: Path) -> None:
    """Cut off again and again, each time with what is left from the time before."""
    directory = tmp_path / "0"
    acknowledged: dict[str, int] = {}
    for number, lines in enumerate((10, 400, 1_500), start=1):
        left = tmp_path / str(number)
        acknowledged |= cut(keeping, directory, left, lines)
        directory = tmp_path / f"{number} again"
        shutil.copytree(left, directory)
        for thread, log in (await logs(directory)).items():
            dense(log)
            said = [event(f"{thread} {offset}") for offset in range(1, len(log) + 1)]
            assert [entry.event for entry in log] == said
            assert len(log) >= acknowledged.get(thread, 0)
    assert len(acknowledged) == len(THREADS)


async def test_an_acknowledgement_before_the_sync_is_found(keeping: Path, tmp_path: Path) -> None:
    left = tmp_path / "left"
    acknowledged = cut(keeping, tmp_path / "data", left, 400, CARELESS)
    kept = await logs(left)
    assert any(len(kept[thread]) < offset for thread, offset in acknowledged.items())
