"""``/ws`` of an AgentCore container: AG-UI's events as they are, one run a socket.

The client sends a RunAgentInput, or a `prompt`, as its first message; the run's events come back
as text messages, each as AG-UI's `EventEncoder` writes it (``data: {…}`` and an empty line), and
then the socket is closed with 1000. What is refused is told as a RUN_ERROR before the close.
Source: the AG-UI contract in the AgentCore developer guide, and `AGUIApp` of bedrock-agentcore
1.25, which is what Amazon itself serves by it.
"""

import asyncio

import msgspec
from starlette.requests import HTTPConnection

from netra_backend.core.events import TERMINAL
from netra_backend.core.ids import parse_thread
from netra_backend.errors import CloseCode, FrameError, Refused
from netra_backend.server.agui_versions import spoken
from netra_backend.server.batch import Batch
from netra_backend.server.edges.agentcore import read_invocation
from netra_backend.server.edges.edge_dialogue import EdgeDialogue, run_error
from netra_backend.server.edges.edge_lane import EdgeLane
from netra_backend.server.house import House
from netra_backend.server.lane_port import Lane
from netra_backend.server.run_history import before
from netra_backend.server.user import User

BEARER_SUBPROTOCOL = "base64UrlBearerAuthorization"
"""What a browser offers beside its token, which AgentCore reads: it wants the name back."""

_encode = msgspec.json.Encoder().encode


class AgentCoreDialogue(EdgeDialogue):
    """One client that asked for one run, or has not yet."""

    def __init__(self, id: str, user: User, lane: Lane, house: House) -> None:
        super().__init__(id, user, lane, house)
        self._asked = False

    async def _carry_out(self, data: bytes) -> None:
        if self._asked:
            raise FrameError("a socket is for one run; open another one for the next")
        self._asked = True
        given = read_invocation(data)
        name = parse_thread("threadId", given.thread_id)
        run = await self._start(given, name)
        loop = asyncio.get_running_loop()

        def ended() -> None:
            loop.call_soon(self.dismiss, CloseCode.DONE)

        lane = EventLane(self._lane, ended, speak=spoken(given.protocol_version))
        self._answer_from(lane, run, before(run), self._say_why)

    def _tell(self, data: bytes, refusal: Refused | FrameError) -> None:
        self._say_why(refusal)

    def _say_why(self, refusal: Refused | FrameError) -> None:
        """Say why, as the last event, and close: a client of one run has nothing else to ask."""
        for follower in list(self.following):
            self._leave(follower)
        self._lane.send(encoded(_encode(run_error(refusal))))
        unreadable = isinstance(refusal, FrameError)
        self.dismiss(CloseCode.BAD_FRAME if unreadable else CloseCode.DONE)


class EventLane(EdgeLane):
    """Sends the run's events without an envelope, up to the terminal one.

    Deltas are joined: nothing here says how many entries an event stands for.
    """

    joins = True

    def _pass_on(self, batch: Batch) -> bool:
        for piece in batch.pieces:
            self._lane.send(encoded(self._speak(piece.event).data))
            if piece.event.type in TERMINAL:
                return True
        return False


def encoded(event: bytes) -> bytes:
    """Return an event's JSON as AG-UI's encoder writes it."""
    return b"data: %b\n\n" % event


def bearer_subprotocol(websocket: HTTPConnection) -> str | None:
    """Return the name to answer to a browser that offers its token to AgentCore, or None."""
    offered = websocket.scope["subprotocols"]
    return BEARER_SUBPROTOCOL if BEARER_SUBPROTOCOL in offered else None
