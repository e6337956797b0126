"""Worker processes: one that dies or hangs costs its file, not the scan."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from netra_backend.cli import scan_pool
from netra_backend.cli.scan_cache import Cache
from netra_backend.cli.scan_pool import record_files
from netra_backend.cli.scan_record import File, Record, record_file
from tests.eventually import until


def files(folder: Path, number: int) -> list[File]:
    made = []
    for index in range(number):
        path = folder / f"m{index:03}.py"
        path.write_text(f"import json\njson.dumps({index})\n")
        made.append(File(path.name, path.stem, os.fsencode(path)))
    return made


def test_every_file_has_one_record(tmp_path: Path) -> None:
    given = files(tmp_path, 50)
    records = list(record_files(given, 3, None))
    assert sorted(it.summary.path for it in records) == [file.path for file in given]
    assert all(it.summary.skipped is None for it in records)


def test_records_are_those_that_one_process_makes(tmp_path: Path) -> None:
    given = files(tmp_path, 20)
    records = sorted(record_files(given, 2, None), key=lambda it: it.summary.path)
    assert records == [record_file(file, None) for file in given]


def test_nothing_is_no_work() -> None:
    assert list(record_files([], 2, None)) == []


def deadly(file: File, cache: Cache | None) -> Record:
    """Die of one file, hang over another, and look at the rest."""
    if file.path == "m003.py":
        os.kill(os.getpid(), signal.SIGKILL)
    if file.path == "m005.py":
        signal.pause()
    return record_file(file, cache)


def test_a_file_that_kills_or_stops_a_worker_is_skipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The workers are forked, so they see the deadly function; everything else is as always."""
    monkeypatch.setattr(scan_pool, "record_file", deadly)
    monkeypatch.setattr(scan_pool, "LONGEST_WAIT", 5.0)
    records = {it.summary.path: it for it in record_files(files(tmp_path, 30), 2, None)}
    assert len(records) == 30
    lost = {path: it.summary.skipped for path, it in records.items() if it.failed}
    assert lost == {
        "m003.py": "the scanner died of it (signal SIGKILL)",
        "m005.py": "takes longer than 5 s",
    }


def test_workers_end_when_nobody_wants_more(tmp_path: Path) -> None:
    others = children(os.getpid())
    records = record_files(files(tmp_path, 50), 2, None)
    next(records)
    records.close()
    assert children(os.getpid()) == others


@pytest.mark.anyio
async def test_workers_end_when_their_parent_is_killed(tmp_path: Path) -> None:
    code = (
        "import sys, time\nfrom pathlib import Path\n"
        "from netra_backend.cli.scan_pool import record_files\n"
        "from tests.cli.test_scan_pool import files\n"
        "records = record_files(files(Path(sys.argv[1]), 50), 3, None)\n"
        "next(records)\nprint('ready', flush=True)\ntime.sleep(600)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert parent.stdout is not None
    assert parent.stdout.readline() == "ready\n"
    workers = children(parent.pid)
    assert len(workers) == 3
    parent.kill()
    parent.wait()
    parent.stdout.close()
    await until(lambda: not any(map(is_alive, workers)))


def children(pid: int) -> list[int]:
    """Return the processes whose parent it is, except those that have ended."""
    done = subprocess.run(
        ["ps", "-o", "pid=,stat=,comm=", "--ppid", str(pid)],
        capture_output=True,
        text=True,
        check=False,
    )
    rows = [line.split() for line in done.stdout.splitlines()]
    return [int(row[0]) for row in rows if row[2] != "ps" and not row[1].startswith("Z")]


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"


def test_a_worker_is_not_ended_by_the_terminals_interrupt(tmp_path: Path) -> None:
    others = children(os.getpid())
    records = record_files(files(tmp_path, 60), 2, None)
    first = next(records)
    for worker in set(children(os.getpid())) - {*others}:
        os.kill(worker, signal.SIGINT)
    assert len([first, *records]) == 60


def test_what_a_worker_finds_in_a_cache_is_not_believed(tmp_path: Path) -> None:
    given, cache = files(tmp_path, 5), Cache(str(tmp_path / "c"))
    for file in given:
        data = Path(os.fsdecode(file.name)).read_bytes()
        cache.put(cache.key(file.path.encode(), file.module.encode(), data), b"\xc1")
    records = sorted(record_files(given, 2, cache), key=lambda it: it.summary.path)
    fresh = Cache(str(tmp_path / "fresh"))
    assert records == [record_file(file, fresh) for file in given]
