"""The descriptor: past the transport, straight to the system."""

from asyncio import Transport


def descriptor_of(transport: Transport) -> int:
    """Return the descriptor that frames may be written to, -1 if not: TLS has to see them."""
    if transport.get_extra_info("sslcontext") is not None:
        return -1
    socket = transport.get_extra_info("socket")
    return socket.fileno() if socket is not None else -1
