"""Dialects: how a socket is spoken on. What a client of ``/ws`` offers as subprotocols says it."""

from collections.abc import Callable
from functools import partial

from msgspec import Struct
from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection

from netra_backend.core.frames import PLAIN_SUBPROTOCOL, SUBPROTOCOL, TOKEN_SUBPROTOCOL
from netra_backend.errors import ErrorCode, Refused
from netra_backend.server.connection import Connection
from netra_backend.server.dialogue import Dialogue
from netra_backend.server.edges.agentcore_socket import AgentCoreDialogue, bearer_subprotocol
from netra_backend.server.edges.tanstack import Replay, TanstackDialogue
from netra_backend.server.house import House
from netra_backend.server.lane_port import Lane
from netra_backend.server.user import User


class Dialect(Struct, frozen=True):
    """How a socket is spoken on: its subprotocol, if any, and what makes its dialogue."""

    begin: Callable[[str, User, Lane, House], Dialogue]
    subprotocol: str | None = None
    greets: bool = False
    """Whether `Dialogue.greet` is all there is to begin."""


def spoken_on_ws(websocket: HTTPConnection, house: House, *, container: bool = False) -> Dialect:
    """Return ``netra.v1`` for who offers it, TanStack's dialect for who offers none.

    In a `container` of AgentCore who offers none gets AgentCore's, unless the query names a run,
    as TanStack's client always does. Raises Refused for who offers only others, or names an agent
    that there is not.
    """
    if SUBPROTOCOL in websocket.scope["subprotocols"]:
        return Dialect(Connection, SUBPROTOCOL, greets=True)
    query = websocket.query_params
    if container and "runId" not in query:
        bearer = bearer_subprotocol(websocket)
        return Dialect(AgentCoreDialogue, bearer or plain_subprotocol(websocket))
    begin = partial(
        TanstackDialogue,
        agent=known_agent(house, query.get("agent")),
        replay=_replay(query) if "offset" in query else None,
    )
    return Dialect(begin, plain_subprotocol(websocket))


def _replay(query: QueryParams) -> Replay:
    return Replay(
        query.get("runId", ""),
        query["offset"],
        query.get("threadId"),
        query.get("protocolVersion"),
    )


def plain_subprotocol(websocket: HTTPConnection) -> str | None:
    """Return what is answered to a client whose dialect has no name. Raises Refused."""
    offered = websocket.scope["subprotocols"]
    named = [o for o in offered if o != PLAIN_SUBPROTOCOL and not o.startswith(TOKEN_SUBPROTOCOL)]
    if named:
        raise Refused(ErrorCode.BAD_FRAME, f"ask for the subprotocol {SUBPROTOCOL}, or for none")
    if offered and PLAIN_SUBPROTOCOL not in offered:
        # A browser would fail the handshake, because none of what it offered comes back.
        raise Refused(ErrorCode.BAD_FRAME, f"offer {PLAIN_SUBPROTOCOL} beside the token")
    return PLAIN_SUBPROTOCOL if offered else None


def known_agent(house: House, name: str | None) -> str | None:
    """Return `name`, if there is an agent of that name or none is named. Raises Refused."""
    if name is not None and name not in house.runner.agents:
        raise Refused(ErrorCode.UNKNOWN_AGENT)
    return name
