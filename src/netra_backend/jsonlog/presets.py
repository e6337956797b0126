"""How lines name what every record has, for those who read them: Google Cloud, Elastic, Datadog."""

import os
from collections.abc import Callable
from typing import Any, NamedTuple

from netra_backend.jsonlog.plain import Json
from netra_backend.jsonlog.tracebacks import as_text
from netra_backend.jsonlog.tracing import Trace

Pairs = dict[str, Json]


class Layout(NamedTuple):
    """The keys of a line. Fields of the program keep their names."""

    time: str
    level: str
    logger: str
    level_of: Callable[[int, str], str]
    """Returns the word for a level, given its number and its name."""
    trace: Callable[[Trace], Pairs]
    error: Callable[[dict[str, Any]], Pairs]
    """Returns what is said of an exception besides ``exception``."""
    fixed: Pairs
    """What stands on every line, after the message."""
    logger_behind: bool = False
    """Whether the logger stands behind the message, and not before it."""
    reserved: frozenset[str] = frozenset()
    """Keys that no field of the program may take; it gets a ``_``."""
    objects: frozenset[str] = frozenset()
    """Keys under which the reader wants an object; a field that is none gets a ``_``, too."""


_ECS_OBJECTS = frozenset(
    (
        *("agent", "client", "cloud", "container", "data_stream", "destination", "device"),
        *("dll", "dns", "ecs", "email", "error", "event", "faas", "file", "group", "host"),
        *("http", "labels", "log", "network", "observer", "orchestrator", "organization"),
        *("package", "process", "registry", "related", "rule", "server", "service", "source"),
        *("span", "threat", "tls", "trace", "transaction", "url", "user", "user_agent"),
        *("volume", "vulnerability"),
    )
)
"""What ECS 8.11 keeps objects under: an index refuses the whole line with ``user`` as a text."""

_OURS = frozenset(("message", "args", "dropped", "suppressed", "exception", "stack"))

PRESETS = ("json", "gcp", "ecs", "datadog")


def layout(preset: str) -> Layout:
    """Return the layout of that name. ``docs/json-safety.md`` shows a line of each."""
    shape = {"json": _json, "gcp": _gcp, "ecs": _ecs, "datadog": _datadog}[preset]()
    traces = shape.trace(Trace("0" * 32, "0" * 16, sampled=True))
    errors = shape.error({"type": "", "message": "", "frames": []})
    head = (shape.time, shape.level, shape.logger)
    return shape._replace(reserved=_OURS.union(head, shape.fixed, traces, errors))


def _json() -> Layout:
    """Return ours; ids of traces as OpenTelemetry has them in logs that are not its own.

    https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context
    """
    return Layout(
        time="time",
        level="level",
        logger="logger",
        level_of=lambda _number, name: name,
        trace=lambda trace: {
            "trace_id": trace.trace,
            "span_id": trace.span,
            "trace_flags": f"{trace.sampled:02x}",
        },
        error=lambda _error: {},
        fixed={},
    )


def _gcp() -> Layout:
    """Return Cloud Logging's: https://cloud.google.com/logging/docs/structured-logging."""
    project = os.environ.get("GOOGLE_CLOUD_PROJECT", "")
    prefix = f"projects/{project}/traces/" if project else ""
    place = "logging.googleapis.com/"
    return Layout(
        time="time",
        level="severity",
        logger="logger",
        level_of=_severity,
        trace=lambda trace: {
            f"{place}trace": prefix + trace.trace,
            f"{place}spanId": trace.span,
            f"{place}trace_sampled": trace.sampled,
        },
        # Error Reporting reads the language's own text.
        error=lambda error: {"stack_trace": as_text(error)},
        fixed={},
    )


def _ecs() -> Layout:
    """Return Elastic's: https://www.elastic.co/guide/en/ecs-logging/overview."""
    return Layout(
        time="@timestamp",
        level="log.level",
        logger="log.logger",
        level_of=lambda _number, name: name.lower(),
        trace=lambda trace: {"trace.id": trace.trace, "span.id": trace.span},
        error=lambda error: {
            "error.type": error.get("type", ""),
            "error.message": error.get("message", ""),
            "error.stack_trace": as_text(error),
        },
        fixed={"ecs.version": "8.11.0"},
        objects=_ECS_OBJECTS,
        logger_behind=True,  # the first three are time, level and message
    )


def _datadog() -> Layout:
    """Return Datadog's: https://docs.datadoghq.com/standard-attributes; ids are decimal there."""
    names = {"service": "DD_SERVICE", "env": "DD_ENV", "version": "DD_VERSION"}
    return Layout(
        time="timestamp",
        level="status",
        logger="logger.name",
        level_of=lambda _number, name: name.lower(),
        trace=lambda trace: {
            "dd.trace_id": str(int(trace.trace[16:], 16)),
            "dd.span_id": str(int(trace.span, 16)),
        },
        error=lambda error: {
            "error.kind": error.get("type", ""),
            "error.message": error.get("message", ""),
            "error.stack": as_text(error),
        },
        fixed={key: os.environ[name] for key, name in names.items() if os.environ.get(name)},
    )


def _severity(number: int, _name: str) -> str:
    """Return LogSeverity's word for a level; NOTICE is between INFO and WARNING."""
    words = ((50, "CRITICAL"), (40, "ERROR"), (30, "WARNING"), (21, "NOTICE"), (20, "INFO"))
    return next((word for least, word in words if number >= least), "DEBUG")
