"""Workers: the processes of ``netra serve --workers``, and the one that keeps their store.

The keeper owns the data directory, and reserves the port. Each worker listens on it with a socket
of its own, so the system shares connections out evenly, and only to workers that are there.
"""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import FrameType

from netra_backend import jsonlog
from netra_backend.cli import deadline
from netra_backend.cli.listening import greet, reserve, shown
from netra_backend.cli.signals import HURRIES, heard
from netra_backend.config import Settings
from netra_backend.errors import ConfigError
from netra_backend.server.metrics import measured_by_log
from netra_backend.stores.keeper import Keeper
from netra_backend.stores.remote import RemoteStore
from netra_backend.stores.sqlite import SqliteStore

log = jsonlog.get_logger(__name__)

MIN_LIFE = 5.0
"""Seconds after which a worker that ends is started again at once; an earlier one waits."""

PAUSE = 1.0
"""Seconds before a worker is started again that did not live long; twice as many after each that
did not come to serve."""

TRIES = 6
"""Workers that may end in one place before they serve, one after the other, before all stop."""


def inherited(line: int) -> RemoteStore:
    """Return the store that a worker shares, given the descriptor of its line.

    A worker whose keeper is gone ends: it could keep nothing of what it does. So it does not wait
    for its runs either, and its clients are sent away at once.
    """

    def lost() -> None:
        log.critical("the process that keeps the store is gone")
        jsonlog.flush(1.0)
        os.kill(os.getpid(), signal.SIGTERM)
        # After the first has been taken: `Server` tells them apart by that.
        asyncio.get_running_loop().call_soon(os.kill, os.getpid(), signal.SIGINT)

    end = socket.socket(fileno=line)
    end.set_inheritable(False)  # a tool's own process would keep the line of a dead worker up
    end.setblocking(False)
    return RemoteStore(end, lost=lost)


class Workers:
    """`count` processes of `command`, which serve `host` and `port` until a signal comes.

    `end_in` is told at a stop in how many seconds this process is to end, and with which exit code,
    if it is to end with them.
    """

    def __init__(
        self,
        settings: Settings,
        command: Sequence[str],
        *,
        count: int,
        host: str,
        port: int,
        end_in: Callable[[float, int], None] | None = None,
    ) -> None:
        self._settings = settings
        self._command = command
        self._count = count
        self._address = host, port
        self._end_in = end_in or (lambda seconds, code: None)
        self._is_last = end_in is not None
        self._keeper = Keeper(SqliteStore(settings.data_dir), measured_by_log)
        self._running: dict[int, asyncio.subprocess.Process] = {}
        self._stopping = asyncio.Event()
        self._failure: int | None = None

    async def run(self) -> int:
        """Serve; return the exit code: that of a worker which could not even begin, else 0."""
        loop = asyncio.get_running_loop()

        def told(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._stop, signal.Signals(number))

        with heard(told, lambda: self._is_last and self._stopping.is_set()):
            return await self._run()

    async def _run(self) -> int:
        await self._keeper.store.open()
        try:
            with reserve(*self._address) as reserved:
                port = reserved.getsockname()[1]
                places = [asyncio.create_task(self._keep_one(port)) for _ in range(self._count)]
                if await self._keeper.joined(self._count, self._stopping):
                    log.info(
                        "every worker serves",
                        extra={"at": shown(reserved), "workers": self._count},
                    )
                    greet(reserved)
                await asyncio.gather(*places)
        finally:
            await self._keeper.settled()
            await self._keeper.store.close()
        return self._failure or 0

    def _stop(self, told: signal.Signals | None = None) -> None:
        """Let every worker stop; a second signal hurries them, by SIGINT: see `Server`."""
        if not self._stopping.is_set():
            log.info("stopping", extra={"signal": None if told is None else told.name})
        elif told not in HURRIES:
            return
        hurries = self._stopping.is_set()
        number = signal.SIGINT if hurries else signal.SIGTERM
        self._stopping.set()
        seconds = self._settings.grace_seconds
        seconds += 0 if hurries else self._settings.finish_seconds
        self._end_in(seconds + deadline.KEPT, self._failure or 0)
        asyncio.get_running_loop().call_later(seconds + deadline.KILLED, self._kill_left)
        for process in self._running.values():
            with suppress(ProcessLookupError):  # it has ended, and nobody has looked yet
                process.send_signal(number)

    def _kill_left(self) -> None:
        """End the workers that do not end: who is frozen takes no signal but this one."""
        for pid, process in self._running.items():
            with suppress(ProcessLookupError):
                process.kill()
            log.error("a worker does not stop and is killed", extra={"worker": pid})

    async def _keep_one(self, port: int) -> None:
        """Keep one worker running, until all are to stop."""
        has_begun = False
        failed = 0
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                pid, code, has_joined = await self._run_one(port)
            except OSError:  # no process, descriptor or memory is left: perhaps later
                if not has_begun:
                    self._failure = 1
                    self._stop()
                    raise
                log.exception("a worker cannot be started")
                pid, code, has_joined = 0, 1, False
            has_begun = has_begun or has_joined
            failed = 0 if has_joined else failed + 1
            if self._stopping.is_set():
                return
            if not has_begun or failed == TRIES:
                about = {"worker": pid, "exit_code": code, "tries": failed}
                log.error("a worker cannot begin", extra=about)
                self._failure = code if code > 0 else 1
                self._stop()
                return
            about = {"worker": pid, "exit_code": code}
            log.error("a worker has ended and is started again", extra=about)
            if failed or time.monotonic() - began < MIN_LIFE:
                await self._pause(PAUSE * 2 ** max(0, failed - 1))

    async def _run_one(self, port: int) -> tuple[int, int, bool]:
        """Run a worker to its end; return its id, its exit code, and whether it came to serve."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *_with_options(self._command, f"--port={port}", f"--worker={theirs.fileno()}"),
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl+C is for the keeper, which tells the workers
            )
        self._running[process.pid] = process
        if self._stopping.is_set():
            with suppress(ProcessLookupError):
                process.terminate()
        line = await self._keeper.serve(ours, worker=process.pid, hangs=process.kill)
        code = await process.wait()
        del self._running[process.pid]
        return process.pid, code, line.has_called

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
        except TimeoutError:
            pass


def command_line(arguments: Sequence[str]) -> list[str]:
    """Return how a worker is started: as this process was, with these arguments."""
    return [sys.executable, "-m", "netra_backend.cli", "serve", *arguments]


def _with_options(command: Sequence[str], *options: str) -> list[str]:
    """Return the command with more options, before the `--` after which there are none."""
    end = list(command).index("--") if "--" in command else len(command)
    return [*command[:end], *options, *command[end:]]


def check_platform() -> None:
    """Raise ConfigError where processes cannot share a port."""
    if not hasattr(socket, "SO_REUSEPORT"):
        raise ConfigError("--workers needs a system on which processes can share a port")
