"""Real proxies in front of a server, configured with the very lines of docs/operations.md."""

import asyncio
import os
import re
import shutil
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from tests.eventually import until
from tests.live import BOUND, Reachable
from tests.person import Address
from tests.ports import free_port

PAGE = Path(__file__).parents[2] / "docs" / "operations.md"
PLACES = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]
)
TIMEOUT = 3
"""Seconds after which a proxy cuts an idle connection: what stands for the 60 of the page."""


class Proxy(Reachable, ABC):
    """A proxy on `port`, which serves what `server` does."""

    program: str
    cuts_idle = True
    """Whether it has a timeout for sockets."""

    def __init__(self, server: Address, folder: Path) -> None:
        found = shutil.which(self.program, path=PLACES)
        if found is None:
            pytest.skip(f"there is no {self.program} here: Netra behind it is NOT TESTED")
        self.path = found
        self.folder = folder / self.program
        self.folder.mkdir(parents=True)
        self.file = self.folder / "configuration"
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._server = server

    def token(self, user: str = "alice") -> str:
        return self._server.token(user)

    async def start(self) -> None:
        """Start it; return when it accepts connections."""
        target = self._server.url.removeprefix("http://")
        self.file.write_text(self.configuration(lines(self.program, target, self.port)))
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, env={**os.environ, "HOME": str(self.folder)}
            )
        async with asyncio.timeout(BOUND):
            while not await self._accepts():
                assert self.process.poll() is None, (self.folder / "log").read_text()
                await asyncio.sleep(0.02)

    async def reload(self) -> None:
        """Have it read its configuration again; return when it has.

        haproxy's master executes itself anew when its worker serves already, and until it has done
        so, it ignores the signal.
        """
        assert self.process is not None
        await until(lambda: self._catches(self.reloads))
        before = self._workers()
        self.process.send_signal(self.reloads)
        await until(lambda: self._workers() - before)

    def stop(self) -> None:
        """End it, and what it left serving old connections."""
        if self.process is not None:
            left = psutil.Process(self.process.pid).children(recursive=True)
            self.process.terminate()
            self.process.wait(BOUND)
            for process in left:
                if process.is_running():
                    process.kill()

    reloads: signal.Signals

    @abstractmethod
    def configuration(self, page: str) -> str:
        """Return what is in the file, given the lines of the page."""

    @abstractmethod
    def command(self) -> list[str]:
        """Return how it is started in the foreground."""

    def _workers(self) -> set[int]:
        assert self.process is not None
        return {child.pid for child in psutil.Process(self.process.pid).children()}

    def _catches(self, number: signal.Signals) -> bool:
        """Return whether the process has a function for the signal: proc_pid_status(5), SigCgt."""
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text(encoding="utf-8")
        (caught,) = re.findall(r"^SigCgt:\s*(\w+)$", status, re.MULTILINE)
        return bool(int(caught, 16) >> (number - 1) & 1)

    async def _accepts(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True


class Nginx(Proxy):
    """nginx, whose workers are not told when to end after a reload."""

    program = "nginx"
    reloads = signal.SIGHUP

    def configuration(self, page: str) -> str:
        return (
            f"daemon off;\nworker_processes 1;\n"
            f"pid {self.folder}/pid;\nerror_log {self.folder}/log;\n"
            f"events {{}}\nhttp {{\naccess_log off;\n{page}\n}}\n"
        )

    def command(self) -> list[str]:
        return [self.path, "-p", str(self.folder), "-c", str(self.file)]


class Haproxy(Proxy):
    """haproxy in master-worker mode."""

    program = "haproxy"
    reloads = signal.SIGUSR2

    def configuration(self, page: str) -> str:
        return page

    def command(self) -> list[str]:
        return [self.path, "-W", "-f", str(self.file)]


class Caddy(Proxy):
    """Caddy, which is reloaded through its socket for administration."""

    program = "caddy"
    cuts_idle = False

    def configuration(self, page: str) -> str:
        return (
            f"{{\n\tadmin unix/{self.folder}/admin\n\tpersist_config off\n"
            f"\tservers {{\n\t\ttimeouts {{\n\t\t\tidle {TIMEOUT}s\n\t\t}}\n\t}}\n}}\n{page}"
        )

    def command(self) -> list[str]:
        return [self.path, "run", *self._read]

    async def reload(self) -> None:
        done = await asyncio.to_thread(
            subprocess.run,
            [self.path, "reload", "--force", "--address", f"unix/{self.folder}/admin", *self._read],
            capture_output=True,
            timeout=BOUND,
        )
        assert done.returncode == 0, done.stderr.decode()

    @property
    def _read(self) -> list[str]:
        return ["--config", str(self.file), "--adapter", "caddyfile"]


PROXIES: list[type[Proxy]] = [Nginx, Haproxy, Caddy]


@asynccontextmanager
async def behind(kind: type[Proxy] | None, server: Address, folder: Path) -> AsyncIterator[Address]:
    """Return where the server is reached through the proxy, or itself if there is to be none."""
    if kind is None:
        yield server
        return
    proxy = kind(server, folder)
    try:
        await proxy.start()
        yield proxy
    finally:
        proxy.stop()


def lines(program: str, target: str, port: int) -> str:
    """Return the page's lines for the program, with other ports and a shorter timeout."""
    language = {"caddy": "caddyfile"}.get(program, program)
    (block,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    for shown, ours in (
        ("127.0.0.1:8000", target),
        ("listen 80;", f"listen 127.0.0.1:{port};"),
        ("bind :80\n", f"bind 127.0.0.1:{port}\n"),
        ("http://netra.example", f"http://127.0.0.1:{port}"),
        (" 60s", f" {TIMEOUT}s"),
    ):
        block = block.replace(shown, ours)
    assert target in block, "the page names another address of the server"
    assert str(port) in block, "the page names another address of the proxy"
    return str(block)
