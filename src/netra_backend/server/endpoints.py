"""Endpoints: the HTTP API as one table, from which the routes and OpenAPI are made."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack
from functools import wraps
from typing import Any, TypeVar
from weakref import WeakValueDictionary

import msgspec
from msgspec import Struct
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from netra_backend import jsonlog
from netra_backend.config import Settings
from netra_backend.errors import ERRORS, ErrorCode, FrameError, Refused
from netra_backend.server.auth import COOKIE
from netra_backend.server.outlet import outlet_of
from netra_backend.server.user import User
from netra_backend.server.views import ErrorView

log = jsonlog.get_logger(__name__)

BODY_SECONDS = 60.0
"""How long the body of a request may take."""

PIECE = 65_536
"""Bytes of an answer that are sent at once."""

TURN_SECONDS = 2.0
"""How long a request waits for its turn: less than a client may take nothing of while we stop."""

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


PAGES_AT_ONCE = 8
"""Pages of one user that are in memory: see `Turns`."""


class Turns:
    """Who may be answered now: so many long answers of one user are in memory.

    Others wait a little for one of these to be taken; then they are refused (``too_many``).
    """

    def __init__(self, at_once: int) -> None:
        self._at_once = at_once
        self._users: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()

    def of(self, page: Call) -> Call:
        """Return `page`, whose answers come in turn: it is called when there is room for one."""

        @wraps(page)
        async def in_turn(request: Request, user: User) -> Response:
            turns = self._users.get(user.id)
            if turns is None:
                turns = self._users[user.id] = asyncio.Semaphore(self._at_once)
            with ExitStack() as place:
                await _take(turns)
                place.callback(turns.release)
                response = await page(request, user)
                if isinstance(response, JsonAnswer):
                    response.sent = place.pop_all().close
                return response

        return in_turn


async def _take(turns: asyncio.Semaphore) -> None:
    try:
        async with asyncio.timeout(TURN_SECONDS):
            await turns.acquire()
    except TimeoutError as error:
        text = "the user has too many long answers that were not read"
        raise Refused(ErrorCode.TOO_MANY, text) from error


def answer(value: Struct, status: int = 200) -> Response:
    """Return `value` as a JSON answer."""
    return JsonAnswer(_encode(value), status_code=status)


async def read_body(request: Request, settings: Settings) -> bytes:
    """Return the request's body. Raises Refused (``too_big``) before it is all in memory.

    One that does not come in time is a FrameError: such a request holds a connection, and counts
    nowhere else.
    """
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
    try:
        return msgspec.json.decode(data, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        text, _, where = str(error).partition(" - at `")
        raise FrameError(text, code=ErrorCode.BAD_INPUT, where=where.rstrip("`") or "$") from error


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


def openapi(endpoints: tuple[Endpoint, ...], version: str) -> dict[str, Any]:
    """Return the OpenAPI 3.1 document of `endpoints`."""
    types = [t for e in endpoints for t in (e.body, e.result) if isinstance(t, type)]
    template = "#/components/schemas/{name}"
    shapes = [t for t in types if issubclass(t, Struct)]
    _, components = msgspec.json.schema_components([*shapes, ErrorView], ref_template=template)
    paths: dict[str, dict[str, Any]] = {}
    for endpoint in endpoints:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = _operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Netra backend", "version": version},
        "servers": [{"url": "."}],  # wherever this document is, which may be below a path
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": _SECURITY},
        "security": [{name: []} for name in _SECURITY],
    }


_SECURITY = {
    "token": {"type": "http", "scheme": "bearer"},
    "development": {"type": "apiKey", "in": "cookie", "name": COOKIE},
}


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    names = [part[1:-1] for part in endpoint.path.split("/") if part.startswith("{")]
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in names
    ] + [
        {"name": name, "in": place, "description": text, "schema": {"type": "string"}}
        for place, described in (("query", endpoint.query), ("header", endpoint.header))
        for name, text in described.items()
    ]
    operation: dict[str, Any] = {
        "summary": endpoint.summary,
        "operationId": endpoint.call.__name__.strip("_"),
        "responses": _responses(endpoint),
    }
    if endpoint.open:
        operation["security"] = []
    if parameters:
        operation["parameters"] = parameters
    if endpoint.body is not None:
        content = {"application/json": {"schema": _schema(endpoint.body)}}
        operation["requestBody"] = {"required": True, "content": content}
    return operation


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    success: dict[str, Any] = {"description": "Success"}
    if endpoint.result is not None:
        success["content"] = {endpoint.media_type: {"schema": _schema(endpoint.result)}}
    responses = {str(endpoint.status): success}
    responses |= {str(status): {"description": text} for status, text in endpoint.empty.items()}
    of_users = () if endpoint.open else (ErrorCode.UNAUTHENTICATED, ErrorCode.FORBIDDEN)
    for code in (*endpoint.errors, *of_users, ErrorCode.STORE_FAILED, ErrorCode.INTERNAL):
        row = ERRORS[code]
        known = responses.setdefault(str(row.status), {"description": ""})
        known["description"] = f"{known['description']} `{code.value}`: {row.meaning}".strip()
        known["content"] = {"application/json": {"schema": _schema(ErrorView)}}
    return responses


def _schema(shape: Any) -> dict[str, Any]:
    if isinstance(shape, dict):
        return shape
    return {"$ref": f"#/components/schemas/{shape.__name__}"}
