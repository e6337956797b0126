"""``python -m bench [QUESTION]...``: ask all questions, or these, and print what came out."""

import os
import platform
import resource
import sys
import tempfile
from pathlib import Path

from bench import (
    accept_rate,
    bursts,
    end_to_end,
    fan_out,
    gaps,
    idle_memory,
    imports,
    log_hostile,
    log_pipe,
    log_speed,
    results,
    scan,
    slow_peers,
    workers,
)
from bench.table import lines
from bench.workbench import build

QUESTIONS = {
    "end_to_end": end_to_end,
    "fan_out": fan_out,
    "bursts": bursts,
    "workers": workers,
    "gaps": gaps,
    "slow_peers": slow_peers,
    "idle_memory": idle_memory,
    "accept_rate": accept_rate,
    "scan": scan,
    "imports": imports,
    "log_speed": log_speed,
    "log_pipe": log_pipe,
    "log_hostile": log_hostile,
}


def main(names: list[str]) -> int:
    """Ask the questions one after another; return the exit code."""
    if not sys.platform.startswith("linux"):
        print("bench: the programs use epoll and /proc, so they need Linux")
        return 2
    unknown = [name for name in names if name not in QUESTIONS]
    if unknown:
        print(f"bench: no question {unknown[0]!r}; there is: {', '.join(QUESTIONS)}")
        return 2
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    with tempfile.TemporaryDirectory(prefix="netra-bench-") as directory:
        bench = build(Path(directory))
        print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.2f}, {platform.platform()}")
        if bench.baseline is None:
            print("no gcc: no C baseline, and a client in Python, which takes much of the machine")
        for name in names or QUESTIONS:
            load = os.getloadavg()[0]
            shown = []
            for line in lines(QUESTIONS[name].TITLE, QUESTIONS[name].ask(bench)):
                print(line, flush=True)
                shown.append(line)
            results.keep(name, "\n".join(shown), load)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
