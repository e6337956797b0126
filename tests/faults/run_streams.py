"""A run as one or several answers over SSE have brought it, broken off at any byte."""

import asyncio
import json
from enum import Enum, auto

from tests.checker import Frame
from tests.client import BOUND


class Streamed(Enum):
    """How an answer ended."""

    WHOLE = auto()
    BROKEN = auto()
    REFUSED = auto()


class RunStream:
    """What a user was told of a run in a thread, by its name for them."""

    def __init__(self, user: str, thread: str, run: str) -> None:
        self.user = user
        self.thread = thread
        self.run = run
        self.events: list[tuple[str, Frame]] = []
        self.whole = False
        """Whether the last answer came to its end."""
        self.answer: Frame | None = None
        """Of the last answer its status, or what it was refused with; None if there came none."""
        self.taken = 0
        """How many bytes came last."""

    async def read(
        self, port: int, token: str, request: str, given: Frame | None, most: int
    ) -> Streamed:
        """Send a request, which goes on after the last event, and read so many bytes at most."""
        body = json.dumps(given) if given is not None else ""
        last = [f"Last-Event-ID: {self.events[-1][0]}"] if self.events else []
        head = [
            f"{request} HTTP/1.1",
            "Host: 127.0.0.1",
            f"Authorization: Bearer {token}",
            "Content-Type: application/json",
            f"Content-Length: {len(body)}",
            "Connection: close",
            *last,
        ]
        got = b""
        try:
            async with asyncio.timeout(BOUND):
                got = await _exchange(port, "\r\n".join([*head, "", body]).encode(), most)
        except TimeoutError as error:
            raise AssertionError(f"the stream of {self.run} does not end") from error
        self.taken = len(got)
        return self._take(got)

    def _take(self, got: bytes) -> Streamed:
        head, found, rest = got.partition(b"\r\n\r\n")
        self.answer = None
        if not found:
            return Streamed.BROKEN
        status = int(head.split(b" ", 2)[1])
        self.answer = {"status": status}
        if status == 204:
            self.whole = True
            return Streamed.WHOLE
        if status != 200:
            try:
                self.answer |= {"type": "error", **json.loads(rest)["error"]}
            except ValueError:
                self.answer = None  # it was cut off
            return Streamed.REFUSED
        text, self.whole = _dechunked(rest)
        self.events += [event for block in text.split("\n\n")[:-1] for event in _events(block)]
        return Streamed.WHOLE if self.whole else Streamed.BROKEN


async def _exchange(port: int, request: bytes, most: int) -> bytes:
    """Send a request and return up to so many bytes of what comes back."""
    got = bytearray()
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return b""
    try:
        writer.write(request)
        while len(got) < most and (part := await reader.read(min(65_536, most - len(got)))):
            got += part
    except TimeoutError:
        raise
    except OSError:
        pass  # reset: what came before counts
    finally:
        writer.transport.abort()
    return bytes(got)


def _dechunked(data: bytes) -> tuple[str, bool]:
    """Return the text that whole chunks hold, and whether the last one has come."""
    parts: list[bytes] = []
    while True:
        size, found, data = data.partition(b"\r\n")
        length = int(size, 16) if found else -1
        if length <= 0 or len(data) < length:
            return b"".join(parts).decode(), length == 0
        parts.append(data[:length])
        data = data[length + 2 :]


def _events(block: str) -> list[tuple[str, Frame]]:
    """Return the event that a block says, unless it is a comment."""
    lines = [line.split(": ", 1) for line in block.split("\n") if not line.startswith(":")]
    fields = dict(lines)
    return [(fields["id"], json.loads(fields["data"]))] if fields else []
