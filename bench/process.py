"""A process: a program that a question starts, measures from outside, and stops."""

import os
import re
import select
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

STOP_SECONDS = 15.0
"""What a program gets to stop by itself."""


class ProgramFailed(Exception):
    """A program ended, or said nothing, where its answer was due; the text has its last lines."""


class Process:
    """A running program. What it writes to stderr goes to a file and is shown when it fails.

    `environment` is its whole environment. Leaving the block ends it.
    """

    def __init__(
        self, command: Sequence[str], *, stderr: Path, environment: Mapping[str, str] | None = None
    ) -> None:
        self.name = Path(command[0]).name
        self._stderr = stderr
        self._unread = b""
        with stderr.open("wb") as file:
            self._popen = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                env=environment,
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self.stop()

    def pin(self, cores: set[int]) -> None:
        """Let its threads, and those that they begin, run on these cores only."""
        for thread in Path(f"/proc/{self._popen.pid}/task").iterdir():
            os.sched_setaffinity(int(thread.name), cores)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Have it stand still inside the block."""
        self._popen.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._popen.send_signal(signal.SIGCONT)

    @property
    def cpu_us(self) -> float:
        """User and system time of all its threads so far, in microseconds."""
        return _cpu_us(self._popen.pid)

    def cpu_of_all(self) -> dict[int, float]:
        """Return the same for it and for each of its children, by process id."""
        pid = self._popen.pid
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return {one: _cpu_us(one) for one in (pid, *map(int, listed.split()))}

    @property
    def rss_bytes(self) -> int:
        """Its resident memory; the kernel's socket buffers are not in it."""
        pages = Path(f"/proc/{self._popen.pid}/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def write_line(self, line: str) -> None:
        """Give it one line on stdin."""
        assert self._popen.stdin is not None
        self._popen.stdin.write(line.encode() + b"\n")
        self._popen.stdin.flush()

    def read_line(self, seconds: float) -> bytes:
        """Return its next line on stdout. Raises ProgramFailed if none comes in time."""
        assert self._popen.stdout is not None
        descriptor = self._popen.stdout.fileno()
        deadline = time.monotonic() + seconds
        while b"\n" not in self._unread:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([descriptor], [], [], left)[0]:
                raise self._failure(f"said nothing for {seconds:.0f} s")
            got = os.read(descriptor, 65536)
            if not got:
                raise self._failure("ended")
            self._unread += got
        line, _, self._unread = self._unread.partition(b"\n")
        return line

    def await_stderr(self, pattern: str, seconds: float) -> re.Match[str]:
        """Return where its stderr first matches. Raises ProgramFailed if it does not in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = re.search(pattern, self._stderr.read_text(errors="replace"))
            if found is not None:
                return found
            if self._popen.poll() is not None:
                raise self._failure("ended")
            time.sleep(0.02)
        raise self._failure(f"did not write {pattern!r} in {seconds:.0f} s")

    def stop(self) -> None:
        """End it: its stdin ends, then SIGTERM, then SIGKILL."""
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._popen.stdin.close()
        self._popen.terminate()
        try:
            self._popen.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._popen.kill()
            self._popen.wait(STOP_SECONDS)
        self._popen.stdout.close()

    def _failure(self, what: str) -> ProgramFailed:
        last = self._stderr.read_text(errors="replace").splitlines()[-5:]
        return ProgramFailed("\n  ".join([f"{self.name} {what}", *last]))


def _cpu_us(pid: int) -> float:
    """Return a process's CPU time in microseconds.

    Linux: the CPU-time clock of another process is its inverted id with 2 (scheduler time) in the
    low bits, as clock_getcpuclockid(3) makes it.
    """
    return time.clock_gettime_ns((~pid << 3) | 2) / 1000
