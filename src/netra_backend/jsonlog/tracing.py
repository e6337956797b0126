"""The trace that runs: OpenTelemetry's ids, if the program has loaded its API."""

import sys
from typing import NamedTuple

from netra_backend.jsonlog.guard import Failed, foreign

TRACING = "opentelemetry.trace"
"""The module of its API: while it is not loaded, there is no trace."""


class Trace(NamedTuple):
    """Where in a distributed trace a record was logged (W3C Trace Context)."""

    trace: str
    """32 hexadecimal digits."""
    span: str
    """16 hexadecimal digits."""
    sampled: bool


def current() -> Trace | None:
    """Return the current span's ids; None outside of spans, or if nobody loaded OpenTelemetry."""
    return foreign_trace() if TRACING in sys.modules else None


def foreign_trace() -> Trace | None:
    """Return what OpenTelemetry says."""
    found = foreign(_ask)
    return None if isinstance(found, Failed) else found


def _ask() -> Trace | None:
    context = sys.modules[TRACING].get_current_span().get_span_context()
    trace, span, flags = context.trace_id, context.span_id, context.trace_flags
    if not trace or not span:
        return None
    return Trace(f"{int(trace):032x}", f"{int(span):016x}", bool(int(flags) & 1))
