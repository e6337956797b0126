"""What a process that an agent forks does not take along: the sockets of the server, and its loop.

On Linux `ProcessPoolExecutor` and `multiprocessing` fork by default before Python 3.14, and a fork
has every descriptor of its parent. While it lives, a socket that the server closes stays open for
its client; and once the server was killed its port is taken, or that worker's share of the clients
is accepted by nobody.
"""

import asyncio
import os
import socket
import stat
from contextlib import suppress
from functools import partial
from pathlib import Path

OPEN = Path("/dev/fd")
"""Where the system lists what a process has open, on Linux and macOS."""


def close_in_forks(descriptor: int) -> None:
    """Close the descriptor in every later fork of this process."""
    os.register_at_fork(after_in_child=partial(_close, descriptor))


def leave_to_parent(port: int, loop: asyncio.AbstractEventLoop) -> None:
    """Close in every later fork of this process what serves `port`.

    A fork that comes back to the `loop`, which it would share with the server, ends there.
    """
    os.register_at_fork(after_in_child=partial(_leave, port, loop))


def _close(descriptor: int) -> None:
    with suppress(OSError):  # closed before
        os.close(descriptor)


def _leave(port: int, loop: asyncio.AbstractEventLoop) -> None:
    for descriptor in [int(each.name) for each in OPEN.iterdir()]:
        with suppress(OSError):  # that of the list itself
            if _serves(port, descriptor):
                os.close(descriptor)
    with suppress(RuntimeError):  # it is closed, or in debug mode not of this thread: none comes
        loop.call_soon(os._exit, 1)


def _serves(port: int, descriptor: int) -> bool:
    """Return whether it listens on the port, or is connected to a client there."""
    if not stat.S_ISSOCK(os.fstat(descriptor).st_mode):
        return False
    opened = socket.socket(fileno=descriptor)
    try:
        inet = opened.family in (socket.AF_INET, socket.AF_INET6)
        return inet and opened.getsockname()[1] == port
    finally:
        opened.detach()
