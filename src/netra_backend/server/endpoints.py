"""Endpoints: the HTTP API as one table, and how an operation reads its request and answers it."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from netra_backend import jsonlog
from netra_backend.config import Settings
from netra_backend.core.codec import decode_as
from netra_backend.errors import ErrorCode, FrameError, Refused
from netra_backend.server.outlet import outlet_of

log = jsonlog.get_logger(__name__)

BODY_SECONDS = 60.0
"""How long the body of a request may take."""

PIECE = 65_536
"""Bytes of an answer that are sent at once."""

TAKEN_SECONDS = 60.0
"""How long a client may take for a piece."""

T = TypeVar("T")
Call = Callable[..., Awaitable[Response]]


class Endpoint(Struct, frozen=True):
    """One operation of the HTTP API.

    `call` takes the request and the user who was authenticated for it; without a user where it is
    `open` to everyone. `query` and `header` map parameters to their meaning; `body` and `result`
    are the types of the request's and the answer's JSON, `status` that of success, `empty` the
    other ones without a body. `errors` are the codes it can refuse with, besides those that all
    operations have.
    """

    method: str
    path: str
    call: Call
    summary: str
    result: Any = None
    status: int = 200
    body: Any = None
    query: Mapping[str, str] = {}
    header: Mapping[str, str] = {}
    empty: Mapping[int, str] = {}
    errors: tuple[ErrorCode, ...] = ()
    media_type: str = "application/json"
    open: bool = False


_encode = msgspec.json.Encoder().encode


class JsonAnswer(Response):
    """An answer that leaves piece by piece, as its client takes it, and has `sent` called then.

    What a client takes nothing of for `TAKEN_SECONDS` is broken off.
    """

    media_type = "application/json"
    sent: Callable[[], object] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        outlet = outlet_of(scope)
        try:
            for message in self._messages():
                async with asyncio.timeout(TAKEN_SECONDS):
                    await send(message)
                    await outlet.drained()
        except TimeoutError:
            log.info("answer ended early", extra={"why": "the client does not read"})
            outlet.break_off()
        finally:
            if self.sent is not None:
                self.sent()

    def _messages(self) -> Iterator[Message]:
        headers = self.raw_headers
        yield {"type": "http.response.start", "status": self.status_code, "headers": headers}
        whole = memoryview(self.body)
        for begin in range(0, max(len(whole), 1), PIECE):
            end = begin + PIECE
            more = end < len(whole)
            yield {
                "type": "http.response.body", "body": bytes(whole[begin:end]), "more_body": more,
            }  # fmt: skip


def answer(value: Struct, status: int = 200) -> Response:
    """Return `value` as a JSON answer."""
    return JsonAnswer(_encode(value), status_code=status)


async def read_body(request: Request, settings: Settings) -> bytes:
    """Return the request's body. Raises Refused (``too_big``) before it is all in memory.

    One that is compressed, or does not come in time, is a FrameError (``bad_input``): a request
    that does not come holds a connection, and counts nowhere else.
    """
    if request.headers.get("content-encoding", "").lower() not in ("", "identity"):
        text = "the body has a Content-Encoding, of which this server knows none"
        raise FrameError(text, code=ErrorCode.BAD_INPUT)
    declared = request.headers.get("content-length", "")
    _check_size(int(declared) if declared.isascii() and declared.isdigit() else 0, settings)
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await _whole_body(request, settings)
    except TimeoutError as error:
        text = f"the body was not whole after {BODY_SECONDS:.0f} seconds"
        raise FrameError(text, code=ErrorCode.BAD_INPUT) from error
    except ClientDisconnect as error:
        raise FrameError("the body broke off", code=ErrorCode.BAD_INPUT) from error


async def _whole_body(request: Request, settings: Settings) -> bytes:
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        _check_size(size, settings)
        parts.append(part)
    return b"".join(parts)


def _check_size(size: int, settings: Settings) -> None:
    if size > settings.frame_bytes:
        limit = settings.frame_bytes
        raise Refused(ErrorCode.TOO_BIG, f"the body is longer than {limit} bytes")


def decode_body(data: bytes, shape: type[T]) -> T:
    """Return the body as `shape`. Raises FrameError (``bad_input``) with the path."""
    return decode_as(data, shape, code=ErrorCode.BAD_INPUT)


def limit_of(request: Request, *, default: int, most: int) -> int:
    """Return the ``limit`` of a page, 1 to `most`. Raises FrameError (``bad_input``)."""
    text = request.query_params.get("limit")
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and 1 <= int(text) <= most):
        raise FrameError(
            f"limit is {text[:20]!r}; it must be a number from 1 to {most}",
            code=ErrorCode.BAD_INPUT,
            where="$.limit",
        )
    return int(text)


def cursor_of(request: Request, parameter: str) -> tuple[int, str] | None:
    """Return what ``next`` of a page spells, a time and a name, or None where none is given.

    Raises FrameError (``bad_input``).
    """
    text = request.query_params.get(parameter)
    if text is None:
        return None
    time, _, name = text.partition("-")
    if not (time.isascii() and time.isdigit() and len(time) <= 15):
        raise FrameError(
            f"{parameter} is not the `next` of a page",
            code=ErrorCode.BAD_INPUT,
            where=f"$.{parameter}",
        )
    return int(time), name
