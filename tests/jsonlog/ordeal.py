"""Runs the hostile corpus through a library, in a process of its own, and judges its log file.

``python -m tests.jsonlog.ordeal MODULE:CLASS FILE FIRST END`` is that process. It tells on standard
output which case it begins and ends, and waits after each until its file was read.
"""

import contextlib
import enum
import functools
import importlib
import os
import resource
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import orjson

from tests.jsonlog.hostile_calls import cases
from tests.jsonlog.hostile_case import MARK, Case, Log
from tests.jsonlog.hostile_errors import errors
from tests.jsonlog.hostile_secrets import secrets

MEMORY = 3 << 30
"""Bytes of address space: what a library gets to write a value that doubles forty times."""

START_SECONDS = 60.0
"""CPU seconds that the process has to import everything."""

PATIENCE = 20
"""A machine may be busy with something else; a deadlock uses no CPU time."""

STEERING = ("\x1b", "\x9b", "\x9d", "\x07", "\u202e", "\u2066")
"""Characters that steer the terminal or the eye of whoever reads the line."""


class Fault(enum.Enum):
    """What can be wrong with a case. `LOST` also means that a part is missing, as a traceback."""

    RAISED = "raised"
    LOST = "lost"
    INVALID = "invalid"
    HUNG = "hung"
    CRASHED = "crashed"
    FORGED = "forged"
    LEAKED = "leaked"


class Verdict(NamedTuple):
    """What a case came to."""

    case: Case
    faults: frozenset[Fault]
    shown: str
    """What was raised, or the beginning of what was written."""


@functools.cache
def corpus() -> tuple[Case, ...]:
    """Return all cases: a number is an index in it."""
    return (*cases(), *errors(), *secrets())


# --- the judge ---------------------------------------------------------------------------------


def judge(case: Case, written: bytes, raised: str) -> Verdict:
    """Return the verdict on a case that came to its end."""
    faults = set(_faults(case, written, raised))
    shown = raised or written[:500].decode("utf-8", "replace")
    return Verdict(case, frozenset(faults), shown)


def _faults(case: Case, written: bytes, raised: str) -> Iterator[Fault]:
    lines = written.split(b"\n")
    objects = [line for line in lines[:-1] if _is_object(line)]
    if raised:
        yield Fault.RAISED
    elif len(_marked(objects)) < (case.records or 1) or not _is_complete(case, objects):
        yield Fault.LOST
    if len(objects) < len(lines) - 1 or lines[-1]:
        yield Fault.INVALID
    if _is_forged(written, objects):
        yield Fault.FORGED
    if case.secret and case.secret.encode() in written:
        yield Fault.LEAKED


def _is_object(line: bytes) -> bool:
    try:
        return type(orjson.loads(line)) is dict
    except orjson.JSONDecodeError:
        return False


def _marked(objects: list[bytes]) -> list[bytes]:
    return [line for line in objects if MARK.encode() in line]


def _is_complete(case: Case, objects: list[bytes]) -> bool:
    return all(any(one.encode() in line for line in objects) for one in case.seen)


def _is_forged(written: bytes, objects: list[bytes]) -> bool:
    """Return whether a reader sees more lines than there are, another's line, or is steered."""
    text = written.decode("utf-8", "replace")
    lines = text.count("\n") + (not text.endswith("\n"))
    if len(text.splitlines()) > lines or any(one in text for one in STEERING):
        return True
    return any(orjson.loads(line).get("message") == "forged" for line in objects)


# --- the process that judges -------------------------------------------------------------------


def run(
    library: str, directory: Path, seconds: float, first: int = 0, last: int | None = None
) -> Iterator[Verdict]:
    """Yield the verdict on every case, or on those numbers, that the library can be called with.

    `library` is ``module:Class``. A case hangs that takes more than `seconds` of CPU time, or
    `PATIENCE` times as long without; the rest goes on in a new process, as after a crash.
    """
    number, end = first, len(corpus()) if last is None else last + 1
    while number < end:
        path = directory / f"{library.rpartition(':')[2]}-{number}.log"
        with _Worker(library, path, number, end) as worker:
            for told in worker.tell(seconds):
                number = told.number + 1
                case = corpus()[told.number]
                if told.what == "ended":
                    yield judge(case, path.read_bytes(), told.raised)
                elif told.what != "skipped":
                    yield Verdict(case, frozenset({Fault(told.what)}), "")
        path.unlink(missing_ok=True)


class _Told(NamedTuple):
    number: int
    what: str
    raised: str = ""


class _Worker:
    """The process that logs. Leaving the block kills it."""

    def __init__(self, library: str, path: Path, first: int, end: int) -> None:
        command = [sys.executable, "-m", "tests.jsonlog.ordeal", library, str(path)]
        self._popen = subprocess.Popen(
            [*command, str(first), str(end)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        # Linux: the CPU-time clock of another process, as clock_getcpuclockid(3) makes it.
        self._cpu_clock = (~self._popen.pid << 3) | 2
        self._unread = b""

    def __enter__(self) -> "_Worker":
        return self

    def __exit__(self, *_error: object) -> None:
        self._popen.kill()
        self._popen.communicate()

    def tell(self, seconds: float) -> Iterator[_Told]:
        """Yield what becomes of each case, until the last one or until the process is no more."""
        begun: int | None = None
        while True:
            line = self._line(seconds if begun is not None else START_SECONDS)
            if not line:
                if begun is not None:
                    yield _Told(begun, "hung" if line is None else "crashed")
                elif line is None or self._popen.wait() != 0:
                    raise RuntimeError(f"the process that logs for {self._popen.args} failed")
                return
            number, what, raised = line.rstrip("\n").split(" ", 2)
            begun = int(number) if what == "began" else None
            if what != "began":
                yield _Told(int(number), what, raised)
                self._go_on()

    def _line(self, seconds: float) -> str | None:
        """Return the next line, an empty one at the end, None if there is none in time."""
        assert self._popen.stdout is not None
        descriptor = self._popen.stdout.fileno()
        cpu_until, until = self._cpu() + seconds, time.monotonic() + PATIENCE * seconds
        while b"\n" not in self._unread:
            if not select.select([descriptor], [], [], 0.1)[0]:
                if self._cpu() > cpu_until or time.monotonic() > until:
                    return None
                continue
            got = os.read(descriptor, 65_536)
            if not got:
                return ""
            self._unread += got
        line, _, self._unread = self._unread.partition(b"\n")
        return line.decode() + "\n"

    def _cpu(self) -> float:
        try:
            return time.clock_gettime(self._cpu_clock)
        except OSError:  # it has ended
            return 0.0

    def _go_on(self) -> None:
        assert self._popen.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._popen.stdin.write(b"\n")
            self._popen.stdin.flush()


# --- the process that logs ---------------------------------------------------------------------


def main(library: str, path: Path, first: int, end: int) -> None:
    """Log case after case, each into the emptied file."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    tell, hear = os.dup(1), os.dup(0)
    module, _, name = library.partition(":")
    log: Log = getattr(importlib.import_module(module), name)(path)
    for number, case in enumerate(corpus()[first:end], first):
        if case.standard and log.standard is None:
            os.write(tell, f"{number} skipped \n".encode())
        else:
            os.truncate(path, 0)
            os.write(tell, f"{number} began \n".encode())
            raised = _raised(case, log)
            os.write(tell, f"{number} ended {raised}\n".encode())
        if not os.read(hear, 1):
            return


def _raised(case: Case, log: Log) -> str:
    """Return the name of what the case raised into its caller."""
    raised = ""
    try:
        case.call(log)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is counted
        raised = type(error).__name__
    try:
        log.flush()
    except BaseException as error:  # noqa: BLE001
        raised = raised or type(error).__name__
    return raised


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]))
