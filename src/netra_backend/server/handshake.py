"""The handshake: a request's head comes whole, in bounded time and space, or the peer is cut off.

uvicorn waits for ever for a peer that has connected and says nothing, or a byte now and then. Give
`HttpProtocol` to uvicorn's option ``http``, as ``netra serve`` does:
``uvicorn --http netra_backend.server.handshake:HttpProtocol``.
"""

import asyncio
from typing import Any, Protocol

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from netra_backend.server.clockwork import Sweep, shared

SECONDS = 10.0
"""How long a request's head may take, and as long again the answer to a WebSocket handshake."""

HEAD_BYTES = 65_536
"""Bytes that a request's head may have."""


class Late(Protocol):
    """Who can be too late."""

    def cut_off(self) -> None:
        """End the connection at once."""
        ...


def handshakes(server: ServerState) -> Sweep[Any]:
    """Return what cuts off each `Late` of `server` that stays in it for `SECONDS`."""

    def make() -> Sweep[Any]:
        return Sweep(asyncio.get_running_loop(), SECONDS, lambda late: late.cut_off())

    return shared(server, "handshakes", make)


class HttpProtocol(HttpToolsProtocol):
    """uvicorn's HTTP protocol, with bounds for the heads of requests."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._late = handshakes(server_state)
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first request."""
        super().connection_made(transport)
        self._late.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no more."""
        self._late.remove(self)
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of the head; for the first since the connection was made."""
        super().on_message_begin()
        self._head_bytes = 0
        if self not in self._late:
            self._late.add(self)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._late.remove(self)
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Take what came; cut the peer off when its head is too long."""
        super().data_received(data)
        if self in self._late:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES:
                self.cut_off()

    def handle_websocket_upgrade(self) -> None:
        """Hand the socket over; to our protocol class without spelling the request out again.

        Nothing of this object is left to the garbage collector: its parser knows it.
        """
        kind: Any = self.ws_protocol_class
        if hasattr(kind, "begin"):
            self.connections.discard(self)
            protocol = kind(self.config, self.server_state, self.app_state)
            protocol.connection_made(self.transport)
            protocol.begin(self.url.decode("ascii"), self.headers)
            self.transport.set_protocol(protocol)
        else:
            super().handle_websocket_upgrade()
        self.parser = self.scope = self.headers = None  # type: ignore[assignment]

    def cut_off(self) -> None:
        """End the connection at once."""
        self.transport.abort()
