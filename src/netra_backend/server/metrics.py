"""Metrics: what ``GET /metrics`` shows, in Prometheus' text format."""

from prometheus_client import CollectorRegistry, Counter, Gauge

REGISTRY = CollectorRegistry()

CONNECTIONS = Gauge("netra_connections", "Live connections.", registry=REGISTRY)
FRAMES_IN = Counter("netra_frames_received", "Frames received from clients.", registry=REGISTRY)
REFUSALS = Counter(
    "netra_refusals", "Commands and requests refused, by error code.", ["code"], registry=REGISTRY
)
CLOSES = Counter(
    "netra_closes", "Sockets closed from our side, by close code.", ["code"], registry=REGISTRY
)
BEHIND = Counter(
    "netra_behind", "Times a follower fell behind and was served from the log.", registry=REGISTRY
)
LEAKS = Counter(
    "netra_leaks",
    "Frames stopped at the last hop because they were another user's. Must be 0.",
    registry=REGISTRY,
)
