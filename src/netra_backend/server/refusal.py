"""The refusal: an answer in bytes, where no application can be asked for one.

What is no HTTP, has too long a head, or opens no WebSocket, is answered like every other error:
with a code, a correlation id that is in the log, and the headers that guard a browser.
"""

import logging
from collections.abc import Iterable
from http import HTTPStatus

from netra_backend import jsonlog
from netra_backend.errors import ERRORS, ErrorCode
from netra_backend.server.errors import error_body
from netra_backend.server.metrics import REFUSALS
from netra_backend.server.site import HEADERS

log = logging.getLogger(__name__)


def refusal(
    code: ErrorCode,
    message: str,
    *,
    client: object,
    status: int | None = None,
    fields: Iterable[tuple[str, str]] = (),
) -> bytes:
    """Return the answer, after which the connection has to be closed, and note it in the log.

    `status` is that of the code unless another one is given; `client` is the peer, as logged.
    """
    REFUSALS.labels(code.value).inc()
    with jsonlog.bind(correlation=jsonlog.new_correlation()):
        log.info("request refused", extra={"code": code, "why": message, "client": client})
        body = jsonlog.dumps(error_body(code, message)).encode()
        lines = {
            "content-type": "application/json",
            "connection": "close",
            "content-length": str(len(body)),
            **{name.lower(): value for name, value in HEADERS.items()},
            "x-correlation-id": str(jsonlog.correlation()),
            **dict(fields),
        }
    known = HTTPStatus(ERRORS[code].status if status is None else status)
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return f"HTTP/1.1 {known.value} {known.phrase}\r\n{head}\r\n".encode("latin-1") + body
