"""Log pipe: standard output is a pipe that nobody reads for a while, then for ever."""

import asyncio
import json
import os
import re
import select
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from bench import loggers
from bench.loggers import LOGGERS, LoguruEnqueue, QueueOfTheStandardLibrary, installed
from bench.process import ProgramFailed
from bench.table import Row
from bench.workbench import Workbench

TITLE = "log pipe: 100,000 records of 500 bytes into a pipe that nobody reads"
RECORDS = 100_000
STILL_SECONDS = 3.0
"""How long the program may log nothing, before somebody reads what it wrote."""
RECORDS_WHILE_READ = 5_000
"""What a program that stood still logs at most once it is read: the rest would show no more."""
READ_SECONDS = 60.0
EXIT_SECONDS = 6.0
"""Twice what ours may take."""
DROPPED = re.compile(rb'"dropped":(\{[^}]*\}|\d+)')


class Told(msgspec.Struct):
    """What the program that logs says of itself, four times a second."""

    logged: int
    gap: float
    """Longest time so far that its event loop stood still, in seconds."""
    own: float
    """The longest without the time in which its thread could have run, but had no core."""
    grown: int
    """Bytes of resident memory more than before the first record."""
    done: bool = False


def ask(bench: Workbench) -> Iterator[Row]:
    """Answer for each library: the loop's largest gap, the memory, what was delivered, the exit.

    First nobody reads for a while, and then all: what is delivered and what is said to be dropped
    must be what was logged. Then, in a second program, nobody ever reads, and it ends.
    """
    others = {"loguru, enqueue=True": LoguruEnqueue, "QueueHandler": QueueOfTheStandardLibrary}
    for name, cls in installed({**LOGGERS, **others}):
        yield from _ask(name, cls.__name__, bench)


def _ask(name: str, cls: str, bench: Workbench) -> Iterator[Row]:
    with Program(cls, bench.file("told")) as program:
        told = program.wait()
        delivered, dropped = program.read_all()
        after = program.told()
    if told.done:
        held = f"{told.own * 1e3:,.0f} ms without waiting for a core"
    else:
        held = f"stood still until it was read, after {told.logged:,} records"
    yield Row(name, f"gap {told.gap * 1e3:,.0f} ms", f"{held}; {told.grown / 1e6:,.0f} MB more")
    balance = after.logged - delivered - dropped
    yield Row(
        "    then read",
        f"{delivered + dropped:,} of {after.logged:,}",
        f"{delivered:,} delivered + {dropped:,} told as dropped; {balance:,} lost silently",
    )
    seconds = None
    if told.done:
        with Program(cls, bench.file("told")) as program:
            program.wait()
            seconds = program.exit()
    never = f"not in {EXIT_SECONDS:.0f} s" if told.done else "never"
    yield Row("    exit, never read", never if seconds is None else f"{seconds:.2f} s")


class Program:
    """A process whose standard output is a pipe. Leaving the block kills it."""

    def __init__(self, cls: str, path: Path, records: int = RECORDS) -> None:
        self._path = path
        self._popen = subprocess.Popen(
            [sys.executable, "-m", "bench.log_pipe", cls, str(path), str(records)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def __enter__(self) -> "Program":
        return self

    def __exit__(self, *_error: object) -> None:
        self._popen.kill()
        self._popen.communicate()

    def told(self) -> Told:
        """Return what it told last."""
        lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        return msgspec.json.decode(lines[-1], type=Told) if lines else Told(0, 0.0, 0.0, 0)

    def wait(self) -> Told:
        """Wait until it has logged all, or logs nothing more; return what it told last.

        Raises ProgramFailed if it ends instead.
        """
        told, since = self.told(), time.monotonic()
        while not told.done and (told.logged == 0 or time.monotonic() - since < STILL_SECONDS):
            if self._popen.poll() is not None:
                raise ProgramFailed(f"the program that logs ended after {told.logged:,} records")
            time.sleep(0.1)
            before, told = told, self.told()
            if told.logged > before.logged:
                since = time.monotonic()
        return told

    def read_all(self) -> tuple[int, int]:
        """Let it log a little more and end; return the records delivered, and told as dropped."""
        self._go_on()
        out, _ = self._popen.communicate(timeout=READ_SECONDS)
        lines = [line for line in out.splitlines() if line.startswith(b"{")]
        dropped = sum(_dropped(line) for line in lines)
        return sum(b'"number"' in line for line in lines), dropped

    def exit(self) -> float | None:
        """Let it end while nobody reads; return the seconds that it took, if it did."""
        self._go_on()
        started = time.monotonic()
        try:
            self._popen.wait(EXIT_SECONDS)
        except subprocess.TimeoutExpired:
            return None
        return time.monotonic() - started

    def _go_on(self) -> None:
        assert self._popen.stdin is not None
        self._popen.stdin.write(b"\n")
        self._popen.stdin.flush()


def _dropped(line: bytes) -> int:
    found = DROPPED.search(line)
    if found is None:
        return 0
    dropped = json.loads(found[1])
    return sum(dropped.values()) if isinstance(dropped, dict) else int(dropped)


# --- the program that logs ---------------------------------------------------------------------


class _Heart:
    """Measures how long the event loop stands still; a thread tells, since the loop may not."""

    def __init__(self, path: Path) -> None:
        self.logged = 0
        self.gap = 0.0
        self.own = 0.0
        self._path = path
        self._schedule = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        self._beat = time.monotonic()
        self._waited = self._without_core()
        self._before = _resident()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._tell, daemon=True)
        self._thread.start()

    def beat(self) -> None:
        """Say that the loop turned."""
        now, waited = time.monotonic(), self._without_core()
        gap = now - self._beat
        self.gap = max(self.gap, gap)
        self.own = max(self.own, gap - (waited - self._waited))
        self._beat, self._waited = now, waited

    def end(self) -> None:
        self._ended.set()
        self._thread.join()

    def _without_core(self) -> float:
        """Return the seconds so far in which the loop's thread could have run, but had no core."""
        return int(os.pread(self._schedule, 100, 0).split()[1]) / 1e9

    def _tell(self) -> None:
        done = False
        while not done:
            done = self._ended.wait(0.25)
            gap = self.gap if done else max(self.gap, time.monotonic() - self._beat)
            told = Told(self.logged, gap, self.own, _resident() - self._before, done)
            with self._path.open("ab") as file:
                file.write(msgspec.json.encode(told) + b"\n")


def _resident() -> int:
    pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


async def _log(log: Any, heart: _Heart, records: int) -> None:
    heart.beat()
    text = "x" * 400
    read = False
    while heart.logged < records:
        log.say("number", number=heart.logged, text=text)
        heart.logged += 1
        if heart.logged % 20 == 0:
            await asyncio.sleep(0)
            heart.beat()
            if not read and _is_read():
                read = True
                records = min(records, heart.logged + RECORDS_WHILE_READ)


def _is_read() -> bool:
    """Say whether the line came that begins the reading."""
    return bool(select.select([sys.stdin], [], [], 0)[0])


def main(cls: str, path: Path, records: int) -> None:
    """Log into standard output as an asynchronous program does; wait for a line; end."""
    log = getattr(loggers, cls)(Path("/dev/stdout"))
    heart = _Heart(path)
    asyncio.run(_log(log, heart, records))
    heart.end()
    sys.stdin.readline()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]))
