"""``/copilotkit``: what CopilotKit's core asks of its runtime, without that Node process.

``GET /info`` lists the agents; a run is started and streamed by ``/agent/{agent}/run``, a thread is
shown again by ``/agent/{agent}/connect``, a run is ended by ``/agent/{agent}/stop/{thread}``.
Source: `ProxiedCopilotRuntimeAgent` of @copilotkit/core 1.75, transport ``rest``; it speaks AG-UI
0.0.59.
"""

from collections.abc import Mapping

from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response

import netra_backend
from netra_backend.core.ids import RunId, parse_id, parse_thread
from netra_backend.core.roles import Role
from netra_backend.core.run import ENDED
from netra_backend.errors import ErrorCode, Refused
from netra_backend.server.agui_versions import as_finished
from netra_backend.server.edges.agui import (
    LAST_EVENT_ID,
    NOTHING,
    RUN_ERRORS,
    STREAM,
    read_input,
    stream_run,
)
from netra_backend.server.endpoints import Endpoint, answer, decode_body, read_body
from netra_backend.server.house import House
from netra_backend.server.sse import RunStream
from netra_backend.server.user import User


class AgentInfo(Struct, frozen=True, rename="camel"):
    """An agent as the page lists it."""

    name: str
    description: str
    class_name: str = "netra"


class RuntimeInfo(Struct, frozen=True, rename="camel"):
    """What ``/info`` tells; the mode ``sse`` is a runtime without CopilotKit's cloud."""

    version: str
    agents: Mapping[str, AgentInfo]
    mode: str = "sse"
    audio_file_transcription_enabled: bool = False
    telemetry_disabled: bool = True


class Stop(Struct, frozen=True, rename="camel"):
    """The body of a stop: the run that is meant; without it, the one that is active."""

    run_id: str | None = None


class Stopped(Struct, frozen=True):
    """Whether there was a run to end."""

    stopped: bool


class CopilotKitEdge:
    """The runtime that CopilotKit's core looks for at its ``runtimeUrl``."""

    def __init__(self, house: House) -> None:
        self._house = house

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the operations for the table of endpoints."""
        body = {"type": "object", "description": "AG-UI RunAgentInput"}
        return (
            Endpoint(
                "GET",
                "/copilotkit/info",
                self.describe_runtime,
                "The agents, as CopilotKit's core lists them.",
                result=RuntimeInfo,
            ),
            Endpoint(
                "POST",
                "/copilotkit/agent/{agent}/run",
                self.run_copilot,
                "Start a run, or attach to it, and stream its events.",
                body=body,
                result=STREAM,
                media_type="text/event-stream",
                header=LAST_EVENT_ID,
                empty=NOTHING,
                errors=RUN_ERRORS,
            ),
            Endpoint(
                "POST",
                "/copilotkit/agent/{agent}/connect",
                self.connect_copilot,
                "Stream a thread as it stands, and the run that is active in it.",
                body=body,
                result=STREAM,
                media_type="text/event-stream",
                errors=(
                    ErrorCode.BAD_INPUT,
                    ErrorCode.UNKNOWN_AGENT,
                    ErrorCode.NOT_FOUND,
                    ErrorCode.TOO_BIG,
                    ErrorCode.TOO_MANY,
                    ErrorCode.OVERLOADED,
                ),
            ),
            Endpoint(
                "POST",
                "/copilotkit/agent/{agent}/stop/{thread}",
                self.stop_copilot,
                "End the run that is active in a thread.",
                body=Stop,
                result=Stopped,
                errors=(
                    ErrorCode.BAD_INPUT,
                    ErrorCode.UNKNOWN_AGENT,
                    ErrorCode.NOT_FOUND,
                    ErrorCode.TOO_BIG,
                ),
            ),
        )

    async def describe_runtime(self, request: Request, user: User) -> Response:
        agents = {name: AgentInfo(name, f"The agent {name}.") for name in self._house.runner.agents}
        return answer(RuntimeInfo(netra_backend.__version__, agents))

    async def run_copilot(self, request: Request, user: User) -> Response:
        given = await read_input(request, self._house)
        agent = request.path_params["agent"]
        return await stream_run(self._house, request, user, given, agent=agent, speak=as_finished)

    async def connect_copilot(self, request: Request, user: User) -> Response:
        """Stream what there is. A thread that nobody has begun is an empty stream.

        The client makes up a thread's id and connects before the first run.
        """
        self._check_agent(request)
        given = await read_input(request, self._house)
        name = parse_thread("threadId", given.thread_id)
        thread = await self._house.access.thread(user.id, name, Role.READ)
        async with RunStream(self._house, request, user, speak=as_finished) as stream:
            run = await self._house.store.last_run(thread)
            return stream.empty() if run is None else await stream.joined(run)

    async def stop_copilot(self, request: Request, user: User) -> Response:
        self._check_agent(request)
        body = decode_body(await read_body(request, self._house.settings) or b"{}", Stop)
        name = parse_thread("thread", request.path_params["thread"])
        thread = await self._house.access.thread(user.id, name, Role.WRITE)
        if body.run_id is None:
            run = await self._house.store.last_run(thread)
        else:
            run = await self._house.store.run_in(thread, RunId(parse_id("runId", body.run_id)))
        if run is None or run.status in ENDED:
            return answer(Stopped(False))
        await self._house.runner.cancel(run.key)
        return answer(Stopped(True))

    def _check_agent(self, request: Request) -> None:
        if request.path_params["agent"] not in self._house.runner.agents:
            raise Refused(ErrorCode.UNKNOWN_AGENT)
