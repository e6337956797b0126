"""Logs that cannot hurt: any value, any exception, any sink fault is one JSON line or a count.

`configure` once, then log as always; `get_logger` takes fields as keywords. Needs nothing of the
server, and beside the standard library only orjson. ``docs/json-safety.md`` shows how to log a
state.
"""

from netra_backend.jsonlog.binding import bind, carry, correlation, new_correlation
from netra_backend.jsonlog.configure import configure, flush, unconfigure
from netra_backend.jsonlog.counts import Counters, counters
from netra_backend.jsonlog.logger import Logger, get_logger
from netra_backend.jsonlog.losses import Loss, losses
from netra_backend.jsonlog.plain import LIMITS, RECORD_LIMITS, WIRE_LIMITS, Json, Limits
from netra_backend.jsonlog.safe import dumps, jsonable
from netra_backend.jsonlog.thinning import Repeats

__all__ = [
    "LIMITS",
    "RECORD_LIMITS",
    "WIRE_LIMITS",
    "Counters",
    "Json",
    "Limits",
    "Logger",
    "Loss",
    "Repeats",
    "bind",
    "carry",
    "configure",
    "correlation",
    "counters",
    "dumps",
    "flush",
    "get_logger",
    "jsonable",
    "losses",
    "new_correlation",
    "unconfigure",
]
