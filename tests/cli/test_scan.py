"""``netra scan``, as its users run it."""

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Netra
from tests.cli.scanning import UNUSED, write

NETRA = [sys.executable, "-m", "netra_backend.cli", "scan"]
STATES = "from enum import Enum\nclass State(Enum):\n    A = 1\n"
OUTAGE = """\
import json
import logging

from starlette.websockets import WebSocket

logger = logging.getLogger(__name__)


def report(ws: WebSocket) -> None:
    details = {"connection_state": ws.client_state}
    logger.debug(f"details: {json.dumps(details)}")
"""


def test_the_founding_outage_is_found(netra: Netra, tmp_path: Path) -> None:
    write(tmp_path, {"a.py": OUTAGE})
    done = netra("scan", "a.py")
    assert done.returncode == 1
    first = done.stdout.splitlines()[0]
    assert first.startswith("a.py:11:30: JS001 plain enum WebSocketState reaches json.dumps as")
    assert "connection_state" in first
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ((), 1),
        (("--fail-on", "error"), 0),
        (("--fail-on", "note"), 1),
        (("--ignore", "JS100"), 0),
        (("--select", "JS001"), 0),
        (("--select", "JS9"), 2),
        (("--format", "yaml"), 2),
        (("--config", "nowhere.toml"), 2),
        (("--baseline", "nowhere.json"), 2),
        (("--update-baseline",), 2),
        (("--python", "nowhere"), 2),
        (("--explain", "JS999"), 2),
        (("nowhere",), 2),
        (("--statistics",), 1),
        (("--diff",), 1),
        (("--fix",), 0),
    ],
)
def test_the_exit_code_says_what_happened(
    netra: Netra, tmp_path: Path, arguments: tuple[str, ...], code: int
) -> None:
    write(tmp_path, {"a.py": UNUSED})
    done = netra("scan", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert (code == 2) == bool(done.stderr and not done.stdout)


def test_a_fault_of_the_scanner_is_2_and_not_1(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": UNUSED})
    code = (
        "from netra_backend.cli import app, scan_run\n"
        "def broken(*_):\n    raise ZeroDivisionError\n"
        "scan_run.link = broken\napp.main()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "scan", "."],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "ZeroDivisionError" in done.stderr
    assert "internal error of the scanner; please report" in done.stderr


def test_json_is_a_list_also_of_nothing(netra: Netra, tmp_path: Path) -> None:
    assert json.loads(netra("scan", "--format", "json").stdout) == []
    write(tmp_path, {"a.py": UNUSED, "b.py": "("})
    done = netra("scan", "--format", "json")
    (one,) = json.loads(done.stdout)
    assert (one["path"], one["rule"], one["severity"]) == ("a.py", "JS100", "warning")
    assert done.stderr.startswith("b.py: skipped: is not Python 3")


@pytest.mark.parametrize("form", ["sarif", "github"])
def test_other_formats_tell_of_skipped_files_too(netra: Netra, tmp_path: Path, form: str) -> None:
    write(tmp_path, {"b.py": "("})
    assert "skipped: is not Python" in netra("scan", "--format", form).stdout


def test_a_scan_that_could_read_nothing_has_not_found_nothing(netra: Netra, tmp_path: Path) -> None:
    write(tmp_path, {"b.py": "(", "c.ipynb": "{}", "empty/readme.txt": ""})
    for paths in (["b.py"], ["b.py", "c.ipynb"]):
        done = netra("scan", *paths)
        assert done.returncode == 2
        assert done.stderr.endswith("\nnetra: nothing could be scanned\n")
    nothing = netra("scan", "empty")
    assert (nothing.returncode, nothing.stderr) == (0, "no Python files in empty\n")


def test_nothing_is_executed_or_imported(netra: Netra, tmp_path: Path) -> None:
    write(tmp_path, {"a.py": "open('ran', 'w')\nimport json\n", "json.py": "open('ran', 'w')\n"})
    write(tmp_path, {"sitecustomize.py": "", "conftest.py": "open('ran', 'w')\n"})
    assert netra("scan").returncode == 0
    assert not (tmp_path / "ran").exists()


def test_a_baseline_is_adopted_and_kept(netra: Netra, tmp_path: Path) -> None:
    write(tmp_path, {"a.py": UNUSED})
    write(tmp_path, {"pyproject.toml": '[tool.netra.scan]\nbaseline = "old.json"\n'})
    assert netra("scan").returncode == 2
    written = netra("scan", "--update-baseline")
    assert written.returncode == 0
    assert written.stderr.endswith("old.json now forgives 1 finding\n")
    assert netra("scan").returncode == 0
    write(tmp_path, {"a.py": f"\n{UNUSED}", "b.py": UNUSED})
    assert netra("scan").stdout.startswith("b.py:1:8: JS100")


def test_stdin_is_scanned_repaired_and_compared(tmp_path: Path) -> None:
    def piped(*arguments: str) -> tuple[int, str, str]:
        done = subprocess.run(
            [*NETRA, "-", *arguments],
            input=UNUSED,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    code, out, _ = piped("--stdin-filename", "src/x.py")
    assert code == 1
    assert out.startswith("src/x.py:1:8: JS100")
    assert piped("--fix") == (0, "x = 1\n", "Nothing found in 1 file.\nFixed 1.\n")
    assert "-x = 1  # netra: ignore" in piped("--diff")[1]


def test_a_name_that_holds_anything_is_one_line(netra: Netra, tmp_path: Path) -> None:
    (tmp_path / "a b\n.py").write_text(UNUSED)
    (tmp_path / os.fsdecode(b"\xe9.py")).write_text(UNUSED)
    out = netra("scan").stdout
    assert "\na b\\n.py:1:8: JS100" in out
    assert "\\xe9.py:1:8: JS100" in out
    for form in ("json", "sarif", "github"):
        assert netra("scan", "--format", form).returncode == 1
    assert netra("scan", "--fix").returncode == 0
    assert (tmp_path / "a b\n.py").read_text() == "x = 1\n"


def test_a_page_explains_a_rule(netra: Netra) -> None:
    done = netra("scan", "--explain", "js100")
    assert done.returncode == 0
    assert done.stdout.startswith("# JS100")


def test_two_scans_at_once_share_a_cache(tmp_path: Path) -> None:
    write(tmp_path, {f"m{at}.py": UNUSED for at in range(30)})
    both = [
        subprocess.Popen([*NETRA, "--statistics"], cwd=tmp_path, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    assert [process.communicate()[0] for process in both] == [
        "30  JS100  a comment ignores nothing (30 fixable)\n"
    ] * 2
    for entry in (tmp_path / ".netra_cache" / "scan").glob("??/*"):
        entry.write_bytes(b"\x80\x04cos\nsystem\n")
    done = subprocess.run([*NETRA, "--statistics"], cwd=tmp_path, capture_output=True, check=False)
    assert done.stdout.startswith(b"30  JS100")
    assert done.stderr == b""


def test_ctrl_c_ends_it_at_once_without_a_traceback(tmp_path: Path) -> None:
    write(tmp_path, {f"m{at}.py": "x = [" + "f(1), " * 60_000 + "]\n" for at in range(40)})
    process = subprocess.Popen(
        [*NETRA, "--no-cache"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    # An interrupt before Python is up would not be ours to handle.
    while f"{process.pid}\n" not in subprocess.run(
        ["ps", "-eo", "ppid="], capture_output=True, text=True, check=True
    ).stdout.replace(" ", ""):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert said == ""


@pytest.fixture
def watching(tmp_path: Path) -> Iterator["subprocess.Popen[str]"]:
    write(tmp_path, {"a.py": "x = 1\n"})
    process = subprocess.Popen(
        [*NETRA, "--watch", "--no-cache"],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    yield process
    process.kill()
    process.communicate()


def test_it_watches_until_ctrl_c(watching: "subprocess.Popen[str]", tmp_path: Path) -> None:
    assert watching.stdout is not None
    assert watching.stdout.readline() == "Nothing found in 1 file.\n"
    write(tmp_path, {"b.py": UNUSED})
    assert watching.stdout.readline().startswith("b.py:1:8: JS100")
    lines = iter(watching.stdout.readline, "")
    assert any(line.startswith("Found 1 warning") for line in lines)
    write(tmp_path, {"pyproject.toml": "[tool.netra.scan]\nignore = [\n"})
    assert watching.stderr is not None
    assert any("pyproject.toml is no TOML" in line for line in iter(watching.stderr.readline, ""))
    write(tmp_path, {"pyproject.toml": "[tool.netra.scan]\nignore = ['JS100']\n"})
    # It may look while the file is being written, and find in between what is ignored later.
    assert any(line == "Nothing found in 2 files.\n" for line in lines)
    watching.send_signal(signal.SIGINT)
    watching.communicate()
    assert watching.returncode == 0


def test_a_terminal_gets_colours(tmp_path: Path) -> None:
    write(tmp_path, {"a.py": UNUSED})
    ours, theirs = pty.openpty()
    environment = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}
    environment["TERM"] = "xterm"
    process = subprocess.Popen([*NETRA, "--no-cache"], cwd=tmp_path, stdout=theirs, env=environment)
    os.close(theirs)
    seen = os.read(ours, 10_000)
    process.wait()
    os.close(ours)
    assert b"\x1b[1;33mJS100" in seen
