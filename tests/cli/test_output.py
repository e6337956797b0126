"""Standard output that nobody takes, the same for every command."""

import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from netra_backend.cli.output import wants_colour
from tests.cli.conftest import clean
from tests.live import BOUND, ServerProcess

FULL = Path("/dev/full")
NETRA = str(Path(sys.executable).with_name("netra"))

NO_SPACE = "netra: standard output cannot be written: No space left on device\n"

COMMANDS = [
    ["--version"],
    ["--help"],
    ["serve", "--help"],
    ["scan", "--help"],
    ["scan", "--explain", "JS001"],
    ["scan", __file__],
    ["token", "alice"],
    ["tail", "t1", "--user", "alice"],
    ["tail", "t1", "--user", "alice", "--once", "--json"],
    ["replay", "t1", "--user", "alice", "--speed", "1000"],
]


def some(*by_day: int) -> list[Any]:
    """Return all commands, of which the others wait for the night: one `main` ends them all."""
    return [
        command if at in by_day else pytest.param(command, marks=pytest.mark.nightly)
        for at, command in enumerate(COMMANDS)
    ]


def run(command: list[str], server: ServerProcess, output: int, **more: str) -> tuple[int, str]:
    """Run ``netra`` with this standard output; return its exit code and what it said of it."""
    asks = command[0] in {"tail", "replay"}
    done = subprocess.run(
        [NETRA, *command, *(("--url", server.url) if asks else ())],
        cwd=server.data_dir.parent,
        env=clean({"NETRA_DATA_DIR": str(server.data_dir), **more}),
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        timeout=BOUND,
        check=False,
    )
    return done.returncode, done.stderr


@pytest.mark.skipif(not FULL.exists(), reason="LOUD: this system has no /dev/full")
@pytest.mark.parametrize("command", some(5, 7), ids=" ".join)
def test_a_full_disk_is_one_line_and_exit_code_2(server: ServerProcess, command: list[str]) -> None:
    with FULL.open("wb") as full:
        done = run(command, server, full.fileno())
    assert done == (2, NO_SPACE)


@pytest.mark.skipif(not FULL.exists(), reason="LOUD: this system has no /dev/full")
def test_so_it_is_where_nothing_is_buffered(server: ServerProcess) -> None:
    with FULL.open("wb") as full:
        done = run(["token", "alice"], server, full.fileno(), PYTHONUNBUFFERED="1")
    assert done == (2, NO_SPACE)


@pytest.mark.parametrize("command", some(1, 8), ids=" ".join)
def test_a_reader_who_has_gone_ends_it_without_a_word(
    server: ServerProcess, command: list[str]
) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        code, said = run(command, server, writer)
    finally:
        os.close(writer)
    # The exit code of a scan says what was found, whoever reads it.
    assert (code, said) == (0 if command in COMMANDS[4:6] else 1, "")


@pytest.mark.skipif(not FULL.exists(), reason="LOUD: this system has no /dev/full")
def test_a_remark_that_cannot_be_made_stops_nothing(server: ServerProcess) -> None:
    with FULL.open("wb") as full:
        done = subprocess.run(
            [NETRA, "scan", "nowhere"], stdout=subprocess.PIPE, stderr=full, check=False
        )
    assert (done.returncode, done.stdout) == (2, b"")


WHAT_IS_OPEN = """
import os, sys
from netra_backend.cli.output import guard
guard()
print("to nobody", flush=True)
print("to nobody", file=sys.stderr, flush=True)
null = os.stat(os.devnull)
same = [os.path.samestat(os.fstat(number), null) for number in range(3)]
os.write(int(sys.argv[1]), f"{same} {os.open('/', os.O_RDONLY) > 2}".encode())
"""


def test_what_was_closed_is_dev_null_and_no_socket_has_its_number() -> None:
    """As under a supervisor that closes all three: libuv aborts when it closes one of them."""
    reader, writer = os.pipe()
    with os.fdopen(reader) as said:
        with os.fdopen(writer, "w") as says:
            subprocess.run(
                [sys.executable, "-c", WHAT_IS_OPEN, str(writer)],
                pass_fds=[says.fileno()],
                preexec_fn=lambda: os.closerange(0, 3),
                check=True,
                timeout=BOUND,
            )
        assert said.read() == "[True, True, True] True"


@pytest.mark.parametrize(
    ("term", "force", "coloured"),
    [("xterm", "", True), ("dumb", "", False), ("dumb", "1", True)],
)
def test_a_terminal_without_colours_gets_none(
    monkeypatch: pytest.MonkeyPatch, term: str, force: str, coloured: bool
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("FORCE_COLOR", force)
    ours, theirs = pty.openpty()
    with os.fdopen(ours), os.fdopen(theirs, "w") as terminal:
        assert wants_colour(terminal) is coloured


@pytest.mark.parametrize(("term", "before"), [("xterm", "\x1b[31m"), ("dumb", "")])
def test_an_error_is_red_where_the_terminal_has_colours(term: str, before: str) -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(ours) as reader, os.fdopen(theirs) as terminal:
        environment = clean({"TERM": term, "NO_COLOR": "", "FORCE_COLOR": ""})
        subprocess.run([NETRA, "scan", "nowhere"], stderr=terminal, env=environment, check=False)
        assert reader.readline().startswith(f"{before}netra: there is no file")


LOGS = """
import logging, os
from netra_backend.cli import output, serve
from netra_backend.config import Settings

output.guard()
serve.start_log(Settings())
for _ in range(100):
    logging.error("a line")
print(os.fstat(2).st_size)
"""


def test_the_log_of_a_server_is_in_the_file_when_a_call_returns(tmp_path: Path) -> None:
    with (tmp_path / "log").open("wb") as log:
        done = subprocess.run(
            [sys.executable, "-c", LOGS],
            env=clean({}),
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            timeout=BOUND,
            check=True,
        )
    told = (tmp_path / "log").read_bytes()
    assert told.count(b'"message":"a line"') == 100
    assert done.stdout == f"{len(told)}\n"
