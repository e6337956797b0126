"""Scan: how long a scan takes, cold, after one edit and for one file, and what peers take."""

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Iterator
from compileall import compile_dir
from pathlib import Path
from typing import NamedTuple

import netra_backend
from bench.table import Row, row
from bench.workbench import Workbench

TITLE = "scan: a million lines of the packages that are installed here"
ROUNDS = 5
LINES = 1_000_000
"""As many lines are scanned, or all there are."""
PATIENCE = 120
"""Seconds after which a peer is stopped: type checkers are not made for other people's code."""
OURS = 1_200
"""Seconds after which our own scan is, on a machine that has much else to do."""
WORST = 600
"""Lines of the file that is scanned on its own, at most."""


class Cost(NamedTuple):
    """What one command took: `rss` is the resident memory of its largest process, in MB."""

    seconds: float
    cpu: float
    rss: float
    ended: bool


def ask(bench: Workbench) -> Iterator[Row]:
    """Answer in seconds by the clock and of CPU time; all processes of a command are in it."""
    # as pip leaves it: where bytecode is not written, each start would compile what has changed
    compile_dir(Path(netra_backend.__file__).parent, quiet=1)
    tree = bench.directory / "packages"
    lines = _copy(Path(sysconfig.get_path("purelib")), tree)
    yield Row("lines of Python", f"{lines:,}")
    netra = [sys.executable, "-m", "netra_backend.cli", "scan", "--fail-on", "error"]
    cache = bench.directory / "cache"
    kept = [*netra, "--cache-dir", str(cache), str(tree)]
    cold = _run(kept)
    yield from _rows("netra scan, nothing kept", cold, lines)
    yield from _rows("netra scan, nothing changed", _run(kept), lines)
    yield from _rows("netra scan, one file edited", _after_edit(kept, tree), lines)
    single = _single(tree)
    yield from _often(
        f"netra scan, one file of {_count(single)} lines", [*netra, "--no-cache", str(single)]
    )
    yield from _often("python -c pass, for comparison", [sys.executable, "-c", "pass"])
    yield from _peers(tree, lines)


def _often(what: str, command: list[str]) -> Iterator[Row]:
    """Answer by the clock, which other work on the machine slows, and in CPU time."""
    costs = [_run(command) for _ in range(ROUNDS)]
    yield row(what, "ms", [cost.seconds * 1e3 for cost in costs], digits=0)
    yield row("  its CPU time", "ms", [cost.cpu * 1e3 for cost in costs], digits=0)


def _peers(tree: Path, lines: int) -> Iterator[Row]:
    commands = {
        "ruff": ["check", "--isolated", "--no-cache", "--select", "G,LOG", "--quiet"],
        "mypy": ["--ignore-missing-imports", "--no-incremental", "--no-error-summary"],
        "pyright": [],
    }
    for name, options in commands.items():
        program = shutil.which(name, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}")
        if program is None:
            yield Row(name, "not installed")
            continue
        cost = _run([program, *options, str(tree)], PATIENCE)
        if cost.ended:
            yield from _rows(" ".join([name, *options[-2:]]), cost, lines)
        else:
            yield Row(name, f"over {PATIENCE} s")


def _rows(what: str, cost: Cost, lines: int) -> Iterator[Row]:
    if not cost.ended:
        yield Row(what, f"over {OURS} s")
        return
    pace = f"{cost.cpu / lines * 1e6:.1f} us of CPU a line, largest process {cost.rss:,.0f} MB"
    yield Row(what, f"{cost.seconds:,.1f} s, CPU {cost.cpu:,.1f} s", pace)


def _copy(source: Path, target: Path) -> int:
    """Copy Python files, so that one can be edited; return their number of lines."""
    lines = 0
    for path in sorted(source.rglob("*.py")):
        if lines >= LINES:
            break
        copy = target / path.relative_to(source)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
        lines += _count(copy)
    return lines


def _count(path: Path) -> int:
    return path.read_bytes().count(b"\n")


def _single(tree: Path) -> Path:
    """Return a file of ordinary length."""
    return max((p for p in tree.rglob("*.py") if _count(p) <= WORST), key=_count)


def _after_edit(command: list[str], tree: Path) -> Cost:
    path = _single(tree)
    path.write_text(f"{path.read_text('utf-8', 'replace')}\nEDITED = True\n", "utf-8", "replace")
    return _run(command)


def _run(command: list[str], patience: float = OURS) -> Cost:
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    impatience = threading.Timer(patience, process.kill)
    impatience.start()
    _, status, used = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - start
    impatience.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    ended = process.returncode != -signal.SIGKILL
    return Cost(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024, ended)
