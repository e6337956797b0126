"""Imports: what it costs to import each part that can be used alone, beyond the interpreter."""

import os
import resource
import subprocess
import sys
from collections.abc import Iterator

from bench.table import Row, row
from bench.workbench import Workbench

TITLE = "imports: CPU time of `python -c 'import …'` beyond that of `python -c pass`"
ROUNDS = 21
MODULES = ("logging", "netra_backend", "netra_backend.jsonlog", "netra_backend.scan")


def ask(bench: Workbench) -> Iterator[Row]:
    """Answer in milliseconds, user and system, with what was compiled before kept.

    The imports take turns within a round, and each is compared with the bare interpreter of its
    round. The standard library's ``logging`` stands beside ours, which needs it.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(bench.directory / "compiled")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    codes = {"the interpreter": "pass", **{name: f"import {name}" for name in MODULES}}
    costs: dict[str, list[float]] = {name: [] for name in codes}
    for number in range(-1, ROUNDS):  # the first compiles
        for name, code in codes.items():
            cost = _cost(code, environment)
            if number >= 0:
                costs[name].append(cost)
    bare = costs.pop("the interpreter")
    yield row("the interpreter", "ms", bare, digits=1)
    for name, theirs in costs.items():
        beyond = [one - nothing for one, nothing in zip(theirs, bare, strict=True)]
        yield row(f"import {name}", "ms", beyond, digits=1)


def _cost(code: str, environment: dict[str, str]) -> float:
    """Return the milliseconds of CPU time that a program takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3
