"""WebSocket routes: they admit a client, then move its frames to its dialogue until it goes.

Who it is and whether its origin may is decided before the handshake is accepted; who is refused
gets an HTTP answer that says why. Where there is no room, the socket is closed with a code instead,
which a browser can read: an HTTP answer to a handshake it cannot.
"""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from contextvars import copy_context

from starlette.requests import HTTPConnection
from starlette.types import Scope
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from netra_backend import jsonlog
from netra_backend.core.ids import new_id
from netra_backend.errors import CLOSES, CloseCode, ErrorCode, NetraError, Refused
from netra_backend.server import refusals, store_failures
from netra_backend.server.address import address_of
from netra_backend.server.attendant import Attendant, End, leave, told
from netra_backend.server.clock import now
from netra_backend.server.dialects import Dialect
from netra_backend.server.dialogue import Dialogue
from netra_backend.server.direct_lane import DirectLane
from netra_backend.server.entrance import REFUSAL, Accept
from netra_backend.server.errors import refusal_response
from netra_backend.server.headers import CORRELATION_FIELD
from netra_backend.server.house import House
from netra_backend.server.lane import EXTENSION
from netra_backend.server.lane_port import Lane, LaneClosed
from netra_backend.server.origin import check_host, check_origin
from netra_backend.server.pool import error_code
from netra_backend.server.send_lane import Send, SendLane
from netra_backend.server.socket_request import SocketRequest
from netra_backend.server.user import User

log = jsonlog.get_logger(__name__)

CONNECTED = WebSocketState.CONNECTED


class SocketRoute:
    """A path for sockets. `choose` says which dialect a client speaks, or raises Refused."""

    def __init__(self, house: House, choose: Callable[[HTTPConnection], Dialect]) -> None:
        self._house = house
        self._choose = choose
        self._pool = house.pool

    def enter(self, scope: Scope, accept: Accept) -> bool | Refused:
        """Serve a client at once, and return whether that can be, or why not: see `entrance`.

        It can where nothing is waited for, nothing is refused and nobody has to go: `connect` sees
        to all else, and looks at everything anew but who is refused.
        """
        request = SocketRequest(scope)
        try:
            self._check(request)
            user = self._house.authenticator.known(request)
            dialect = self._choose(request)
        except Refused as refusal:
            refusal.__cause__ = refusal.__context__ = None  # whose frames lead back to here
            return refusal.with_traceback(None)
        address = self._address(request)
        if (
            user is None
            or not dialect.greets
            or self._house.seating.waits
            or not self._pool.has_room(user.id, address)
        ):
            return False
        id, correlation = new_id("conn"), jsonlog.new_correlation()
        with jsonlog.bind(correlation=correlation, connection=id, user=user.id):
            lane = accept(dialect.subprotocol, [(CORRELATION_FIELD, correlation.encode())])
            lane.limit(self._house.settings.write_high_water)
            dialogue = dialect.begin(id, user, lane, self._house)
            self._pool.take_in(dialogue, address, now())
            log.info("connected", extra=told(CONNECTED, CONNECTED, address))
            lane.listen(Attendant(dialogue, lane, self._pool, address, copy_context()))
            dialogue.greet()
        return True

    async def connect(self, websocket: WebSocket) -> None:
        """Serve one client: the border around one connection."""
        address = self._address(websocket)
        try:
            user = await self._admit(websocket)
            dialect = self._choose(websocket)
            seat = await self._house.seating.reserve(user.id, address)
        except Refused as refusal:
            await _deny(websocket, refusal, address)
            return
        except NetraError as error:
            store_failures.tell("the store failed", error)
            await _deny(websocket, Refused(ErrorCode.STORE_FAILED), address)
            return
        with seat:
            if self._pool.is_closed:  # since it was asked who that is
                await _deny(websocket, Refused(ErrorCode.DRAINING), address)
                return
            try:
                await websocket.accept(subprotocol=dialect.subprotocol)
            except OSError:
                return  # its client has gone
            lane = lane_for(
                websocket.scope,
                websocket.send,
                high_water=self._house.settings.write_high_water,
            )
            dialogue = dialect.begin(new_id("conn"), user, lane, self._house)
            with jsonlog.bind(connection=dialogue.id, user=user.id):
                code = seat.enter(dialogue)
                if code is None:
                    await self._serve(websocket, dialogue, lane, address)
                else:
                    await self._turn_away(dialogue, lane, address, code)

    async def refuse(self, websocket: WebSocket) -> None:
        """Answer a handshake for a path where there is no socket."""
        await _deny(websocket, Refused(ErrorCode.NOT_FOUND), self._address(websocket))

    def _address(self, request: HTTPConnection) -> str:
        return address_of(request, self._house.settings.trusted_proxies)

    async def _turn_away(
        self, dialogue: Dialogue, lane: Lane, address: str, code: CloseCode
    ) -> None:
        """Close a socket that the pool has no room for."""
        about = {"code": int(code), "client": address, "pool": repr(self._pool)}
        refusals.tell("connection", error_code(code), CLOSES[code].meaning, **about)
        await lane.close(code)
        await dialogue.lost()

    async def _serve(
        self, websocket: WebSocket, dialogue: Dialogue, lane: Lane, address: str
    ) -> None:
        """Serve a socket that is in the pool, or have its lane do so, until it ends."""
        log.info("connected", extra=_info(websocket, address))
        if isinstance(lane, DirectLane):
            attendant = Attendant(dialogue, lane, self._pool, address, copy_context())
            lane.listen(attendant)
            await self._guarded(dialogue.open(), websocket, dialogue)
            return  # from here on the lane calls; nothing of this call is kept
        end: End | None = None
        try:
            end = await self._guarded(_converse(websocket, dialogue), websocket, dialogue)
        finally:
            await leave(dialogue, self._pool, end, lambda: _info(websocket, address))

    async def _guarded(
        self, work: Awaitable[None], websocket: WebSocket, dialogue: Dialogue
    ) -> End | None:
        """Do the work; the border around one connection: what fails in it is logged, and ends it.

        Returns how the client has ended it, if it has.
        """
        try:
            await work
        except WebSocketDisconnect as gone:
            return End(gone.code, gone.reason or "")
        except LaneClosed:
            pass
        except Exception:
            log.exception("connection failed", extra=_info(websocket, self._address(websocket)))
            await dialogue.fail()
        return None

    def _check(self, request: HTTPConnection) -> None:
        """Raise Refused if a page of another origin asks, or for another host, or while we stop."""
        if self._pool.is_closed:
            raise Refused(ErrorCode.DRAINING)
        check_host(request, self._house.settings.allowed_hosts)
        check_origin(request, self._house.settings.allowed_origins)

    async def _admit(self, websocket: WebSocket) -> User:
        """Return who connects. Raises Refused: as `enter` has judged, if it has."""
        if REFUSAL in websocket.scope:
            raise websocket.scope.pop(REFUSAL)  # kept by nothing here: it keeps this frame
        self._check(websocket)
        return await self._house.authenticator.user(websocket)


def lane_for(scope: Scope, send: Send, *, high_water: int) -> Lane:
    """Return the best lane that the server of this connection allows."""
    extension = scope.get("extensions", {}).get(EXTENSION)
    if extension is None:
        return SendLane(send, high_water=high_water)
    lane: DirectLane = extension["lane"]()
    lane.limit(high_water)
    return lane


async def _converse(websocket: WebSocket, dialogue: Dialogue) -> None:
    """Open the dialogue and hand it one frame after the other, until the socket ends."""
    await dialogue.open()
    while True:
        await dialogue.receive(await _next_frame(websocket, dialogue))


async def _next_frame(websocket: WebSocket, dialogue: Dialogue) -> bytes:
    """Return the next frame's bytes; a binary frame is read as if it were text."""
    received = await dialogue.next(websocket.receive())
    if received["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(received.get("code", 1005), received.get("reason"))
    text: str | None = received.get("text")
    return text.encode() if text is not None else bytes(received["bytes"])


async def _deny(websocket: WebSocket, refusal: Refused, address: str) -> None:
    """Refuse the handshake with an HTTP answer, where the server can send one."""
    refusals.tell(
        "handshake", refusal.code, refusal.message, **refusal.about, **_info(websocket, address)
    )
    with suppress(OSError):  # its client has gone
        if "websocket.http.response" in websocket.scope.get("extensions", {}):
            answer = refusal_response(refusal.code, refusal.message)
            await websocket.send_denial_response(answer)
        else:
            await websocket.close()


def _info(websocket: WebSocket, address: str) -> dict[str, object]:
    return told(websocket.client_state, websocket.application_state, address)
