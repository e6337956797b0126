"""Store failures: where it is told, with its traceback, that the store failed.

Everybody's request meets a store that fails, a stranger's too, and often just when the disk is
full. So of one cause there is a line in `PERIOD` seconds, which says how many were left out since
the one before; each request that failed has its short line as a refusal (``server/refusals``).
"""

import time
from collections.abc import Callable

from msgspec import Struct

from netra_backend import jsonlog
from netra_backend.server.bucket import Bucket

log = jsonlog.get_logger(__name__)

PERIOD = 10.0
"""Seconds between two lines about one cause."""

RATE = 1
"""Lines about all causes in a second, in the long run: the text of a cause may differ each time."""

BURST = 20
"""Lines about all causes at once."""

CAUSES = 64
"""Causes that are told apart; beyond, the one that was told of first is forgotten."""


class _Cause(Struct):
    told: float
    left_out: int = 0


class StoreFailures:
    """Tells failures. `clock` is in seconds and does not go back."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bucket = Bucket(RATE, BURST, clock())
        self._causes: dict[tuple[str, str], _Cause] = {}

    def tell(self, what: str, error: BaseException) -> None:
        """Log `what` with the error, or count that it was left out."""
        now, key = self._clock(), (what, f"{type(error).__name__}: {error}"[:200])
        cause = self._causes.get(key)
        if (cause is not None and now - cause.told < PERIOD) or self._bucket.take(now):
            self._causes.setdefault(key, _Cause(now - PERIOD)).left_out += 1
        else:
            left_out = {"left_out": cause.left_out} if cause is not None and cause.left_out else {}
            self._causes.pop(key, None)
            self._causes[key] = _Cause(now)
            log.error(what, exc_info=error, extra=left_out)
        while len(self._causes) > CAUSES:
            del self._causes[next(iter(self._causes))]


_failures = StoreFailures()
"""The failures of this process."""


def tell(what: str, error: BaseException) -> None:
    """Tell a failure: see `StoreFailures.tell`."""
    _failures.tell(what, error)
