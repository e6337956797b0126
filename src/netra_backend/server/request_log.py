"""The request log: the line that says of each HTTP request how it was answered.

A server's own access log knows neither the user nor the run, nor which id a client was shown, and
writes queries, in which tickets stand. Who is no user cannot fill the log: in a flood of theirs not
each is a line, and the next one that is says how many were left out.
"""

import time
from collections.abc import Callable
from typing import Any

from starlette.requests import HTTPConnection
from starlette.types import Scope

from netra_backend import jsonlog
from netra_backend.server.address import address_of
from netra_backend.server.bucket import Bucket
from netra_backend.server.refusals import BURST, RATE

log = jsonlog.get_logger(__name__)

ASKED_OFTEN = frozenset({"/health/live", "/health/ready", "/metrics", "/ping"})
"""What supervisors and monitoring systems ask all the time: told at DEBUG. Below the path at which
an application has mounted this one."""

_KEY = "netra.answer"


class Strangers:
    """Bounds the lines of those who are no user: `BURST` at once and then `RATE` a second.

    `clock` is in seconds and does not go back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bucket = Bucket(RATE, BURST, clock())
        self._left_out = 0

    def take(self) -> int | None:
        """Return how many were left out since the last line; None if this one is, too."""
        if self._bucket.take(self._clock()):
            self._left_out += 1
            return None
        left_out, self._left_out = self._left_out, 0
        return left_out


class Answer:
    """How a request is answered, noted on the way and told at the end: of a stream, when it ends.

    Of a WebSocket nothing is told here: it has lines of its own.
    """

    def __init__(self, scope: Scope, proxies: int, strangers: Strangers) -> None:
        self._strangers = strangers
        self._scope = scope
        self._proxies = proxies
        self._began = time.monotonic()
        # Now, because a route of ours that is a mount adds to `root_path`.
        path = str(scope["path"]).removeprefix(scope.get("root_path", ""))
        self._is_asked_often = path in ASKED_OFTEN
        self._about: dict[str, object] = scope.setdefault(_KEY, {})
        self.status: int | None = None
        """The status of the answer; None as long as there is none."""

    def tell(self) -> None:
        """Log it."""
        if self._scope["type"] != "http":
            return
        about = {
            "method": self._scope["method"],
            "path": self._scope["path"],
            "status": self.status,
            "client": address_of(HTTPConnection(self._scope), self._proxies),
            "seconds": round(time.monotonic() - self._began, 4),
            **self._about,
        }
        if self._is_asked_often:
            log.debug("answered", extra=about)
            return
        left_out = 0 if "user" in about else self._strangers.take()
        if left_out is None:
            return
        log.info("answered", extra={**about, "left_out": left_out} if left_out else about)


def note(request: HTTPConnection, **about: Any) -> None:
    """Have the line of this request's answer say so too."""
    request.scope.setdefault(_KEY, {}).update(about)
