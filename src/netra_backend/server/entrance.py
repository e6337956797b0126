"""The entrance: opens a socket within the call that read its request, where nothing is waited for.

ASGI takes a task for each opening, a scope with all that anybody may ask for, and messages back and
forth: more than half of an opening. So an application with a method ``netra_enter`` is asked first.
Where it says no, which it does for whatever is unusual, ASGI serves the socket as if nobody had
asked. Whom it refuses ASGI answers, with the refusal at hand: nobody is judged twice.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from starlette.types import Scope
from uvicorn.config import Config
from uvicorn.server import ServerState

from netra_backend import jsonlog
from netra_backend.errors import CLOSES, CloseCode, Refused
from netra_backend.server.direct_lane import DirectLane
from netra_backend.server.listener import Listener
from netra_backend.server.opening import Fields, Opening, plain_opening, subprotocols
from netra_backend.server.target import decoded, path_and_query

log = jsonlog.get_logger(__name__)

Accept = Callable[[str | None, Fields], DirectLane]
"""Accepts the handshake with a subprotocol, or none, and with fields; returns the socket's lane."""

Enter = Callable[[Scope, Accept], bool | Refused]
"""An application's ``netra_enter``: it accepts and serves the socket, or returns False at once.

Or it returns why the client is refused: ASGI's scope then has that under `REFUSAL`. It has to give
the lane a listener, and must not wait. Of ASGI's scope it gets ``type``, ``client``, ``root_path``,
``path``, ``query_string``, ``headers`` and ``subprotocols``.
"""


REFUSAL = "netra.refusal"


class _Nobody:
    """The listener of a lane to which the application has not listened yet."""

    def received(self, payload: bytes, *, is_text: bool) -> None:
        """Comes after the application has begun to listen."""

    def lost(self, code: int, reason: str) -> None:
        """The same."""

    def hand_over(self, listener: Listener) -> None:
        """Nothing has come."""


_NOBODY = _Nobody()


def entered(
    config: Config,
    server: ServerState,
    transport: asyncio.Transport,
    path: str,
    fields: Fields,
    early: bytes,
) -> bool | Refused:
    """Have the application serve the socket, and return whether it does, or why it refuses to.

    It is the border around one opening: what fails in it is logged, and ends the connection.
    """
    enter: Enter | None = getattr(config.loaded_app, "netra_enter", None)
    opening = (
        None if enter is None or config.ws_per_message_deflate else plain_opening(path, fields)
    )
    if enter is None or opening is None:
        return False
    lane: DirectLane | None = None

    def accept(subprotocol: str | None, given: Fields) -> DirectLane:
        nonlocal lane
        more = [] if subprotocol is None else [(b"sec-websocket-protocol", subprotocol.encode())]
        greeting = answer(opening, [*server.default_headers, *given, *more])
        lane = lane_of(config, server, transport, _NOBODY, opening, greeting, early)
        return lane

    try:
        return enter(_scope(config, transport, path, fields), accept)
    except Exception:
        log.exception("connection failed")
        if lane is None:
            return False
        lane.close_with(CloseCode.INTERNAL, CLOSES[CloseCode.INTERNAL].reason)
        return True


def answer(opening: Opening, fields: Fields) -> bytes:
    """Return the answer that accepts the request, with these fields of the application."""
    return b"".join([opening.head, *[b"%b: %b\r\n" % field for field in fields], b"\r\n"])


def lane_of(
    config: Config,
    server: ServerState,
    transport: asyncio.Transport,
    listener: Listener,
    opening: Opening,
    greeting: bytes,
    early: bytes,
) -> DirectLane:
    """Return the lane that takes the socket over, with the limits that uvicorn was given."""
    return DirectLane(
        transport,
        server,
        listener,
        extensions=opening.extensions,
        max_size=config.ws_max_size,
        ping=(config.ws_ping_interval, config.ws_ping_timeout),
        greeting=greeting,
        early=early,
    )


def _scope(
    config: Config, transport: asyncio.Transport, path: str, fields: Fields
) -> dict[str, Any]:
    root = config.root_path
    path, query = path_and_query(path)
    return {
        "type": "websocket",
        "client": address(transport.get_extra_info("peername")),
        "root_path": root,
        "path": root + decoded(path),
        "query_string": query.encode("ascii"),
        "headers": fields,
        "subprotocols": subprotocols(fields),
    }


def address(found: Any) -> tuple[str, int | None] | None:
    """Return a socket's name as ASGI has it: host and port, or the path of a Unix socket.

    uvicorn's functions ask a socket of Python's, which uvloop makes anew for each question.
    """
    if isinstance(found, tuple):
        return found[0], found[1]
    return (found, None) if found and isinstance(found, str) else None
