"""Ports for servers of tests, each given to one test at a time."""

import atexit
import os
import socket
from collections.abc import Iterator
from functools import cache
from itertools import cycle, islice

FIRST = 20_000
"""Below the ports that systems hand out by themselves (Linux from 32,768, RFC 6335 from 49,152)."""
BLOCK = 64
BLOCKS = 190


def free_port() -> int:
    """Return a port that nobody listens on and no other test is given, also after a restart.

    A port that the system chose may go to somebody else before it is listened on, or while a
    server restarts; then a test talks to the server of another.
    """
    _, ports = _block()
    for port in islice(ports, BLOCK):
        try:
            socket.create_server(("", port)).close()
        except OSError:
            continue
        return port
    raise OSError(f"all {BLOCK} ports of this process are in use")


@cache
def _block() -> tuple[socket.socket, Iterator[int]]:
    """Take ports for this process alone: who listens on the first of a block has the block."""
    for number in range(BLOCKS):
        first = FIRST + BLOCK * ((os.getpid() + number) % BLOCKS)
        try:
            claim = socket.create_server(("127.0.0.1", first))
        except OSError:
            continue
        atexit.register(claim.close)
        return claim, cycle(range(first + 1, first + BLOCK))
    raise OSError(f"all {BLOCKS} blocks of ports are in use")
