"""The deadline of a stop: it holds for a process in which nothing turns."""

import json
import subprocess
import sys

PROGRAM = """
from netra_backend import jsonlog
from netra_backend.cli.deadline import end_in
jsonlog.configure(format="json")
end_in(0.1)
while {loops}:
    pass
"""


def _ended(*, loops: bool) -> subprocess.CompletedProcess[str]:
    program = PROGRAM.format(loops=loops)
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_process_that_hangs_ends_and_says_so() -> None:
    done = _ended(loops=True)
    assert done.returncode == 0
    (line,) = [json.loads(line) for line in done.stderr.splitlines()]
    assert (line["level"], line["logger"]) == ("ERROR", "netra_backend.cli.deadline")


def test_a_process_that_ends_by_itself_is_not_kept() -> None:
    done = _ended(loops=False)
    assert (done.returncode, done.stderr) == (0, "")
