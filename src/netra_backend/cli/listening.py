"""Listening: the socket on which a server accepts."""

import errno
import socket
import sys

import typer

from netra_backend.errors import ConfigError


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
    taken = error.errno == errno.EADDRINUSE
    return ConfigError(
        f"cannot listen on {host} port {port}: {why}" + ("; choose another --port" if taken else "")
    )


def shown(listener: socket.socket) -> str:
    """Return the URL of the server that listens there."""
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def greet(listener: socket.socket) -> None:
    """Tell who sits at the terminal where the server is; elsewhere standard error is the log's."""
    if sys.stderr.isatty():
        typer.echo(f"Netra is at {shown(listener)}  (Ctrl+C stops it)", err=True)
