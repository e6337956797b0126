"""``netra check``: on a running server, after a kill, on a copy, and where something is wrong."""

import asyncio
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from netra_backend.stores.sqlite_inspection import Inspected, inspection
from tests.cli.conftest import Netra
from tests.client import client
from tests.live import ServerProcess

AGENT = """
import asyncio
from netra_backend.agents.base import Text

async def agent(given):
    said = Text()
    for event in said.start():
        yield event
    while True:
        for event in said.add("tick "):
            yield event
        await asyncio.sleep(0.001)
"""


def spoil(directory: Path, statement: str) -> None:
    with closing(sqlite3.connect(directory / "netra.db")) as connection, connection:
        connection.execute(statement)


@pytest.fixture
def copy(server: ServerProcess, tmp_path: Path) -> Path:
    """A copy of the directory, made by SQLite."""
    made = tmp_path / "copy"
    made.mkdir()
    with (
        closing(sqlite3.connect(server.data_dir / "netra.db")) as source,
        closing(sqlite3.connect(made / "netra.db")) as target,
    ):
        source.backup(target)
    return made


def test_a_directory_that_a_server_has_open_is_whole(server: ServerProcess, netra: Netra) -> None:
    done = netra("check", "--data-dir", str(server.data_dir))
    assert (done.returncode, done.stderr) == (0, "")
    (line,) = done.stdout.splitlines()
    assert line.startswith(f"{server.data_dir}/netra.db is whole: 1 thread, 1 run, ")


def test_a_backup_made_while_it_runs_is_whole(netra: Netra, copy: Path) -> None:
    before = {file.name: file.read_bytes() for file in copy.iterdir()}
    copy.chmod(0o500)
    try:
        done = netra("check", "--data-dir", str(copy), "--format", "json")
    finally:
        copy.chmod(0o700)
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert (report["whole"], report["threads"], report["runs"]) == (True, 1, 1)
    assert report["findings"] == report["open_runs"] == []
    assert report["database"] == str(copy / "netra.db")
    assert {file.name: file.read_bytes() for file in copy.iterdir()} == before


def test_after_a_kill_it_is_whole_and_says_what_was_open(netra: Netra, tmp_path: Path) -> None:
    (tmp_path / "ticking.py").write_text(AGENT, encoding="utf-8")
    killed = ServerProcess(tmp_path / "data", arguments=["ticking:agent"], cwd=tmp_path)
    killed.start()
    try:
        asyncio.run(until_it_ticks(killed))
    finally:
        killed.kill()
    log = (tmp_path / "data" / "netra.db-wal").read_bytes()
    assert log, "what was acknowledged last is in the write-ahead log alone"

    done = netra("check", "--data-dir", str(killed.data_dir))

    assert done.returncode == 0, done.stdout + done.stderr
    open_run, whole = done.stdout.splitlines()
    assert open_run.startswith("1 run open, which is no fault: r1 in alice,t1. ")
    assert " is whole: 1 thread, 1 run, " in whole
    assert (tmp_path / "data" / "netra.db-wal").read_bytes() == log
    report = json.loads(
        netra("check", "--data-dir", str(killed.data_dir), "--format", "json").stdout
    )
    assert report["open_runs"] == [{"thread": "alice,t1", "run": "r1"}]
    assert report["entries"] > 50


async def until_it_ticks(server: ServerProcess) -> None:
    await server.wait_ready()
    async with client(server.socket_url, server.token("alice")) as alice:
        await alice.run("t1", "r1")
        await alice.follow("t1")
        await alice.arrived(lambda: len(alice.events) > 50)


def test_each_finding_is_a_line_and_an_object(netra: Netra, copy: Path) -> None:
    spoil(copy, "UPDATE runs SET status = 'failed\x1b[2J'")
    spoil(copy, "DELETE FROM counters WHERE name = 'withdrawal'")

    text = netra("check", "--data-dir", str(copy))
    told = netra("check", "--data-dir", str(copy), "--format", "json")

    assert (text.returncode, told.returncode) == (1, 1)
    file, run, last = text.stdout.splitlines()
    assert file == "the file: the counter 'withdrawal' is missing"
    assert run == r"alice,t1: run r1 has the unknown status 'failed\x1b[2J'"
    assert last.startswith(f"{copy}/netra.db is not whole: 2 findings in 1 thread, 1 run, ")
    report: dict[str, Any] = json.loads(told.stdout)
    assert report["whole"] is False
    assert [(f["thread"], f["position"]) for f in report["findings"]] == [
        (None, None),
        ("alice,t1", None),
    ]


def test_what_cannot_be_read_is_one_line(netra: Netra, copy: Path, tmp_path: Path) -> None:
    spoil(copy, "PRAGMA user_version = 99")
    newer = netra("check", "--data-dir", str(copy))
    absent = netra("check", "--data-dir", str(tmp_path / "absent"))
    for done, told in ((newer, "a newer release"), (absent, "No such file or directory")):
        assert (done.returncode, done.stdout) == (2, "")
        assert done.stderr.startswith("netra: ")
        assert told in done.stderr
    assert not (tmp_path / "absent").exists()


@pytest.mark.nightly
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_verdict_that_cannot_be_written_is_none(copy: Path) -> None:
    command = [str(Path(sys.executable).with_name("netra")), "check", "--data-dir", str(copy)]
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr == "netra: standard output cannot be written: No space left on device\n"


@pytest.mark.nightly
def test_who_reads_no_more_is_no_fault(copy: Path) -> None:
    command = [str(Path(sys.executable).with_name("netra")), "check", "--data-dir", str(copy)]
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_terminal_of_another_encoding_is_told_what_it_can_show(
    installed: Netra, copy: Path
) -> None:
    spoil(copy, "UPDATE runs SET status = 'verl\u00f6ren'")
    done = installed("check", "--data-dir", str(copy), PYTHONIOENCODING="ascii")
    assert done.returncode == 1
    assert r"status 'verl\xf6ren'" in done.stdout


def test_a_terminal_sees_how_far_it_is_and_a_pipe_gets_the_verdict_alone(copy: Path) -> None:
    terminal, end = os.openpty()
    command = [str(Path(sys.executable).with_name("netra")), "check", "--data-dir", str(copy)]
    environment = {**os.environ, "TERM": "xterm"}
    done = subprocess.run(
        command, stdout=subprocess.PIPE, stderr=end, text=True, check=False, env=environment
    )
    shown = os.read(terminal, 65_536)
    for descriptor in (terminal, end):
        os.close(descriptor)
    assert b"the file" in shown
    assert b"threads" in shown
    assert done.stdout.startswith(f"{copy}/netra.db is whole: ")
    assert len(done.stdout.splitlines()) == 1


def test_the_directory_is_that_of_the_settings(netra: Netra, copy: Path) -> None:
    done = netra("check", NETRA_DATA_DIR=str(copy))
    assert done.returncode == 0, done.stderr
    assert str(copy) in done.stdout


def test_a_directory_that_is_named_is_looked_at_without_the_servers_secrets(
    netra: Netra, copy: Path
) -> None:
    done = netra("check", "--data-dir", str(copy), NETRA_AUTH="jwt")
    assert done.returncode == 0, done.stderr
    unknown = netra("check", "--data-dir", "~nobody-of-this-name/data")
    assert (unknown.returncode, unknown.stdout) == (2, "")
    assert unknown.stderr == (
        "netra: --data-dir: ~nobody-of-this-name/data is in no home directory that is known\n"
    )


def test_a_large_thread_needs_no_more_memory(copy: Path, tmp_path: Path) -> None:
    """Entries are looked at one after another."""
    delta = json.dumps({"type": "CUSTOM", "name": "n", "value": "x" * 10_000})
    spoil(
        copy,
        "INSERT INTO threads SELECT 99, owner, 'large', title, 1, 1, epoch FROM threads LIMIT 1",
    )
    spoil(
        copy,
        "INSERT INTO runs SELECT 99, owner, 'large', 99, agent, 'running', correlation, 1, NULL,"
        " 'n', fence, 1 FROM runs LIMIT 1",
    )
    started = '{"type":"RUN_STARTED","threadId":"large","runId":"large"}'
    spoil(
        copy,
        "WITH RECURSIVE n(x) AS (VALUES (1) UNION ALL SELECT x + 1 FROM n WHERE x < 3000)"  # noqa: S608
        " INSERT INTO entries SELECT (99 << 32) + x, 99, 1,"
        f" iif(x = 1, 'RUN_STARTED', 'CUSTOM'), iif(x = 1, '{started}', '{delta}') FROM n",
    )
    shutil.copy(copy / "netra.db", tmp_path / "netra.db")
    tracemalloc.start()
    try:
        with inspection(tmp_path) as opened:
            seen = list(opened.threads())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    large = seen[1]
    assert isinstance(large, Inspected)
    assert (large.thread, large.entries, large.findings) == ("alice,large", 3_000, [])
    assert peak < 10_000_000, "of 30 MB of events"
