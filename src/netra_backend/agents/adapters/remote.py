"""Remote: an AG-UI endpoint of another server, by its URL (extra ``remote``).

The run's input goes there in a POST, its events come back as server-sent events and are checked
like any agent's. Closing the run closes the connection. The other server gets the thread's scope
as thread id, so that threads of one name which belong to two users stay two.
Source: AG-UI 1.0 transports; WHATWG HTML section 9.2.
"""

import asyncio
import hashlib
import ssl
from codecs import BOM_UTF8
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import aclosing
from functools import cache
from threading import Lock

import httpx
from ag_ui.core import BaseEvent, Event, RunAgentInput, RunFinishedEvent
from pydantic import TypeAdapter, ValidationError

from netra_backend.agents.foreign import translated
from netra_backend.agents.ingest import wire_json
from netra_backend.agents.run_context import scope_of
from netra_backend.agents.run_input import signed
from netra_backend.agents.size import MAX_EVENT_BYTES
from netra_backend.errors import AgentError

_EVENT: TypeAdapter[BaseEvent] = TypeAdapter(Event)

MAX_REFUSAL_BYTES = 2_000
"""Bytes of an answer that is no stream which the log shows."""


class RemoteAgent:
    """An agent that lets the AG-UI endpoint `url` run.

    `headers` go with each request, such as Authorization. `connect` and `silence` are seconds:
    until there is a connection, and without a byte from the other server, whose comments count.
    Redirects are not followed.
    """

    def __init__(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        connect: float = 10.0,
        silence: float = 60.0,
        max_event_bytes: int = MAX_EVENT_BYTES,
    ) -> None:
        self._url = url
        self._headers = dict(headers or {})
        self._timeout = httpx.Timeout(silence, connect=connect)
        self._max_event_bytes = max_event_bytes

    async def __call__(self, input: RunAgentInput) -> AsyncIterator[BaseEvent]:
        """Stream the run from there; closing the iterator closes the connection.

        Raises AgentError if the endpoint refuses, fails, breaks off, is silent for too long, or
        sends what is no AG-UI.
        """
        events = self._events(input)
        async with aclosing(events):
            ended = False
            async for event in translated(self._url, input, events):
                yield event
                ended = isinstance(event, RunFinishedEvent)
        if not ended:
            raise AgentError(f"{self._url}: the stream broke off before RUN_FINISHED")

    async def _events(self, input: RunAgentInput) -> AsyncGenerator[BaseEvent]:
        tls = await _tls(self._url)
        try:
            async with (
                httpx.AsyncClient(timeout=self._timeout, verify=tls) as client,
                client.stream(
                    "POST",
                    self._url,
                    content=wire_json(_given(input)),
                    headers={
                        "Content-Type": "application/json",
                        "Accept": "text/event-stream",
                        "Accept-Encoding": "identity",
                        **self._headers,
                    },
                ) as answer,
            ):
                await self._check(answer)
                async for data in self._payloads(answer):
                    yield _decoded(self._url, data)
        except httpx.HTTPError as error:
            raise AgentError(f"{self._url}: {type(error).__name__}: {error}") from error

    async def _check(self, answer: httpx.Response) -> None:
        coding = answer.headers.get("content-encoding", "identity")
        kind = answer.headers.get("content-type", "").partition(";")[0].strip()
        if coding != "identity":
            # It would be unpacked in one go, to a thousand times its size.
            raise AgentError(f"{self._url} answered in {coding}, which was not asked for")
        if answer.status_code == httpx.codes.OK and kind == "text/event-stream":
            return
        said = b""
        async for part in answer.aiter_raw():
            said = (said + part)[:MAX_REFUSAL_BYTES]
            if len(said) == MAX_REFUSAL_BYTES:
                break
        shown = said.decode(errors="replace")
        raise AgentError(f"{self._url} answered {answer.status_code} {kind}: {shown}")

    async def _payloads(self, answer: httpx.Response) -> AsyncIterator[bytes]:
        """Yield the data of each server-sent event."""
        reader = _Reader()
        async for part in answer.aiter_raw():
            for data in reader.take(part):
                self._bound(len(data))
                yield data
            self._bound(reader.size)

    def _bound(self, size: int) -> None:
        if size > self._max_event_bytes:
            limit = self._max_event_bytes
            raise AgentError(f"{self._url}: an event has more than {limit} bytes")


class _Reader:
    """Reads server-sent events that come in parts, which may be cut anywhere.

    Each byte is looked at once, whatever the parts and lines are. `size` is what is held of the
    event that is not whole, in bytes.
    """

    def __init__(self) -> None:
        self.size = 0
        self._line: list[bytes] = []
        self._data: list[bytes] = []
        self._returned = False
        self._mark = BOM_UTF8

    def take(self, part: bytes) -> Iterator[bytes]:
        """Yield the data of the events that `part` completes."""
        if self._returned:
            part = part.removeprefix(b"\n")
        self._returned = part.endswith(b"\r")
        for piece in part.splitlines(keepends=True):
            self._line.append(piece)
            self.size += len(piece)
            if piece.endswith((b"\n", b"\r")):
                line = b"".join(self._line)
                self._line = []
                yield from self._read(line)

    def _read(self, line: bytes) -> Iterator[bytes]:
        text = line.removeprefix(self._mark).rstrip(b"\r\n")
        self._mark = b""
        if text.startswith(b"data:"):
            self._data.append(text[5:].removeprefix(b" "))
        elif text:
            self.size -= len(line)
        else:
            self.size = 0
            if self._data:
                yield b"\n".join(self._data)
                self._data = []


async def _tls(url: str) -> ssl.SSLContext:
    """Return whom to trust at `url`: nobody where no certificate is shown.

    Raises AgentError if the certificates cannot be read.
    """
    if url.startswith("http://"):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        # Reading them takes some 40 to 200 ms: once, and without the event loop.
        return await asyncio.to_thread(_trusted)
    except OSError as error:
        raise AgentError(f"{url}: the certificates cannot be read: {error}") from error


_reading = Lock()


def _trusted() -> ssl.SSLContext:
    with _reading:
        return _certificates()


@cache
def _certificates() -> ssl.SSLContext:
    """Return the certificates of this process: of ``SSL_CERT_FILE``, else those of httpx."""
    return httpx.create_ssl_context()


def _given(input: RunAgentInput) -> RunAgentInput:
    """Return the input for the other server: its ids are of its one client, which is us.

    Nor is it told who of the thread's members has said what.
    """
    input = input.model_copy(update={"messages": signed(input.messages, None)})
    scope = scope_of(input)
    if scope == input.thread_id:
        return input
    run = hashlib.sha256(f"{scope}\n{input.run_id}".encode()).hexdigest()[:32]
    return input.model_copy(update={"thread_id": scope, "run_id": run, "parent_run_id": None})


def _decoded(url: str, data: bytes) -> BaseEvent:
    try:
        return _EVENT.validate_json(data)
    except ValidationError as error:
        problem = error.errors(include_input=False, include_url=False)[0]
        shown = data[:200].decode(errors="replace")
        raise AgentError(f"{url}: no AG-UI event: {problem['msg']}: {shown}") from error
