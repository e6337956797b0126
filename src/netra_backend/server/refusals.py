"""Refusals: where it is told that a client does not get what it has asked for.

Each is counted, and is a line in the log under the correlation id that the client is shown. In a
flood not each is a line: of one code `BURST` at once and then `RATE` a second; the next one that is
says how many were left out. So who floods us with one sort of refusal hides no other. What a client
sent is told to itself; the log leaves out what stands in quotes where a frame, a field, an answer
or an agent's name is wrong, the value of a header that opens no WebSocket, and what a person has
decided before.
"""

import re
import time
from collections.abc import Callable

from netra_backend import jsonlog
from netra_backend.errors import ErrorCode
from netra_backend.server.bucket import Bucket
from netra_backend.server.metrics import REFUSALS

log = jsonlog.get_logger(__name__)

RATE = 20
"""Lines of one code in a second, in the long run."""

BURST = 500
"""Lines of one code at once."""

_QUOTED = re.compile(r"""['"].*(?:['"]|…\Z)|(?<=unknown field )`.*(?:`|…\Z)""", re.DOTALL)
_DECISION = re.compile(r"(?<= before: ).*", re.DOTALL)
_HEADER = re.compile(r"(?<= header: ).*", re.DOTALL)
_SENT = {
    ErrorCode.ALREADY_DECIDED: _DECISION,
    ErrorCode.BAD_FRAME: _QUOTED,
    ErrorCode.BAD_INPUT: _QUOTED,
    ErrorCode.BAD_ANSWER: _QUOTED,
    ErrorCode.UNKNOWN_AGENT: _QUOTED,
    ErrorCode.BAD_REQUEST: _HEADER,
    ErrorCode.UPGRADE_REQUIRED: _HEADER,
}
"""Where in a refusal's text is what a client sent."""


class Refusals:
    """Tells refusals. `clock` is in seconds and does not go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._buckets = {code: Bucket(RATE, BURST, clock()) for code in ErrorCode}
        self._left_out = dict.fromkeys(ErrorCode, 0)

    def tell(self, what: str, code: ErrorCode, why: str, /, **about: object) -> None:
        """Count the refusal of `what`, and log why and what `about` says of it.

        A ``code`` in `about` is logged in the place of `code`: what a socket is closed with.
        """
        REFUSALS.labels(code.value).inc()
        if self._buckets[code].take(self._clock()):
            self._left_out[code] += 1
            return
        left_out, self._left_out[code] = self._left_out[code], 0
        if left_out:
            about["left_out"] = left_out
        said = _SENT[code].sub("…", why) if code in _SENT else why
        told = {name: one for name, one in about.items() if one is not None}
        log.info("%s refused", what, extra={"code": code, "why": said, **told})


tell = Refusals().tell
"""Tell a refusal: see `Refusals.tell`."""
