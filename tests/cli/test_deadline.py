"""The deadline of a stop: it holds for a process in which nothing turns, and for no other's."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from netra_backend.cli import deadline
from tests.cli.conftest import clean
from tests.eventually import until
from tests.live import BOUND, ServerProcess

PROGRAM = """
from netra_backend import jsonlog
from netra_backend.cli.deadline import end_in
jsonlog.configure(format="json")
end_in(0.1, 3)
while {loops}:
    pass
"""


def _ran(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        timeout=BOUND,
        check=False,
    )


def test_a_process_that_hangs_ends_and_says_so() -> None:
    done = _ran(PROGRAM.format(loops=True))
    assert done.returncode == 3
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert (line["level"], line["logger"]) == ("ERROR", "netra_backend.cli.deadline")


def test_the_thread_that_a_process_waits_for_is_named() -> None:
    waits = "import threading; threading.Thread(target=threading.Event().wait, name='mine').start()"
    done = _ran(PROGRAM.format(loops=False) + waits)
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert (done.returncode, line["threads"]) == (3, ["mine (Thread)"])


def test_a_process_that_ends_by_itself_is_not_kept() -> None:
    done = _ran(PROGRAM.format(loops=False))
    assert (done.returncode, done.stderr) == (0, "")


def test_all_of_it_is_within_the_second_that_is_promised() -> None:
    """Who is told by a signal has a fifth of a second more to end than the keeper waits for."""
    served = deadline.SLACK + deadline.FLUSHED
    assert served + 0.2 <= deadline.KILLED < deadline.KEPT
    assert deadline.KEPT + deadline.FLUSHED < 1


TALKS = """
import logging, os, pathlib, threading, time

_, unread = os.pipe()
logging.getLogger().addHandler(logging.StreamHandler(os.fdopen(unread, "w", buffering=1)))

def talk():
    while not pathlib.Path("go").exists():
        time.sleep(0.01)
    for said in range(1_000):
        pathlib.Path("said").write_text(str(said))
        logging.getLogger("theirs").warning("y" * 4000)

threading.Thread(target=talk, daemon=True).start()

async def agent(input):
    return
    yield
"""

PIPE = 64 << 10
"""Bytes that a pipe takes while nobody reads it."""


@pytest.mark.anyio
async def test_a_handler_that_hangs_does_not_keep_the_process(tmp_path: Path) -> None:
    """The agents' module logs to a pipe that nobody reads: all who log wait for that for ever."""
    (tmp_path / "talks.py").write_text(TALKS, encoding="utf-8")
    grace = {"NETRA_GRACE_SECONDS": "0.5"}
    server = ServerProcess(tmp_path / "data", ("talks:agent",), cwd=tmp_path, environment=grace)
    server.start()
    try:
        await server.wait_ready()
        (tmp_path / "go").touch()
        said = tmp_path / "said"
        await until(lambda: said.exists() and int(said.read_text() or 0) * 4000 >= PIPE * 15 / 16)
        assert server.process is not None
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(BOUND / 4) == 0
    finally:
        server.stop(signal.SIGKILL)


HOST = """
import asyncio, os, signal, socket, sys
from netra_backend.cli.deadline import SLACK
from netra_backend.cli.server import Server
from netra_backend.config import Settings
from netra_backend.server.app import create_app

async def main():
    settings = Settings(auth="dev", data_dir=sys.argv[1], grace_seconds=0.1)
    server = Server(create_app(None, settings=settings), settings)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started:
            await asyncio.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)
        await serving
    await asyncio.sleep(1 + SLACK)

asyncio.run(main())
print("the host had more to do")
"""


def test_a_host_goes_on_when_its_server_has_stopped(tmp_path: Path) -> None:
    done = _ran(HOST, str(tmp_path))
    assert (done.returncode, done.stdout.strip()) == (0, "the host had more to do"), done.stderr


KEEPER = """
import sys, time
from netra_backend.cli.app import main
from netra_backend.stores.sqlite import SqliteStore

async def hang(self):
    while True:
        time.sleep(3600)

SqliteStore.close = hang
main()
"""


def test_a_disk_that_hangs_does_not_keep_the_keeper_of_several_workers(tmp_path: Path) -> None:
    """The workers have ended; the process that has the store hangs when it closes it."""
    environment = {"NETRA_AUTH": "dev", "NETRA_GRACE_SECONDS": "0.5", "NETRA_LOG_FORMAT": "json"}
    options = ["serve", "--workers", "2", "--port", "0", "--data-dir", str(tmp_path / "data")]
    with subprocess.Popen(
        [sys.executable, "-c", KEEPER, *options],
        env=clean(environment),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            for line in process.stderr:
                if json.loads(line)["message"] == "every worker serves":
                    break
            process.send_signal(signal.SIGTERM)
            _, told = process.communicate(timeout=BOUND / 4)
        finally:
            process.kill()
    messages = [json.loads(line)["message"] for line in told.splitlines()]
    assert process.returncode == 0
    assert messages[-1] == "something does not stop; the process ends without it"
