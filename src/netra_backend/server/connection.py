"""The connection: carries out, on one socket, what its session decides.

Commands of one connection are carried out one after the other, so each gets its one answer and
a client that sends faster than we work, or does not read, is simply read more slowly.
"""

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

import msgspec
from msgspec import Raw, Struct

from netra_backend import jsonlog
from netra_backend.agents.runner import Runner
from netra_backend.config import Settings
from netra_backend.core import resume
from netra_backend.core.codec import decode_command, decode_input, encode_frame
from netra_backend.core.frames import (
    SUBPROTOCOL,
    Accepted,
    Cancelled,
    Decided,
    Followed,
    Limits,
    Ready,
    Resume,
    RunState,
    ServerFrame,
    Unfollowed,
)
from netra_backend.core.ids import MAX_ID_LENGTH, RunKey, ThreadId, ThreadKey, UserId, parse_id
from netra_backend.core.ports import Answer, Store, Thread
from netra_backend.core.positions import Position
from netra_backend.core.prelude import prelude
from netra_backend.core.session import (
    CancelRun,
    Close,
    Decide,
    Effect,
    Follow,
    Refresh,
    Send,
    Session,
    SessionLimits,
    StartRun,
    Unfollow,
    refused,
    unreadable,
)
from netra_backend.errors import CloseCode, ErrorCode, FrameError, NetraError, Refused, StoreError
from netra_backend.server import metrics
from netra_backend.server.auth import Authenticator
from netra_backend.server.follower import ThreadFollower
from netra_backend.server.hub import Hub
from netra_backend.server.lane import Lane, LaneClosed, turn
from netra_backend.server.pool import Pool
from netra_backend.server.user import User, at_expiry

log = logging.getLogger(__name__)

T = TypeVar("T")


class House(Struct, frozen=True):
    """What all connections of a server share."""

    settings: Settings
    authenticator: Authenticator
    store: Store
    runner: Runner
    hub: Hub
    pool: Pool


class Connection:
    """One socket, from its ``ready`` frame until it is gone."""

    def __init__(self, id: str, user: User, lane: Lane, house: House) -> None:
        self.id = id
        self._user = user
        self._lane = lane
        self._house = house
        self._session = Session(
            SessionLimits(
                followed_threads=house.settings.followed_threads,
                bad_frames=house.settings.bad_frames,
            )
        )
        self._followers: dict[ThreadId, ThreadFollower] = {}
        self._expiry: asyncio.TimerHandle | None = None
        self._receiving: asyncio.Future[Any] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._closed: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<Connection {self.id} of {self.user}, {self._session.state.name}>"

    @property
    def user(self) -> UserId:
        """Whose it is."""
        return self._user.id

    async def open(self) -> None:
        """Send ``ready``, the first frame."""
        self._watch_expiry()
        await self._perform(self._session.open(self._ready(None)))

    async def next(self, received: Coroutine[Any, Any, T]) -> T:
        """Return what the server hands over next. Raises LaneClosed once we have closed.

        While we close nothing is being received: granian would keep the close frame back, and a
        peer that does not read would keep us waiting for its farewell.
        """
        self._receiving = receiving = asyncio.ensure_future(received)
        try:
            await asyncio.wait({receiving})
        finally:
            receiving.cancel()
        if receiving.cancelled():
            await self._wait_closed()
            raise LaneClosed
        return receiving.result()

    async def receive(self, data: bytes) -> None:
        """Carry out one frame of the client, then wait until there is room for more answers.

        Raises LaneClosed when the socket is gone.
        """
        metrics.FRAMES_IN.inc()
        try:
            command = decode_command(data, frame_bytes=self._house.settings.frame_bytes)
        except FrameError as error:
            log.info("frame refused", extra={"where": error.where, "code": error.code})
            if error.code is ErrorCode.TOO_BIG:
                await self._perform(self._session.close(CloseCode.TOO_BIG))
            else:
                await self._perform(self._session.unreadable(error))
        else:
            await self._perform(self._session.receive(command))
        await self._room()

    async def drain(self, retry_after_ms: int) -> None:
        """Tell the client that the server restarts, and close."""
        await self._perform(self._session.drain(retry_after_ms))
        await self._perform(self._session.close(CloseCode.RESTARTING))

    async def fail(self) -> None:
        """Close because of a fault of ours."""
        await self._perform(self._session.close(CloseCode.INTERNAL))

    async def lost(self) -> None:
        """Release everything: the socket is gone. Runs go on."""
        self._session.lost()
        if self._expiry is not None:
            self._expiry.cancel()
        for thread in list(self._followers):
            self._end_follower(thread)
        await self._wait_closed()
        self._lane.abandon()
        if self._closing is not None:
            await self._closing

    # --- carrying out effects ---

    async def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Send):
                self._send(effect.frame)
            elif isinstance(effect, Close):
                await self._close(effect.code)
            else:
                await self._answer(effect)

    async def _answer(
        self, effect: StartRun | Follow | Unfollow | CancelRun | Decide | Refresh
    ) -> None:
        """Carry out a command; whatever happens, exactly one answer is sent."""
        try:
            await self._carry_out(effect)
        except Refused as refusal:
            self._refuse(effect, refusal)
        except FrameError as error:
            self._forget(effect)
            self._send(unreadable(error, effect.request))
        except StoreError:
            log.exception("a command failed in the store")
            self._refuse(effect, Refused(ErrorCode.STORE_FAILED))
        except NetraError:
            log.exception("a command failed")
            self._refuse(effect, Refused(ErrorCode.INTERNAL))

    async def _carry_out(
        self, effect: StartRun | Follow | Unfollow | CancelRun | Decide | Refresh
    ) -> None:
        match effect:
            case StartRun():
                await self._start_run(effect)
            case Follow():
                await self._follow(effect)
            case Unfollow():
                self._end_follower(effect.thread)
                self._send(Unfollowed(request=effect.request, thread=effect.thread))
            case CancelRun():
                log.info("cancel", extra={"run": effect.run})
                position = await self._house.runner.cancel(RunKey(self.user, effect.run))
                frame = Cancelled(request=effect.request, run=effect.run, id=str(position))
                self._send(frame)
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
        parse_id("input.threadId", given.thread_id)
        parse_id("input.runId", given.run_id)
        accepted = await self._house.runner.submit(self.user, given, agent=effect.agent)
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

    async def _follow(self, effect: Follow) -> None:
        key = ThreadKey(self.user, effect.thread)
        self._end_follower(effect.thread)
        thread = await self._house.store.thread(key)
        if thread is None:
            self._session.unfollowed(effect.thread)
            frame = Followed(request=effect.request, thread=effect.thread, resume=Resume.UNKNOWN)
            self._send(frame)
            return
        limit = self._house.settings.replay_entries
        answer = resume.answer(effect.after, thread.head, replay_entries=limit)
        events: list[Raw] | msgspec.UnsetType = msgspec.UNSET
        if answer in (Resume.SNAPSHOT, Resume.GAP):
            events, offset = await self._prelude(thread)
        else:
            offset = effect.after.offset if effect.after is not None else 0
        position = Position(thread.head.epoch, offset)
        last = await self._house.store.last_run(key)
        self._send(
            Followed(
                request=effect.request,
                thread=effect.thread,
                resume=answer,
                id=str(position),
                run=None if last is None else RunState(last.key.id, last.status),
                prelude=events,
            )
        )
        self._begin_follower(key, position)

    async def _prelude(self, thread: Thread) -> tuple[list[Raw], int]:
        conversation, offset = await self._house.runner.conversations.fold(thread.key)
        return [Raw(event.data) for event in prelude(thread.key.id, conversation)], offset

    async def _decide(self, effect: Decide) -> None:
        answer = Answer(effect.interrupt, effect.status, bytes(effect.payload))
        key = ThreadKey(self.user, effect.thread)
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
            self._send(refused(Refused(ErrorCode.FORBIDDEN), effect.request))
            await self._perform(self._session.close(CloseCode.WRONG_USER))
            return
        self._user = user
        self._watch_expiry()
        self._send(self._ready(effect.request))

    # --- followers ---

    def _begin_follower(self, thread: ThreadKey, after: Position) -> None:
        settings = self._house.settings
        follower = ThreadFollower(
            self._house.store,
            self._lane,
            thread,
            after,
            user=self.user,
            patience=settings.behind_seconds,
            failed=self._follower_failed,
            deleted=lambda: self._thread_deleted(thread.id),
        )
        self._followers[thread.id] = follower
        self._house.hub.add(thread, follower)

    def _end_follower(self, thread: ThreadId) -> None:
        follower = self._followers.pop(thread, None)
        if follower is not None:
            self._house.hub.remove(follower.thread, follower)
            follower.end()

    def _follower_failed(self, error: Exception) -> None:
        if isinstance(error, TimeoutError):
            log.warning("client too slow", extra={"buffered": self._lane.buffered})
            self._close_soon(CloseCode.TOO_SLOW)
        else:
            log.error("the log cannot be read", exc_info=error)
            self._close_soon(CloseCode.INTERNAL)

    def _thread_deleted(self, thread: ThreadId) -> None:
        if thread in self._followers:
            self._end_follower(thread)
            self._session.unfollowed(thread)
            self._send(Unfollowed(thread=thread))

    # --- the socket ---

    def _send(self, frame: ServerFrame) -> None:
        self._lane.send(encode_frame(frame))

    def _refuse(self, effect: Effect, refusal: Refused) -> None:
        metrics.REFUSALS.labels(refusal.code.value).inc()
        log.info("command refused", extra={"code": refusal.code, "why": refusal.message})
        self._forget(effect)
        self._send(refused(refusal, getattr(effect, "request", None), str(jsonlog.correlation())))

    def _forget(self, effect: Effect) -> None:
        """A follow that failed follows nothing."""
        if isinstance(effect, Follow):
            self._session.unfollowed(effect.thread)

    async def _room(self) -> None:
        if not self._lane.full:
            return
        try:
            async with turn(self._lane, self._house.settings.behind_seconds):
                pass
        except TimeoutError:
            log.warning("client too slow", extra={"buffered": self._lane.buffered})
            await self._perform(self._session.close(CloseCode.TOO_SLOW))

    async def _close(self, code: CloseCode) -> None:
        metrics.CLOSES.labels(str(int(code))).inc()
        log.info("closing", extra={"code": int(code), "session": self._session.state})
        self._closed = asyncio.get_running_loop().create_future()
        try:
            if self._receiving is not None:
                self._receiving.cancel()
                await asyncio.wait({self._receiving})
            await self._lane.close(code)
        finally:
            self._closed.set_result(None)

    async def _wait_closed(self) -> None:
        """Return when nobody is closing the socket any more."""
        if self._closed is not None:
            await asyncio.wait({self._closed})

    def _close_soon(self, code: CloseCode) -> None:
        """Close from a callback."""
        if effects := self._session.close(code):
            self._closing = asyncio.create_task(self._perform(effects))

    def _watch_expiry(self) -> None:
        """Close with 4401 when the credential ends."""
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = at_expiry(self._user, lambda: self._close_soon(CloseCode.UNAUTHENTICATED))

    def _ready(self, request: str | None) -> Ready:
        settings = self._house.settings
        expires = self._user.expires
        return Ready(
            connection=self.id,
            user=self.user,
            protocol=SUBPROTOCOL,
            heartbeat=int(settings.ping_seconds * 1000),
            limits=Limits(
                frame_bytes=settings.frame_bytes,
                id_length=MAX_ID_LENGTH,
                followed_threads=settings.followed_threads,
            ),
            agents=self._house.runner.agents,
            expires=None if expires is None else expires * 1000,
            request=request,
        )
