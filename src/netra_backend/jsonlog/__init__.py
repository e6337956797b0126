"""Logs that cannot hurt: any value, any exception, any sink fault is one JSON line or a count.

`configure` once, then log as always; `get_logger` takes fields as keywords. Needs nothing but
the standard library. ``docs/json-safety.md`` shows how to log a state.
"""

from netra_backend.jsonlog.binding import bind, correlation, new_correlation
from netra_backend.jsonlog.configure import configure, flush
from netra_backend.jsonlog.logger import Logger, get_logger
from netra_backend.jsonlog.plain import LIMITS, RECORD_LIMITS, WIRE_LIMITS, Json, Limits
from netra_backend.jsonlog.safe import dumps, jsonable

__all__ = [
    "LIMITS",
    "RECORD_LIMITS",
    "WIRE_LIMITS",
    "Json",
    "Limits",
    "Logger",
    "bind",
    "configure",
    "correlation",
    "dumps",
    "flush",
    "get_logger",
    "jsonable",
    "new_correlation",
]
