"""The descriptor: past the transport, straight to the system."""

import struct
import sys
from asyncio import Transport

if sys.platform == "linux":
    from fcntl import ioctl

_SIOCOUTQNSD = 0x894B
"""Linux's question for the bytes of a TCP socket that were not sent once (tcp(7), sockios.h)."""


def descriptor_of(transport: Transport) -> int:
    """Return the descriptor that frames may be written to, -1 if not: TLS has to see them."""
    if transport.get_extra_info("sslcontext") is not None:
        return -1
    socket = transport.get_extra_info("socket")
    return socket.fileno() if socket is not None else -1


def unsent(descriptor: int) -> int:
    """Return the bytes that the system has taken and not sent once; 0 where it does not say."""
    if sys.platform != "linux" or descriptor < 0:
        return 0
    try:
        return int(struct.unpack("i", ioctl(descriptor, _SIOCOUTQNSD, bytes(4)))[0])
    except OSError:
        return 0
