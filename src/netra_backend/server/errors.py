"""HTTP answers for errors: one body shape for all of them, also where no application is asked."""

from collections.abc import Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from netra_backend import jsonlog
from netra_backend.errors import ERRORS, ErrorCode, FrameError, NetraError, Refused, Retry
from netra_backend.server import refusals, store_failures
from netra_backend.server.headers import CORRELATION, HEADERS


def error_body(code: ErrorCode, message: str, where: str | None = None) -> dict[str, Any]:
    """Return ``{"error": {code, message, retry, correlation, where?}}``."""
    error: dict[str, Any] = {
        "code": code.value,
        "message": message,
        "retry": ERRORS[code].may_retry,
        "correlation": jsonlog.correlation(),
    }
    if where is not None:
        error["where"] = where
    return {"error": error}


async def answer_error(request: Request, error: Exception) -> JSONResponse:
    """Return the answer for an error, as Starlette asks for it."""
    return error_response(error)


async def answer_missing(request: Request, error: Exception) -> JSONResponse:
    """Return the answer where there is no such path, or where it has no such method."""
    status = getattr(error, "status_code", 404)
    code = ErrorCode.BAD_METHOD if status == 405 else ErrorCode.NOT_FOUND
    why = ERRORS[code].meaning
    refusals.tell("request", code, why)
    body = error_body(code, why)
    return JSONResponse(body, status_code=status, headers=getattr(error, "headers", None))


def error_response(error: Exception) -> JSONResponse:
    """Return the answer for an error; anything but a refusal is a fault without details."""
    code, message, where, about = _told(error)
    if code is ErrorCode.STORE_FAILED:
        store_failures.tell("the store failed", error)
    refusals.tell("request", code, message, where=where, **about)
    return refusal_response(code, message, where)


def refusal_response(code: ErrorCode, message: str, where: str | None = None) -> JSONResponse:
    """Return the answer with this code: with its status, and what may be done next."""
    body = error_body(code, message, where)
    return JSONResponse(body, status_code=ERRORS[code].status, headers=_next(code))


def _next(code: ErrorCode) -> dict[str, str]:
    """Return the headers that say what a client may do next."""
    if code is ErrorCode.UPGRADE_REQUIRED:
        return {"Upgrade": "websocket"}  # RFC 9110 section 15.5.22
    return {"Retry-After": "1"} if ERRORS[code].retry is Retry.LATER else {}


def _told(error: Exception) -> tuple[ErrorCode, str, str | None, Mapping[str, str]]:
    if isinstance(error, Refused | FrameError):
        return error.code, error.message, error.where, error.about
    code = ErrorCode.STORE_FAILED if isinstance(error, NetraError) else ErrorCode.INTERNAL
    return code, ERRORS[code].meaning, None, {}


def raw_refusal(
    what: str,
    code: ErrorCode,
    why: str,
    *,
    peer: object,
    headers: Mapping[str, str] | None = None,
    **about: object,
) -> bytes:
    """Tell that `what` is refused before an application sees it, and return the answer.

    It is what HTTP/1.1 has on the wire, for a connection that is closed then. `peer` is the name
    of the socket's other end.
    """
    client = peer[0] if isinstance(peer, tuple) else peer or None
    status = HTTPStatus(ERRORS[code].status)
    correlation = jsonlog.new_correlation()
    with jsonlog.bind(correlation=correlation):
        refusals.tell(what, code, why, client=client, **about)
        body = jsonlog.dumps(error_body(code, why)).encode()
    fields = {
        **HEADERS,
        **_next(code),
        **(headers or {}),
        "Date": formatdate(usegmt=True),
        CORRELATION: correlation,
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
        "Connection": "close",
    }
    lines = "".join(f"{name.lower()}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status.value} {status.phrase}\r\n{lines}\r\n".encode("latin-1") + body
