"""The dialogue: one client on one socket, in whatever dialect, until the socket is gone.

Frames of one client are carried out one after the other, so a client that sends faster than we
work, or does not read, is simply read more slowly.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from netra_backend import jsonlog
from netra_backend.core.ids import ThreadKey, ThreadName, UserId, name_for
from netra_backend.core.positions import Position
from netra_backend.errors import CloseCode, ErrorCode, FrameError, NetraError, Refused, StoreError
from netra_backend.server import metrics, store_failures
from netra_backend.server.bucket import Bucket
from netra_backend.server.follower import Gone, ThreadFollower
from netra_backend.server.house import House
from netra_backend.server.lane_port import Lane, LaneClosed, turn
from netra_backend.server.user import User, at_expiry

log = jsonlog.get_logger(__name__)

T = TypeVar("T")


class Dialogue(ABC):
    """What all dialects have in common: receiving, following, closing. A member of the pool.

    `id` is the connection's, as in the log. A dialect says how a frame is read and carried out.
    """

    def __init__(self, id: str, user: User, lane: Lane, house: House) -> None:
        self.id = id
        self._user = user
        self._lane = lane
        self._house = house
        self._following: dict[ThreadFollower, None] = {}
        self._expiry: asyncio.TimerHandle | None = None
        self._receiving: asyncio.Future[Any] | None = None
        self._closing: asyncio.Task[None] | None = None
        self._closed: asyncio.Future[None] | None = None
        self.closed_with: CloseCode | None = None
        """The code that we have closed it with."""
        self._correlation = jsonlog.correlation()
        self._heard = asyncio.get_running_loop().time()
        self._at_work = False
        self._bucket: Bucket | None = None

    @property
    def state(self) -> str:
        """The name of the state that it is in: of its own, where a dialect has no other."""
        return "OPEN" if self._closed is None else "CLOSED"

    @property
    def buffered(self) -> int:
        """Bytes that are unsent."""
        return self._lane.buffered

    @property
    def following(self) -> Iterable[ThreadFollower]:
        """What it follows."""
        return self._following

    @property
    def is_open(self) -> bool:
        """Whether we have not begun to close it."""
        return self._closed is None and self._closing is None

    @property
    def silent_since(self) -> float | None:
        """When its client last said something, on the loop's clock; None while it is at work."""
        return None if self._at_work else self._heard

    @property
    def user(self) -> UserId:
        """Whose it is."""
        return self._user.id

    @property
    def credential(self) -> User:
        """Who that is, and with what the socket was opened or renewed."""
        return self._user

    def greet(self) -> None:
        """Do the first part of `open`, which waits for nothing."""
        self._watch_expiry(self._user)

    async def open(self) -> None:
        """Begin: the socket has been accepted."""
        self.greet()

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
        self._at_work = True
        try:
            wait = self._take_token()
            if len(data) > self._house.settings.frame_bytes:
                await self.close(CloseCode.TOO_BIG)
            elif wait:
                await self._slow_down(data, wait)
            else:
                await self._receive(data)
            await self._room()
        finally:
            self._at_work = False
            self._heard = asyncio.get_running_loop().time()

    def _take_token(self) -> float:
        """Return the seconds until the client may send a frame, 0 if it may now.

        Most connections never send one: the bucket is made with the first.
        """
        now = asyncio.get_running_loop().time()
        if self._bucket is None:
            self._bucket = Bucket(self._house.terms.rate, self._house.terms.burst, now)
        return self._bucket.take(now)

    async def _slow_down(self, data: bytes, wait: float) -> None:
        """Refuse a frame that came too soon, and take no other before there is a token for it.

        So a client that floods us costs one answer for each frame that it may send.
        """
        self._refuse(data, Refused(ErrorCode.TOO_FAST))
        await self._room()  # who is gone is not waited for
        await asyncio.sleep(wait)

    async def drain(self, retry_after_ms: int) -> None:
        """Say goodbye, because the server restarts, and close."""
        await self.close(CloseCode.RESTARTING)

    async def fail(self) -> None:
        """Close because of a fault of ours."""
        await self.close(CloseCode.INTERNAL)

    async def lost(self) -> None:
        """Release everything: the socket is gone. Runs go on."""
        if self._expiry is not None:
            self._expiry.cancel()
        for follower in list(self._following):
            self._leave(follower)
        await self._wait_closed()
        self._lane.abandon()
        if self._closing is not None:
            await self._closing

    async def close(self, code: CloseCode) -> None:
        """Close the socket from our side. Idempotent: the first code is the one that is sent."""
        if self._closed is not None:
            return
        with self._named():
            log.info("closing", extra={"code": int(code), **self._about()})
        self.closed_with = code
        self._closed = asyncio.get_running_loop().create_future()
        try:
            if self._receiving is not None:
                self._receiving.cancel()
                await asyncio.wait({self._receiving})
            await self._lane.close(code)
        finally:
            self._closed.set_result(None)

    # --- for dialects ---

    def _named(self) -> AbstractContextManager[None]:
        """Put the connection's ids on every line that is logged inside, in whichever task."""
        return jsonlog.bind(connection=self.id, user=self.user, correlation=self._correlation)

    def _about(self) -> dict[str, object]:
        """Return what a log line says of the dialect's own state."""
        return {}

    @abstractmethod
    async def _receive(self, data: bytes) -> None:
        """Carry out one frame, which is not too big."""

    @abstractmethod
    def _refuse(self, data: bytes, refusal: Refused | FrameError) -> None:
        """Tell the client, and the log, why this frame is not carried out."""

    async def _attempt(self, act: Awaitable[None]) -> Refused | FrameError | None:
        """Return why `act` could not be carried out, for the client, or None."""
        try:
            await act
        except (Refused, FrameError) as refusal:
            return refusal
        except StoreError as error:
            store_failures.tell("a command failed in the store", error)
            return Refused(ErrorCode.STORE_FAILED)
        except NetraError:
            log.exception("a command failed")
            return Refused(ErrorCode.INTERNAL)
        return None

    def _join(
        self,
        lane: Lane,
        thread: ThreadKey,
        gone: Callable[[Gone], None],
        name: ThreadName | None = None,
    ) -> ThreadFollower:
        """Return a follower that keeps what is published in the thread until it begins.

        `lane` leads to this socket. `name` is what the user calls the thread; without it, the
        shortest that it could be.
        """
        sight = self._house.access.sight(self.user, thread, name or name_for(self.user, thread))
        follower = ThreadFollower(
            self._house.store,
            lane,
            thread,
            sight=sight,
            patience=self._house.settings.behind_seconds,
            failed=self._follower_failed,
            gone=gone,
        )
        self._following[follower] = None
        self._house.hub.add(thread, follower)
        return follower

    def _follow(
        self, lane: Lane, thread: ThreadKey, after: Position, gone: Callable[[Gone], None]
    ) -> ThreadFollower:
        """Serve `lane`, which leads to this socket, with what comes after the position."""
        follower = self._join(lane, thread, gone)
        follower.start(after)
        return follower

    def _leave(self, follower: ThreadFollower) -> None:
        """Follow no more. Idempotent."""
        self._following.pop(follower, None)
        self._house.hub.remove(follower.thread, follower)
        follower.end()

    def dismiss(self, code: CloseCode) -> None:
        """Close soon: to be called from where nothing can be awaited."""
        if self._closing is None:
            self._closing = asyncio.create_task(self.close(code))

    def _watch_expiry(self, user: User) -> None:
        """Close with 4401 when the credential ends."""
        self._user = user
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = at_expiry(user, lambda: self.dismiss(CloseCode.UNAUTHENTICATED))

    def _follower_failed(self, error: Exception) -> None:
        with self._named():
            if isinstance(error, TimeoutError):
                log.warning("client too slow", extra={"buffered": self._lane.buffered})
                self.dismiss(CloseCode.TOO_SLOW)
            else:
                log.error("the log cannot be read", exc_info=error)
                self.dismiss(CloseCode.INTERNAL)

    async def _room(self) -> None:
        if not self._lane.full:
            return
        try:
            async with turn(self._lane, self._house.settings.behind_seconds):
                pass
        except TimeoutError:
            log.warning("client too slow", extra={"buffered": self._lane.buffered})
            await self.close(CloseCode.TOO_SLOW)

    async def _wait_closed(self) -> None:
        """Return when nobody is closing the socket any more."""
        if self._closed is not None:
            await asyncio.wait({self._closed})
