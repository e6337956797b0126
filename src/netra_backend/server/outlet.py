"""The outlet: the way out for one HTTP answer, as far as its server lets the application see it.

ASGI's ``send`` says neither how much is unsent nor lets anybody end an answer that its client does
not take. `HttpProtocol` offers both under `EXTENSION`; on other servers `Outlet` knows nothing, and
what is left to the application is to end its own part.
"""

import socket
import struct
from contextlib import suppress
from typing import Any
from weakref import ref

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from netra_backend.server.descriptor import descriptor_of, unsent

EXTENSION = "netra.outlet"
"""The key in ``scope["extensions"]`` under which `HttpProtocol` offers an `Outlet`."""

SYSTEM_BYTES = 131_072
"""Bytes of an answer that the system keeps unsent: enough to have some when there is room again."""

_RESET = struct.pack("ii", 1, 0)
"""The ``SO_LINGER`` with which what the system has not sent is dropped at the end."""


class Outlet:
    """The way out of a server that says nothing of it."""

    @property
    def buffered(self) -> int:
        """Bytes that were sent, and that the system has not taken yet."""
        return 0

    def limit(self, high_water: int) -> None:
        """Have `drained` wait from `high_water` bytes on, until there are a quarter of it."""

    async def drained(self) -> None:
        """Return when there is room for more, or the client has gone."""

    def break_off(self) -> None:
        """End the answer as it is; what the client has not taken, it does not get."""


class DirectOutlet(Outlet):
    """The way out of an `HttpProtocol`."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = ref(protocol)  # whose scope has this

    @property
    def buffered(self) -> int:
        protocol = self._protocol()
        return protocol.transport.get_write_buffer_size() if protocol else 0

    def limit(self, high_water: int) -> None:
        protocol = self._protocol()
        if protocol and not protocol.transport.is_closing():
            protocol.transport.set_write_buffer_limits(high=high_water, low=high_water // 4)

    async def drained(self) -> None:
        protocol = self._protocol()
        if protocol:
            await protocol.flow.drain()

    def break_off(self) -> None:
        protocol = self._protocol()
        if protocol:
            protocol.break_off()


class LastTransport:
    """What the last answer of an `HttpProtocol`'s connection is written to."""

    def __init__(self, protocol: Any) -> None:
        self._protocol = ref(protocol)  # which has the answer

    def write(self, data: bytes) -> None:
        """Send a part of it."""
        if protocol := self._protocol():
            protocol.transport.write(data)

    def is_closing(self) -> bool:
        """Return whether the connection has ended, or is about to."""
        protocol = self._protocol()
        return protocol is None or protocol.transport.is_closing()

    def close(self) -> None:
        """End the connection, for a client that may still be sending its request."""
        if protocol := self._protocol():
            protocol.end()


def outlet_of(scope: Any) -> Outlet:
    """Return the outlet of the request with this scope."""
    outlet: Outlet | None = scope.get("extensions", {}).get(EXTENSION)
    return outlet if outlet is not None else Outlet()


def without_chunks(cycle: Any, app: ASGIApp) -> ASGIApp:
    """Return `app`, whose answers are sent as they are and end with the connection.

    HTTP/1.0 knows no chunks (RFC 9112 section 6.1), which uvicorn makes of an answer that does not
    say its length. One that is left unfinished is reset: uvicorn would close it, as at its end.
    """

    transport = cycle.transport

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_plainly(message: Message) -> None:
            cycle.chunked_encoding = False
            cycle.expected_content_length = len(message.get("body", b""))
            await send(message)

        try:
            await app(scope, receive, send_plainly)
        finally:
            if cycle.response_started and not (cycle.response_complete or cycle.disconnected):
                reset(transport)

    return serve


def hold_little(transport: Any) -> None:
    """Have the system take no more than `SYSTEM_BYTES` beyond what it can send at once.

    It would take megabytes for a client that does not read, which nobody counts. Where there is no
    such option it does.
    """
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    plain = transport.get_extra_info("socket")
    if option is not None and plain is not None:
        with suppress(OSError):  # a Unix socket
            plain.setsockopt(socket.IPPROTO_TCP, option, SYSTEM_BYTES)


def cut(transport: Any) -> None:
    """End the connection; at once, and without what is unsent, if anything is.

    The system would go on to send what it has, for hours: to a client whose right was withdrawn, or
    to one that does not read.
    """
    descriptor = descriptor_of(transport)
    if not transport.get_write_buffer_size() and not unsent(descriptor):
        transport.close()
    else:
        reset(transport)


def reset(transport: Any) -> None:
    """End the connection at once, as one that has failed, without what is unsent."""
    if (plain := transport.get_extra_info("socket")) is not None:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    transport.abort()
