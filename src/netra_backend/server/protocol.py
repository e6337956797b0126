"""The protocol class for uvicorn: the handshake, and ASGI for applications that want no more.

Handshake and refusal are uvicorn's. Once the handshake is accepted, a `DirectLane` has the socket,
also for an application that only knows ASGI. uvicorn's objects for one connection are many; they
go when the application has given the lane a listener of its own, and returned.
"""

import asyncio
import logging
from asyncio import AbstractEventLoop, BaseTransport, Task
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.frames import Opcode
from websockets.http11 import Request

from netra_backend.server.direct_lane import DirectLane
from netra_backend.server.handshake import handshakes
from netra_backend.server.listener import LaneClosed, Listener

log = logging.getLogger(__name__)
log.setLevel(logging.WARNING)

EXTENSION = "netra.lane"
"""The key in ``scope["extensions"]`` under which `Protocol` offers its ``lane``."""


class Protocol(WebSocketsSansIOProtocol):
    """uvicorn's sans-IO WebSocket protocol for the handshake, then the listener of its lane."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._server_state = server_state
        self._late = handshakes(server_state)
        self._lane: DirectLane | None = None

    # --- the handshake ------------------------------------------------------------------------

    def connection_made(self, transport: BaseTransport) -> None:
        """Keep the socket out of the log, but for faults.

        Frames carry tokens, and what people say; and who connects is the application's to log.
        """
        super().connection_made(transport)
        self.conn.debug = False
        self.logger = self.conn.logger = log

    def begin(self, path: str, headers: list[tuple[bytes, bytes]]) -> None:
        """Begin with a request that is parsed already."""
        request = Request(path, Headers())
        for name, value in headers:
            request.headers[name.decode("latin-1")] = value.decode("latin-1")
        self.handle_connect(request)

    def handle_connect(self, event: Request) -> None:
        """Offer the lane to the application, whose task has not begun to run yet.

        Nothing is read until it has decided: what a client sends meanwhile waits in the system.
        """
        super().handle_connect(event)
        scope = getattr(self, "scope", None)
        if scope is not None:
            scope["extensions"][EXTENSION] = {"lane": self.lane}
            self.transport.pause_reading()
            self._late.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone before the handshake was accepted."""
        self._late.remove(self)
        super().connection_lost(exc)

    def cut_off(self) -> None:
        """End the connection at once: the application takes too long to accept it or refuse it."""
        self.transport.abort()

    def start_keepalive(self) -> None:
        """Leave pings to the lane."""

    def lane(self) -> DirectLane:
        """Return the lane to this socket, whose handshake has been accepted.

        With a listener of its own (`DirectLane.listen`) it stays when the application returns.
        """
        if self._lane is None:
            raise RuntimeError("there is no lane before the handshake has been accepted")
        return self._lane

    def _begin(self) -> None:
        self.connections.discard(self)
        self._lane = DirectLane(
            self.transport,
            self._server_state,
            self,
            extensions=self.conn.extensions,
            max_size=self.config.ws_max_size,
            ping=(self.ping_interval, self.ping_timeout),
        )

    # --- ASGI ---------------------------------------------------------------------------------

    async def send(self, message: Any) -> None:
        """Take what the application sends; after the handshake it goes through the lane."""
        if self._lane is not None:
            await self._send(self._lane, message)
            return
        await super().send(message)
        if self.handshake_complete or self.initial_response is not None:
            self._late.remove(self)
        if message["type"] == "websocket.accept" and self.handshake_complete:
            self._begin()
        if message["type"] == "websocket.http.response.body" and not message.get("more_body"):
            # A refusal is the end of the handshake; uvicorn would report it as a fault.
            self.handshake_complete = True

    async def _send(self, lane: DirectLane, message: Any) -> None:
        if message["type"] == "websocket.close":
            lane.close_with(message.get("code", 1000), message.get("reason") or "")
        elif message["type"] == "websocket.send":
            try:
                await lane.room()
            except LaneClosed:
                raise ClientDisconnected from None
            text = message.get("text")
            if text is not None:
                lane.send(text.encode())
            else:
                lane.send(message["bytes"], Opcode.BINARY)
        else:
            raise RuntimeError(f"unexpected ASGI message {message['type']!r} on an open socket")

    async def receive(self) -> Any:
        """Return what comes next; the peer is read on when nothing more waits."""
        message = await self.queue.get()
        if self._lane is not None and self.queue.empty():
            self._lane.hold(False)
        return message

    def on_task_complete(self, task: Task[None]) -> None:
        """Leave nothing to the garbage collector: the scope and this object know each other."""
        super().on_task_complete(task)
        if self._lane is not None:
            del self.scope

    # --- the lane's listener, as long as the application has given it no other -------------------

    def received(self, payload: bytes, *, is_text: bool) -> None:
        """Let the application receive a message, and keep others back until it has."""
        message: Any = {"type": "websocket.receive"}
        message |= {"text": payload.decode()} if is_text else {"bytes": payload}
        self.queue.put_nowait(message)
        self.lane().hold(True)

    def lost(self, code: int, reason: str) -> None:
        """Let the application receive the end."""
        self.disconnected = True
        self.transport = _Elsewhere()  # the lane sees to the rest
        self.queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})

    def hand_over(self, listener: Listener) -> None:
        """Tell `listener` what the application has not received yet, and let go of the socket."""
        self.transport = _Elsewhere()
        while not self.queue.empty():
            message: Any = self.queue.get_nowait()
            if message["type"] == "websocket.disconnect":
                listener.lost(message.get("code", 1005), message.get("reason") or "")
            elif message["type"] == "websocket.receive":
                text = message.get("text")
                payload = message["bytes"] if text is None else text.encode()
                listener.received(payload, is_text=text is not None)


class _Elsewhere(asyncio.Transport):
    """What is left of the transport to an application whose socket the lane sees to."""

    def close(self) -> None:
        """Leave the socket open when the application returns."""

    def is_closing(self) -> bool:
        """Return whether it is closed."""
        return False
