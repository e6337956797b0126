"""Real proxies in front of a server, configured with the very lines of docs/deployment.md."""

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
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import psutil
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.eventually import until
from tests.live import BOUND, Reachable
from tests.person import Address
from tests.ports import free_port

PAGE = Path(__file__).parents[2] / "docs" / "deployment.md"
PLACES = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"]
)
USAGE = x509.KeyUsage(
    digital_signature=True,
    key_cert_sign=True,
    **dict.fromkeys(
        (
            *("content_commitment", "key_encipherment", "data_encipherment", "key_agreement"),
            *("crl_sign", "encipher_only", "decipher_only"),
        ),
        False,
    ),
)
DAY = timedelta(days=1)
TIMEOUT = 3
"""Seconds after which a proxy cuts an idle connection, where a test waits for that."""

PAGES_TIMEOUT = 60
"""What the page's lines say."""


class Proxy(Reachable, ABC):
    """A proxy that serves with TLS on `port` what `server` does, and on `plain_port` says so."""

    program: str
    cuts_idle = True
    """Whether it has a timeout for sockets."""

    def __init__(self, server: Address, folder: Path, idle: int) -> None:
        found = shutil.which(self.program, path=PLACES)
        if found is None:
            pytest.skip(f"there is no {self.program} here: Netra behind it is NOT TESTED")
        self.path = found
        self.folder = folder / self.program
        self.folder.mkdir(parents=True)
        self.file = self.folder / "configuration"
        self.port, self.plain_port = free_port(), free_port()
        self.certificate = write_certificate(self.folder)
        self.process: subprocess.Popen[bytes] | None = None
        self._server = server
        self._idle = idle

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    @property
    def socket_url(self) -> str:
        return f"wss://127.0.0.1:{self.port}/ws"

    def token(self, user: str = "alice") -> str:
        return self._server.token(user)

    async def start(self) -> None:
        """Start it; return when it accepts connections on both its ports."""
        target = self._server.url.removeprefix("http://")
        self.file.write_text(self.configuration(self.lines(target)))
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

    def lines(self, target: str) -> str:
        """Return the page's lines for the program, with what is only here in place of the page's.

        That are ports, where the server is, a certificate, and a shorter timeout.
        """
        language = {"caddy": "caddyfile"}.get(self.program, self.program)
        text = PAGE.read_text(encoding="utf-8")
        (block,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
        ours = {"127.0.0.1:8000": target, **self.places}
        if self.cuts_idle:
            ours[f" {PAGES_TIMEOUT}s"] = f" {self._idle}s"
        for shown, put in ours.items():
            assert shown in block, f"the page's lines for {self.program} have no {shown!r}"
            block = block.replace(shown, put)
        return block

    @property
    @abstractmethod
    def places(self) -> dict[str, str]:
        """Return the ports and files of the page, and those that are here instead."""

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
        for port in (self.port, self.plain_port):
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                return False
            writer.close()
        return True


class Nginx(Proxy):
    """nginx, whose workers are not told when to end after a reload."""

    program = "nginx"
    reloads = signal.SIGHUP

    @property
    def places(self) -> dict[str, str]:
        return {
            "listen 80;": f"listen 127.0.0.1:{self.plain_port};",
            "listen 443 ssl;": f"listen 127.0.0.1:{self.port} ssl;",
            "/etc/ssl/chat.example.pem": str(self.certificate),
            "/etc/ssl/private/chat.example.key": str(self.certificate),
        }

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

    @property
    def places(self) -> dict[str, str]:
        return {
            "bind :80\n": f"bind 127.0.0.1:{self.plain_port}\n",
            "bind :443 ": f"bind 127.0.0.1:{self.port} ",
            "/etc/haproxy/chat.example.pem": str(self.certificate),
        }

    def configuration(self, page: str) -> str:
        return page

    def command(self) -> list[str]:
        return [self.path, "-W", "-f", str(self.file)]


class Caddy(Proxy):
    """Caddy, which is reloaded through its socket for administration."""

    program = "caddy"
    cuts_idle = False

    @property
    def places(self) -> dict[str, str]:
        tls = f"tls {self.certificate} {self.certificate}"
        return {"chat.example {\n": f"https://127.0.0.1:{self.port} {{\n\t{tls}\n"}

    def configuration(self, page: str) -> str:
        return (
            f"{{\n\tadmin unix/{self.folder}/admin\n\tpersist_config off\n"
            f"\thttp_port {self.plain_port}\n"
            f"\tservers {{\n\t\ttimeouts {{\n\t\t\tidle {self._idle}s\n\t\t}}\n\t}}\n}}\n{page}"
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
async def behind(
    kind: type[Proxy] | None, server: Address, folder: Path, *, idle: int = TIMEOUT
) -> AsyncIterator[Address]:
    """Return where the server is reached through the proxy, or itself if there is to be none.

    The proxy cuts who says and hears nothing for `idle` seconds.
    """
    if kind is None:
        yield server
        return
    proxy = kind(server, folder, idle)
    try:
        await proxy.start()
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SSL_CERT_FILE", str(proxy.certificate))  # whom OpenSSL trusts
            yield proxy
    finally:
        proxy.stop()


def write_certificate(folder: Path) -> Path:
    """Write a certificate for 127.0.0.1 with its key into one file; return where it is."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "chat.example")])
    now = datetime.now(UTC)
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - DAY).not_valid_after(now + DAY)
    identifier = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    for extension, critical in (  # it is its own authority, by the strict rules of Python 3.13
        (names, False),
        (identifier, False),
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (USAGE, True),
    ):
        builder = builder.add_extension(extension, critical)
    made = builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    file = folder / "chat.example.pem"
    file.write_bytes(made + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return file
