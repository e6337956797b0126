"""The connection: carries out, on one socket of the dialect ``netra.v1``, what its session decides.

Commands of one connection are carried out one after the other, so each gets its one answer.
"""

from functools import partial
from typing import NamedTuple

import msgspec
from msgspec import Raw
from msgspec.structs import replace

from netra_backend import jsonlog
from netra_backend.agents.run_request import run_request
from netra_backend.core import resume
from netra_backend.core.codec import decode_command, decode_input, encode_frame
from netra_backend.core.frames import (
    SUBPROTOCOL,
    Accepted,
    Cancelled,
    Decided,
    ErrorFrame,
    Followed,
    Ready,
    Resume,
    ServerFrame,
    Unfollowed,
)
from netra_backend.core.ids import (
    ThreadKey,
    ThreadName,
    parse_id,
    parse_thread,
    thread_key,
)
from netra_backend.core.ports import Answer
from netra_backend.core.positions import Position
from netra_backend.core.resume import Backlog
from netra_backend.core.roles import Role
from netra_backend.core.session import (
    CancelRun,
    Close,
    Decide,
    Effect,
    Follow,
    Refresh,
    Send,
    Session,
    StartRun,
    Unfollow,
    error_frame,
)
from netra_backend.errors import CloseCode, ErrorCode, FrameError, NetraError, Refused
from netra_backend.server import metrics, refusals
from netra_backend.server.dialogue import Dialogue
from netra_backend.server.follower import Gone, ThreadFollower
from netra_backend.server.house import House
from netra_backend.server.lane_port import Lane
from netra_backend.server.user import User

log = jsonlog.get_logger(__name__)


class _Resumed(NamedTuple):
    """How a follower goes on: the answer, after which position, with what, and its prelude."""

    answer: Resume
    after: Position
    backlog: Backlog
    prelude: list[Raw] | msgspec.UnsetType = msgspec.UNSET


class Connection(Dialogue):
    """One socket, from its ``ready`` frame until it is gone."""

    def __init__(self, id: str, user: User, lane: Lane, house: House) -> None:
        super().__init__(id, user, lane, house)
        self._session = Session(house.terms.session)
        self._followers: dict[ThreadName, ThreadFollower] = {}

    def __repr__(self) -> str:
        return f"<Connection {self.id} of {self.user}, {self._session.state.name}>"

    def greet(self) -> None:
        """Send ``ready``, the first frame: that is all there is to begin."""
        super().greet()
        for effect in self._session.open(self._ready(None)):
            self._send(effect.frame)

    async def _receive(self, data: bytes) -> None:
        try:
            command = decode_command(data, frame_bytes=self._house.settings.frame_bytes)
        except FrameError as error:
            await self._perform(self._session.unreadable(error))
        else:
            tag = str(command.__struct_config__.tag)
            with metrics.COMMAND_SECONDS.labels(tag).time():
                await self._perform(self._session.receive(command))

    def _refuse(self, data: bytes, refusal: Refused | FrameError) -> None:
        request: str | None
        try:
            request = decode_command(data, frame_bytes=self._house.settings.frame_bytes).request
        except FrameError as error:
            request = error.request
        self._send_error(refusal, request)

    async def drain(self, retry_after_ms: int) -> None:
        """Tell the client that the server restarts, and close."""
        await self._perform(self._session.drain(retry_after_ms))
        await self.close(CloseCode.RESTARTING)

    async def close(self, code: CloseCode) -> None:
        """Close the socket from our side. Idempotent."""
        await self._perform(self._session.close(code))

    @property
    def state(self) -> str:
        """The name of the state that its session is in."""
        return self._session.state.name

    def _about(self) -> dict[str, object]:
        return {"session": self._session.state}

    async def lost(self) -> None:
        """Release everything: the socket is gone. Runs go on."""
        self._session.lost()
        await super().lost()
        self._followers.clear()  # they know this: nothing is left to the collector

    # --- carrying out effects ---

    async def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self._send(effect.frame)
            elif isinstance(effect, Close):
                await super().close(effect.code)
            else:
                await self._answer(effect)

    async def _answer(
        self, effect: StartRun | Follow | Unfollow | CancelRun | Decide | Refresh
    ) -> None:
        """Carry out a command; whatever happens, exactly one answer is sent."""
        refusal = await self._attempt(self._carry_out(effect))
        if refusal is not None:
            self._forget(effect)
            self._send_error(refusal, effect.request)

    async def _carry_out(
        self, effect: StartRun | Follow | Unfollow | CancelRun | Decide | Refresh
    ) -> None:
        match effect:
            case StartRun():
                await self._start_run(effect)
            case Follow():
                await self._follow_thread(effect)
            case Unfollow():
                self._end_follower(effect.thread)
                self._send(Unfollowed(request=effect.request, thread=effect.thread))
            case CancelRun():
                await self._cancel(effect)
            case Decide():
                await self._decide(effect)
            case Refresh():
                await self._refresh(effect)

    async def _start_run(self, effect: StartRun) -> None:
        given = decode_input(bytes(effect.input))
        thread = effect.thread if effect.thread is not None else given.thread_id
        if given.thread_id != thread:
            raise FrameError(
                "thread and input.threadId differ",
                code=ErrorCode.BAD_INPUT,
                where="$.input.threadId",
            )
        name = parse_thread("input.threadId", given.thread_id)
        parse_id("input.runId", given.run_id)
        key = await self._house.access.thread(self.user, name, Role.WRITE)
        asked = run_request(self.user, given, agent=effect.agent, thread=key)
        accepted = await self._house.runner.submit(asked)
        run = accepted.run
        self._send(
            Accepted(
                request=effect.request,
                thread=given.thread_id,
                run=given.run_id,
                id=None if run is None else str(run.started),
                queued=run is None,
            )
        )

    async def _follow_thread(self, effect: Follow) -> None:
        self._end_follower(effect.thread)
        key, gone = thread_key(self.user, effect.thread), partial(self._thread_gone, effect.thread)
        follower = self._join(self._lane, key, gone, effect.thread)
        try:
            resumed = await self._resume(follower, effect.after)
        except NetraError:
            self._leave(follower)
            raise
        frame = Followed(request=effect.request, thread=effect.thread, resume=Resume.UNKNOWN)
        if resumed is None:
            self._leave(follower)
            self._session.unfollowed(effect.thread)
            self._send(frame)
            return
        answer, after, backlog, events = resumed
        self._send(
            replace(frame, resume=answer, id=str(after), run=backlog.run, prelude=events),
        )
        self._followers[effect.thread] = follower
        follower.begin(after, backlog.entries)

    async def _resume(self, follower: ThreadFollower, after: Position | None) -> _Resumed | None:
        """Return how the follower goes on; None where its user has nothing to follow.

        All that is sent was read together with the user's role, and nothing is awaited since. A
        prelude takes time: so the store is asked again when it is made.
        """
        backlog = await follower.ask(after)
        if backlog is None:
            return None
        limit = self._house.settings.replay_entries
        answer = resume.answer(after, backlog.head, replay_entries=limit)
        if answer not in (Resume.SNAPSHOT, Resume.GAP):
            return _Resumed(answer, after or Position(backlog.head.epoch, 0), backlog)
        events, offset = await self._prelude(follower.thread)
        position = Position(backlog.head.epoch, offset)
        backlog = await follower.ask(position)
        if backlog is None or backlog.head.epoch != position.epoch:
            return None  # taken away, or deleted, meanwhile
        return _Resumed(answer, position, backlog, events)

    async def _cancel(self, effect: CancelRun) -> None:
        key = await self._house.access.cancels(self.user, effect.run, effect.thread)
        position = await self._house.runner.cancel(key)
        log.info("cancelled", extra={"run": effect.run})
        self._send(Cancelled(request=effect.request, run=effect.run, id=str(position)))

    async def _prelude(self, thread: ThreadKey) -> tuple[list[Raw], int]:
        prelude = await self._house.runner.conversations.begin(thread)
        return [Raw(event.data) for event in prelude.events], prelude.offset

    async def _decide(self, effect: Decide) -> None:
        answer = Answer(effect.interrupt, effect.status, bytes(effect.payload))
        key = await self._house.access.thread(self.user, effect.thread, Role.DECIDE)
        interrupts = self._house.runner.interrupts
        decided = await interrupts.decide(key, answer, self.user, effect.digest)
        interrupt = decided.decision.interrupt
        self._send(
            Decided(
                request=effect.request,
                interrupt=interrupt.id,
                by=interrupt.decided_by or "",
                won=decided.decision.won,
                status=interrupt.status or "",
                payload=Raw(interrupt.answer or b"null"),
                run=decided.run,
            )
        )

    async def _refresh(self, effect: Refresh) -> None:
        user = await self._house.authenticator.verify(effect.token)
        if user.id != self.user:
            self._send_error(Refused(ErrorCode.FORBIDDEN), effect.request)
            await self.close(CloseCode.WRONG_USER)
            return
        self._watch_expiry(user)
        self._send(self._ready(effect.request))

    # --- followers ---

    def _end_follower(self, thread: ThreadName) -> None:
        follower = self._followers.pop(thread, None)
        if follower is not None:
            self._leave(follower)

    def _thread_gone(self, thread: ThreadName, why: Gone) -> None:
        if thread in self._followers:
            self._end_follower(thread)
            self._session.unfollowed(thread)
            self._send(Unfollowed(thread=thread, why=why.value))

    # --- the socket ---

    def _send(self, frame: ServerFrame, **for_the_log: str) -> None:
        if isinstance(frame, ErrorFrame):
            what = "frame" if frame.code is ErrorCode.BAD_FRAME else "command"
            about = {"request": frame.request, "where": frame.where, **for_the_log}
            refusals.tell(what, frame.code, frame.message, **about)
            frame = replace(frame, correlation=str(jsonlog.correlation()))
        self._lane.send(encode_frame(frame))

    def _send_error(self, refusal: Refused | FrameError, request: str | None) -> None:
        self._send(error_frame(refusal, request), **refusal.about)

    def _forget(self, effect: Effect) -> None:
        """A follow that failed follows nothing."""
        if isinstance(effect, Follow):
            self._session.unfollowed(effect.thread)

    def _ready(self, request: str | None) -> Ready:
        terms, user = self._house.terms, self._user
        return Ready(
            connection=self.id,
            user=user.id,
            protocol=SUBPROTOCOL,
            heartbeat=terms.heartbeat,
            limits=terms.limits,
            agents=terms.agents,
            when_busy=terms.when_busy,
            data_dir=self._house.key_dir,
            expires=None if user.expires is None else user.expires * 1000,
            request=request,
        )
