"""Signals: a terminal that goes stops a server in peace, unless nobody is to hear of it."""

import asyncio
import json
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from netra_backend.cli.signals import stopping
from tests.client import BOUND, client
from tests.live import ServerProcess


def test_under_nohup_the_end_of_a_terminal_stops_nothing() -> None:
    assert stopping() == [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        assert stopping() == [signal.SIGINT, signal.SIGTERM]
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGTERM, -15), pytest.param(signal.SIGINT, 130, marks=pytest.mark.nightly)],
)
def test_before_it_serves_a_signal_ends_it_at_once(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    (tmp_path / "slow.py").write_text("import signal\nprint(1, flush=True)\nsignal.pause()\n")
    command = [str(Path(sys.executable).with_name("netra")), "serve", "slow:agent", "--port", "0"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"1\n"
        process.send_signal(number)
        assert process.wait(BOUND) == code


ASKED_TO_STOP = """
import signal
from netra_backend.server.netra_app import NetraApp

opens = NetraApp.open

async def is_asked_to_stop(self):
    signal.raise_signal(signal.{signal})
    await opens(self)

NetraApp.open = is_asked_to_stop

async def agent(given):
    return
    yield
"""


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.nightly)]
)
def test_a_signal_that_comes_while_the_store_opens_stops_it_in_peace(
    tmp_path: Path, number: signal.Signals
) -> None:
    (tmp_path / "asked.py").write_text(ASKED_TO_STOP.format(signal=number.name))
    server = ServerProcess(tmp_path / "data", ("asked:agent",), cwd=tmp_path)
    server.start()
    assert server.process is not None
    assert server.process.wait(BOUND) == 0
    text = server.log_file.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert {line["level"] for line in lines} == {"INFO"}
    assert [line["signal"] for line in lines if line["message"] == "stopping"] == [number.name]


@pytest.mark.anyio
@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.nightly)])
async def test_a_server_whose_terminal_goes_says_goodbye(tmp_path: Path, workers: int) -> None:
    """It may be told again, by the shell and by the system, which is no hurry."""
    server = ServerProcess(tmp_path / "data", ("docs", "--workers", str(workers)))
    server.start()
    await server.wait_ready()
    process = server.process
    assert process is not None
    async with client(server.socket_url, server.token()) as alice:
        process.send_signal(signal.SIGHUP)
        process.send_signal(signal.SIGHUP)
        assert (await alice.notice("draining"))["retry_after_ms"] >= 0
        assert await alice.closed() == 1012
        assert await asyncio.to_thread(process.wait, BOUND) == 0
    text = server.log_file.read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert {line["signal"] for line in lines if line["message"] == "stopping"} == (
        {"SIGHUP"} if workers == 1 else {"SIGHUP", "SIGTERM"}  # the keeper's, and what it says
    )
    assert not [line for line in lines if line["level"] in ("ERROR", "CRITICAL")]


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("number", "workers"),
    [
        (signal.SIGHUP, 1),
        (signal.SIGTERM, 2),
        pytest.param(signal.SIGTERM, 1, marks=pytest.mark.nightly),
        pytest.param(signal.SIGHUP, 2, marks=pytest.mark.nightly),
    ],
)
async def test_a_signal_at_any_moment_of_the_end_is_no_error(
    tmp_path: Path, number: signal.Signals, workers: int
) -> None:
    server = ServerProcess(tmp_path / "data", ("docs", "--workers", str(workers)))
    server.start()
    await server.wait_ready()
    process = server.process
    assert process is not None
    process.send_signal(signal.SIGTERM)
    async with asyncio.timeout(BOUND):
        while process.poll() is None:
            with suppress(ProcessLookupError):
                process.send_signal(number)
            await asyncio.sleep(0.003)
    assert process.poll() == 0
