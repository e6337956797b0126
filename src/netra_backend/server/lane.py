"""The lane under uvicorn, its protocol class: a WebSocket's opening, and ASGI for who wants it.

It has the socket from the request on until the application accepts it or refuses it. An accepted
socket is a `DirectLane`'s, also for an application that only knows ASGI. What serves the opening
goes when the application has given the lane a listener of its own, and returned. Give `Protocol`
to uvicorn's option ``ws``, as ``netra serve`` does:
``uvicorn --ws netra_backend.server.lane:Protocol``.
"""

import asyncio
from collections import deque
from http import HTTPStatus
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected, is_ssl
from uvicorn.server import ServerState
from websockets.datastructures import Headers
from websockets.frames import Opcode
from websockets.http11 import Request, Response
from websockets.server import ServerProtocol

from netra_backend import jsonlog
from netra_backend.errors import ERRORS, CloseCode, ErrorCode, Refused
from netra_backend.server.clockwork import shared
from netra_backend.server.deadlines import Deadlines
from netra_backend.server.direct_lane import DirectLane
from netra_backend.server.entrance import REFUSAL, address, answer, entered, lane_of
from netra_backend.server.errors import raw_refusal
from netra_backend.server.lane_port import LaneClosed
from netra_backend.server.listener import Listener
from netra_backend.server.opening import Fields, NoOpening, Opening, opening, subprotocols
from netra_backend.server.parsing import let_go
from netra_backend.server.target import decoded, path_and_query

log = jsonlog.get_logger(__name__)

EXTENSION = "netra.lane"
"""The key in ``scope["extensions"]`` under which `Protocol` offers its ``lane``."""


class Protocol(asyncio.Protocol):
    """A WebSocket's opening, then the listener of its lane for who speaks ASGI.

    What a client says before it is answered waits in the system, but for one read.
    """

    __slots__ = (
        "_app_state", "_config", "_early", "_is_decided", "_is_lost", "_lane", "_late", "_loop",
        "_messages", "_opening", "_refusal", "_scope", "_server", "_transport", "_waiter",
    )  # fmt: skip

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._config = config
        self._server = server_state
        self._app_state = app_state
        self._loop = _loop or asyncio.get_running_loop()
        self._late = shared(server_state, Deadlines).late
        self._transport: asyncio.Transport
        self._opening: Opening | None = None
        self._scope: dict[str, Any] | None = None
        self._refusal: tuple[int, Headers, bytes] | None = None
        self._is_decided = False
        self._is_lost = False
        self._lane: DirectLane | None = None
        self._early = b""
        self._messages: deque[dict[str, Any]] = deque()
        self._waiter: asyncio.Future[None] | None = None

    # --- the request --------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin: uvicorn's HTTP protocol has seen that somebody asks for a WebSocket."""
        self._transport = transport
        self._server.connections.add(self)  # type: ignore[arg-type]

    @staticmethod
    def enter(
        config: Config,
        server_state: ServerState,
        transport: asyncio.Transport,
        path: str,
        fields: Fields,
        early: bytes,
    ) -> bool | Refused:
        """Have the socket opened without this class, and return whether it was; see `entrance`."""
        return entered(config, server_state, transport, path, fields, early)

    def data_received(self, data: bytes) -> None:
        """Take the request as uvicorn spells it out again, or what a client says too early."""
        if self._opening is not None or self._is_decided:
            self._early += data
            self._transport.pause_reading()
            return
        conn = ServerProtocol()
        conn.debug = False  # it would log the head, and with it tokens
        conn.receive_data(data)
        for request in conn.events_received():
            if isinstance(request, Request):
                fields = [
                    (name.lower().encode("latin-1"), value.encode("latin-1"))
                    for name, value in request.headers.raw_items()
                ]
                self.begin(request.path, fields)
        let_go(conn)

    def begin(
        self, path: str, fields: Fields, early: bytes = b"", refusal: Refused | None = None
    ) -> None:
        """Begin with a request that is parsed already, and what has come behind it.

        `path` is the target as it was sent: it may have a query, or be a URL. `refusal` is the
        application's, if it has said so when it was asked to `enter`.
        """
        try:
            deflate = self._config.ws_per_message_deflate
            self._opening = opening(path, fields, deflate=deflate)
        except NoOpening as none:
            self._answer(_told(none, self._transport))
            return
        if early:
            self.data_received(early)
        self._late.add(self)
        self._scope = self._scope_of(path, fields)
        if refusal is not None:
            self._scope[REFUSAL] = refusal
        self._messages.append({"type": "websocket.connect"})
        self._server.tasks.add(self._loop.create_task(self._run()))

    def _scope_of(self, path: str, fields: Fields) -> dict[str, Any]:
        root = self._config.root_path
        path, query = path_and_query(path)
        transport = self._transport
        return {
            "type": "websocket",
            "asgi": {"version": self._config.asgi_version, "spec_version": "2.4"},
            "http_version": "1.1",
            "scheme": "wss" if is_ssl(transport) else "ws",
            "server": address(transport.get_extra_info("sockname")),
            "client": address(transport.get_extra_info("peername")),
            "root_path": root,
            "path": root + decoded(path),
            "raw_path": (root + path).encode("ascii"),
            "query_string": query.encode("ascii"),
            "headers": fields,
            "subprotocols": subprotocols(fields),
            "state": self._app_state.copy(),
            "extensions": {"websocket.http.response": {}, EXTENSION: {"lane": self.lane}},
        }

    async def _run(self) -> None:
        """Run the application: the border around one connection of any application."""
        code = CloseCode.DONE
        try:
            await self._config.loaded_app(self._scope, self.receive, self.send)
        except ClientDisconnected:
            pass
        except Exception:
            code = CloseCode.INTERNAL
            log.exception("the application failed")
        finally:
            # Leave nothing to the garbage collector: the scope and this object know each other.
            self._scope = None
            self._server.tasks.discard(asyncio.current_task())
        if not self._is_decided:
            self._tell(ErrorCode.INTERNAL)
        elif self._lane is not None and not self._is_lost:
            self._lane.close_with(code, "")

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone before it was answered."""
        self._late.remove(self)
        self._server.connections.discard(self)
        self._is_decided = self._is_lost = True
        self._put({"type": "websocket.disconnect", "code": 1006})

    def cut_off(self) -> None:
        """End the connection at once: the application takes too long to accept it or refuse it."""
        self._transport.abort()

    def shutdown(self) -> None:
        """End because the server stops: uvicorn's word for it."""
        if not self._is_decided:
            self._tell(ErrorCode.DRAINING)

    # --- the answer ---------------------------------------------------------------------------

    def lane(self) -> DirectLane:
        """Return the lane to this socket, whose handshake has been accepted.

        With a listener of its own (`DirectLane.listen`) it stays when the application returns.
        """
        if self._lane is None:
            raise RuntimeError("there is no lane before the handshake has been accepted")
        return self._lane

    async def send(self, message: Any) -> None:
        """Take what the application sends; after the handshake it goes through the lane."""
        kind = message["type"]
        if self._lane is not None:
            await self._send(self._lane, message)
        elif self._is_decided:
            raise ClientDisconnected
        elif self._refusal is not None and kind == "websocket.http.response.body":
            self._refusal = (*self._refusal[:2], self._refusal[2] + message.get("body", b""))
            if not message.get("more_body"):
                self._refuse(*self._refusal)
        elif self._refusal is None and kind == "websocket.http.response.start":
            given = message.get("headers", ())
            headers = Headers((n.decode("latin-1"), v.decode("latin-1")) for n, v in given)
            self._refusal = (message["status"], headers, b"")
        elif self._refusal is None and kind == "websocket.accept":
            self._accept(message)
        elif self._refusal is None and kind == "websocket.close":
            self._tell(ErrorCode.FORBIDDEN)
        else:
            raise RuntimeError(f"unexpected ASGI message {kind!r} before the handshake is answered")

    def _accept(self, message: Any) -> None:
        """Give the socket to a lane, whose first words end the handshake."""
        if self._opening is None:
            raise RuntimeError("there is no request to accept")
        fields = [*self._server.default_headers, *message.get("headers", ())]
        chosen = message.get("subprotocol")
        if chosen:
            fields.append((b"sec-websocket-protocol", chosen.encode("ascii")))
        given = b"".join([part for field in fields for part in field])
        if b"\n" in given or b"\r" in given:
            raise RuntimeError("a header of the answer has a line break")
        self._decide()
        greeting = answer(self._opening, fields)
        self._lane = lane_of(
            self._config, self._server, self._transport, self, self._opening, greeting, self._early
        )

    def _refuse(self, status: int, headers: Headers, body: bytes) -> None:
        """Answer with HTTP, and end."""
        self._decide()
        headers.setdefault("Connection", "close")
        headers.setdefault("Content-Length", str(len(body)))
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = ""
        self._answer(Response(status, phrase, headers, body).serialize())

    def _tell(self, code: ErrorCode) -> None:
        """Refuse where the application has no words for it."""
        self._decide()
        peer = self._transport.get_extra_info("peername")
        self._answer(raw_refusal("handshake", code, ERRORS[code].meaning, peer=peer))

    def _answer(self, answer: bytes) -> None:
        self._is_decided = True
        self._transport.write(answer)
        self._transport.close()

    def _decide(self) -> None:
        self._late.remove(self)
        self._server.connections.discard(self)
        self._is_decided = True

    # --- ASGI on an open socket, as long as the lane has no other listener ------------------------

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
        while not self._messages:
            self._waiter = self._loop.create_future()
            await self._waiter
        message = self._messages.popleft()
        if self._lane is not None and not self._messages:
            self._lane.hold(False)
        return message

    def _put(self, message: dict[str, Any]) -> None:
        self._messages.append(message)
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def received(self, payload: bytes, *, is_text: bool) -> None:
        """Let the application receive a message, and keep others back until it has."""
        message: dict[str, Any] = {"type": "websocket.receive"}
        message |= {"text": payload.decode()} if is_text else {"bytes": payload}
        self._put(message)
        self.lane().hold(True)

    def lost(self, code: int, reason: str) -> None:
        """Let the application receive the end."""
        self._is_lost = True
        self._put({"type": "websocket.disconnect", "code": code, "reason": reason})

    def hand_over(self, listener: Listener) -> None:
        """Tell `listener` what the application has not received yet, and let go of the socket."""
        self._is_lost = True
        while self._messages:
            message = self._messages.popleft()
            if message["type"] == "websocket.disconnect":
                listener.lost(message["code"], message["reason"])
            elif message["type"] == "websocket.receive":
                text = message.get("text")
                payload = message["bytes"] if text is None else text.encode()
                listener.received(payload, is_text=text is not None)


def _told(refusal: NoOpening, transport: asyncio.Transport) -> bytes:
    is_other = refusal.status == HTTPStatus.UPGRADE_REQUIRED
    code = ErrorCode.UPGRADE_REQUIRED if is_other else ErrorCode.BAD_REQUEST
    peer = transport.get_extra_info("peername")
    return raw_refusal("handshake", code, refusal.why, peer=peer, headers=refusal.fields)
