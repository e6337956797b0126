"""A client of the ``netra.v1`` dialect for tests, written from docs/protocol.md alone.

It shares no code with the server, so that a mistake in one is not repeated in the other.
"""

import asyncio
import itertools
import json
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any
from urllib.parse import urlsplit

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

BOUND = 60.0

Frame = dict[str, Any]


class Client:
    """One connection. Answers are matched by request; event frames are kept in order."""

    def __init__(self, opened: ClientConnection) -> None:
        self.socket = opened
        self.ready: Frame = {}
        self.events: list[Frame] = []
        """Event frames in the order in which they came, of all threads."""
        self.notices: list[Frame] = []
        """Frames with a type that answer no command."""
        self.tape: list[tuple[str, Frame]] = []
        """Every frame in the order of the wire, as ``("sent", frame)`` or ``("got", frame)``."""
        self.reading = asyncio.Event()
        """Cleared, nothing more is read, as by a page that hangs."""
        self.reading.set()
        self._requests = itertools.count(1)
        self._answers: dict[str, asyncio.Future[Frame]] = {}
        self._arrived = asyncio.Condition()
        self._reading = asyncio.create_task(self._read())

    async def command(self, type: str, **fields: Any) -> Frame:
        """Send a command and return its answer."""
        request = f"r{next(self._requests)}"
        return await self.answer({"type": type, "request": request, **fields})

    async def answer(self, frame: Frame) -> Frame:
        """Send a frame that has a request and return its answer."""
        return await asyncio.wait_for(await self.post(frame), BOUND)

    async def post(self, frame: Frame) -> asyncio.Future[Frame]:
        """Send a frame that has a request; return what its answer will be."""
        waiting = asyncio.get_running_loop().create_future()
        self._answers[frame["request"]] = waiting
        self.tape.append(("sent", frame))
        try:
            await self.socket.send(json.dumps(frame))
        except ConnectionClosed as error:
            raise ConnectionError("the connection ended") from error
        return waiting

    async def run(self, thread: str, run: str, text: str = "hi", **fields: Any) -> Frame:
        """Start a run with one user message."""
        return await self.command("run", input=run_input(thread, run, text), **fields)

    async def follow(self, thread: str, after: str | None = None) -> Frame:
        """Follow a thread."""
        return await self.command("follow", thread=thread, **({"after": after} if after else {}))

    async def until(self, *types: str, thread: str | None = None, bound: float = BOUND) -> Frame:
        """Return the first event frame whose event has one of `types`, waiting for it."""
        return await self.until_frame(
            lambda f: f["chunk"]["type"] in types and thread in (None, f["thread"]), bound
        )

    async def until_frame(self, wanted: Any, bound: float = BOUND) -> Frame:
        """Return the first event frame for which `wanted(frame)` is true, waiting for it."""
        async with asyncio.timeout(bound):
            seen = 0
            while True:
                for frame in self.events[seen:]:
                    seen += 1
                    if wanted(frame):
                        return frame
                async with self._arrived:
                    if seen == len(self.events):
                        if self._reading.done():
                            raise ConnectionError("the connection ended")
                        await self._arrived.wait()

    async def notice(self, type: str, bound: float = BOUND) -> Frame:
        """Return the first frame of this type that answers no command, waiting for it."""
        async with asyncio.timeout(bound):
            while True:
                for frame in self.notices:
                    if frame["type"] == type:
                        return frame
                async with self._arrived:
                    if self._reading.done():
                        raise ConnectionError("the connection ended")
                    await self._arrived.wait()

    async def arrived(self, wanted: Callable[[], bool], bound: float = BOUND) -> None:
        """Return when `wanted()` is true, asked again whenever a frame has come."""
        async with asyncio.timeout(bound), self._arrived:
            while not wanted():
                if self.ended:
                    raise ConnectionError("the connection ended")
                await self._arrived.wait()

    async def any_frame(self, seconds: float) -> None:
        """Return when the next frame has come, or when none did for so long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds), self._arrived:
                await self._arrived.wait()

    @property
    def ended(self) -> bool:
        """Whether the connection has ended and all that it brought was taken."""
        return self._reading.done()

    def offsets(self, thread: str) -> list[tuple[int, int]]:
        """Return the first and last offset that each event frame of `thread` covers."""
        return [covered(frame) for frame in self.events if frame["thread"] == thread]

    async def closed(self, bound: float = BOUND) -> int | None:
        """Return the code with which the connection has ended, waiting for its end."""
        await asyncio.wait_for(asyncio.shield(self._reading), bound)
        return self.socket.close_code

    async def close(self) -> None:
        """Close the socket."""
        self.reading.set()
        await self.socket.close()
        await self._reading

    async def drop(self) -> None:
        """Cut the connection without a word, as a dead network does."""
        self.reading.set()
        self.socket.transport.abort()
        await self._reading

    async def _read(self) -> None:
        try:
            while True:
                await self.reading.wait()
                await self._take(json.loads(await self.socket.recv()))
        except (ConnectionClosed, OSError):
            pass
        finally:
            for waiting in self._answers.values():
                if not waiting.done():
                    waiting.set_exception(ConnectionError("the connection ended"))
                    waiting.exception()
            async with self._arrived:
                self._arrived.notify_all()

    async def _take(self, frame: Frame) -> None:
        self.tape.append(("got", frame))
        waiting = self._answers.pop(frame.get("request", ""), None)
        async with self._arrived:
            if waiting is not None:
                waiting.set_result(frame)
            elif "type" in frame:
                self.notices.append(frame)
            else:
                self.events.append(frame)
            self._arrived.notify_all()


@asynccontextmanager
async def client(
    url: str, token: str | None, *, receive_buffer: int | None = None, **options: Any
) -> AsyncIterator[Client]:
    """Connect, wait for ``ready``, and close in the end.

    With a small `receive_buffer`, in bytes, the system takes little for a client that hangs.
    """
    headers = {"Authorization": f"Bearer {token}"} if token is not None else {}
    if receive_buffer is not None:
        options["sock"] = await _narrow_socket(url, receive_buffer)
        options["max_queue"] = 1
    async with connect(
        url, subprotocols=["netra.v1"], additional_headers=headers, max_size=None, **options
    ) as opened:
        connected = Client(opened)
        connected.ready = await connected.notice("ready")
        try:
            yield connected
        finally:
            await connected.close()


async def _narrow_socket(url: str, receive_buffer: int) -> socket.socket:
    address = urlsplit(url)
    narrow = socket.socket()
    narrow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    narrow.setblocking(False)
    try:
        await asyncio.get_running_loop().sock_connect(narrow, (address.hostname, address.port))
    except OSError:
        narrow.close()
        raise
    return narrow


async def read_log(url: str, token: str, thread: str) -> list[Frame] | None:
    """Return all events of a thread as ``GET /threads/{id}/events`` shows them, None without it."""
    events: list[Frame] = []
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=url, headers=headers, verify=False) as http:  # noqa: S501
        after: dict[str, str] = {}
        while True:
            answer = await http.get(f"/threads/{thread}/events", params={"limit": "1000", **after})
            if answer.status_code == 404:
                return None
            page = answer.raise_for_status().json()
            events += page["events"]
            if page["next"] is None:
                return events
            after = {"after": page["next"]}


def run_input(thread: str, run: str, text: str = "hi") -> Frame:
    """Return an AG-UI RunAgentInput with one user message."""
    return {
        "threadId": thread,
        "runId": run,
        "state": {},
        "messages": [{"id": f"{run}-user", "role": "user", "content": text}],
        "tools": [],
        "context": [],
        "forwardedProps": {},
    }


def covered(frame: Frame) -> tuple[int, int]:
    """Return the first and last offset that an event frame stands for."""
    return offset(frame.get("from", frame["id"])), offset(frame["id"])


def offset(position: str) -> int:
    """Return the offset of a position."""
    return int(position.split("-")[1])
