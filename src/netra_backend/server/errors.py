"""HTTP answers for errors: one body shape for all of them."""

import logging
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse

from netra_backend import jsonlog
from netra_backend.errors import ERRORS, ErrorCode, FrameError, NetraError, Refused, Retry
from netra_backend.server import metrics

log = logging.getLogger(__name__)


def error_body(code: ErrorCode, message: str, where: str | None = None) -> dict[str, Any]:
    """Return ``{"error": {code, message, retry, correlation, where?}}``."""
    error: dict[str, Any] = {
        "code": code.value,
        "message": message,
        "retry": ERRORS[code].retry is not Retry.NEVER,
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
    metrics.REFUSALS.labels(code.value).inc()
    body = error_body(code, ERRORS[code].meaning)
    return JSONResponse(body, status_code=status, headers=getattr(error, "headers", None))


def error_response(error: Exception) -> JSONResponse:
    """Return the answer for an error; anything but a refusal is a fault without details."""
    code, message, where = _told(error)
    metrics.REFUSALS.labels(code.value).inc()
    if code is ErrorCode.STORE_FAILED:
        log.error("the store failed", exc_info=error)
    elif code is not ErrorCode.INTERNAL:  # whose cause the border around the request logs
        log.info("request refused", extra={"code": code, "why": message, "where": where})
    body = error_body(code, message, where)
    headers = {"Retry-After": "1"} if ERRORS[code].retry is Retry.LATER else None
    return JSONResponse(body, status_code=ERRORS[code].status, headers=headers)


def _told(error: Exception) -> tuple[ErrorCode, str, str | None]:
    if isinstance(error, Refused | FrameError):
        return error.code, error.message, error.where
    code = ErrorCode.STORE_FAILED if isinstance(error, NetraError) else ErrorCode.INTERNAL
    return code, ERRORS[code].meaning, None
