"""A person: one after another connections of a user, who goes on where the last one ended."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Protocol, Self

from websockets.exceptions import WebSocketException

from tests.checker import RESTARTED, RESUMED, TERMINAL, Log, Name, Reader, Tape
from tests.client import BOUND, Client, Frame, client, read_log

POLL = 0.05
"""Seconds after which the log is looked at again when no frame has come."""


GONE = (OSError, WebSocketException)
"""How a client learns that the server is gone; a wait that never ended is none of them."""


class Address(Protocol):
    """Where a server is: `tests.live.Live` and `tests.live.ServerProcess` both say it."""

    @property
    def url(self) -> str: ...

    @property
    def socket_url(self) -> str: ...

    def token(self, user: str = "alice") -> str: ...


class Through:
    """A server, reached on another port."""

    def __init__(self, server: Address, port: int) -> None:
        self._server = server
        self.url = f"http://127.0.0.1:{port}"
        self.socket_url = f"ws://127.0.0.1:{port}/ws"

    def token(self, user: str = "alice") -> str:
        return self._server.token(user)


async def comes_back(
    use: Callable[[asyncio.Event], Awaitable[None]],
    gone: Callable[[], Awaitable[None]],
    done: asyncio.Event,
) -> None:
    """Use a server until it is `done`; after each time that it was `gone`, anew."""
    while not done.is_set():
        try:
            await use(done)
        except TimeoutError:  # an OSError too, but nobody is to wait for ever
            raise
        except GONE:
            await gone()


class Person:
    """A user at a screen. What the wire brought is on `tapes`, for the checker."""

    def __init__(self, server: Address, name: str, user: str = "alice", **options: Any) -> None:
        self.server = server
        self.name = name
        self.user = user
        self.tapes: list[Tape] = []
        self._readers: dict[str, Reader] = {}
        self._options = options
        self._client: Client | None = None
        self._left = AsyncExitStack()
        self._read = 0
        self._following: set[str] = set()
        self._asked: dict[str, Frame] = {}

    async def __aenter__(self) -> Self:
        await self.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leave()

    @property
    def client(self) -> Client:
        """The connection there is now."""
        assert self._client is not None
        return self._client

    @property
    def connected(self) -> bool:
        """Whether there is a connection that has not ended."""
        return self._client is not None and not self._client.ended

    async def connect(self) -> Client:
        """Open a connection."""
        self._client = await self._left.enter_async_context(
            client(self.server.socket_url, self.server.token(self.user), **self._options)
        )
        self._read = 0
        self._following = set()
        self.tapes.append(Tape(self.name, self.user, self._client.tape))
        return self._client

    async def leave(self) -> None:
        """Close the connection politely."""
        self._catch_up()
        self._client = None
        await self._left.aclose()

    async def drop(self) -> None:
        """Cut the connection."""
        if self._client is not None:
            await self._client.drop()
        await self.leave()

    async def follow(self, thread: str) -> Frame:
        """Follow the thread after the last event applied."""
        return await self.client.follow(thread, self.reader(thread).after)

    def reader(self, thread: str) -> Reader:
        """Return what the person has of the thread by now."""
        self._catch_up()
        return self._readers.setdefault(thread, Reader())

    async def reaches(self, thread: str, position: str, bound: float = BOUND) -> None:
        """Return when the person has everything up to the position."""
        await self.sees(lambda: self.reader(thread).after == position, bound)

    async def sees(self, wanted: Callable[[], bool], bound: float = BOUND) -> None:
        """Return when `wanted()` is true, asked again whenever a frame has come."""
        await self.client.arrived(wanted, bound)

    async def settle(self, thread: str, bound: float = BOUND) -> None:
        """Return when the thread's last run has ended and the person has its whole log.

        The thread is followed if it was not.
        """
        if thread not in self.following():
            await self.follow(thread)
        async with asyncio.timeout(bound):
            log = await self._log(thread)
            while log and log[-1]["chunk"]["type"] not in TERMINAL:
                await self.client.any_frame(POLL)
                log = await self._log(thread)
        if log:
            await self.reaches(thread, log[-1]["id"], bound)

    async def _log(self, thread: str) -> list[Frame] | None:
        return await read_log(self.server.url, self.server.token(self.user), thread)

    def following(self) -> set[str]:
        """Return the threads that this connection follows, as far as it has been told."""
        self._catch_up()
        return self._following

    def settled(self) -> list[Tape]:
        """Return the tapes, the last one settled: all has come that will come."""
        self.tapes[-1].settled = True
        return self.tapes

    def _catch_up(self) -> None:
        if self._client is None:
            return
        tape = self._client.tape
        for direction, frame in tape[self._read :]:
            if direction == "sent":
                self._asked[frame["request"]] = frame
                continue
            if "thread" in frame:
                self._readers.setdefault(frame["thread"], Reader()).read(frame)
            self._note(frame, self._asked.pop(frame.get("request", ""), {}))
        self._read = len(tape)

    def _note(self, frame: Frame, asked: Frame) -> None:
        """Note what is followed: a follow that failed ends the one before."""
        if frame.get("resume") in RESUMED + RESTARTED:
            self._following.add(frame["thread"])
        elif frame.get("type") in ("followed", "unfollowed"):
            self._following.discard(frame["thread"])
        elif frame.get("type") == "error" and asked.get("type") == "follow":
            self._following.discard(asked["thread"])


async def read_logs(server: Address, names: list[Name]) -> dict[Name, Log]:
    """Return the logs of those of the threads that exist: the truth for the checker."""
    logs = {n: await read_log(server.url, server.token(n[0]), n[1]) for n in names}
    return {name: log for name, log in logs.items() if log is not None}
