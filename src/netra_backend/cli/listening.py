"""Listening: the socket on which a server accepts."""

import errno
import socket
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import typer

from netra_backend.errors import ConfigError

LISTENING = "0A"
"""The state of a socket that listens, as Linux writes it: ``TCP_LISTEN``."""


def listen(host: str, port: int, *, shared: bool = False) -> socket.socket:
    """Return a listening socket; `shared` ones may have the same address.

    Raises ConfigError naming the address.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server(
            (host, port), family=family, backlog=4096, reuse_port=shared
        )
    except OSError as error:
        raise _refused(host, port, error) from error
    # Connections inherit it; asyncio sets it only on sockets that it has made itself. Without
    # it, small frames wait for the peer's delayed acknowledgement, 40 ms on Linux.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def reserve(host: str, port: int) -> socket.socket:
    """Return a socket that has the address, for `shared` ones to listen there. Raises as above.

    Nobody else can reserve it, or listen there alone.
    """
    reserved = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind((host, port))
        if port and sys.platform == "linux":
            # Linux looks for others with the address only when one listens. Shut down, the socket
            # gets no connection, and keeps a port that was asked for.
            reserved.listen(1)
            reserved.shutdown(socket.SHUT_RD)
        # After the bind: others could share an address with a socket that was ready to before.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError as error:
        reserved.close()
        raise _refused(host, port, error) from error
    return reserved


def _refused(host: str, port: int, error: OSError) -> ConfigError:
    """Return what to tell. In `strerror` Python says the address once more, if there is one."""
    why = (error.strerror or str(error)).partition(" (while ")[0]
    if error.errno == errno.EADDRINUSE:
        holders = " and ".join(_holders(port))
        why += f" by {holders}; stop that, or" if holders else ";"
        why += " choose another --port"
    return ConfigError(f"cannot listen on {host} port {port}: {why}")


def _holders(port: int) -> list[str]:
    """Return the processes that listen on the port, of those that the system lets us look into.

    Only Linux tells: proc_pid_net(5), proc_pid_fd(5). It may be a worker whose keeper is gone, and
    which an agent holds up.
    """
    rows: list[list[str]] = []
    with suppress(OSError):  # a sandbox may show the tables and not let them be read
        for table in Path("/proc/net").glob("tcp*"):
            rows += [line.split() for line in table.read_text("ascii").splitlines()[1:]]
    sockets = {
        f"socket:[{row[9]}]"
        for row in rows
        if row[1].endswith(f":{port:04X}") and row[3] == LISTENING
    }
    processes = sorted(Path("/proc").glob("[0-9]*"), key=lambda process: int(process.name))
    return [_told(process) for process in processes if not sockets.isdisjoint(_links(process))]


def _links(process: Path) -> Iterator[str]:
    """Yield what the descriptors of a process lead to."""
    with suppress(OSError):  # it is somebody else's, or has ended
        for descriptor in (process / "fd").iterdir():
            with suppress(OSError):
                yield str(descriptor.readlink())


def _told(process: Path) -> str:
    """Return the id and the name of a process; that of a worker is only ``python``."""
    name = "?"
    with suppress(OSError):
        is_worker = b"\0netra_backend.cli\0" in (process / "cmdline").read_bytes()
        own = (process / "comm").read_text("utf-8", "replace").strip()
        name = "a netra worker" if is_worker else own
    return f"process {process.name} ({name})"


def shown(listener: socket.socket) -> str:
    """Return the URL of the server that listens there."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def greet(listener: socket.socket) -> None:
    """Tell who sits at the terminal where the server is; elsewhere standard error is the log's."""
    if sys.stderr.isatty():
        typer.echo(f"Netra is at {shown(listener)}  (Ctrl+C stops it)", err=True)
