"""Amazon Bedrock AgentCore: what its runtime asks of a container, ``netra serve --agentcore``.

``POST /invocations`` is a run of the first agent as server-sent events, ``GET /ping`` says whether
the session is busy; ``/ws`` is in `agentcore_socket`. Source: the HTTP and the AG-UI protocol
contracts in the AgentCore developer guide, September 2026.
"""

from enum import StrEnum

import msgspec
from ag_ui.core import RunAgentInput
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

from netra_backend.core.codec import decode_as, decode_input
from netra_backend.core.ids import new_id, parse_id, parse_thread
from netra_backend.errors import ErrorCode, Refused
from netra_backend.server.agui_versions import spoken
from netra_backend.server.edges.agui import (
    LAST_EVENT_ID,
    NOTHING,
    RUN_ERRORS,
    STREAM,
    stream_run,
)
from netra_backend.server.endpoints import Endpoint, answer, read_body
from netra_backend.server.house import House
from netra_backend.server.user import User

THREAD = "main"
"""The thread of a session whose client knows nothing of threads."""


class Health(StrEnum):
    """AgentCore keeps a session alive while it is busy, and ends one that is idle."""

    IDLE = "Healthy"
    BUSY = "HealthyBusy"


class Ping(Struct, frozen=True):
    """Whether a run is active. AgentCore itself notes when this changes."""

    status: Health


class _Prompt(Struct):
    """What ``agentcore invoke`` sends unless it is told otherwise."""

    prompt: str | None = None


class AgentCoreEdge:
    """The container that AgentCore's runtime talks to."""

    def __init__(self, house: House) -> None:
        self._house = house

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the operations for the table of endpoints."""
        return (
            Endpoint(
                "POST",
                "/invocations",
                self.invoke,
                "Start a run of the first agent, or attach to it, and stream its events.",
                body={
                    "type": "object",
                    "description": "AG-UI RunAgentInput, or a `prompt` for the session's thread",
                },
                result=STREAM,
                media_type="text/event-stream",
                header=LAST_EVENT_ID,
                empty=NOTHING,
                errors=(ErrorCode.BAD_FRAME, *RUN_ERRORS),
            ),
            Endpoint(
                "GET",
                "/ping",
                self.read_ping,
                "Whether the store answers, and whether a run is active.",
                result=Ping,
                errors=(ErrorCode.DRAINING,),
                open=True,
            ),
        )

    async def invoke(self, request: Request, user: User) -> Response:
        given = read_invocation(await read_body(request, self._house.settings))
        speak = spoken(given.protocol_version)
        return await stream_run(self._house, request, user, given, agent=None, speak=speak)

    async def read_ping(self, request: Request) -> Response:
        if self._house.runner.closing:
            raise Refused(ErrorCode.DRAINING)
        await self._house.store.probe()
        return answer(Ping(Health.BUSY if self._house.runner.active else Health.IDLE))


def read_invocation(body: bytes) -> RunAgentInput:
    """Return the input of the run that is asked for. Raises FrameError."""
    prompt = decode_as(body, _Prompt).prompt
    if prompt is not None:
        message = {"id": new_id("msg"), "role": "user", "content": prompt}
        said = {"threadId": THREAD, "runId": new_id("run"), "messages": [message]}
        body = msgspec.json.encode(said)
    given = decode_input(body, where="$")
    parse_thread("threadId", given.thread_id)
    parse_id("runId", given.run_id)
    return given
