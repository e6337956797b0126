"""``/ai-sdk/{agent}``: the wire of `WebSocketChatTransport` of Vercel's AI SDK 7.

In come ``send`` (starts a run in the thread that is the chat), ``resume`` and ``abort``; out go
``start``, ``chunk``, ``end``, ``error`` and ``no-active``. The run's id is the ``requestId`` of its
``send``. A resume is answered by the whole of the newest turn, whether it runs or has ended, and
then by what is live: so a client that was cut off while the turn ended loses nothing of it.
Source: ``websocket-chat-transport.ts`` of the package ``ai`` 7.0.
"""

import asyncio
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct
from starlette.requests import HTTPConnection

from netra_backend.core.codec import decode_as
from netra_backend.core.events import body_of
from netra_backend.core.ids import RunId, parse_id, parse_thread
from netra_backend.core.positions import Position
from netra_backend.core.roles import Role
from netra_backend.core.run import Run
from netra_backend.errors import ErrorCode, FrameError, Refused
from netra_backend.server.batch import Batch
from netra_backend.server.dialects import Dialect, known_agent, plain_subprotocol
from netra_backend.server.edges.ai_sdk_input import UiMessage, run_input
from netra_backend.server.edges.ai_sdk_turn import Turn
from netra_backend.server.edges.edge_dialogue import EdgeDialogue, told
from netra_backend.server.edges.edge_lane import EdgeLane
from netra_backend.server.follower import ThreadFollower
from netra_backend.server.house import House
from netra_backend.server.lane_port import Lane
from netra_backend.server.run_history import before
from netra_backend.server.user import User

_encode = msgspec.json.Encoder().encode


class Send(Struct, frozen=True, tag="send", rename="camel"):
    """Start a run in the chat."""

    request_id: str
    id: str
    messages: list[UiMessage]
    body: dict[str, Any] = {}


class Resume(Struct, frozen=True, tag="resume", rename="camel"):
    """Send the newest turn of the chat, after the chunk `last_sequence` if that is given."""

    request_id: str
    id: str
    last_sequence: int | None = None


class Abort(Struct, frozen=True, tag="abort", rename="camel"):
    """End what the request asked for."""

    request_id: str


class _Request(Struct, rename="camel"):
    request_id: str = ""


class _Answering(Struct):
    """A request that is being answered."""

    run: Run
    follower: ThreadFollower


class ChatDialogue(EdgeDialogue):
    """One client that speaks the AI SDK's UI message stream."""

    def __init__(self, id: str, user: User, lane: Lane, house: House, *, agent: str | None) -> None:
        super().__init__(id, user, lane, house)
        self._agent = agent
        self._requests: dict[str, _Answering] = {}

    async def lost(self) -> None:
        """Release everything: the socket is gone. Runs go on."""
        await super().lost()
        self._requests.clear()  # what is followed knows this: nothing is left to the collector

    async def _carry_out(self, data: bytes) -> None:
        frame = decode_as(data, Send | Resume | Abort)  # type: ignore[arg-type]
        match frame:
            case Send():
                await self._send_messages(frame)
            case Resume():
                await self._resume(frame)
            case Abort():
                answering = self._requests.get(frame.request_id)
                if answering is None:
                    raise Refused(ErrorCode.NOT_FOUND, "there is no such request")
                run = answering.run
                await self._house.access.check(self.user, run.thread, Role.WRITE)
                await self._house.runner.cancel(run.key)

    async def _send_messages(self, frame: Send) -> None:
        self._check_request(frame.request_id)
        given = run_input(frame.id, frame.request_id, frame.messages, frame.body)
        name = parse_thread("id", frame.id)
        run = await self._start(given, name, agent=self._agent)
        first = given.parent_run_id or run.key.id
        self._answer(frame.request_id, run, Turn(first, run.key.id), before(run))

    async def _resume(self, frame: Resume) -> None:
        self._check_request(frame.request_id)
        name = parse_thread("id", frame.id)
        thread = await self._house.access.thread(self.user, name, Role.READ)
        run = await self._house.store.last_run(thread)
        first = None if run is None else await self._first_of_turn(run)
        if run is None or first is None:
            self._tell_request("no-active", frame.request_id)
            return
        self._tell_request("start", frame.request_id)
        turn = Turn(first.key.id, run.key.id)
        self._answer(frame.request_id, run, turn, before(first), seen=frame.last_sequence)

    async def _first_of_turn(self, run: Run) -> Run | None:
        """Return the run whose turn this one goes on with: its parent in the thread, or itself.

        None if the thread was deleted meanwhile.
        """
        store = self._house.store
        entries = await store.read(run.thread, run.started.offset - 1, 1)
        if not entries:
            return None
        parent = body_of(entries[0].event).parent_run_id
        if parent is None:
            return run
        return await store.run_in(run.thread, RunId(parent)) or run

    def _check_request(self, request: str) -> None:
        """Raise unless the id can name a request that is not being answered, and there is room."""
        parse_id("requestId", request)
        if request in self._requests:
            raise FrameError("requestId is in use", code=ErrorCode.BAD_INPUT, where="$.requestId")
        limit = self._house.settings.followed_threads
        if len(self._requests) >= limit:
            raise Refused(ErrorCode.TOO_MANY, f"{limit} requests are being answered already")

    def _answer(
        self, request: str, run: Run, turn: Turn, after: Position, *, seen: int | None = None
    ) -> None:
        """Send the chunks of the turn, numbered from 0, and in the end that it has ended."""
        loop = asyncio.get_running_loop()
        skip = 0 if seen is None else seen + 1
        ended = partial(loop.call_soon, self._done, request)
        lane = ChatLane(self._lane, ended, turn, request, skip=skip)
        gone = partial(self._thread_gone, request)
        follower = self._answer_from(lane, run, after, gone)
        self._requests[request] = _Answering(run, follower)

    def _done(self, request: str) -> None:
        answering = self._requests.pop(request, None)
        if answering is not None:
            self._leave(answering.follower)

    def _thread_gone(self, request: str, refusal: Refused) -> None:
        self._refuse_request(request, refusal)
        self._done(request)

    def _tell(self, data: bytes, refusal: Refused | FrameError) -> None:
        try:
            request = msgspec.json.decode(data, type=_Request).request_id
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            request = ""
        self._refuse_request(request, refusal)

    def _refuse_request(self, request: str, refusal: Refused | FrameError) -> None:
        error = told(refusal)
        self._tell_request("error", request, errorText=error.pop("message"), **error)

    def _tell_request(self, type: str, request: str, **fields: object) -> None:
        self._lane.send(_encode({"type": type, "requestId": request, **fields}))


class ChatLane(EdgeLane):
    """Sends what one request is told of a thread's events, as numbered chunks."""

    def __init__(
        self, lane: Lane, ended: partial[Any], turn: Turn, request: str, *, skip: int
    ) -> None:
        super().__init__(lane, ended)
        self._turn = turn
        self._request = request
        self._skip = skip
        self._sequence = 0

    def _pass_on(self, batch: Batch) -> bool:
        for piece in batch.pieces:
            for chunk in self._turn.take(piece.event):
                self._send_chunk(chunk)
            if self._turn.complete:
                self.send(_encode({"type": "end", "requestId": self._request}))
                return True
        return False

    def _send_chunk(self, chunk: dict[str, Any]) -> None:
        number, self._sequence = self._sequence, self._sequence + 1
        if number >= self._skip:
            frame = {"type": "chunk", "requestId": self._request, "sequence": number}
            self.send(_encode({**frame, "chunk": chunk}))


def spoken_on_ai_sdk(websocket: HTTPConnection, house: House) -> Dialect:
    """Return the dialect of ``/ai-sdk/{agent}``. Raises Refused for an agent that there is not."""
    agent = known_agent(house, websocket.path_params["agent"])
    return Dialect(partial(ChatDialogue, agent=agent), plain_subprotocol(websocket))
