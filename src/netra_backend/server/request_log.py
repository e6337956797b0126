"""The request log: the line that says of each HTTP request how it was answered.

A server's own access log knows neither the user nor the run, nor which id a client was shown, and
writes queries, in which tickets stand.
"""

import logging
import time
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import Scope

from netra_backend.server.address import address_of

log = logging.getLogger(__name__)

ASKED_OFTEN = frozenset({"/health/live", "/health/ready", "/metrics", "/ping"})
"""What supervisors and monitoring systems ask all the time: told at DEBUG."""

_KEY = "netra.answer"


class Answer:
    """How a request is answered, noted on the way and told at the end: of a stream, when it ends.

    Of a WebSocket nothing is told here: it has lines of its own.
    """

    def __init__(self, scope: Scope, proxies: int) -> None:
        self._scope = scope
        self._proxies = proxies
        self._began = time.monotonic()
        self._about: dict[str, object] = scope.setdefault(_KEY, {})
        self.status: int | None = None
        """The status of the answer; None as long as there is none."""

    def tell(self) -> None:
        """Log it."""
        if self._scope["type"] != "http":
            return
        path = self._scope["path"]
        about = {
            "method": self._scope["method"],
            "path": path,
            "status": self.status,
            "client": address_of(HTTPConnection(self._scope), self._proxies),
            "seconds": round(time.monotonic() - self._began, 4),
            **self._about,
        }
        log.log(logging.DEBUG if path in ASKED_OFTEN else logging.INFO, "answered", extra=about)


def note(request: HTTPConnection, **about: Any) -> None:
    """Have the line of this request's answer say so too."""
    request.scope.setdefault(_KEY, {}).update(about)
