"""The load client, from the side of a question: see client.c for its orders."""

import json
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

import msgspec
from msgspec import Struct

from bench.process import Process, ProgramFailed
from bench.server import Server
from bench.workbench import Workbench

ANSWER_SECONDS = 30.0
IN_FLIGHT = 128
"""Handshakes under way at once."""
QUIET_SECONDS = 0.25
SETTLE_ROUNDS = 120


class Report(Struct, frozen=True):
    """What came since the last reset. `marks` are deltas of the agent, latencies are theirs.

    A read takes what has come on one socket: what was written to it at once comes in one.
    """

    open: int
    lost: int
    errors: int
    frames: int
    bytes: int
    reads: int
    marks: int
    seconds: float
    cpu_us: int
    p50_us: int
    p99_us: int
    max_us: int


class Client:
    """`connections` open sockets to `server`, and what they receive.

    `opened` says how long it took to open them; they come from `sources` loopback addresses.
    """

    def __init__(
        self, bench: Workbench, server: Server, connections: int, *, sources: int = 1
    ) -> None:
        self.connections = connections
        numbers = (connections, sources, IN_FLIGHT, server.ready_frames)
        command = [*bench.client, "127.0.0.1", str(server.port), server.path, *map(str, numbers)]
        self._process = Process([*command, *server.headers], stderr=bench.file("client.log"))
        try:
            self.opened = self._report(ANSWER_SECONDS + connections / 100)
            if server.greeting:
                self.reset()
                self._ask(f"send all {server.greeting}")
                self.await_frames(connections, ANSWER_SECONDS)
        except ProgramFailed:
            self._process.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        tb: TracebackType | None,
    ) -> None:
        self._process.stop()

    def frozen(self) -> AbstractContextManager[None]:
        """Read nothing inside the block."""
        return self._process.frozen()

    def report(self) -> Report:
        """Return what came since the last reset."""
        return self._ask("report")

    def reset(self) -> Report:
        """The same, and then count from 0."""
        return self._ask("reset")

    def send(self, frame: Mapping[str, object], *, to: int | None = None) -> None:
        """Send the frame on one connection, or on all; ``{n}`` in it becomes its number."""
        self._ask(f"send {'all' if to is None else to} {json.dumps(frame)}")

    def await_marks(self, count: int, seconds: float) -> Report:
        """Return the report when `count` marks have come since the reset.

        Raises ProgramFailed if they have not after `seconds`.
        """
        report = self._ask(f"await {count} {int(seconds * 1000)}", seconds)
        if report.marks < count:
            raise ProgramFailed(f"{report.marks} of {count} deltas came in {seconds:.0f} s")
        return report

    def await_frames(self, count: int, seconds: float) -> None:
        """Return when `count` frames have come since the reset.

        Raises ProgramFailed if they have not after `seconds`.
        """
        deadline = time.monotonic() + seconds
        while (report := self.report()).frames < count:
            if time.monotonic() > deadline:
                raise ProgramFailed(f"{report.frames} of {count} frames came in {seconds:.0f} s")
            time.sleep(QUIET_SECONDS)

    def settle(self) -> Report:
        """Return the report when nothing has come for `QUIET_SECONDS`."""
        before = self.report()
        for _ in range(SETTLE_ROUNDS):
            time.sleep(QUIET_SECONDS)
            now = self.report()
            if now.frames == before.frames:
                return now
            before = now
        raise ProgramFailed("frames do not stop coming")

    def _ask(self, order: str, seconds: float = 0) -> Report:
        self._process.write_line(order)
        return self._report(seconds + ANSWER_SECONDS)

    def _report(self, seconds: float) -> Report:
        report = msgspec.json.decode(self._process.read_line(seconds), type=Report)
        if report.errors or report.lost:
            raise ProgramFailed(f"{report.errors} errors came, {report.lost} sockets were lost")
        return report
