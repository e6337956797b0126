"""``/ws`` without ``netra.v1``: the wire of TanStack AI's ``webSocket()``.

In come a RunAgentInput, which starts a run or attaches to it, and ``{"type":"abort","runId"}``;
out go the event frames of these runs and ``{"type":"ping"}``. What is refused is told as a
RUN_ERROR that is in no log, and so has no envelope and no id. With ``?runId=&offset=`` the socket
only replays a run from a position (-1: from its start), and closes with 1000 when it is complete,
or with 1008 where there is nothing to resume. TanStack's client says no version of AG-UI, so it is
told of a cancelled run as one of 0.x. Source: @tanstack/ai-client 0.33.
"""

import asyncio
from functools import partial
from typing import Literal

import msgspec
from msgspec import Struct

from netra_backend.core.codec import decode_as, decode_input
from netra_backend.core.events import TERMINAL
from netra_backend.core.ids import RunId, name_for, parse_id, parse_thread
from netra_backend.core.positions import Position
from netra_backend.core.roles import Role
from netra_backend.core.run import Run
from netra_backend.errors import CloseCode, ErrorCode, FrameError, Refused
from netra_backend.server.agui_versions import Speak, spoken
from netra_backend.server.batch import Batch
from netra_backend.server.edges.agui import FROM_START
from netra_backend.server.edges.edge_dialogue import EdgeDialogue, run_error, tell_refusal
from netra_backend.server.edges.edge_lane import EdgeLane
from netra_backend.server.follower import ThreadFollower
from netra_backend.server.house import House
from netra_backend.server.lane_port import Lane
from netra_backend.server.run_history import before, position_in
from netra_backend.server.user import User

PING = b'{"type":"ping"}'

_encode = msgspec.json.Encoder().encode


class Replay(Struct, frozen=True):
    """What the query of a socket asks for: a run, after an offset, in a version of AG-UI."""

    run: str
    offset: str
    thread: str | None = None
    version: str | None = None


class _Kind(Struct):
    type: str | None = None


class _Abort(Struct, rename="camel"):
    type: Literal["abort"]
    run_id: str


class _Named(Struct, rename="camel", omit_defaults=True):
    """The ids of a run that could be read in a frame."""

    thread_id: str | None = None
    run_id: str | None = None


class TanstackDialogue(EdgeDialogue):
    """One client that speaks AG-UI in TanStack's envelope."""

    def __init__(
        self,
        id: str,
        user: User,
        lane: Lane,
        house: House,
        *,
        agent: str | None = None,
        replay: Replay | None = None,
    ) -> None:
        super().__init__(id, user, lane, house)
        self._agent = agent
        self._replay = replay
        self._runs: dict[RunId, ThreadFollower] = {}
        self._heartbeat: asyncio.TimerHandle | None = None

    async def open(self) -> None:
        """Begin; a socket that replays begins with that."""
        await super().open()
        self._beat_later()
        if self._replay is not None:
            await self._begin_replay(self._replay)

    async def lost(self) -> None:
        """Release everything: the socket is gone. Runs go on."""
        if self._heartbeat is not None:
            self._heartbeat.cancel()
        await super().lost()
        self._runs.clear()  # what is followed knows this: nothing is left to the collector

    async def _carry_out(self, data: bytes) -> None:
        if self._replay is not None:
            raise Refused(ErrorCode.FORBIDDEN, "this socket replays a run; open another for others")
        kind = decode_as(data, _Kind).type
        if kind == "abort":
            await self._abort(RunId(parse_id("runId", decode_as(data, _Abort).run_id)))
        elif kind is None:
            await self._run(data)
        else:
            raise FrameError(f"there is no frame of type {kind[:40]!r}", where="$.type")

    async def _abort(self, id: RunId) -> None:
        """End a run that is delivered here, or the user's own of this name."""
        delivered = self._runs.get(id)
        name = name_for(self.user, delivered.thread) if delivered is not None else None
        await self._house.runner.cancel(await self._house.access.cancels(self.user, id, name))

    async def _run(self, data: bytes) -> None:
        given = decode_input(data, where="$")
        name = parse_thread("threadId", given.thread_id)
        run_id = RunId(parse_id("runId", given.run_id))
        limit = self._house.settings.followed_threads
        if run_id not in self._runs and len(self._runs) >= limit:
            raise Refused(ErrorCode.TOO_MANY, f"{limit} runs are followed already")
        run = await self._start(given, name, agent=self._agent)
        if run_id not in self._runs:
            self._deliver(run, before(run), spoken(given.protocol_version))

    async def _begin_replay(self, asked: Replay) -> None:
        """Send what the query asks for, or close."""
        try:
            run, after = await self._found(asked)
        except (Refused, FrameError) as refusal:
            tell_refusal("replay", refusal)
            await self.close(CloseCode.FORBIDDEN)
            return
        if run.ended is not None and after >= run.ended:
            await self.close(CloseCode.DONE)
        else:
            self._deliver(run, after, spoken(asked.version))

    async def _found(self, asked: Replay) -> tuple[Run, Position]:
        """Return the run that is asked for, and the position to begin after."""
        id = RunId(parse_id("runId", asked.run))
        name = parse_thread("threadId", asked.thread) if asked.thread is not None else None
        run = await self._house.access.run(self.user, id, Role.READ, name)
        if not isinstance(run, Run):
            raise Refused(ErrorCode.NOT_FOUND)
        if asked.offset == FROM_START:
            return run, before(run)
        return run, await position_in(self._house.store, run, asked.offset, where="offset")

    def _deliver(self, run: Run, after: Position, speak: Speak) -> None:
        """Send the run's events after the position, up to its terminal event."""
        loop = asyncio.get_running_loop()
        done = partial(loop.call_soon, self._done, run, CloseCode.DONE)
        lane = RunLane(self._lane, done, speak=speak)
        gone = partial(self._thread_gone, run)
        self._runs[run.key.id] = self._answer_from(lane, run, after, gone)

    def _done(self, run: Run, code: CloseCode) -> None:
        """Follow the run no more; a socket that only replays it is done too."""
        follower = self._runs.pop(run.key.id, None)
        if follower is not None:
            self._leave(follower)
        if self._replay is not None:
            self.dismiss(code)

    def _thread_gone(self, run: Run, refusal: Refused) -> None:
        self._say(refusal, _Named(name_for(self.user, run.thread), run.key.id))
        self._done(run, CloseCode.FORBIDDEN)

    def _tell(self, data: bytes, refusal: Refused | FrameError) -> None:
        try:
            named = msgspec.json.decode(data, type=_Named)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            named = _Named()
        self._say(refusal, named)

    def _say(self, refusal: Refused | FrameError, named: _Named) -> None:
        self._lane.send(_encode({**run_error(refusal), **msgspec.to_builtins(named)}))

    def _beat(self) -> None:
        """Send a ping: a client behind a proxy sees that the socket lives."""
        if not self._lane.full:
            self._lane.send(PING)
        self._beat_later()

    def _beat_later(self) -> None:
        seconds = self._house.settings.ping_seconds
        self._heartbeat = asyncio.get_running_loop().call_later(seconds, self._beat)


class RunLane(EdgeLane):
    """Passes event frames on, up to a run's terminal event. It is fed from within the run on.

    Only the terminal event differs between the versions of AG-UI that are spoken here.
    """

    def _pass_on(self, batch: Batch) -> bool:
        for count, piece in enumerate(batch.pieces, start=1):
            if piece.event.type in TERMINAL:
                said = self._speak(piece.event)
                whole = count == len(batch.pieces) and said is piece.event
                some = [*batch.pieces[: count - 1], msgspec.structs.replace(piece, event=said)]
                self._lane.write(batch if whole else Batch(batch.thread, some, batch.name))
                return True
        self._lane.write(batch)
        return False
