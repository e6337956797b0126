"""``/agui/{agent}``: AG-UI over server-sent events, what its HttpAgent and TanStack AI speak.

POST starts a run, or attaches to the one with this id; GET joins a run that there is. Leaving
cancels neither. Source: AG-UI 1.0 transports; ``fetchServerSentEvents`` of @tanstack/ai-client
0.33 for GET, which asks for ``?runId=&offset=-1``.
"""

from ag_ui.core import RunAgentInput
from starlette.requests import Request
from starlette.responses import Response

from netra_backend.agents.run_request import run_request
from netra_backend.core.codec import decode_input
from netra_backend.core.ids import RunId, parse_id, parse_thread
from netra_backend.core.positions import parse_position
from netra_backend.core.roles import Role
from netra_backend.core.run import Run
from netra_backend.errors import ErrorCode, FrameError, Refused
from netra_backend.server.agui_versions import Speak, spoken
from netra_backend.server.endpoints import Endpoint, read_body
from netra_backend.server.house import House
from netra_backend.server.sse import RunStream
from netra_backend.server.user import User

FROM_START = "-1"
"""The ``offset`` that stands for a run's first event."""

STREAM = {"type": "string", "description": "`id:` and `data:` lines"}
RUN_ERRORS = (
    ErrorCode.BAD_INPUT,
    ErrorCode.UNKNOWN_AGENT,
    ErrorCode.NOT_FOUND,
    ErrorCode.THREAD_BUSY,
    ErrorCode.RUN_CONFLICT,
    ErrorCode.ALREADY_DECIDED,
    ErrorCode.BAD_ANSWER,
    ErrorCode.EXPIRED,
    ErrorCode.CHANGED,
    ErrorCode.TOO_BIG,
    ErrorCode.TOO_MANY,
    ErrorCode.OVERLOADED,
    ErrorCode.DRAINING,
)
"""What a run can be refused with, over HTTP."""

LAST_EVENT_ID = {"Last-Event-ID": "a position; the events after it are sent"}
NOTHING = {204: "The run has ended, and there is nothing after the position."}


class AguiEdge:
    """Runs over HTTP."""

    def __init__(self, house: House) -> None:
        self._house = house

    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return the operations for the table of endpoints."""
        return (
            Endpoint(
                "POST",
                "/agui/{agent}",
                self.run_agent,
                "Start a run, or attach to it, and stream its events (AG-UI over SSE).",
                body={"type": "object", "description": "AG-UI RunAgentInput"},
                result=STREAM,
                media_type="text/event-stream",
                header=LAST_EVENT_ID,
                empty=NOTHING,
                errors=RUN_ERRORS,
            ),
            Endpoint(
                "GET",
                "/agui/{agent}",
                self.join_run,
                "Join a run, and stream its events (AG-UI over SSE).",
                result=STREAM,
                media_type="text/event-stream",
                query={
                    "runId": "the run",
                    "threadId": "the thread it is in, if somebody else started it",
                    "protocolVersion": "the client's version of AG-UI; without it, 0.x",
                    "offset": "-1: from its first event; a position: what comes after it; without "
                    "it, the prelude of the run as it stands, and what comes after that",
                },
                header=LAST_EVENT_ID,
                empty=NOTHING,
                errors=(
                    ErrorCode.BAD_INPUT,
                    ErrorCode.NOT_FOUND,
                    ErrorCode.TOO_MANY,
                    ErrorCode.OVERLOADED,
                ),
            ),
        )

    async def run_agent(self, request: Request, user: User) -> Response:
        given = await read_input(request, self._house)
        speak = spoken(given.protocol_version)
        agent = request.path_params["agent"]
        return await stream_run(self._house, request, user, given, agent=agent, speak=speak)

    async def join_run(self, request: Request, user: User) -> Response:
        speak = spoken(request.query_params.get("protocolVersion"))
        async with RunStream(self._house, request, user, speak=speak) as stream:
            run = await self._run(request, user)
            text = request.headers.get("last-event-id")
            if text is not None:  # a stream that broke off goes on, wherever it had begun
                return await stream.after(run, text, where="Last-Event-ID")
            offset = request.query_params.get("offset")
            if offset is None:
                return await stream.joined(run)
            if offset == FROM_START:
                return stream.whole(run)
            return await stream.after(run, offset, where="offset")

    async def _run(self, request: Request, user: User) -> Run:
        """Return the run that the query names, of the agent that the path names."""
        text = request.query_params.get("runId")
        if text is None:
            raise FrameError("name the run to join", code=ErrorCode.BAD_INPUT, where="$.runId")
        id = RunId(parse_id("runId", text))
        thread = request.query_params.get("threadId")
        name = parse_thread("threadId", thread) if thread is not None else None
        run = await self._house.access.run(user.id, id, Role.READ, name)
        if not isinstance(run, Run) or run.agent != request.path_params["agent"]:
            raise Refused(ErrorCode.NOT_FOUND)
        return run


async def read_input(request: Request, house: House) -> RunAgentInput:
    """Return the RunAgentInput that is the request's body. Raises FrameError, Refused."""
    given = decode_input(await read_body(request, house.settings), where="$")
    parse_thread("threadId", given.thread_id)
    parse_id("runId", given.run_id)
    return given


async def stream_run(
    house: House,
    request: Request,
    user: User,
    given: RunAgentInput,
    *,
    agent: str | None,
    speak: Speak,
) -> Response:
    """Return the run's events, after ``Last-Event-ID`` if there is one.

    Whoever has seen a run does not start it. Raises Refused, FrameError.
    """
    text = request.headers.get("last-event-id")
    name = parse_thread("threadId", given.thread_id)
    if text is not None:
        parse_position(text, where="Last-Event-ID")
        if await house.access.run(user.id, RunId(given.run_id), Role.READ, name) is None:
            raise Refused(ErrorCode.NOT_FOUND, "there is no such run to continue")
    thread = await house.access.thread(user.id, name, Role.WRITE)
    async with RunStream(house, request, user, speak=speak) as stream:
        asked = run_request(user.id, given, agent=agent, thread=thread)
        run = (await house.runner.start(asked)).run
        if text is None:
            return stream.whole(run)
        return await stream.after(run, text, where="Last-Event-ID")
